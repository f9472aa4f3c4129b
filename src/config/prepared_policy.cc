#include "config/prepared_policy.h"

#include <algorithm>
#include <utility>

namespace sallyport::config {
namespace {

PolicyUpdate with_inside_names(PolicyUpdate update, const CoreConfig& config) {
  update.policy.rules.inside = inside_names(config, update.policy.served);
  return update;
}

std::vector<alias::AliasRow> renamed_rows(const std::vector<Served>& served) {
  std::vector<alias::AliasRow> rows;
  for (const auto& row : served)
    if (row.is_alias && row.inside != row.name) rows.push_back({row.name, row.inside});
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
policy::RuleSet without_inside_rows(policy::RuleSet set, const policy::Rules& rules) {
  const auto is_inside = [&rules](const auto& row) { return rules.is_inside(row.domain); };
  std::erase_if(set.lists, is_inside);
  std::erase_if(set.peers, is_inside);
  return set;
}

std::string encode_push(const PolicyUpdate& update, const policy::Rules& rules) {
  // Internal names are never sent to an edge (docs/security.md): `encode` leaves RuleSet::inside out.
  static const std::vector<route::StaticRoute> kNoRoutes;
  const auto& set = update.policy.rules;
  const auto& routes = update.policy.static_routes ? update.policy.routes : kNoRoutes;
  const auto encode = [&](const policy::RuleSet& sent) {
    return PushView{update.generation, update.policy_sha256, sent, routes,
                    update.trusted_ca, update.certificates}
        .encode();
  };
  const auto is_inside = [&rules](const auto& row) { return rules.is_inside(row.domain); };
  // 100,000 rows are copied only if there is a row to leave out.
  const bool names_inside =
      std::ranges::any_of(set.lists, is_inside) || std::ranges::any_of(set.peers, is_inside);
  return names_inside ? encode(without_inside_rows(set, rules)) : encode(set);
}

}  // namespace

std::shared_ptr<const PreparedPolicy> PreparedPolicy::make(const CoreConfig& config, PolicyUpdate update) {
  return std::shared_ptr<const PreparedPolicy>(new PreparedPolicy(config, std::move(update)));
}

PreparedPolicy::PreparedPolicy(const CoreConfig& config, PolicyUpdate update)
    : update_(with_inside_names(std::move(update), config)),
      rules_(borrowed(update_.policy.rules)),
      alias_names_(renamed_rows(update_.policy.served)),
      outward_(map_outward(alias_names_.rows())),
      inward_(map_inward(alias_names_.rows())),
      push_(std::make_shared<const SecretBytes>(encode_push(update_, rules_))) {
  const auto& served = update_.policy.served;
  for (std::size_t i = 0; i < served.size(); ++i) {
    by_inside_.emplace(served[i].inside, i);
    by_name_.emplace(served[i].name, i);
  }
}

const Served* PreparedPolicy::served_inside(const xmpp::Domain& inside) const {
  const auto it = by_inside_.find(inside);
  return it == by_inside_.end() ? nullptr : &update_.policy.served[it->second];
}

const Served* PreparedPolicy::served_outward(const xmpp::Domain& name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &update_.policy.served[it->second];
}

}  // namespace sallyport::config
