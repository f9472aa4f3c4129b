// What the core's inside face asks of the policy in force: which domains of the world an internal server may
// open a stream to, which internal servers there are, and at which addresses.
//
// On this face `pair.local` is a domain of the world (the core speaks for it) and `pair.remote` an inside
// name: a local domain, an alias served under its own name, or the inside name of a mapped chat node.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "gate/address_map.h"
#include "gate/core.h"
#include "gate/side.h"
#include "policy/rules.h"
#include "s2s/judge.h"

namespace sallyport::gate {

// One policy, whole, with what is derived from it. Replaced as one when the policy changes.
class Snapshot {
 public:
  Snapshot(const CoreConfig& config, PolicyUpdate update);

  const PolicyUpdate& update() const { return update_; }
  const policy::Rules& rules() const { return rules_; }
  Aliases& aliases() { return aliases_; }
  const Aliases& aliases() const { return aliases_; }
  // The row whose server knows itself by that inside name; nullptr when none.
  const Served* served_inside(const xmpp::Domain& inside) const;
  const Served* served_outward(const xmpp::Domain& name) const;
  // What is sent to an edge, encoded. Holds private keys: wipe it after use.
  std::string encode_push() const;

  // Replaces every mapped node's inside name by the alias that `remote` knows it by. On an error the stanza
  // is as it was. Errors: kXmlTooLarge, and what AddressMap says.
  Result<void> outward(xmpp::Stanza& stanza, const xmpp::Domain& remote) const;
  // The reverse.
  Result<void> inward(xmpp::Stanza& stanza) const;
  // The inside name behind a local name (itself, when it is not a mapped alias).
  xmpp::Domain inside_of(const xmpp::Domain& local) const;

 private:
  PolicyUpdate update_;
  policy::Rules rules_;
  Aliases aliases_;
  std::vector<AliasRow> rows_;
  AddressMap outward_;
  AddressMap inward_;
  std::map<xmpp::Domain, std::size_t> by_inside_;
  std::map<xmpp::Domain, std::size_t> by_name_;
};

class Inside : public s2s::Judge, public Finder {
 public:
  // `config` outlives this.
  explicit Inside(const CoreConfig& config) : config_(config) {}
  // The snapshot outlives its use here.
  void use(const Snapshot* snapshot) { snapshot_ = snapshot; }

  Result<void> serves(const xmpp::Domain& world) const override;
  Result<void> admits(const Pair& pair) const override;
  s2s::PeerRules rules(const Pair& pair) const override;
  s2s::TlsRule tls_floor(const xmpp::Domain& world, const std::optional<xmpp::Domain>& inside) const override;
  Result<DialPlan> find(const Pair& pair) const override;

 private:
  const CoreConfig& config_;
  const Snapshot* snapshot_ = nullptr;
};

}  // namespace sallyport::gate
