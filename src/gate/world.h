// What the edge's face to the world asks of the pushed policy: who is served and admitted, under which
// rules, and how a remote domain is reached.
#pragma once

#include <optional>

#include "gate/push.h"
#include "gate/side.h"
#include "policy/rules.h"
#include "route/static_route.h"
#include "s2s/judge.h"

namespace sallyport::gate {

// Empty until the first push and after the last link is forgotten: then nothing is served.
class World : public s2s::Judge, public Finder {
 public:
  // `own` is this edge's name, the one inside name that it knows without being told: never a remote domain.
  explicit World(const xmpp::Domain& own) : own_(own) {}
  void use(Push push);
  void forget();
  // `expires` in a row is judged against this.
  void at(UnixTime now) { now_ = now; }

  bool has_policy() const { return state_.has_value(); }
  // Preconditions: has_policy.
  const Push& push() const { return state_->push; }
  const policy::Rules& rules_in_force() const { return state_->rules; }

  Result<void> serves(const xmpp::Domain& local) const override;
  Result<void> admits(const Pair& pair) const override;
  s2s::PeerRules rules(const Pair& pair) const override;
  s2s::TlsRule tls_floor(const xmpp::Domain& local, const std::optional<xmpp::Domain>& remote) const override;
  Result<DialPlan> find(const Pair& pair) const override;

 private:
  struct State {
    Push push;
    policy::Rules rules;
    route::StaticRoutes routes;
  };
  xmpp::Domain own_;
  std::optional<State> state_;
  UnixTime now_{};
};

}  // namespace sallyport::gate
