// A policy prepared off a core's event loop, so that applying it only changes a pointer: rows validated,
// look-up tables built, push encoded.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "alias/address_map.h"
#include "alias/aliases.h"
#include "base/bytes.h"
#include "config/policy_config.h"
#include "config/push.h"
#include "policy/rules.h"

namespace sallyport::config {

// Everything that may change while the core runs: the daemon reads it from files, validated.
struct PolicyUpdate {
  PolicyConfig policy;
  Digest256 policy_sha256{};  // of the policy file's bytes
  std::uint64_t generation = 0;
  std::vector<CertificatePem> certificates;
  std::string trusted_ca;  // PEM text; empty: the edge's system store
};

// Immutable, and shared by all its users, in one thread or in several. Making it and destroying it is slow
// (100,000 rows: about a tenth of a second each): neither happens on an event loop.
class PreparedPolicy {
 public:
  static std::shared_ptr<const PreparedPolicy> make(const CoreConfig& config, PolicyUpdate update);
  PreparedPolicy(const PreparedPolicy&) = delete;
  PreparedPolicy& operator=(const PreparedPolicy&) = delete;

  const PolicyUpdate& update() const { return update_; }
  const policy::Rules& rules() const { return rules_; }
  // Returns the row whose server has that internal name; nullptr if there is none.
  const Served* served_by_internal_name(const xmpp::Domain& internal_name) const;
  const Served* served_outward(const xmpp::Domain& name) const;
  // The encoded push for an edge. Holds private keys.
  const std::shared_ptr<const SecretBytes>& push() const { return push_; }
  // The aliases of nodes with another name, and the maps between the two; to the public side with the first
  // alias of each node.
  const alias::AliasNames& alias_names() const { return alias_names_; }
  const alias::AddressMap& outward() const { return outward_; }
  const alias::AddressMap& inward() const { return inward_; }

 private:
  PreparedPolicy(const CoreConfig& config, PolicyUpdate update);

  const PolicyUpdate update_;
  const policy::Rules rules_;  // of the rows in `update_`
  const alias::AliasNames alias_names_;
  const alias::AddressMap outward_;
  const alias::AddressMap inward_;
  std::map<xmpp::Domain, std::size_t> by_internal_name_;
  std::map<xmpp::Domain, std::size_t> by_name_;
  std::shared_ptr<const SecretBytes> push_;
};

}  // namespace sallyport::config
