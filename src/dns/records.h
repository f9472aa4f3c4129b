// DNS answers as values: the outcome of a question and its records. net/resolver makes them; dns/targets
// reads them.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dns/address.h"

namespace sallyport::dns {

enum class RecordType : std::uint16_t { kA = 1, kSoa = 6, kAaaa = 28, kSrv = 33, kOpt = 41 };

// The outcome of a question.
enum class LookupOutcome : std::uint8_t {
  kFound,    // at least one record
  kNoData,   // the name exists, the type does not (RFC 2308 2.2)
  kNoName,   // NXDOMAIN
  kFailure,  // SERVFAIL, REFUSED, unreadable, or no answer in time
  kBogus,    // DNSSEC validation failed (RFC 4035 4.3)
};
std::string_view outcome_name(LookupOutcome outcome);

struct SrvRecord {
  std::uint16_t priority = 0;
  std::uint16_t weight = 0;
  std::uint16_t port = 0;
  // Lower case, without the trailing dot; "." alone: the domain declares that it has no such service (RFC
  // 2782).
  std::string target;
  auto operator<=>(const SrvRecord&) const = default;
};

// At most limits::kSrvRecordsMax records; `secure`: validated with DNSSEC.
struct SrvAnswer {
  LookupOutcome outcome = LookupOutcome::kFailure;
  bool secure = false;
  std::vector<SrvRecord> records;
  std::string text;  // for people: the reason of a failure, the number of records left out
};

// At most limits::kAddressesPerTargetMax addresses. An IPv4 address from an AAAA record is in `ips` of the
// AAAA answer, where is_v4() reveals it as mapped.
struct AddressAnswer {
  LookupOutcome outcome = LookupOutcome::kFailure;
  bool secure = false;
  std::vector<Ip> ips;
  std::string text;
};

// The two SRV services that lead to a server (RFC 6120 3.2.1, XEP-0368).
inline constexpr std::string_view kStartTlsService = "_xmpp-server._tcp.";
inline constexpr std::string_view kDirectTlsService = "_xmpps-server._tcp.";

// Reads a DNS name in wire form without compression, at the beginning of `rdata`, as a host name: lower case,
// no trailing dot, "." for the root. Errors: kDnsMalformed, also for bytes that are not allowed in a host
// name (RFC 1123 2.1; underscores are accepted).
Result<std::string> parse_host(std::string_view wire);
// Reads the RDATA of one record. Errors: kDnsMalformed.
Result<SrvRecord> parse_srv(std::string_view rdata);
Result<Ip> parse_address(RecordType type, std::string_view rdata);

}  // namespace sallyport::dns
