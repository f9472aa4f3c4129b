// A certificate authority of our own, P-256, and certificates from it. All leaves share one key: thousands
// are made, and only the other side is measured.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include <openssl/ssl.h>

namespace bench {

struct Free {
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

class Pki {
 public:
  // Reads ca.crt and ca.key in `folder`, or makes and writes them; with an empty `folder` in memory only.
  explicit Pki(const std::string& folder);

  // The certificate for `name`, made at the first call.
  X509* certificate(const std::string& name);
  EVP_PKEY* key() const { return leaf_key_.get(); }

  // Writes stem.crt (leaf, then CA) and stem.key.
  void write(const std::string& stem, const std::vector<std::string>& names) const;

 private:
  Owned<X509> issue(const std::vector<std::string>& names) const;

  Owned<EVP_PKEY> ca_key_;
  Owned<X509> ca_;
  Owned<EVP_PKEY> leaf_key_;
  std::unordered_map<std::string, Owned<X509>> issued_;
};

// Ends the program when a call of OpenSSL or the system fails that always succeeds.
void must(bool done, const char* what);

}  // namespace bench
