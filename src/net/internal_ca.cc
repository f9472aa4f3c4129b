#include "net/internal_ca.h"

#include <openssl/pem.h>

#include "base/limits.h"
#include "net/file.h"
#include "net/openssl.h"
#include "net/x509_parts.h"

namespace sallyport::net {

namespace {

constexpr auto kLifetime = std::chrono::hours(24 * 3652);
// Clocks of internal servers may be behind ours.
constexpr auto kBackdated = std::chrono::hours(1);

using ConstraintsPtr = OpensslPtr<NAME_CONSTRAINTS, NAME_CONSTRAINTS_free>;

bool exclude(NAME_CONSTRAINTS* constraints, const std::string& name) {
  OpensslPtr<GENERAL_SUBTREE, GENERAL_SUBTREE_free> subtree(GENERAL_SUBTREE_new());
  ASN1_IA5STRING* text = ASN1_IA5STRING_new();
  if (!subtree || text == nullptr) return false;
  GENERAL_NAME_set0_value(subtree->base, GEN_DNS, text);
  if (ASN1_STRING_set(text, name.data(), static_cast<int>(name.size())) != 1) return false;
  if (sk_GENERAL_SUBTREE_push(constraints->excludedSubtrees, subtree.get()) <= 0) return false;
  subtree.release();
  return true;
}

bool add_constraints(X509* x, const std::vector<policy::DomainPattern>& internal_names) {
  if (internal_names.empty()) return true;
  ConstraintsPtr constraints(NAME_CONSTRAINTS_new());
  if (!constraints) return false;
  constraints->excludedSubtrees = sk_GENERAL_SUBTREE_new_null();
  // RFC 5280 knows subtrees only: "corp.example" and "*.corp.example" both exclude the name and all below it.
  std::vector<std::string> names;
  for (const policy::DomainPattern& pattern : internal_names) names.push_back(pattern.base());
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  for (const std::string& name : names) {
    if (!exclude(constraints.get(), name)) return false;
  }
  return X509_add1_ext_i2d(x, NID_name_constraints, constraints.get(), 1, X509V3_ADD_DEFAULT) == 1;
}

}  // namespace

Result<CaPem> make_internal_ca(std::string_view core_name,
                               const std::vector<policy::DomainPattern>& internal_names, UnixTime now) {
  PkeyPtr key = new_key();
  if (!key) return Error{Code::kInternal, openssl_reasons()};
  // Two authorities of one core also differ in name: some servers look up issuers by name alone.
  std::string year = std::to_string(
      static_cast<int>(std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(now)).year()));
  std::string name = "Sallyport internal CA " + year + " " + std::string(core_name);
  X509Ptr x = start_certificate(name.substr(0, 64), now - kBackdated, now + kLifetime, key.get());
  bool made = x && X509_set_issuer_name(x.get(), X509_get_subject_name(x.get())) == 1 &&
              add_extension(x.get(), x.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
              add_extension(x.get(), x.get(), NID_key_usage, "critical,keyCertSign,cRLSign") &&
              add_extension(x.get(), x.get(), NID_subject_key_identifier, "hash") &&
              add_constraints(x.get(), internal_names) && X509_sign(x.get(), key.get(), EVP_sha256()) > 0;
  BioPtr out(BIO_new(BIO_s_mem()));
  if (!made || PEM_write_bio_X509(out.get(), x.get()) != 1) return Error{Code::kInternal, openssl_reasons()};
  CaPem ca{bio_text(out.get()), key_text(key.get())};
  if (ca.key.empty()) return Error{Code::kInternal, openssl_reasons()};
  return ca;
}

Result<std::vector<std::string>> ca_excluded_names(std::string_view certificates) {
  X509Ptr first(PEM_read_bio_X509(read_bio(certificates).get(), nullptr, no_passphrase, nullptr));
  if (!first) return Error{Code::kFileFormat, "not a PEM certificate: " + openssl_reasons()};
  std::vector<std::string> names;
  ConstraintsPtr constraints(
      static_cast<NAME_CONSTRAINTS*>(X509_get_ext_d2i(first.get(), NID_name_constraints, nullptr, nullptr)));
  if (!constraints) return names;
  for (int i = 0; i < sk_GENERAL_SUBTREE_num(constraints->excludedSubtrees); ++i) {
    const GENERAL_NAME* base = sk_GENERAL_SUBTREE_value(constraints->excludedSubtrees, i)->base;
    if (base->type != GEN_DNS) continue;
    names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(base->d.dNSName)),
                       static_cast<std::size_t>(ASN1_STRING_length(base->d.dNSName)));
  }
  return names;
}

Result<CaPem> open_internal_ca(const std::string& state, std::string_view core_name,
                               const std::vector<policy::DomainPattern>& internal_names, UnixTime now) {
  std::string certificate_path = state + "/internal-ca.crt";
  std::string key_path = state + "/internal-ca.key";
  bool has_certificate = file_exists(certificate_path);
  bool has_key = file_exists(key_path);
  if (has_certificate != has_key) {
    return Error{Code::kConfigMissing,
                 (has_key ? certificate_path : key_path) +
                     " is not there, but its other half is; restore it, or remove both for a new authority"};
  }
  if (!has_key) {
    auto made = make_internal_ca(core_name, internal_names, now);
    if (!made) return made;
    // The key first: a certificate without its key might already be given to servers.
    if (auto written = write_file(key_path, made->key, 0600); !written) return std::move(written).error();
    if (auto written = write_file(certificate_path, made->certificates, 0644); !written)
      return std::move(written).error();
    return made;
  }
  auto certificates = read_file(certificate_path, limits::kCertificateChainBytesMax);
  if (!certificates) return std::move(certificates).error();
  auto key = read_file(key_path, limits::kCertificateChainBytesMax);
  if (!key) return std::move(key).error();
  return CaPem{std::move(*certificates), std::move(*key)};
}

}  // namespace sallyport::net
