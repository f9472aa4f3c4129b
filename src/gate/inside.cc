#include "gate/inside.h"

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

Snapshot::Snapshot(std::shared_ptr<const config::PreparedPolicy> policy)
    : policy_(std::move(policy)),
      aliases_(std::shared_ptr<const alias::AliasNames>(policy_, &policy_->alias_names())) {}

Result<void> Snapshot::outward(xmpp::Stanza& stanza, const xmpp::Domain& remote) const {
  if (policy_->outward().is_empty()) return {};
  auto mapped = aliases_.has_own_names(remote)
                    ? map_outward(policy_->alias_names(), aliases_, remote).map(stanza)
                    : policy_->outward().map(stanza);
  if (!mapped) return mapped.error();
  stanza = *std::move(mapped);
  return {};
}

Result<void> Snapshot::inward(xmpp::Stanza& stanza) const {
  if (policy_->inward().is_empty()) return {};
  auto mapped = policy_->inward().map(stanza);
  if (!mapped) return mapped.error();
  stanza = *std::move(mapped);
  return {};
}

xmpp::Domain Snapshot::inside_of(const xmpp::Domain& local) const {
  return aliases_.node_of(local).value_or(local);
}

// --- the face

Result<void> Inside::serves(const xmpp::Domain& world) const {
  if (snapshot_->rules().is_inside(world) || snapshot_->served_outward(world) != nullptr)
    return {Code::kStreamHostUnknown, world.ascii() + " is inside; its own server must be asked"};
  return {};
}

// Any internal server may open a stream towards the world: policy is applied to each stanza, where a refusal
// reaches the sender with its reason.
Result<void> Inside::admits(const Pair& pair) const {
  if (snapshot_->served_inside(pair.remote) == nullptr) return {Code::kPolicyNotLocal, pair.remote.ascii()};
  return {};
}

policy::PeerRules Inside::rules(const Pair& pair) const {
  policy::PeerRules rules;
  const bool by_certificate = !config_.server_ca.empty();
  rules.authenticate = by_certificate ? policy::Authenticate::kCertificate : policy::Authenticate::kDialback;
  rules.address_proves = !by_certificate;
  const config::Served* served = snapshot_->served_inside(pair.remote);
  const config::Trust trust = served != nullptr && served->trust ? *served->trust : config_.trust;
  rules.use_external = trust == config::Trust::kMinted;
  return rules;
}

policy::TlsRule Inside::tls_floor(const xmpp::Domain&, const std::optional<xmpp::Domain>&) const {
  return policy::TlsRule::kRequired;
}

Result<DialPlan> Inside::find(const Pair& pair) const {
  const config::Served* served = snapshot_->served_inside(pair.remote);
  if (served == nullptr) return Error{Code::kPolicyNotLocal, pair.remote.ascii()};
  DialPlan plan;
  for (const auto& server : served->servers) plan.steps.push_back({server, true});
  return plan;
}

}  // namespace sallyport::gate
