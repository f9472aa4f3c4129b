#include "gate/edge_policy_view.h"

namespace sallyport::gate {

Result<void> EdgePolicyView::serves(const xmpp::Domain& local) const {
  if (!policy_) return {Code::kStreamHostUnknown, "no core is linked"};
  if (auto known = policy_->rules().is_local(local); !known) return {Code::kStreamHostUnknown, local.ascii()};
  return {};
}

// A stream may be opened wherever one direction is allowed: answers travel on it, too. Which stanzas may
// start something is the core's decision.
Result<void> EdgePolicyView::admits(const Pair& pair, UnixTime at) const {
  if (!policy_) return {Code::kPolicyDisabled, "no core is linked"};
  auto start = policy_->rules().decide(pair, policy::Direction::kIn, at);
  if (!start.result && !policy_->rules().may_answer(pair, at)) return start.result;
  // The core's answer counts as long as the core is asked for such pairs.
  const std::optional<Error>* answer =
      policy_->rules().names_exactly(pair.remote) ? nullptr : admission(pair);
  if (answer != nullptr && *answer) return **answer;
  return {};
}

bool EdgePolicyView::must_ask(const Pair& pair) const {
  return policy_ && core_answers_ && !policy_->rules().names_exactly(pair.remote) &&
         admission(pair) == nullptr;
}

policy::PeerRules EdgePolicyView::rules(const Pair& pair) const {
  return policy_ ? policy_->rules().peer(pair.remote) : policy::PeerRules{};
}

policy::TlsRule EdgePolicyView::minimum_tls(const xmpp::Domain&,
                                            const std::optional<xmpp::Domain>& remote) const {
  return policy_ && remote ? policy_->rules().peer(*remote).tls : policy::TlsRule::kRequired;
}

// Asks no question of the core. A dial is for a stanza that the core has sent on the channel of this very
// pair, and so has decided; or the verification of a key (or an answer to a peer) on a pair that was
// admitted before, for which the core was asked then. A refusal that is known counts all the same.
Result<DialPlan> EdgePolicyView::find(const Pair& pair, UnixTime at) const {
  if (!policy_) return Error{Code::kPolicyDisabled, "no core is linked"};
  if (auto may = admits(pair, at); !may) return may.error();
  DialPlan plan;
  for (const auto& row : policy_->routes().of(pair.remote))
    plan.steps.push_back({row.address, row.address.is_ip});
  if (plan.steps.empty() || policy_->routes().falls_back(pair.remote)) plan.dns = pair.remote;
  return plan;
}

}  // namespace sallyport::gate
