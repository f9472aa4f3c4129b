// What the edge's face to the world asks of the pushed policy: who is served and admitted, under which
// rules, and how a remote domain is reached.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "gate/prepared_push.h"
#include "gate/side.h"
#include "s2s/judge.h"

namespace sallyport::gate {

// Empty until the first push and after the last link is forgotten: then nothing is served.
class World : public s2s::Judge, public Finder {
 public:
  // The policy from now on, or none. Returns the one before.
  std::shared_ptr<const PushedPolicy> use(std::shared_ptr<const PushedPolicy> policy) {
    return std::exchange(policy_, std::move(policy));
  }
  // `expires` in a row is judged against this.
  void at(UnixTime now) { now_ = now; }

  bool has_policy() const { return policy_ != nullptr; }
  // Null: none.
  std::shared_ptr<const PushedPolicy> shared() const { return policy_; }
  // Precondition: has_policy.
  const PushedPolicy& policy() const { return *policy_; }

  Result<void> serves(const xmpp::Domain& local) const override;
  Result<void> admits(const Pair& pair) const override;
  s2s::PeerRules rules(const Pair& pair) const override;
  s2s::TlsRule tls_floor(const xmpp::Domain& local, const std::optional<xmpp::Domain>& remote) const override;
  Result<DialPlan> find(const Pair& pair) const override;

 private:
  std::shared_ptr<const PushedPolicy> policy_;
  UnixTime now_{};
};

}  // namespace sallyport::gate
