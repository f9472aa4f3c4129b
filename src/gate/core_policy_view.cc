#include "gate/core_policy_view.h"

namespace sallyport::gate {

Result<void> CorePolicyView::serves(const xmpp::Domain& remote) const {
  if (policy_->rules().is_internal(remote) || policy_->served_outward(remote) != nullptr)
    return {Code::kStreamHostUnknown, remote.ascii() + " is an internal name; its own server must be asked"};
  return {};
}

// Any internal server may open a stream towards any remote domain: policy is applied to each stanza, where a
// refusal reaches the sender with its reason.
Result<void> CorePolicyView::admits(const Pair& pair, UnixTime) const {
  if (policy_->served_by_internal_name(pair.remote) == nullptr)
    return {Code::kPolicyNotLocal, pair.remote.ascii()};
  return {};
}

policy::PeerRules CorePolicyView::rules(const Pair& pair) const {
  policy::PeerRules rules;
  const bool by_certificate = !config_.server_ca.empty();
  rules.authenticate = by_certificate ? policy::Authenticate::kCertificate : policy::Authenticate::kDialback;
  rules.address_proves = !by_certificate;
  const config::Served* served = policy_->served_by_internal_name(pair.remote);
  const config::Trust trust = served != nullptr && served->trust ? *served->trust : config_.trust;
  rules.use_external = trust == config::Trust::kMinted;
  return rules;
}

policy::TlsRule CorePolicyView::minimum_tls(const xmpp::Domain&, const std::optional<xmpp::Domain>&) const {
  return policy::TlsRule::kRequired;
}

Result<DialPlan> CorePolicyView::find(const Pair& pair, UnixTime) const {
  const config::Served* served = policy_->served_by_internal_name(pair.remote);
  if (served == nullptr) return Error{Code::kPolicyNotLocal, pair.remote.ascii()};
  DialPlan plan;
  for (const auto& server : served->servers) plan.steps.push_back({server, true});
  return plan;
}

}  // namespace sallyport::gate
