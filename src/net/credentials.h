// What TLS makes of a push: certificates to be shown, and what remote ones must lead to.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "config/prepared_push.h"
#include "net/certificate_source.h"
#include "net/tls.h"

namespace sallyport::net {

// Immutable, shared. The core has judged all of it before: what is unusable all the same is told, and the
// rest is used.
struct PushedCredentials : config::Credentials {
  std::shared_ptr<const CertificateSet> certificates;
  std::vector<Error> unusable;
  Result<std::shared_ptr<const TrustStore>> trust = std::shared_ptr<const TrustStore>();
};

// config::decode_push, and the credentials. Takes long: not for a loop.
Result<config::PreparedPush> prepare_push(config::PushWork work);

}  // namespace sallyport::net
