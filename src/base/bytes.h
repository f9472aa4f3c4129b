// Bytes: reading and writing in network order, hex and base64, digests, and constant-time comparison.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sallyport {

// Appends big-endian integers and length-prefixed strings to a string that it does not own and that outlives
// it.
class Appender {
 public:
  explicit Appender(std::string& out) : out_(out) {}
  void u8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void u16(std::uint16_t v);
  void u32(std::uint32_t v);
  void u64(std::uint64_t v);
  // Least significant 7-bit group first, in as few bytes as possible.
  void varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) u8(static_cast<std::uint8_t>(v | 0x80));
    u8(static_cast<std::uint8_t>(v));
  }
  void raw(std::string_view bytes) { out_.append(bytes); }
  // Appends a varint length, then the bytes.
  void string(std::string_view bytes) {
    varint(bytes.size());
    raw(bytes);
  }

 private:
  std::string& out_;
};

// Makes room for `more` bytes in a buffer that is being filled. Once it is in use, it gets much room at once
// instead of growing by repeated copies.
inline void make_room(std::string& out, std::size_t more) {
  constexpr std::size_t kSome = 4 * 1024;
  constexpr std::size_t kMuch = 16 * 1024;
  const std::size_t wanted = out.size() + more;
  if (out.capacity() >= wanted) return;
  if (out.empty()) return out.reserve(wanted);
  out.reserve(wanted <= kSome ? kSome : std::max(2 * out.size(), wanted + kMuch));
}

// Reads the output of Appender. A read past the end, and a varint of more than ten bytes or not in its
// shortest form, fails and leaves the cursor failed.
class Cursor {
 public:
  explicit Cursor(std::string_view in) : rest_(in) {}
  std::optional<std::uint8_t> u8() {
    const auto byte = raw(1);
    return byte ? std::optional(static_cast<std::uint8_t>(byte->front())) : std::nullopt;
  }
  std::optional<std::uint16_t> u16();
  std::optional<std::uint32_t> u32();
  std::optional<std::uint64_t> u64();
  std::optional<std::uint64_t> varint() {
    // Nearly all are lengths below 128.
    if (!failed_ && !rest_.empty() && static_cast<unsigned char>(rest_.front()) < 0x80) return u8();
    return long_varint();
  }
  // The results are views into the input.
  std::optional<std::string_view> raw(std::size_t size) {
    if (failed_ || size > rest_.size()) {
      failed_ = true;
      return std::nullopt;
    }
    const std::string_view bytes(rest_.data(), size);
    rest_.remove_prefix(size);
    return bytes;
  }
  std::optional<std::string_view> string() {
    const auto size = varint();
    return size ? raw(*size) : std::nullopt;
  }
  bool at_end() const { return !failed_ && rest_.empty(); }
  bool failed() const { return failed_; }
  std::string_view rest() const { return rest_; }

 private:
  std::optional<std::uint64_t> long_varint();

  std::string_view rest_;
  bool failed_ = false;
};

std::string to_hex(std::string_view bytes);  // lower case
std::string to_base64(std::string_view bytes);
// Decodes RFC 4648 base64 with padding; rejects everything else, even white space.
std::optional<std::string> from_base64(std::string_view text);

using Digest256 = std::array<std::uint8_t, 32>;
Digest256 sha256(std::string_view bytes);
Digest256 hmac_sha256(std::string_view key, std::string_view bytes);
std::string to_hex(const Digest256& digest);

// Compares in time that depends on the lengths only.
bool equal_constant_time(std::string_view a, std::string_view b);

// Overwrites the bytes with zeros, which the compiler does not optimise away, and empties the string.
void wipe(std::string& secret);

// Owns bytes that hold a secret: moved, never copied, wiped in the destructor.
class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::string bytes) : bytes_(std::move(bytes)) {}
  SecretBytes(SecretBytes&&) noexcept = default;
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    bytes_.swap(other.bytes_);
    return *this;
  }
  ~SecretBytes() { wipe(bytes_); }

  std::string_view view() const { return bytes_; }

 private:
  std::string bytes_;
};

// Source of randomness, injected: getrandom(2) in the daemon, seeded in the simulation.
class Random {
 public:
  virtual ~Random() = default;
  virtual void fill(std::uint8_t* out, std::size_t size) = 0;
  std::uint64_t u64();
  // Returns a uniform number in [0, bound). Precondition: bound > 0.
  std::uint64_t below(std::uint64_t bound);
  // Returns `bytes` random bytes as lower-case hex: stream ids, keys, link sessions.
  std::string hex(std::size_t bytes);
};

}  // namespace sallyport
