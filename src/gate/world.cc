#include "gate/world.h"

namespace sallyport::gate {

Result<void> World::serves(const xmpp::Domain& local) const {
  if (!policy_) return {Code::kStreamHostUnknown, "no core is linked"};
  if (auto known = policy_->rules().is_local(local); !known) return {Code::kStreamHostUnknown, local.ascii()};
  return {};
}

// A stream may be opened wherever one direction is allowed: answers travel on it, too. Which stanzas may
// start something is the core's judgement.
Result<void> World::admits(const Pair& pair) const {
  if (!policy_) return {Code::kPolicyDisabled, "no core is linked"};
  auto start = policy_->rules().judge(pair, policy::Direction::kIn, now_);
  if (start.result || policy_->rules().may_answer(pair, now_)) return {};
  return start.result;
}

s2s::PeerRules World::rules(const Pair& pair) const {
  return policy_ ? policy_->rules().peer(pair.remote) : s2s::PeerRules{};
}

s2s::TlsRule World::tls_floor(const xmpp::Domain&, const std::optional<xmpp::Domain>& remote) const {
  return policy_ && remote ? policy_->rules().peer(*remote).tls : s2s::TlsRule::kRequired;
}

Result<DialPlan> World::find(const Pair& pair) const {
  if (!policy_) return Error{Code::kPolicyDisabled, "no core is linked"};
  if (auto may = admits(pair); !may && !policy_->rules().judge(pair, policy::Direction::kOut, now_).result)
    return may.error();
  DialPlan plan;
  for (const auto& row : policy_->routes().of(pair.remote))
    plan.steps.push_back({row.address, row.address.is_ip});
  if (plan.steps.empty() || policy_->routes().falls_back(pair.remote)) plan.dns = pair.remote;
  return plan;
}

}  // namespace sallyport::gate
