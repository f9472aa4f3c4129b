// From SRV answers to the servers to try, in order (RFC 6120 3.2.1, RFC 2782, XEP-0368).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "dns/records.h"
#include "xmpp/jid.h"

namespace sallyport::dns {

// One server to try.
struct Target {
  std::string host;  // lower case, no trailing dot; to be resolved
  std::uint16_t port = 5269;
  bool direct_tls = false;  // from _xmpps-server: TLS from the first byte (XEP-0368)
  bool from_srv = false;    // false: the domain itself (RFC 6120 3.2.2)
  bool secure = false;      // every answer that led here was validated with DNSSEC
  bool operator==(const Target&) const = default;
  std::string text() const;  // "SRV xmpp.example.net:5269", for people
};

// A record that is not tried, and why: kDnsDecline, kDialPort, kDnsTooMany.
struct Skipped {
  SrvRecord record;
  bool direct_tls = false;
  Error why;
};

struct Targets {
  std::vector<Target> list;  // at most limits::kTargetsMax
  std::vector<Skipped> skipped;
  // The reason why `list` is empty: kDnsDecline, kDnsBogus, kDnsFailure, kDialPort; absent if it is not.
  std::optional<Error> refusal;
  // Set if the domain itself is in the list because the SRV questions had no answer. This failure, if any, is
  // more informative than the outcome of that attempt.
  std::optional<Error> srv_failure;
};

// Orders the targets. `direct` and `starttls`: the answers for _xmpps-server and _xmpp-server of `domain`.
// `ports`: the only ports that a record may name ([outbound] ports). The two answers are one list (XEP-0368
// rule 1).
//  - either answer bogus: nothing is tried (RFC 7673 3.1: an attacker may have removed the other);
//  - no record in either: the domain itself at 5269 (RFC 6120 3.2.2);
//  - records, but none that may be tried: nothing, no fallback (RFC 6120 3.2.1 step 7; XEP-0368
//  "Implementation Notes").
Targets order_targets(const xmpp::Domain& domain, const SrvAnswer& direct, const SrvAnswer& starttls,
                      std::span<const std::uint16_t> ports, Random& random);

// RFC 8305 4: the two families alternate, IPv6 first; within a family the order stays. The flag says that the
// address came as an AAAA record.
std::vector<std::pair<Ip, bool>> take_turns(std::span<const Ip> v6, std::span<const Ip> v4);

}  // namespace sallyport::dns
