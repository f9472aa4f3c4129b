// The policy in force as the core's endpoint consults it: to which remote domains an internal server may open
// a stream, which internal servers there are, and at which addresses.
//
// Here `pair.local` is a remote domain of the public network (the core speaks for it) and `pair.remote` an
// internal name: a local domain, an alias served under its own name, or the internal name of a mapped chat
// node.
#pragma once

#include <optional>

#include "config/core_config.h"
#include "gate/policy_in_force.h"
#include "gate/policy_view.h"

namespace sallyport::gate {

class CorePolicyView : public PolicyView {
 public:
  // `config` outlives this.
  explicit CorePolicyView(const config::CoreConfig& config) : config_(config) {}
  // The policy from now on, which outlives its use here.
  void use(const PolicyInForce* policy) { policy_ = policy; }

  Result<void> serves(const xmpp::Domain& remote) const override;
  Result<void> admits(const Pair& pair, UnixTime at) const override;
  policy::PeerRules rules(const Pair& pair) const override;
  policy::TlsRule minimum_tls(const xmpp::Domain& remote,
                              const std::optional<xmpp::Domain>& internal) const override;
  Result<DialPlan> find(const Pair& pair, UnixTime at) const override;
  bool is_internal() const override { return true; }
  Duration patience() const override { return config_.delivery.lifetime_memory; }

 private:
  const config::CoreConfig& config_;
  const PolicyInForce* policy_ = nullptr;
};

}  // namespace sallyport::gate
