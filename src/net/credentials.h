// A push as TLS uses it: the certificates to show and the authorities to trust.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "config/prepared_push.h"
#include "net/certificate_source.h"
#include "net/tls.h"

namespace sallyport::net {

// Immutable, shared. The core has validated all of it; an entry that is unusable nevertheless is
// reported, and the rest is used.
struct PushedCredentials : config::Credentials {
  std::shared_ptr<const CertificateSet> certificates;
  std::vector<Error> unusable;
  Result<std::shared_ptr<const TrustStore>> trust = std::shared_ptr<const TrustStore>();
};

// config::decode_push, and the credentials. Slow: not to be called on a loop.
Result<config::PreparedPush> prepare_push(config::PushWork work);

}  // namespace sallyport::net
