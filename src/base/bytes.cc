#include "base/bytes.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

namespace sallyport {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr std::string_view kBase64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// A 64-bit value takes at most this many 7-bit groups.
constexpr int kVarintBytesMax = 10;

const unsigned char* octets(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

template <typename T>
void append_big_endian(std::string& out, T v) {
  for (int shift = (static_cast<int>(sizeof(T)) - 1) * 8; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>((v >> shift) & 0xff));
  }
}

template <typename T>
T read_big_endian(std::string_view bytes) {
  T v = 0;
  for (const char c : bytes) v = static_cast<T>((v << 8) | static_cast<unsigned char>(c));
  return v;
}

// The value of a base64 digit, or -1.
int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  if (c == '/') return 63;
  return -1;
}

}  // namespace

void Appender::u16(std::uint16_t v) { append_big_endian(out_, v); }
void Appender::u32(std::uint32_t v) { append_big_endian(out_, v); }
void Appender::u64(std::uint64_t v) { append_big_endian(out_, v); }

std::optional<std::uint16_t> Cursor::u16() {
  const auto bytes = raw(2);
  if (!bytes) return std::nullopt;
  return read_big_endian<std::uint16_t>(*bytes);
}

std::optional<std::uint32_t> Cursor::u32() {
  const auto bytes = raw(4);
  if (!bytes) return std::nullopt;
  return read_big_endian<std::uint32_t>(*bytes);
}

std::optional<std::uint64_t> Cursor::u64() {
  const auto bytes = raw(8);
  if (!bytes) return std::nullopt;
  return read_big_endian<std::uint64_t>(*bytes);
}

std::optional<std::uint64_t> Cursor::long_varint() {
  std::uint64_t v = 0;
  for (int i = 0; i < kVarintBytesMax; ++i) {
    const auto byte = u8();
    if (!byte) return std::nullopt;
    const std::uint64_t group = *byte & 0x7f;
    // The tenth group holds the last of the 64 bits.
    if (i == kVarintBytesMax - 1 && group > 1) break;
    v |= group << (7 * i);
    if ((*byte & 0x80) != 0) continue;
    // A last group of zero is not the shortest form: one frame would have two encodings.
    if (i > 0 && group == 0) break;
    return v;
  }
  failed_ = true;
  return std::nullopt;
}

std::string to_hex(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out.push_back(kHexDigits[byte >> 4]);
    out.push_back(kHexDigits[byte & 0xf]);
  }
  return out;
}

std::string to_hex(const Digest256& digest) {
  return to_hex(std::string_view(reinterpret_cast<const char*>(digest.data()), digest.size()));
}

std::string to_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const auto group = bytes.substr(i, 3);
    const auto bits = read_big_endian<std::uint32_t>(group) << (8 * (3 - group.size()));
    for (std::size_t digit = 0; digit < 4; ++digit) {
      out.push_back(digit <= group.size() ? kBase64Digits[(bits >> (18 - 6 * digit)) & 0x3f] : '=');
    }
  }
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (std::size_t i = 0; i < text.size(); i += 4) {
    auto group = text.substr(i, 4);
    // Padding is only allowed at the very end (RFC 4648 3.3).
    if (i + 4 == text.size()) {
      if (group.ends_with("==")) {
        group.remove_suffix(2);
      } else if (group.ends_with('=')) {
        group.remove_suffix(1);
      }
    }
    std::uint32_t bits = 0;
    for (const char c : group) {
      const int value = base64_value(c);
      if (value < 0) return std::nullopt;
      bits = (bits << 6) | static_cast<std::uint32_t>(value);
    }
    const std::size_t bytes = group.size() * 6 / 8;
    const std::size_t spare = group.size() * 6 % 8;
    // Bits after the last byte must be zero: one text for one value (RFC 4648 3.5).
    if ((bits & ((1U << spare) - 1)) != 0) return std::nullopt;
    bits >>= spare;
    for (std::size_t b = bytes; b > 0; --b) out.push_back(static_cast<char>((bits >> (8 * (b - 1))) & 0xff));
  }
  return out;
}

Digest256 sha256(std::string_view bytes) {
  Digest256 digest{};
  SHA256(octets(bytes), bytes.size(), digest.data());
  return digest;
}

Digest256 hmac_sha256(std::string_view key, std::string_view bytes) {
  Digest256 digest{};
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), octets(bytes), bytes.size(), digest.data(),
       &size);
  return digest;
}

bool equal_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

void wipe(std::string& secret) {
  // An earlier, longer value may have left bytes behind the end.
  secret.resize(secret.capacity());
  OPENSSL_cleanse(secret.data(), secret.size());
  secret.clear();
}

std::uint64_t Random::u64() {
  std::array<std::uint8_t, 8> bytes{};
  fill(bytes.data(), bytes.size());
  std::uint64_t v = 0;
  for (const auto byte : bytes) v = (v << 8) | byte;
  return v;
}

std::uint64_t Random::below(std::uint64_t bound) {
  // Values from the incomplete last run of `bound` numbers would favour small results.
  const std::uint64_t reject_below = (0 - bound) % bound;
  for (;;) {
    const std::uint64_t v = u64();
    if (v >= reject_below) return v % bound;
  }
}

std::string Random::hex(std::size_t bytes) {
  std::string raw(bytes, '\0');
  fill(reinterpret_cast<std::uint8_t*>(raw.data()), raw.size());
  return to_hex(raw);
}

}  // namespace sallyport
