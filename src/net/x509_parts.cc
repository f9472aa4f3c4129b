#include "net/x509_parts.h"

#include <openssl/pem.h>

namespace sallyport::net {

namespace {

constexpr std::size_t kCommonNameBytesMax = 64;

bool set_serial(X509* x) {
  OpensslPtr<BIGNUM, BN_free> serial(BN_new());
  // RFC 5280 4.1.2.2: positive, at most 20 octets; unpredictable, so that no two certificates share one.
  return serial && BN_rand(serial.get(), 126, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
         BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(x)) != nullptr;
}

bool add_to_subject(X509* x, const char* field, const std::string& value) {
  return X509_NAME_add_entry_by_txt(X509_get_subject_name(x), field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

}  // namespace

PkeyPtr new_key() { return PkeyPtr(EVP_EC_gen("P-256")); }

std::string key_text(EVP_PKEY* key) {
  BioPtr out(BIO_new(BIO_s_secmem()));
  if (PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1) return {};
  return bio_text(out.get());
}

X509Ptr start_certificate(const std::string& common_name, UnixTime from, UnixTime to, EVP_PKEY* key) {
  X509Ptr x(X509_new());
  if (!x || X509_set_version(x.get(), X509_VERSION_3) != 1 || !set_serial(x.get())) return nullptr;
  if (ASN1_TIME_set(X509_getm_notBefore(x.get()), from.time_since_epoch().count()) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(x.get()), to.time_since_epoch().count()) == nullptr) {
    return nullptr;
  }
  if (X509_set_pubkey(x.get(), key) != 1 || !add_to_subject(x.get(), "O", "Sallyport")) return nullptr;
  bool fits = !common_name.empty() && common_name.size() <= kCommonNameBytesMax;
  if (fits && !add_to_subject(x.get(), "CN", common_name)) return nullptr;
  return x;
}

bool add_extension(X509* x, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, x, nullptr, nullptr, 0);
  OpensslPtr<X509_EXTENSION, X509_EXTENSION_free> extension(
      X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  return extension && X509_add_ext(x, extension.get(), -1) == 1;
}

GeneralNamesPtr dns_names(const std::vector<std::string>& names) {
  GeneralNamesPtr entries(GENERAL_NAMES_new());
  for (const std::string& name : names) {
    OpensslPtr<GENERAL_NAME, GENERAL_NAME_free> entry(GENERAL_NAME_new());
    ASN1_IA5STRING* text = ASN1_IA5STRING_new();
    if (!entries || !entry || text == nullptr) return nullptr;
    GENERAL_NAME_set0_value(entry.get(), GEN_DNS, text);
    if (ASN1_STRING_set(text, name.data(), static_cast<int>(name.size())) != 1) return nullptr;
    if (sk_GENERAL_NAME_push(entries.get(), entry.get()) <= 0) return nullptr;
    entry.release();
  }
  return entries;
}

bool add_dns_names(X509* x, const std::vector<std::string>& names) {
  GeneralNamesPtr entries = dns_names(names);
  return entries && X509_add1_ext_i2d(x, NID_subject_alt_name, entries.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

UnixTime civil_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return UnixTime{};
  return UnixTime(std::chrono::seconds(timegm(&parts)));
}

}  // namespace sallyport::net
