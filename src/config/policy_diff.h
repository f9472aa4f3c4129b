// The differences between two policies, row by row, for an administrator who is about to replace one by the
// other.
#pragma once

#include <string>
#include <vector>

#include "config/policy_config.h"

namespace sallyport::config {

// One row that only one of the two has, or that differs; or one key of [federation].
struct PolicyChange {
  std::string table;    // "federation", "domain", "chat_node", "static_route", "allow", "deny", "peer"
  std::string row;      // the name of the row: a domain, an alias, a key of [federation]
  std::string was;      // its settings, including defaults; empty: the row is new
  std::string becomes;  // empty: the row is removed
  bool operator==(const PolicyChange&) const = default;
};

// In the order of policy.toml's tables, within each by row. The order of rows only counts where it has an
// effect: the first alias of a node. Comments in the file and its layout are not differences.
std::vector<PolicyChange> compare_policies(const PolicyConfig& was, const PolicyConfig& becomes);

}  // namespace sallyport::config
