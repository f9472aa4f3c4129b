// What the core's inside face asks of the policy in force: which domains of the world an internal server may
// open a stream to, which internal servers there are, and at which addresses.
//
// On this face `pair.local` is a domain of the world (the core speaks for it) and `pair.remote` an inside
// name: a local domain, an alias served under its own name, or the inside name of a mapped chat node.
#pragma once

#include <memory>
#include <optional>

#include "alias/address_map.h"
#include "alias/aliases.h"
#include "config/prepared_policy.h"
#include "gate/endpoint.h"
#include "s2s/judge.h"

namespace sallyport::gate {

// The policy in force at one role: what it shares with others, and what the role has learnt under it.
// Replaced as one when the policy changes.
class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const config::PreparedPolicy> policy);

  const std::shared_ptr<const config::PreparedPolicy>& policy() const { return policy_; }
  const config::PolicyUpdate& update() const { return policy_->update(); }
  const policy::Rules& rules() const { return policy_->rules(); }
  alias::Aliases& aliases() { return aliases_; }
  const alias::Aliases& aliases() const { return aliases_; }
  // As PreparedPolicy.
  const config::Served* served_inside(const xmpp::Domain& inside) const {
    return policy_->served_inside(inside);
  }
  const config::Served* served_outward(const xmpp::Domain& name) const {
    return policy_->served_outward(name);
  }

  // Replaces every mapped node's inside name by the alias that `remote` knows it by. On an error the stanza
  // is as it was. Errors: kXmlTooLarge, and what AddressMap says.
  Result<void> outward(xmpp::Stanza& stanza, const xmpp::Domain& remote) const;
  // The reverse.
  Result<void> inward(xmpp::Stanza& stanza) const;
  // The inside name behind a local name (itself, when it is not a mapped alias).
  xmpp::Domain inside_of(const xmpp::Domain& local) const;

 private:
  std::shared_ptr<const config::PreparedPolicy> policy_;
  alias::Aliases aliases_;
};

class Inside : public s2s::Judge, public Finder {
 public:
  // `config` outlives this.
  explicit Inside(const config::CoreConfig& config) : config_(config) {}
  // The snapshot outlives its use here.
  void use(const Snapshot* snapshot) { snapshot_ = snapshot; }

  Result<void> serves(const xmpp::Domain& world) const override;
  Result<void> admits(const Pair& pair) const override;
  policy::PeerRules rules(const Pair& pair) const override;
  policy::TlsRule tls_floor(const xmpp::Domain& world,
                            const std::optional<xmpp::Domain>& inside) const override;
  Result<DialPlan> find(const Pair& pair) const override;
  bool is_internal() const override { return true; }

 private:
  const config::CoreConfig& config_;
  const Snapshot* snapshot_ = nullptr;
};

}  // namespace sallyport::gate
