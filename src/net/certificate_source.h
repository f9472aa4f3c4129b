// Which certificate is shown for a domain: asked at each handshake, so that a change counts from the next one
// on.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "gate/push.h"
#include "net/certificate.h"
#include "xmpp/jid.h"

namespace sallyport::net {

class CertificateSource {
 public:
  virtual ~CertificateSource() = default;
  // A certificate that names the domain. Errors: kTlsNoLocalCertificate; of a Minter also kTlsMintRate,
  // kPolicyInsideName.
  virtual Result<std::shared_ptr<const Credential>> credential_for(const xmpp::Domain& domain,
                                                                   UnixTime now) = 0;
};

// The edge's: what the core pushed, in memory only (DESIGN invariant 2). Chosen by the names inside: an
// exact one before a wildcard, then one that is within its dates, then the one that lasts longest.
class PushedCertificates : public CertificateSource {
 public:
  // These, and only these, from now on. The keys of the earlier ones are cleared as soon as the handshakes
  // that show them are over. Returns what is unusable, and goes on without it: the core has judged them
  // before.
  std::vector<Error> use(std::vector<gate::CertificatePem> certificates);

  Result<std::shared_ptr<const Credential>> credential_for(const xmpp::Domain& domain, UnixTime now) override;

 private:
  using Candidates = std::vector<std::shared_ptr<const Credential>>;
  std::unordered_map<std::string, Candidates> by_name_;  // "example.com", "*.example.com"
};

}  // namespace sallyport::net
