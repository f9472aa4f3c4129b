// A push made ready beside an edge's loop, so that taking it into use is the change of a pointer.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "config/push.h"
#include "policy/rules.h"
#include "route/static_route.h"

namespace sallyport::config {

// What a push says about names, without its certificates, and with its look-up tables. Immutable, and shared
// by all that have it in use, in one thread or in several. Making it and freeing it take long.
class PushedPolicy {
 public:
  // `own` is the edge's name, the one inside name that it knows without being told: never a remote domain.
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

// The bytes of a push, and by what an edge judges it.
struct PushWork {
  SecretBytes bytes;
  xmpp::Domain own;
  // What the [[core]] row lets its core bring (edge.toml `domains`); empty: anything.
  std::vector<policy::DomainPattern> may_bring;
};
struct DecodedPush {
  std::shared_ptr<const PushedPolicy> policy;
  std::vector<CertificatePem> certificates;
  std::string trusted_ca;  // PEM; empty: the system's store
};
// Errors: kLinkFrame, as Push::decode; kLinkDomain.
Result<DecodedPush> decode_push(PushWork work);

// What a driver has made of the certificates and the trust in a push. The role only hands it on.
class Credentials {
 public:
  virtual ~Credentials() = default;
};
struct PreparedPush {
  std::shared_ptr<const PushedPolicy> policy;
  std::shared_ptr<const Credentials> credentials;
};

}  // namespace sallyport::config
