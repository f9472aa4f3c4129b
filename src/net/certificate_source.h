// The source of the certificate for a domain. It is asked at each handshake, so a change takes effect with
// the next one.
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
  // A certificate that names the domain. `peer`: the address of the other end, for a source with a share for
  // each.
  // Errors: kTlsNoLocalCertificate; of a Minter also kTlsMintRate, kPolicyInsideName.
  virtual Result<std::shared_ptr<const Credential>> credential_for(const xmpp::Domain& domain, UnixTime now,
                                                                   const dns::Ip& peer = {}) = 0;
};

// Parsed certificates by the names they contain. Immutable, shared.
class CertificateSet {
 public:
  // Reports unusable certificates and leaves them out.
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

// An edge's source: the certificates that the core pushed, in memory only.
class PushedCertificates : public CertificateSource {
 public:
  // Replaces all certificates; null: none. The keys of the earlier ones are cleared as soon as the handshakes
  // that show them are over.
  void use(std::shared_ptr<const CertificateSet> certificates) { certificates_ = std::move(certificates); }
  // The same with the usable ones of these; returns the errors of the others.
  std::vector<Error> use(const std::vector<config::CertificatePem>& certificates);

  Result<std::shared_ptr<const Credential>> credential_for(const xmpp::Domain& domain, UnixTime now,
                                                           const dns::Ip& peer = {}) override;

 private:
  std::shared_ptr<const CertificateSet> certificates_;
};

}  // namespace sallyport::net
