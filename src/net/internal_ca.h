// The private authority that only inside servers trust: made once, kept in the core's `state`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "policy/rules.h"

namespace sallyport::net {

struct CaPem {
  // One certificate, or several while the authority is being changed: inside servers are given all of them;
  // the key belongs to the first, which signs.
  std::string certificates;
  std::string key;  // wipe after use
};

// A new authority: ECDSA P-256, ten years, no authority below it, and constrained (RFC 5280 4.2.1.10) not to
// name any inside name nor anything below one, so that a stolen key cannot speak for the inside. Errors:
// kInternal.
Result<CaPem> make_internal_ca(std::string_view core_name, const std::vector<policy::DomainPattern>& inside,
                               UnixTime now);

// The names that the authority may not name, as its first certificate says. Errors: kFileFormat.
Result<std::vector<std::string>> ca_excluded_names(std::string_view certificates);

// That of the folder `state`: internal-ca.crt and internal-ca.key (0600). Made only while neither is there: a
// new one in place of a lost one would silently be one that nobody trusts. Errors: kFileUnreadable;
// kConfigMissing when one is there alone.
Result<CaPem> open_internal_ca(const std::string& state, std::string_view core_name,
                               const std::vector<policy::DomainPattern>& inside, UnixTime now);

}  // namespace sallyport::net
