#include "config/prepared_policy.h"

#include <algorithm>
#include <utility>

namespace sallyport::config {
namespace {

// What rules take from core.toml.
PolicyUpdate with_own_settings(PolicyUpdate update, const CoreConfig& config) {
  update.policy.rules.internal_names = internal_names(config, update.policy.served);
  update.policy.rules.lifetime_memory = config.delivery.lifetime_memory;
  return update;
}

std::vector<alias::AliasRow> renamed_rows(const std::vector<Served>& served) {
  std::vector<alias::AliasRow> rows;
  for (const auto& row : served)
    if (row.is_alias && row.internal_name != row.name) rows.push_back({row.name, row.internal_name});
  return rows;
}

alias::AddressMap map_inward(const std::vector<alias::AliasRow>& rows) {
  std::vector<alias::AddressMap::Row> mapped;
  mapped.reserve(rows.size());
  for (const auto& row : rows) mapped.push_back({row.alias, row.node});
  return alias::AddressMap(mapped);
}

alias::AddressMap map_outward(const std::vector<alias::AliasRow>& rows) {
  std::vector<alias::AddressMap::Row> mapped;
  mapped.reserve(rows.size());
  for (const auto& row : rows) mapped.push_back({row.node, row.alias});
  return alias::AddressMap(mapped);
}

// A pointer without ownership. Precondition: `set` outlives the rules made from it.
std::shared_ptr<const policy::RuleSet> borrowed(const policy::RuleSet& set) {
  return {std::shared_ptr<const policy::RuleSet>(), &set};
}

// Removes the rows that name only internal names (a [[deny]] or [[peer]] row may). They have no effect, since
// an internal name is refused before any row is read, and would reveal the name.
policy::RuleSet without_internal_rows(policy::RuleSet set, const policy::Rules& rules) {
  const auto is_internal = [&rules](const auto& row) { return rules.is_internal(row.domain); };
  std::erase_if(set.lists, is_internal);
  std::erase_if(set.peers, is_internal);
  return set;
}

std::string encode_push(const PolicyUpdate& update, const policy::Rules& rules) {
  // Internal names are never sent to an edge (docs/security.md): `encode` leaves RuleSet::internal_names out.
  static const std::vector<route::StaticRoute> kNoRoutes;
  const auto& set = update.policy.rules;
  const auto& routes = update.policy.static_routes ? update.policy.routes : kNoRoutes;
  const auto encode = [&](const policy::RuleSet& sent) {
    return PushView{update.generation, update.policy_sha256, sent, routes,
                    update.trusted_ca, update.certificates}
        .encode();
  };
  const auto is_internal = [&rules](const auto& row) { return rules.is_internal(row.domain); };
  // 100,000 rows are copied only if there is a row to leave out.
  const bool names_internal =
      std::ranges::any_of(set.lists, is_internal) || std::ranges::any_of(set.peers, is_internal);
  return names_internal ? encode(without_internal_rows(set, rules)) : encode(set);
}

}  // namespace

std::shared_ptr<const PreparedPolicy> PreparedPolicy::make(const CoreConfig& config, PolicyUpdate update) {
  return std::shared_ptr<const PreparedPolicy>(new PreparedPolicy(config, std::move(update)));
}

PreparedPolicy::PreparedPolicy(const CoreConfig& config, PolicyUpdate update)
    : update_(with_own_settings(std::move(update), config)),
      rules_(borrowed(update_.policy.rules)),
      alias_names_(renamed_rows(update_.policy.served)),
      outward_(map_outward(alias_names_.rows())),
      inward_(map_inward(alias_names_.rows())),
      push_(std::make_shared<const SecretBytes>(encode_push(update_, rules_))) {
  const auto& served = update_.policy.served;
  for (std::size_t i = 0; i < served.size(); ++i) {
    by_internal_name_.emplace(served[i].internal_name, i);
    by_name_.emplace(served[i].name, i);
  }
}

const Served* PreparedPolicy::served_by_internal_name(const xmpp::Domain& internal_name) const {
  const auto it = by_internal_name_.find(internal_name);
  return it == by_internal_name_.end() ? nullptr : &update_.policy.served[it->second];
}

const Served* PreparedPolicy::served_outward(const xmpp::Domain& name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &update_.policy.served[it->second];
}

}  // namespace sallyport::config
