#include "net/certificate.h"

#include <openssl/crypto.h>
#include <openssl/pem.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "net/openssl.h"
#include "net/tls.h"
#include "net/x509_parts.h"

namespace sallyport::net {

namespace {

// RFC 4985 2 and RFC 6120 13.7.1.4.
constexpr std::string_view kSrvNameOid = "1.3.6.1.5.5.7.8.7";
constexpr std::string_view kXmppAddrOid = "1.3.6.1.5.5.7.8.5";

Error format_error(std::string_view what) {
  return Error{Code::kFileFormat, std::string(what) + ": " + openssl_reasons()};
}

Result<std::vector<X509Ptr>> read_certificates(std::string_view pem) {
  if (pem.size() > limits::kCertificateChainBytesMax)
    return Error{Code::kFileFormat, "certificate chain too large"};
  ERR_clear_error();
  BioPtr in = read_bio(pem);
  std::vector<X509Ptr> certificates;
  while (X509* certificate = PEM_read_bio_X509(in.get(), nullptr, no_passphrase, nullptr)) {
    certificates.emplace_back(certificate);
  }
  // The end of the text shows as "no start line".
  unsigned long last = ERR_peek_last_error();
  if (certificates.empty() || ERR_GET_REASON(last) != PEM_R_NO_START_LINE)
    return format_error("not a PEM certificate");
  ERR_clear_error();
  return certificates;
}

Result<PkeyPtr> read_key(std::string_view pem) {
  if (pem.size() > limits::kCertificateChainBytesMax)
    return Error{Code::kFileFormat, "private key too large"};
  ERR_clear_error();
  PkeyPtr key(PEM_read_bio_PrivateKey(read_bio(pem).get(), nullptr, no_passphrase, nullptr));
  if (!key) return format_error("not a PEM private key without a passphrase");
  return key;
}

std::string pin_of_der(unsigned char* der, int size) {
  std::string bytes(reinterpret_cast<char*>(der), size > 0 ? static_cast<std::size_t>(size) : 0);
  OPENSSL_free(der);
  Digest256 digest = sha256(bytes);
  return "sha256:" + to_base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

std::string pin_of_key(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  int size = i2d_PUBKEY(key, &der);
  return pin_of_der(der, size);
}

std::string_view string_of(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<std::size_t>(ASN1_STRING_length(text))};
}

void add_name(std::vector<std::string>& names, const ASN1_STRING* text) {
  std::string_view name = string_of(text);
  // Some software reads a name with a NUL as a shorter one: it proves nothing (THREATS B4).
  if (name.empty() || name.find('\0') != std::string_view::npos) return;
  names.emplace_back(name);
}

void add_other_name(s2s::CertificateNames& names, const OTHERNAME* other) {
  char oid[64] = {};
  OBJ_obj2txt(oid, sizeof oid, other->type_id, 1);
  if (oid == kSrvNameOid && other->value->type == V_ASN1_IA5STRING)
    add_name(names.srv, other->value->value.ia5string);
  if (oid == kXmppAddrOid && other->value->type == V_ASN1_UTF8STRING) {
    add_name(names.xmpp_addr, other->value->value.utf8string);
  }
}

std::string issuer_name(X509* certificate) {
  BioPtr out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_issuer_name(certificate), 0,
                     XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return bio_text(out.get());
}

std::vector<std::string> warnings_of(const std::vector<X509Ptr>& chain, const CheckedCertificate& checked,
                                     UnixTime now, const TrustStore* trust) {
  std::vector<std::string> warnings;
  if (now < checked.not_before) warnings.emplace_back("the certificate is not valid yet");
  if (now > checked.not_after) {
    warnings.emplace_back("the certificate has expired");
  } else if (now + limits::kCertificateExpiryWarning > checked.not_after) {
    warnings.emplace_back("the certificate expires within 14 days");
  }
  for (std::size_t i = 1; i < chain.size(); ++i) {
    if (X509_check_issued(chain[i].get(), chain[i - 1].get()) != X509_V_OK) {
      warnings.emplace_back("the chain is out of order: certificate " + std::to_string(i) +
                            " is not signed by the next");
      break;
    }
  }
  X509* leaf = chain.front().get();
  if (X509_check_issued(leaf, leaf) == X509_V_OK) {
    warnings.emplace_back("the certificate is self-signed: peers that require a certificate will reject it");
  } else if (chain.size() == 1 && (trust == nullptr || !trust->has_root_of(leaf))) {
    warnings.emplace_back("the chain contains only the leaf: peers will lack the intermediate certificates");
  }
  std::uint32_t usage = X509_get_extended_key_usage(chain.front().get());
  if ((usage & (XKU_SSL_SERVER | XKU_ANYEKU)) == 0)
    warnings.emplace_back("its extended key usage does not allow servers");
  return warnings;
}

}  // namespace

bool lock_secret_memory() {
  if (CRYPTO_secure_malloc_initialized() == 1) return true;
  return CRYPTO_secure_malloc_init(limits::kSecretHeapBytes, 32) == 1;
}

Result<std::shared_ptr<const Credential>> Credential::parse(std::string_view chain_pem,
                                                            std::string_view key_pem) {
  auto chain = read_certificates(chain_pem);
  if (!chain) return std::move(chain).error();
  auto key = read_key(key_pem);
  if (!key) return std::move(key).error();
  if (X509_check_private_key(chain->front().get(), key->get()) != 1) {
    ERR_clear_error();
    return Error{Code::kFileFormat, "the key is not that of the first certificate"};
  }
  std::vector<X509*> rest;
  for (std::size_t i = 1; i < chain->size(); ++i) rest.push_back((*chain)[i].release());
  return adopt(chain->front().release(), std::move(rest), key->release());
}

std::shared_ptr<const Credential> Credential::adopt(X509* leaf, std::vector<X509*> chain, EVP_PKEY* key) {
  std::shared_ptr<Credential> credential(new Credential());
  credential->leaf_ = leaf;
  credential->chain_ = std::move(chain);
  credential->key_ = key;
  return credential;
}

Credential::~Credential() {
  X509_free(leaf_);
  for (X509* certificate : chain_) X509_free(certificate);
  EVP_PKEY_free(key_);
}

Result<void> Credential::show(SSL* ssl) const {
  ChainPtr chain(sk_X509_new_null());
  for (X509* certificate : chain_) sk_X509_push(chain.get(), certificate);
  if (SSL_use_cert_and_key(ssl, leaf_, key_, chain.get(), 1) == 1) return {};
  return Error{Code::kTlsHandshake, "our certificate: " + openssl_reasons()};
}

UnixTime Credential::not_before() const { return civil_time(X509_get0_notBefore(leaf_)); }
UnixTime Credential::not_after() const { return civil_time(X509_get0_notAfter(leaf_)); }

Result<s2s::CertificateNames> certificate_names(X509* certificate) {
  s2s::CertificateNames names;
  int critical = 0;
  GeneralNamesPtr entries(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, nullptr)));
  if (!entries) {
    // -1: it is absent. Any other value: there are several, or it cannot be parsed.
    if (critical == -1) return names;
    ERR_clear_error();
    return Error{Code::kTlsUntrusted, "the names in the certificate cannot be read"};
  }
  int count = sk_GENERAL_NAME_num(entries.get());
  if (count > static_cast<int>(limits::kCertificateNamesMax)) {
    return Error{Code::kTlsUntrusted,
                 "the certificate has more than " + std::to_string(limits::kCertificateNamesMax) + " names"};
  }
  for (int i = 0; i < count; ++i) {
    const GENERAL_NAME* entry = sk_GENERAL_NAME_value(entries.get(), i);
    if (entry->type == GEN_DNS) add_name(names.dns, entry->d.dNSName);
    if (entry->type == GEN_OTHERNAME) add_other_name(names, entry->d.otherName);
  }
  return names;
}

