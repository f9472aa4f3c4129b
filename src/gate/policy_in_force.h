// The policy in force at a core, with what the core has learnt under it.
#pragma once

#include <memory>

#include "alias/address_map.h"
#include "alias/aliases.h"
#include "config/prepared_policy.h"

namespace sallyport::gate {

// Shares what it does not change with others. Replaced as one when the policy changes.
class PolicyInForce {
 public:
  explicit PolicyInForce(std::shared_ptr<const config::PreparedPolicy> policy);

  const std::shared_ptr<const config::PreparedPolicy>& policy() const { return policy_; }
  const config::PolicyUpdate& update() const { return policy_->update(); }
  const policy::Rules& rules() const { return policy_->rules(); }
  alias::Aliases& aliases() { return aliases_; }
  const alias::Aliases& aliases() const { return aliases_; }
  // As PreparedPolicy.
  const config::Served* served_by_internal_name(const xmpp::Domain& internal_name) const {
    return policy_->served_by_internal_name(internal_name);
  }
  const config::Served* served_outward(const xmpp::Domain& name) const {
    return policy_->served_outward(name);
  }

  // Replaces the internal name of every mapped node by the alias that `remote` knows it by. On an error the
  // stanza is unchanged. Errors: kXmlTooLarge, and those of AddressMap.
  Result<void> outward(xmpp::Stanza& stanza, const xmpp::Domain& remote) const;
  // The reverse.
  Result<void> inward(xmpp::Stanza& stanza) const;
  // The internal name behind a local name (itself, when it is not a mapped alias).
  xmpp::Domain internal_name_of(const xmpp::Domain& local) const;

 private:
  std::shared_ptr<const config::PreparedPolicy> policy_;
  alias::Aliases aliases_;
};

}  // namespace sallyport::gate
