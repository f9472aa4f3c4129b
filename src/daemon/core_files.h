// What a running core has read, and how it takes changes of it into use.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.h"
#include "daemon/load.h"
#include "daemon/state.h"
#include "dns/answer.h"
#include "gate/core.h"
#include "net/driver.h"
#include "net/mint.h"
#include "policy/rules.h"

namespace sallyport::daemon {

// Changes are whole or not at all: policy.toml, trusted_ca and the public certificates are judged together,
// and the old ones go on serving while anything in the new ones is wrong.
class CoreFilesInUse {
 public:
  // Everything lent outlives it. `policy`, with its generation, is what the core has been started with.
  CoreFilesInUse(const CoreFiles& files, PolicyFiles policy, const StateDirectory& state, net::Minter& minter,
                 LogSink& log);

  // Reads all of it again (docs/control.md: the answer of `reload`).
  boost::json::object reload(gate::Core& core, net::Driver& driver);
  // What would change if the policy in `question` took the place of the one in force.
  boost::json::object diff(const boost::json::object& question) const;
  // Puts it in that place, in the policy's file too: whole, or not at all. Refused (kControlGeneration) when
  // the generation in force is not `question`'s, or the file holds what was never taken.
  boost::json::object apply(const boost::json::object& question, gate::Core& core, net::Driver& driver);
  // Reads the public certificates again, and nothing else: a policy that is being edited is none of its
  // business.
  void reload_certificates(gate::Core& core, net::Driver& driver);

  // What the answering resolver asks about a name.
  dns::NameKind kind_of(const xmpp::Domain& name) const;
  const std::vector<gate::Served>& served() const { return policy_.update.policy.served; }

 private:
  boost::json::object take(PolicyFiles fresh, const std::vector<gate::Finding>& warnings, gate::Core& core,
                           net::Driver& driver);
  boost::json::array notes() const;
  Result<void> may_apply(const boost::json::object& question) const;
  void note_names();

  const CoreFiles& files_;
  PolicyFiles policy_;
  std::optional<policy::Rules> names_;  // those that are local or inside; no rows
  std::set<xmpp::Domain> renamed_;      // aliases whose node has another name
  const StateDirectory& state_;
  net::Minter& minter_;
  LogSink& log_;
};

}  // namespace sallyport::daemon