s2s::ExtendedUsage extended_usage(X509* certificate) {
  const std::uint32_t bits = X509_get_extended_key_usage(certificate);  // all of them when it has none
  return {bits != UINT32_MAX, (bits & XKU_SSL_SERVER) != 0, (bits & XKU_SSL_CLIENT) != 0,
          (bits & XKU_ANYEKU) != 0};
}

std::string key_pin(X509* certificate) {
  unsigned char* der = nullptr;
  int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
  return pin_of_der(der, size);
}

Result<std::string> certificate_pin(std::string_view pem) {
  auto chain = read_certificates(pem);
  if (!chain) return std::move(chain).error();
  return key_pin(chain->front().get());
}

Result<std::string> private_key_pin(std::string_view pem) {
  auto key = read_key(pem);
  if (!key) return std::move(key).error();
  return pin_of_key(key->get());
}

Result<CheckedCertificate> check_certificate(std::string_view chain_pem, std::string_view key_pem,
                                             UnixTime now, const TrustStore* trust) {
  auto credential = Credential::parse(chain_pem, key_pem);
  if (!credential) return std::move(credential).error();
  X509* leaf = (*credential)->leaf();
  auto names = certificate_names(leaf);
  if (!names) return Error{Code::kFileFormat, names.error().text};
  CheckedCertificate checked;
  checked.pem.chain = chain_pem;
  checked.pem.key = key_pem;
  for (std::string& name : names->dns) {
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    checked.pem.names.push_back(std::move(name));
  }
  if (checked.pem.names.empty()) {
    return Error{Code::kFileFormat,
                 "the certificate has no DNS name (subjectAltName); a common name does not count"};
  }
  checked.issuer = issuer_name(leaf);
  checked.not_before = (*credential)->not_before();
  checked.not_after = (*credential)->not_after();
  checked.pin = key_pin(leaf);
  auto chain = read_certificates(chain_pem);
  if (chain) checked.warnings = warnings_of(*chain, checked, now, trust);
  return checked;
}

