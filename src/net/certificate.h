// Certificates and keys as values: validated PEM, names, pins, and new identities and requests.
//
// The functions turn text into values or errors; none reads files or the network. Keys are kept in OpenSSL's
// secure heap where there is one (`lock_secret_memory`) and cleared when freed.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "config/push.h"
#include "s2s/tls_facts.h"

// OpenSSL's own names for X509, EVP_PKEY and SSL.
struct x509_st;
struct evp_pkey_st;
struct ssl_st;

namespace sallyport::net {

class TrustStore;

// Sets up OpenSSL's heap for private keys: locked into memory, excluded from dumps, wiped when freed.
// Once per process, before the first key. False when the system does not allow us to lock it
// (RLIMIT_MEMLOCK).
bool lock_secret_memory();

// A certificate chain and its key, ready to be shown in handshakes. Immutable, shared by the handshakes that
// show it.
class Credential {
 public:
  // `chain`: PEM, the leaf first. Errors: kFileFormat: not PEM, more than limits::kCertificateChainBytesMax,
  // an encrypted key, a key that is not the leaf's.
  static Result<std::shared_ptr<const Credential>> parse(std::string_view chain, std::string_view key);
  // Takes over one reference of each. `chain` goes without the leaf.
  static std::shared_ptr<const Credential> adopt(x509_st* leaf, std::vector<x509_st*> chain,
                                                 evp_pkey_st* key);
  ~Credential();
  Credential(const Credential&) = delete;
  Credential& operator=(const Credential&) = delete;

  // Makes this handshake show it. Errors: kTlsHandshake.
  Result<void> show(ssl_st* ssl) const;
  x509_st* leaf() const { return leaf_; }
  evp_pkey_st* key() const { return key_; }
  UnixTime not_before() const;
  UnixTime not_after() const;

 private:
  Credential() = default;
  x509_st* leaf_ = nullptr;
  std::vector<x509_st*> chain_;
  evp_pkey_st* key_ = nullptr;
};

// The subjectAltNames that XMPP uses (RFC 6120 13.7.1.2). A name with a NUL inside is left out; the common
// name is ignored. Errors: kTlsUntrusted, more than limits::kCertificateNamesMax names.
Result<s2s::CertificateNames> certificate_names(x509_st* certificate);

// The uses that its extendedKeyUsage allows.
s2s::ExtendedUsage extended_usage(x509_st* certificate);

// "sha256:<base64 of SHA-256 of the SubjectPublicKeyInfo>" (RFC 7469 2.4 in our notation).
std::string key_pin(x509_st* certificate);
// The same for the PEM text of a certificate or a private key. Errors: kFileFormat.
Result<std::string> certificate_pin(std::string_view pem);
Result<std::string> private_key_pin(std::string_view pem);

// A valid (chain, key) pair of the certificates directory.
struct CheckedCertificate {
  config::CertificatePem pem;  // names: the DNS names inside, lower case
  std::string issuer;          // for people
  UnixTime not_before;
  UnixTime not_after;
  std::string pin;
  // Faults that do not make it unusable: outside its dates, near their end
  // (limits::kCertificateExpiryWarning), self-signed, chain out of order or incomplete, not for servers.
  std::vector<std::string> warnings;
};
// `trust` is the store that peers are verified against: a leaf that one of its roots issued needs no
// intermediate certificate. Null: unknown. Errors: kFileFormat, as Credential::parse; also a certificate
// without a DNS name.
Result<CheckedCertificate> check_certificate(std::string_view chain, std::string_view key, UnixTime now,
                                             const TrustStore* trust = nullptr);

struct IdentityPem {
  std::string certificate;
  std::string key;  // PKCS#8; wipe after use
  std::string pin;
};
// A node's identity on the link: a new ECDSA P-256 key with a self-signed certificate. Peers check only the
// key (pins), so the certificate contains only `name`, for people. Errors: kInternal.
Result<IdentityPem> make_identity(std::string_view name, UnixTime now);

// A new ECDSA P-256 key, PKCS#8 PEM. Errors: kInternal.
Result<std::string> make_private_key();
// A certificate request (PKCS#10, PEM) for the key with these names, A-labels, as subjectAltNames. Errors:
// kFileFormat for the key, kConfigValue for no name.
Result<std::string> make_request(const std::vector<std::string>& names, std::string_view key);

}  // namespace sallyport::net
