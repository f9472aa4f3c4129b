#include "pki.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

namespace bench {
namespace {

struct FileClose {
  void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, FileClose>;

Owned<EVP_PKEY> new_key() { return Owned<EVP_PKEY>(EVP_EC_gen("P-256")); }

void add(X509* certificate, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  must(extension != nullptr, "a certificate's extension");
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

Owned<X509> blank(const std::string& name, EVP_PKEY* key) {
  Owned<X509> certificate(X509_new());
  X509_set_version(certificate.get(), X509_VERSION_3);
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1 | 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 30L * 24 * 3600);
  // RFC 5280 A.1: a common name has at most 64 characters.
  auto text = reinterpret_cast<const unsigned char*>(name.c_str());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8, text,
                             static_cast<int>(std::min<std::size_t>(name.size(), 64)), -1, 0);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

File open_file(const std::string& path, const char* how) {
  File file(std::fopen(path.c_str(), how));
  must(file != nullptr, path.c_str());
  return file;
}

void write_key(const std::string& path, EVP_PKEY* key) {
  File file = open_file(path, "w");
  ::chmod(path.c_str(), 0600);
  PEM_write_PrivateKey(file.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
}

}  // namespace

void must(bool done, const char* what) {
  if (done) return;
  std::fprintf(stderr, "sallyport-load: %s: %s\n", what, std::strerror(errno));
  ERR_print_errors_fp(stderr);
  std::exit(1);
}

Pki::Pki(const std::string& folder) : leaf_key_(new_key()) {
  std::string stem = folder + "/ca";
  if (!folder.empty() && ::access((stem + ".key").c_str(), R_OK) == 0) {
    ca_.reset(PEM_read_X509(open_file(stem + ".crt", "r").get(), nullptr, nullptr, nullptr));
    ca_key_.reset(PEM_read_PrivateKey(open_file(stem + ".key", "r").get(), nullptr, nullptr, nullptr));
    must(ca_ && ca_key_, "the CA");
    return;
  }
  ca_key_ = new_key();
  ca_ = blank("Bench CA", ca_key_.get());
  X509_set_issuer_name(ca_.get(), X509_get_subject_name(ca_.get()));
  add(ca_.get(), NID_basic_constraints, "critical,CA:TRUE");
  add(ca_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
  must(X509_sign(ca_.get(), ca_key_.get(), EVP_sha256()) > 0, "signing the CA");
  if (folder.empty()) return;
  ::mkdir(folder.c_str(), 0755);
  PEM_write_X509(open_file(stem + ".crt", "w").get(), ca_.get());
  write_key(stem + ".key", ca_key_.get());
}

Owned<X509> Pki::issue(const std::vector<std::string>& names) const {
  Owned<X509> leaf = blank(names.front(), leaf_key_.get());
  X509_set_issuer_name(leaf.get(), X509_get_subject_name(ca_.get()));
  std::string alternatives;
  for (const std::string& name : names) alternatives += (alternatives.empty() ? "DNS:" : ",DNS:") + name;
  add(leaf.get(), NID_basic_constraints, "critical,CA:FALSE");
  add(leaf.get(), NID_key_usage, "critical,digitalSignature");
  // Both purposes: ejabberd 23.01 accepts only such certificates for EXTERNAL.
  add(leaf.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  add(leaf.get(), NID_subject_alt_name, alternatives);
  must(X509_sign(leaf.get(), ca_key_.get(), EVP_sha256()) > 0, "signing");
  return leaf;
}

X509* Pki::certificate(const std::string& name) {
  auto [found, is_new] = issued_.try_emplace(name);
  if (is_new) found->second = issue({name});
  return found->second.get();
}

void Pki::write(const std::string& stem, const std::vector<std::string>& names) const {
  Owned<X509> leaf = issue(names);
  File file = open_file(stem + ".crt", "w");
  PEM_write_X509(file.get(), leaf.get());
  PEM_write_X509(file.get(), ca_.get());
  write_key(stem + ".key", leaf_key_.get());
}

}  // namespace bench