Result<IdentityPem> make_identity(std::string_view name, UnixTime now) {
  PkeyPtr key = new_key();
  if (!key) return Error{Code::kInternal, openssl_reasons()};
  // Peers ignore its dates; a century avoids warnings of tools that check them.
  X509Ptr certificate = start_certificate(std::string(name.substr(0, 64)), now - std::chrono::hours(1),
                                          now + std::chrono::hours(24 * 36'525), key.get());
  X509* x = certificate.get();
  bool made = x != nullptr && X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
              X509_sign(x, key.get(), EVP_sha256()) > 0;
  BioPtr out(BIO_new(BIO_s_mem()));
  if (!made || PEM_write_bio_X509(out.get(), x) != 1) return Error{Code::kInternal, openssl_reasons()};
  IdentityPem identity{bio_text(out.get()), key_text(key.get()), key_pin(x)};
  if (identity.key.empty()) return Error{Code::kInternal, openssl_reasons()};
  return identity;
}

Result<std::string> make_private_key() {
  PkeyPtr key = new_key();
  std::string text = key ? key_text(key.get()) : std::string();
  if (text.empty()) return Error{Code::kInternal, openssl_reasons()};
  return text;
}

Result<std::string> make_request(const std::vector<std::string>& names, std::string_view key_pem) {
  if (names.empty()) return Error{Code::kConfigValue, "a certificate request needs at least one name"};
  auto key = read_key(key_pem);
  if (!key) return std::move(key).error();
  RequestPtr request(X509_REQ_new());
  GeneralNamesPtr entries = dns_names(names);
  ExtensionsPtr extensions(sk_X509_EXTENSION_new_null());
  if (!request || !entries || !extensions) return Error{Code::kInternal, openssl_reasons()};
  OpensslPtr<X509_EXTENSION, X509_EXTENSION_free> names_extension(
      X509V3_EXT_i2d(NID_subject_alt_name, 0, entries.get()));
  sk_X509_EXTENSION_push(extensions.get(), names_extension.get());
  BioPtr out(BIO_new(BIO_s_mem()));
  bool made = names_extension && X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) == 1 &&
              X509_REQ_set_pubkey(request.get(), key->get()) == 1 &&
              X509_REQ_add_extensions(request.get(), extensions.get()) == 1 &&
              X509_REQ_sign(request.get(), key->get(), EVP_sha256()) > 0 &&
              PEM_write_bio_X509_REQ(out.get(), request.get()) == 1;
  if (!made) return Error{Code::kInternal, openssl_reasons()};
  return bio_text(out.get());
}

}  // namespace sallyport::net
