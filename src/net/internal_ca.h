// The private authority that only internal servers trust: made once, kept in the core's `state`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "policy/rules.h"

namespace sallyport::net {

struct CaPem {
  // One certificate, or several while the authority is being replaced: internal servers get all of them; the
  // key belongs to the first, which signs.
  std::string certificates;
  std::string key;  // wipe after use
};

// A new authority: ECDSA P-256, ten years, no authority below it, and constrained (RFC 5280 4.2.1.10) not to
// name any internal name nor a name below one, so that a stolen key cannot speak for internal names. Errors:
// kInternal.
Result<CaPem> make_internal_ca(std::string_view core_name,
                               const std::vector<policy::DomainPattern>& internal_names, UnixTime now);

// The names that the authority may not name, as its first certificate says. Errors: kFileFormat.
Result<std::vector<std::string>> ca_excluded_names(std::string_view certificates);

// The authority of the folder `state`: internal-ca.crt and internal-ca.key (0600). Made only if neither file
// exists: no server would trust a new authority in place of a lost one. Errors: kFileUnreadable;
// kConfigMissing when only one file exists.
Result<CaPem> open_internal_ca(const std::string& state, std::string_view core_name,
                               const std::vector<policy::DomainPattern>& internal_names, UnixTime now);

}  // namespace sallyport::net
