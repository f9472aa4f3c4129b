#include "net/handshake_library.h"

#include <gtest/gtest.h>

#include "net/openssl.h"
#include "net/x509_parts.h"

namespace sallyport::net {
namespace {

// A certificate with such a key, as it is sent.
std::string certificate_with(EVP_PKEY* key) {
  PkeyPtr issuer = new_key();
  UnixTime now(std::chrono::seconds(1'700'000'000));
  X509Ptr x = start_certificate("peer", now, now + std::chrono::hours(1), key);
  if (!x || X509_sign(x.get(), issuer.get(), EVP_sha256()) <= 0) return {};
  unsigned char* der = nullptr;
  int size = i2d_X509(x.get(), &der);
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

bool has_readable_key(const std::string& der) {
  auto at = reinterpret_cast<const unsigned char*>(der.data());
  X509* x = X509_new_ex(handshake_library(), nullptr);
  X509Ptr certificate(d2i_X509(&x, &at, static_cast<long>(der.size())));
  bool is_readable = certificate && X509_get0_pubkey(certificate.get()) != nullptr;
  ERR_clear_error();
  return is_readable;
}

EVP_PKEY* key_of(const char* kind) { return EVP_PKEY_Q_keygen(nullptr, nullptr, kind); }

EVP_PKEY* pss_key() {
  OpensslPtr<EVP_PKEY_CTX, EVP_PKEY_CTX_free> context(
      EVP_PKEY_CTX_new_from_name(nullptr, "RSA-PSS", nullptr));
  EVP_PKEY* key = nullptr;
  EVP_PKEY_keygen_init(context.get());
  EVP_PKEY_keygen(context.get(), &key);
  return key;
}

TEST(HandshakeLibraryTest, keys_that_tls_signs_with_are_read_and_others_are_not) {
  ASSERT_NE(handshake_library(), nullptr);
  struct Row {
    const char* name;
    PkeyPtr key;
    bool is_read;
  } rows[] = {
      {"P-256", PkeyPtr(EVP_EC_gen("P-256")), true}, {"P-384", PkeyPtr(EVP_EC_gen("P-384")), true},
      {"P-521", PkeyPtr(EVP_EC_gen("P-521")), true}, {"RSA", PkeyPtr(EVP_RSA_gen(2048)), true},
      {"RSA-PSS", PkeyPtr(pss_key()), true},         {"Ed25519", PkeyPtr(key_of("ED25519")), true},
      {"Ed448", PkeyPtr(key_of("ED448")), true},     {"X25519", PkeyPtr(key_of("X25519")), false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    std::string der = certificate_with(row.key.get());
    ASSERT_FALSE(der.empty()) << openssl_reasons();
    EXPECT_EQ(has_readable_key(der), row.is_read);
  }
}

}  // namespace
}  // namespace sallyport::net
