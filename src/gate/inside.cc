#include "gate/inside.h"

#include <algorithm>

namespace sallyport::gate {
namespace {

policy::RuleSet with_inside_names(policy::RuleSet rules, const CoreConfig& config) {
  rules.inside = config.internal_names;
  return rules;
}

std::vector<AliasRow> mapped_rows(const std::vector<Served>& served) {
  std::vector<AliasRow> rows;
  for (const auto& row : served)
    if (row.is_alias && row.inside != row.name) rows.push_back({row.name, row.inside});
  return rows;
}

// A cheap first look: most stanzas name no mapped node at all.
bool mentions(const std::string& xml, const xmpp::Domain& domain) {
  const std::string& name = domain.ascii();
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; };
  const auto found = [&](std::string_view what) {
    return std::search(xml.begin(), xml.end(), what.begin(), what.end(), same) != xml.end();
  };
  return found(name) || (name.find("xn--") != std::string::npos && found(domain.unicode()));
}

}  // namespace

Snapshot::Snapshot(const CoreConfig& config, PolicyUpdate update)
    : update_(std::move(update)),
      rules_(with_inside_names(update_.policy.rules, config)),
      aliases_(mapped_rows(update_.policy.served)),
      rows_(mapped_rows(update_.policy.served)) {
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

Result<xmpp::Stanza> Snapshot::outward(xmpp::Stanza stanza, const xmpp::Domain& remote) const {
  for (const auto& row : rows_) {
    if (!mentions(stanza.xml, row.node)) continue;
    auto mapped = AddressMap(row.node, aliases_.alias_of(row.node, remote).value_or(row.alias)).map(stanza);
    if (!mapped) return mapped.error();
    stanza = std::move(*mapped);
  }
  return stanza;
}

Result<xmpp::Stanza> Snapshot::inward(xmpp::Stanza stanza) const {
  for (const auto& row : rows_) {
    if (!mentions(stanza.xml, row.alias)) continue;
    auto mapped = AddressMap(row.alias, row.node).map(stanza);
    if (!mapped) return mapped.error();
    stanza = std::move(*mapped);
  }
  return stanza;
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
