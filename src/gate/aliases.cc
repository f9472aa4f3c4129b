#include <algorithm>

#include "base/limits.h"
#include "gate/address_map.h"

namespace sallyport::gate {

Aliases::Aliases(std::vector<AliasRow> rows) {
  for (auto& row : rows) {
    aliases_by_node_[row.node].push_back(row.alias);
    node_by_alias_.emplace(std::move(row.alias), std::move(row.node));
  }
}

std::optional<xmpp::Domain> Aliases::node_of(const xmpp::Domain& alias) const {
  if (node_by_alias_.empty()) return std::nullopt;
  const auto at = node_by_alias_.find(alias);
  return at == node_by_alias_.end() ? std::nullopt : std::optional(at->second);
}

std::optional<xmpp::Domain> Aliases::alias_of(const xmpp::Domain& node, const xmpp::Domain& remote) const {
  if (aliases_by_node_.empty()) return std::nullopt;
  const auto aliases = aliases_by_node_.find(node);
  if (aliases == aliases_by_node_.end()) return std::nullopt;
  const auto known = known_.find({node, remote});
  return known == known_.end() ? aliases->second.front() : known->second;
}

void Aliases::used(const xmpp::Domain& alias, const xmpp::Domain& remote) {
  if (node_by_alias_.empty()) return;
  const auto node = node_by_alias_.find(alias);
  if (node == node_by_alias_.end()) return;
  if (aliases_by_node_.at(node->second).size() == 1) return;
  const xmpp::Pair pair{node->second, remote};
  if (const auto [known, fresh] = known_.insert_or_assign(pair, alias); !fresh) return;
  learnt_.push_back(pair);
  if (learnt_.size() <= limits::kAliasesKnownMax) return;
  known_.erase(learnt_.front());
  learnt_.pop_front();
}

bool Aliases::has_own_names(const xmpp::Domain& remote) const {
  if (known_.empty()) return false;
  return std::ranges::any_of(aliases_by_node_, [&](const auto& entry) {
    return entry.second.size() > 1 && known_.contains({entry.first, remote});
  });
}

bool Aliases::is_mapped_node(const xmpp::Domain& domain) const {
  return !aliases_by_node_.empty() && aliases_by_node_.contains(domain);
}

}  // namespace sallyport::gate
