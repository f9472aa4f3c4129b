#include "gate/inside.h"

namespace sallyport::gate {
namespace {

policy::RuleSet with_inside_names(policy::RuleSet rules, const CoreConfig& config,
                                  const std::vector<Served>& served) {
  rules.inside = inside_names(config, served);
  return rules;
}

std::vector<AliasRow> mapped_rows(const std::vector<Served>& served) {
  std::vector<AliasRow> rows;
  for (const auto& row : served)
    if (row.is_alias && row.inside != row.name) rows.push_back({row.name, row.inside});
  return rows;
}

AddressMap map_inward(const std::vector<AliasRow>& rows) {
  std::vector<AddressMap::Row> mapped;
  for (const auto& row : rows) mapped.push_back({row.alias, row.node});
  return AddressMap(mapped);
}

// By the first alias of each node, or what `remote` knows it by.
AddressMap map_outward(const std::vector<AliasRow>& rows, const Aliases* aliases = nullptr,
                       const xmpp::Domain* remote = nullptr) {
  std::vector<AddressMap::Row> mapped;
  for (const auto& row : rows)
    mapped.push_back(
        {row.node, aliases ? aliases->alias_of(row.node, *remote).value_or(row.alias) : row.alias});
  return AddressMap(mapped);
}

}  // namespace

Snapshot::Snapshot(const CoreConfig& config, PolicyUpdate update)
    : update_(std::move(update)),
      rules_(with_inside_names(update_.policy.rules, config, update_.policy.served)),
      aliases_(mapped_rows(update_.policy.served)),
      rows_(mapped_rows(update_.policy.served)),
      outward_(map_outward(rows_)),
      inward_(map_inward(rows_)) {
  const auto& served = update_.policy.served;
  for (std::size_t i = 0; i < served.size(); ++i) {
    by_inside_.emplace(served[i].inside, i);
    by_name_.emplace(served[i].name, i);
  }
}

const Served* Snapshot::served_inside(const xmpp::Domain& inside) const {
  const auto it = by_inside_.find(inside);
  return it == by_inside_.end() ? nullptr : &update_.policy.served[it->second];
}

const Served* Snapshot::served_outward(const xmpp::Domain& name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &update_.policy.served[it->second];
}

std::string Snapshot::encode_push() const {
  Push push;
  push.generation = update_.generation;
  push.policy_sha256 = update_.policy_sha256;
  push.rules = update_.policy.rules;
  push.rules.inside.clear();  // never told (DESIGN invariant 2)
  if (update_.policy.static_routes) push.routes = update_.policy.routes;
  push.trusted_ca = update_.trusted_ca;
  push.certificates = update_.certificates;
  return push.encode();
}

Result<void> Snapshot::outward(xmpp::Stanza& stanza, const xmpp::Domain& remote) const {
  if (outward_.is_empty()) return {};
  auto mapped = aliases_.has_own_names(remote) ? map_outward(rows_, &aliases_, &remote).map(stanza)
                                               : outward_.map(stanza);
  if (!mapped) return mapped.error();
  stanza = *std::move(mapped);
  return {};
}

Result<void> Snapshot::inward(xmpp::Stanza& stanza) const {
  if (inward_.is_empty()) return {};
  auto mapped = inward_.map(stanza);
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

s2s::PeerRules Inside::rules(const Pair& pair) const {
  s2s::PeerRules rules;
  const bool by_certificate = !config_.server_ca.empty();
  rules.authenticate = by_certificate ? s2s::Authenticate::kCertificate : s2s::Authenticate::kDialback;
  rules.address_proves = !by_certificate;
  const Served* served = snapshot_->served_inside(pair.remote);
  const Trust trust = served != nullptr && served->trust ? *served->trust : config_.trust;
  rules.use_external = trust == Trust::kMinted;
  return rules;
}

s2s::TlsRule Inside::tls_floor(const xmpp::Domain&, const std::optional<xmpp::Domain>&) const {
  return s2s::TlsRule::kRequired;
}

Result<DialPlan> Inside::find(const Pair& pair) const {
  const Served* served = snapshot_->served_inside(pair.remote);
  if (served == nullptr) return Error{Code::kPolicyNotLocal, pair.remote.ascii()};
  DialPlan plan;
  for (const auto& server : served->servers) plan.steps.push_back({server, true});
  return plan;
}

}  // namespace sallyport::gate
