// DNS messages (RFC 1035 4, RFC 6891) for the answering resolver.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dns/records.h"

namespace sallyport::dns {

// A name in wire form without compression: labels with their lengths, then the empty one. The case of letters
// is kept, because the client expects it back.
class Name {
 public:
  // The root.
  Name() : wire_(1, '\0') {}
  // Parses "a.example", "a.example.", "."; labels may hold any bytes but dots. Errors: kDnsMalformed.
  static Result<Name> parse(std::string_view text);
  // Reads a name at `at` in `message`, following pointers, and moves `at` to its end. A pointer must lead to
  // a place before the name or pointer that it is part of, so the reading ends. Errors: kDnsMalformed.
  static Result<Name> read(std::string_view message, std::size_t& at);

  const std::string& wire() const { return wire_; }
  // Returns RFC 1035 5.1 form, without the trailing dot (except for the root); unusual bytes as \DDD.
  std::string text() const;
  // Compares without regard to the case of ASCII letters (RFC 4343).
  bool is_same(const Name& other) const;
  bool operator==(const Name&) const = default;

 private:
  explicit Name(std::string wire) : wire_(std::move(wire)) {}
  std::string wire_;
};

struct Question {
  Name name;
  std::uint16_t type = 0;
  std::uint16_t class_ = 1;
  bool operator==(const Question&) const = default;
};

// RDATA is kept as received: names in it may be compressed, so it is only valid in records that we make.
struct Record {
  Name name;
  std::uint16_t type = 0;
  std::uint16_t class_ = 1;
  std::uint32_t ttl_s = 0;
  std::string rdata;
  bool operator==(const Record&) const = default;
};

// Bits of Message::flags (RFC 1035 4.1.1, RFC 2535 6.1).
inline constexpr std::uint16_t kResponse = 0x8000;
inline constexpr std::uint16_t kOpcodeMask = 0x7800;
inline constexpr std::uint16_t kTruncated = 0x0200;
inline constexpr std::uint16_t kRecursionDesired = 0x0100;
inline constexpr std::uint16_t kRecursionAvailable = 0x0080;
inline constexpr std::uint16_t kCheckingDisabled = 0x0010;
inline constexpr std::uint16_t kRcodeMask = 0x000f;

enum class Rcode : std::uint8_t { kNoError = 0, kFormErr = 1, kServFail = 2, kNotImp = 4, kRefused = 5 };

struct Message {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;
  std::vector<Question> questions;
  std::vector<Record> answers;
  std::vector<Record> authority;
  std::vector<Record> additional;

  // Errors: kDnsMalformed; also for bytes after the last record, and for more than
  // limits::kDnsMessageBytesMax.
  static Result<Message> parse(std::string_view bytes);
  // Owner names equal to the first question's become a pointer to it; nothing else is compressed. `parse`
  // reads the result back as the same message. Precondition: at most limits::kDnsMessageBytesMax bytes of
  // records.
  std::string build() const;
  bool operator==(const Message&) const = default;
};

// The OPT pseudo-record of a query (RFC 6891 6.1).
struct Edns {
  std::uint16_t udp_bytes_max = 512;
  std::uint8_t version = 0;
  bool dnssec_ok = false;
};
// Returns nothing if the query has none. Errors: kDnsMalformed, if it has two or one that is not the root's
// (RFC 6891 6.1.1).
Result<std::optional<Edns>> edns_of(const Message& query);

// Returns how large a datagram the client accepts (RFC 6891 6.2.5: never less than 512).
std::size_t datagram_bytes_max(const std::optional<Edns>& edns);

// The header and first question alone, to match an answer with a question without reading the rest.
struct Head {
  std::uint16_t id = 0;
  std::uint16_t flags = 0;
  std::optional<Question> question;  // absent: the message has none
};
Result<Head> parse_head(std::string_view bytes);

}  // namespace sallyport::dns
