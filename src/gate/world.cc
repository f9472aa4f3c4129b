#include "gate/world.h"

namespace sallyport::gate {

void World::use(Push push) {
  policy::RuleSet set = push.rules;
  set.inside.push_back(policy::DomainPattern::parse(own_.ascii()).value());
  policy::Rules rules(std::move(set));
  route::StaticRoutes routes(push.routes);
  state_.emplace(State{std::move(push), std::move(rules), std::move(routes)});
}

void World::forget() { state_.reset(); }

Result<void> World::serves(const xmpp::Domain& local) const {
  if (!state_) return {Code::kStreamHostUnknown, "no core is linked"};
  if (auto known = state_->rules.is_local(local); !known) return {Code::kStreamHostUnknown, local.ascii()};
  return {};
}

// A stream may be opened wherever one direction is allowed: answers travel on it, too. Which stanzas may
// start something is the core's judgement.
Result<void> World::admits(const Pair& pair) const {
  if (!state_) return {Code::kPolicyDisabled, "no core is linked"};
  auto start = state_->rules.judge(pair, policy::Direction::kIn, now_);
  if (start.result || state_->rules.may_answer(pair, now_)) return {};
  return start.result;
}

s2s::PeerRules World::rules(const Pair& pair) const {
  return state_ ? state_->rules.peer(pair.remote) : s2s::PeerRules{};
}

s2s::TlsRule World::tls_floor(const xmpp::Domain&, const std::optional<xmpp::Domain>& remote) const {
  return state_ && remote ? state_->rules.peer(*remote).tls : s2s::TlsRule::kRequired;
}

Result<DialPlan> World::find(const Pair& pair) const {
  if (!state_) return Error{Code::kPolicyDisabled, "no core is linked"};
  if (auto may = admits(pair); !may && !state_->rules.judge(pair, policy::Direction::kOut, now_).result)
    return may.error();
  DialPlan plan;
  for (const auto& row : state_->routes.of(pair.remote))
    plan.steps.push_back({row.address, row.address.is_ip});
  if (plan.steps.empty() || state_->routes.falls_back(pair.remote)) plan.dns = pair.remote;
  return plan;
}

}  // namespace sallyport::gate
