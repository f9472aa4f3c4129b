#include "net/credentials.h"

#include <utility>

namespace sallyport::net {

Result<config::PreparedPush> prepare_push(config::PushWork work) {
  auto decoded = config::decode_push(std::move(work));
  if (!decoded) return std::move(decoded).error();
  auto credentials = std::make_shared<PushedCredentials>();
  credentials->certificates = CertificateSet::make(decoded->certificates, credentials->unusable);
  if (decoded->trusted_ca.empty()) {
    credentials->trust = TrustStore::system();
  } else {
    credentials->trust = TrustStore::parse(decoded->trusted_ca);
  }
  return config::PreparedPush{std::move(decoded->policy), std::move(credentials)};
}

}  // namespace sallyport::net
