// Which certificate is shown for a domain: asked at each handshake, so that a change counts from the next one
// on.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/keyed_hash.h"
#include "base/result.h"
#include "base/time.h"
#include "config/push.h"
#include "dns/address.h"
#include "net/certificate.h"
#include "xmpp/jid.h"

namespace sallyport::net {

class CertificateSource {
 public:
  virtual ~CertificateSource() = default;
  // A certificate that names the domain. `peer`: whom it is shown to, for a source that has a share for each.
  // Errors: kTlsNoLocalCertificate; of a Minter also kTlsMintRate, kPolicyInsideName.
  virtual Result<std::shared_ptr<const Credential>> credential_for(const xmpp::Domain& domain, UnixTime now,
                                                                   const dns::Ip& peer = {}) = 0;
};

// Certificates that have been parsed, by the names inside. Immutable, shared.
class CertificateSet {
 public:
  // Tells what is unusable, and goes on without it.
  static std::shared_ptr<const CertificateSet> make(const std::vector<config::CertificatePem>& certificates,
                                                    std::vector<Error>& unusable);
  // An exact name before a wildcard, then one that is within its dates, then the one that lasts longest.
  // Errors: kTlsNoLocalCertificate.
  Result<std::shared_ptr<const Credential>> credential_for(const xmpp::Domain& domain, UnixTime now) const;

 private:
  CertificateSet() = default;
  using Candidates = std::vector<std::shared_ptr<const Credential>>;
  TextMap<Candidates> by_name_;  // "example.com", "*.example.com"
};

// The edge's: what the core pushed, in memory only (DESIGN invariant 2).
class PushedCertificates : public CertificateSource {
 public:
  // These, and only these, from now on; null: none. The keys of the earlier ones are cleared as soon as the
  // handshakes that show them are over.
  void use(std::shared_ptr<const CertificateSet> certificates) { certificates_ = std::move(certificates); }
  // The same with what is usable of these; returns what is not.
  std::vector<Error> use(const std::vector<config::CertificatePem>& certificates);

  Result<std::shared_ptr<const Credential>> credential_for(const xmpp::Domain& domain, UnixTime now,
                                                           const dns::Ip& peer = {}) override;

 private:
  std::shared_ptr<const CertificateSet> certificates_;
};

}  // namespace sallyport::net
