// The port table (daemon/publish.h) as rules for nftables. Pure.
#pragma once

#include <string>
#include <vector>

#include "daemon/publish.h"

namespace sallyport::daemon {

// An nftables ruleset for a router between the zones: accepts the traffic of the rows and drops all other.
struct NftRules {
  std::string text;
  // The rows for which not all rules can be made, each with the reason: the IP address of a party or host is
  // not known (a listener on every address, a name, another file), or the two sides have no common address
  // family. A rule without an address would accept too much; without a rule the traffic is dropped.
  std::vector<std::string> missing;
};
// A federated server without addresses is every address that is not private.
NftRules nft_rules(const std::vector<PortRow>& rows);

}  // namespace sallyport::daemon
