// The pushed policy as an edge's endpoint consults it: whom it serves and admits, under which rules, and how
// a remote domain is reached.
//
// An edge is not told the internal names (DESIGN invariant 2), so it cannot see that a remote domain is one.
// By itself it admits only the domains that an [[allow]] row or a static route names exactly. About each
// other pair that its rules admit, the core is asked (must_ask), once under each policy; the answer then
// counts here.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "config/prepared_push.h"
#include "gate/admission_cache.h"
#include "gate/policy_view.h"

namespace sallyport::gate {

// Empty until the first push and after the last link is forgotten: then nothing is served.
class EdgePolicyView : public PolicyView {
 public:
  // The policy from now on, or none. Returns the one before. The core's answers under that one are forgotten.
  std::shared_ptr<const config::PushedPolicy> use(std::shared_ptr<const config::PushedPolicy> policy) {
    admissions_.clear();
    return std::exchange(policy_, std::move(policy));
  }
  // Whether the core answers questions about pairs: one that speaks version 1 of the link protocol does not,
  // and then refuses each stanza of an internal name itself.
  void core_answers(bool answers) { core_answers_ = answers; }
  // The core's answer about the pair, if it is known: nothing in it means admitted.
  const std::optional<Error>* admission(const Pair& pair) const { return admissions_.find(pair); }
  void note_admission(const Pair& pair, const AdmissionSource& source, std::optional<Error> refusal) {
    admissions_.note(pair, source, std::move(refusal));
  }

  bool has_policy() const { return policy_ != nullptr; }
  // Null: none.
  std::shared_ptr<const config::PushedPolicy> shared() const { return policy_; }
  // Precondition: has_policy.
  const config::PushedPolicy& policy() const { return *policy_; }

  Result<void> serves(const xmpp::Domain& local) const override;
  Result<void> admits(const Pair& pair, UnixTime at) const override;
  bool must_ask(const Pair& pair) const override;
  policy::PeerRules rules(const Pair& pair) const override;
  policy::TlsRule minimum_tls(const xmpp::Domain& local,
                              const std::optional<xmpp::Domain>& remote) const override;
  Result<DialPlan> find(const Pair& pair, UnixTime at) const override;
  Duration patience() const override {
    return policy_ ? policy_->rules().set().lifetime_memory : limits::kLifetimeMemory;
  }

 private:
  std::shared_ptr<const config::PushedPolicy> policy_;
  bool core_answers_ = false;
  mutable AdmissionCache admissions_;  // a look-up counts as a use
};

}  // namespace sallyport::gate
