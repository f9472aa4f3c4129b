// What differs between two policies, row by row, for people who are about to put one in the place of the
// other.
#pragma once

#include <string>
#include <vector>

#include "config/policy_config.h"

namespace sallyport::config {

// One row that one of the two has and the other has not, or has otherwise; or one key of [federation].
struct PolicyChange {
  std::string table;    // "federation", "domain", "chat_node", "static_route", "allow", "deny", "peer"
  std::string row;      // what names the row: a domain, an alias, a key of [federation]
  std::string was;      // its settings, those left out written out; empty: there was no such row
  std::string becomes;  // empty: there is none any more
  bool operator==(const PolicyChange&) const = default;
};

// In the order of policy.toml's tables, in each by row. The order of rows counts only where it decides
// something: the first alias of a node. Comments in the file and its layout are no difference.
std::vector<PolicyChange> compare_policies(const PolicyConfig& was, const PolicyConfig& becomes);

}  // namespace sallyport::config
