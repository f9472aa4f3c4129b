#include "alias/aliases.h"

#include <algorithm>

namespace sallyport::alias {

AliasNames::AliasNames(std::vector<AliasRow> rows) : rows_(std::move(rows)) {
  for (const auto& row : rows_) {
    auto& aliases = aliases_by_node_[row.node];
    aliases.push_back(row.alias);
    if (aliases.size() == 2) with_several_.push_back(row.node);
    node_by_alias_.emplace(row.alias, row.node);
  }
}

const xmpp::Domain* AliasNames::node_of(const xmpp::Domain& alias) const {
  if (node_by_alias_.empty()) return nullptr;
  const auto at = node_by_alias_.find(alias);
  return at == node_by_alias_.end() ? nullptr : &at->second;
}

const std::vector<xmpp::Domain>* AliasNames::aliases_of(const xmpp::Domain& node) const {
  if (aliases_by_node_.empty()) return nullptr;
  const auto at = aliases_by_node_.find(node);
  return at == aliases_by_node_.end() ? nullptr : &at->second;
}

std::optional<xmpp::Domain> Aliases::node_of(const xmpp::Domain& alias) const {
  const auto* node = names_->node_of(alias);
  return node == nullptr ? std::nullopt : std::optional(*node);
}

std::optional<xmpp::Domain> Aliases::alias_of(const xmpp::Domain& node, const xmpp::Domain& remote) const {
  const auto* aliases = names_->aliases_of(node);
  if (aliases == nullptr) return std::nullopt;
  const auto known = known_.find({node, remote});
  return known == known_.end() ? aliases->front() : known->second.alias;
}

void Aliases::used(const xmpp::Domain& alias, const xmpp::Domain& remote) {
  const auto* node = names_->node_of(alias);
  if (node == nullptr || names_->aliases_of(*node)->size() == 1) return;
  const xmpp::Pair pair{*node, remote};
  if (const auto known = known_.find(pair); known != known_.end()) {
    known->second.alias = alias;
    return;
  }
  const Shares<xmpp::Pair>::Keys peer{std::string(parent_of_domain(remote.ascii()))};
  auto place = shares_->place(peer);
  if (place.loser != nullptr) {
    known_.erase(xmpp::Pair(*place.loser));
    place = shares_->place(peer);
  }
  // A remote domain whose share is spent sees the first alias of further nodes.
  if (place.room != Shares<xmpp::Pair>::Room::kFree) return;
  known_.emplace(pair, Known{alias, shares_->hold(peer, pair)});
}

bool Aliases::has_own_names(const xmpp::Domain& remote) const {
  if (known_.empty()) return false;
  return std::ranges::any_of(names_->with_several(), [&](const xmpp::Domain& node) {
    return known_.contains({node, remote});
  });
}

bool Aliases::is_mapped_node(const xmpp::Domain& domain) const {
  return names_->aliases_of(domain) != nullptr;
}

}  // namespace sallyport::alias
