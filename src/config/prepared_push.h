// A push prepared off an edge's event loop, so that applying it only changes a pointer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "config/push.h"
#include "policy/rules.h"
#include "route/static_route.h"

namespace sallyport::config {

// The names and rules of a push, without its certificates, and with its look-up tables. Immutable, and shared
// by all its users, in one thread or in several. Making it and destroying it is slow.
class PushedPolicy {
 public:
  // `own` is the edge's name, the only internal name that an edge knows by itself: never a remote domain.
  static std::shared_ptr<const PushedPolicy> make(Push push, const xmpp::Domain& own);
  PushedPolicy(const PushedPolicy&) = delete;
  PushedPolicy& operator=(const PushedPolicy&) = delete;

  std::uint64_t generation() const { return push_.generation; }
  const Digest256& policy_sha256() const { return push_.policy_sha256; }
  const policy::Rules& rules() const { return rules_; }
  const route::StaticRoutes& routes() const { return routes_; }

 private:
  PushedPolicy(Push push, const xmpp::Domain& own);
  const Push push_;
  const policy::Rules rules_;  // of the rows in `push_`
  const route::StaticRoutes routes_;
};

// The bytes of a push, and the edge's data for checking it.
struct PushWork {
  SecretBytes bytes;
  xmpp::Domain own;
  // The domains that the [[core]] row allows its core (edge.toml `domains`); empty: any.
  std::vector<policy::DomainPattern> may_bring;
};
struct DecodedPush {
  std::shared_ptr<const PushedPolicy> policy;
  std::vector<CertificatePem> certificates;
  std::string trusted_ca;  // PEM; empty: the system's store
};
// Errors: kLinkFrame, as Push::decode; kLinkDomain.
Result<DecodedPush> decode_push(PushWork work);

// A driver's objects for the certificates and the trust of a push. The role only passes them on.
class Credentials {
 public:
  virtual ~Credentials() = default;
};
struct PreparedPush {
  std::shared_ptr<const PushedPolicy> policy;
  std::shared_ptr<const Credentials> credentials;
};

}  // namespace sallyport::config
