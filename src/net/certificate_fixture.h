// Certificates for tests, made in memory as a row of a test table describes them.
#pragma once

#include <string>
#include <vector>

#include <openssl/pem.h>

#include "net/openssl.h"

namespace sallyport::net {

struct Wish {
  std::vector<std::string> dns = {};
  std::vector<std::string> srv = {};
  std::vector<std::string> xmpp_addr = {};
  std::string common_name = "test";
  std::string usage = "serverAuth";  // empty: none
  long from_days = -1;
  long to_days = 30;
  bool is_ca = false;
  std::string key = "P-256";       // or "P-384", "RSA", "RSA-1024", "RSA-4096", "ED25519"
  std::string constraints = {};    // instead of what is_ca says; "none": the extension is left out
  std::string key_usage = {};      // empty: the extension is left out
  std::string netscape_type = {};  // empty: the extension is left out
  const EVP_MD* (*digest)() = EVP_sha256;
};
struct Made {
  std::string certificate;
  std::string key;
};

inline PkeyPtr key_for(const Wish& wish) {
  if (wish.key == "RSA") return PkeyPtr(EVP_RSA_gen(2048));
  if (wish.key == "RSA-1024") return PkeyPtr(EVP_RSA_gen(1024));
  if (wish.key == "RSA-4096") return PkeyPtr(EVP_RSA_gen(4096));
  if (wish.key == "ED25519") return PkeyPtr(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  return PkeyPtr(EVP_EC_gen(wish.key.c_str()));
}

inline std::string pem_of(X509* x) {
  BioPtr out(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(out.get(), x);
  return bio_text(out.get());
}

inline void add_other_name(GENERAL_NAMES* names, const char* oid, int type, const std::string& value) {
  ASN1_STRING* text = ASN1_STRING_type_new(type);
  ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
  ASN1_TYPE* wrapped = ASN1_TYPE_new();
  ASN1_TYPE_set(wrapped, type, text);
  GENERAL_NAME* name = GENERAL_NAME_new();
  GENERAL_NAME_set0_othername(name, OBJ_txt2obj(oid, 1), wrapped);
  sk_GENERAL_NAME_push(names, name);
}

// A certificate authority; signs certificates as wished, or leaves them self-signed (`self_signed`).
class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name = "Test Root") : key_(EVP_EC_gen("P-256")) {
    Wish wish;
    wish.common_name = name;
    wish.usage.clear();
    wish.is_ca = true;
    root_ = build(wish, key_.get(), nullptr, key_.get());
  }
  // An authority below `parent`, made as `wish` says but for is_ca.
  TestAuthority(const TestAuthority& parent, Wish wish) : key_(key_for(wish)) {
    wish.is_ca = true;
    root_ = build(wish, key_.get(), parent.root_.get(), parent.key_.get());
  }
  std::string pem() const { return pem_of(root_.get()); }
  Made issue(const Wish& wish) const { return make(wish, root_.get(), key_.get()); }
  static Made self_signed(const Wish& wish) { return make(wish, nullptr, nullptr); }

 private:
  static Made make(const Wish& wish, X509* issuer, EVP_PKEY* issuer_key) {
    PkeyPtr key = key_for(wish);
    X509Ptr x = build(wish, key.get(), issuer, issuer_key != nullptr ? issuer_key : key.get());
    BioPtr out(BIO_new(BIO_s_mem()));
    PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
    return {pem_of(x.get()), bio_text(out.get())};
  }

  static X509Ptr build(const Wish& wish, EVP_PKEY* key, X509* issuer, EVP_PKEY* signer) {
    X509Ptr x(X509_new());
    static long serial = 1;
    X509_set_version(x.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(x.get()), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x.get()), wish.from_days * 86'400);
    X509_gmtime_adj(X509_getm_notAfter(x.get()), wish.to_days * 86'400);
    X509_set_pubkey(x.get(), key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x.get()), "CN", MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(wish.common_name.c_str()), -1, -1, 0);
    X509* by = issuer != nullptr ? issuer : x.get();
    X509_set_issuer_name(x.get(), X509_get_subject_name(by));
    auto add = [&x](int nid, const char* value) {
      X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
      X509_add_ext(x.get(), extension, -1);
      X509_EXTENSION_free(extension);
    };
    std::string constraints = wish.constraints;
    if (constraints.empty()) constraints = wish.is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE";
    if (constraints != "none") add(NID_basic_constraints, constraints.c_str());
    if (!wish.key_usage.empty()) add(NID_key_usage, wish.key_usage.c_str());
    if (!wish.netscape_type.empty()) add(NID_netscape_cert_type, wish.netscape_type.c_str());
    if (!wish.usage.empty()) add(NID_ext_key_usage, wish.usage.c_str());
    GeneralNamesPtr names(GENERAL_NAMES_new());
    for (const std::string& name : wish.dns) {
      ASN1_IA5STRING* text = ASN1_IA5STRING_new();
      ASN1_STRING_set(text, name.data(), static_cast<int>(name.size()));
      GENERAL_NAME* entry = GENERAL_NAME_new();
      GENERAL_NAME_set0_value(entry, GEN_DNS, text);
      sk_GENERAL_NAME_push(names.get(), entry);
    }
    for (const auto& name : wish.srv)
      add_other_name(names.get(), "1.3.6.1.5.5.7.8.7", V_ASN1_IA5STRING, name);
    for (const auto& name : wish.xmpp_addr)
      add_other_name(names.get(), "1.3.6.1.5.5.7.8.5", V_ASN1_UTF8STRING, name);
    if (sk_GENERAL_NAME_num(names.get()) > 0)
      X509_add1_ext_i2d(x.get(), NID_subject_alt_name, names.get(), 0, 0);
    X509_sign(x.get(), signer, wish.digest());
    return x;
  }

  PkeyPtr key_;
  X509Ptr root_;
};

}  // namespace sallyport::net
