#include "gate/policy_in_force.h"

namespace sallyport::gate {
namespace {

// By what `remote` knows each node by.
alias::AddressMap map_outward(const alias::AliasNames& names, const alias::Aliases& aliases,
                              const xmpp::Domain& remote) {
  std::vector<alias::AddressMap::Row> mapped;
  for (const auto& row : names.rows())
    mapped.push_back({row.node, aliases.alias_of(row.node, remote).value_or(row.alias)});
  return alias::AddressMap(mapped);
}

}  // namespace

PolicyInForce::PolicyInForce(std::shared_ptr<const config::PreparedPolicy> policy)
    : policy_(std::move(policy)),
      aliases_(std::shared_ptr<const alias::AliasNames>(policy_, &policy_->alias_names())) {}

Result<void> PolicyInForce::outward(xmpp::Stanza& stanza, const xmpp::Domain& remote) const {
  if (policy_->outward().is_empty()) return {};
  auto mapped = aliases_.has_own_names(remote)
                    ? map_outward(policy_->alias_names(), aliases_, remote).map(stanza)
                    : policy_->outward().map(stanza);
  if (!mapped) return mapped.error();
  stanza = *std::move(mapped);
  return {};
}

Result<void> PolicyInForce::inward(xmpp::Stanza& stanza) const {
  if (policy_->inward().is_empty()) return {};
  auto mapped = policy_->inward().map(stanza);
  if (!mapped) return mapped.error();
  stanza = *std::move(mapped);
  return {};
}

xmpp::Domain PolicyInForce::internal_name_of(const xmpp::Domain& local) const {
  return aliases_.node_of(local).value_or(local);
}

}  // namespace sallyport::gate
