// Whether chains allow TLS between servers, as facts of handshakes.
#include "net/tls_fixture.h"

namespace sallyport::net {
namespace {

// Each certificate of a chain decides which uses it allows, in both directions. Streams of both endpoints and
// the commands that test a peer use these facts.
TEST_F(TlsTest, every_authority_of_a_chain_must_be_one_for_tls) {
  struct Row {
    const char* name;
    Wish authority;
    Wish leaf;
    const char* text;  // empty: trusted
  } rows[] = {
      {"an authority without usage", {.usage = ""}, {}, ""},
      {"an authority for servers", {.usage = "serverAuth"}, {}, ""},
      {"an authority for servers and clients",
       {.usage = "serverAuth,clientAuth"},
       {.usage = "clientAuth"},
       ""},
      {"an authority for clients", {.usage = "clientAuth"}, {.usage = "clientAuth"}, ""},
      {"an authority for any usage", {.usage = "anyExtendedKeyUsage"}, {}, ""},
      {"a leaf for any usage", {.usage = "clientAuth"}, {.usage = "anyExtendedKeyUsage"}, ""},
      {"a leaf for both", {.usage = "clientAuth"}, {.usage = "serverAuth,clientAuth"}, ""},
      {"an authority for mail", {.usage = "emailProtection"}, {}, "depth 1"},
      {"an authority for code", {.usage = "codeSigning"}, {}, "depth 1"},
      {"an authority for mail and any usage", {.usage = "emailProtection,anyExtendedKeyUsage"}, {}, ""},
      {"an authority for time stamps", {.usage = "timeStamping"}, {.usage = ""}, "depth 1"},
      {"no purpose that both allow", {.usage = "serverAuth"}, {.usage = "clientAuth"}, "depth 1"},
      {"an authority that may not sign", {.usage = "", .key_usage = "critical,digitalSignature"}, {}, "CA"},
      {"an authority that is none", {.usage = "", .constraints = "critical,CA:FALSE"}, {}, "CA"},
      {"an authority of Netscape's for mail", {.usage = "", .netscape_type = "emailCA"}, {}, ""},
      {"an authority by Netscape's type alone, for mail",
       {.usage = "", .constraints = "none", .netscape_type = "emailCA"},
       {},
       "CA"},
      {"a leaf that only signs certificates", {.usage = ""}, {.key_usage = "keyCertSign"}, "not for TLS"},
      {"the same for any usage",
       {.usage = ""},
       {.usage = "anyExtendedKeyUsage", .key_usage = "keyCertSign"},
       "not for TLS"},
      {"a leaf that enciphers keys", {.usage = ""}, {.key_usage = "keyEncipherment"}, ""},
      {"a leaf of Netscape's for mail", {.usage = ""}, {.netscape_type = "email"}, "not for TLS"},
      {"a leaf of Netscape's for servers", {.usage = ""}, {.netscape_type = "server"}, ""},
  };
  for (Row& row : rows) {
    SCOPED_TRACE(row.name);
    row.authority.common_name = "Between";
    row.leaf.dns = {"client.example"};
    const TestAuthority between(root_, row.authority);
    Made made = between.issue(row.leaf);
    made.certificate += between.pem();
    s2s::TlsFacts facts = facts_about(made, "client.example");
    EXPECT_TRUE(facts.peer_certificate);
    EXPECT_EQ(facts.chain.has_value(), std::string_view(row.text).empty())
        << (facts.chain ? "" : facts.chain.error().text);
    if (facts.chain) continue;
    EXPECT_EQ(facts.chain.error().code, Code::kTlsUntrusted);
    EXPECT_NE(facts.chain.error().text.find(row.text), std::string::npos) << facts.chain.error().text;
  }
}

// The peer is OpenSSL's own client: ours would not show such a certificate.
TEST_F(TlsTest, weak_keys_and_signatures_anywhere_in_a_chain_are_not_trusted) {
  struct Row {
    const char* name;
    Wish authority;
    Wish leaf;
    const char* text;  // empty: trusted
  } rows[] = {
      {"RSA of 2048 bits", {.usage = "", .key = "RSA"}, {.key = "RSA"}, ""},
      {"an authority with a short key", {.usage = "", .key = "RSA-1024"}, {}, "CA certificate key too weak"},
      {"an authority with a weak signature", {.usage = "", .digest = EVP_sha1}, {}, "CA signature digest"},
      {"a leaf with a short key", {.usage = ""}, {.key = "RSA-1024"}, "EE certificate key too weak"},
      {"a leaf with a weak signature", {.usage = ""}, {.digest = EVP_sha1}, "CA signature digest"},
  };
  for (Row& row : rows) {
    SCOPED_TRACE(row.name);
    row.authority.common_name = "Between";
    row.leaf.dns = {"client.example"};
    const TestAuthority between(root_, row.authority);
    const Made made = between.issue(row.leaf);
    const std::string above = between.pem();
    OpensslPtr<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_security_level(context.get(), 0);
    BioPtr pem = read_bio(made.certificate), key = read_bio(made.key), above_pem = read_bio(above);
    X509Ptr leaf(PEM_read_bio_X509(pem.get(), nullptr, nullptr, nullptr));
    PkeyPtr leaf_key(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr));
    SSL_CTX_use_certificate(context.get(), leaf.get());
    SSL_CTX_use_PrivateKey(context.get(), leaf_key.get());
    SSL_CTX_add_extra_chain_cert(context.get(),
                                 PEM_read_bio_X509(above_pem.get(), nullptr, nullptr, nullptr));
    SocketPair pair;
    auto accepting = server_.tls.accept(pair.ends[0], domain("server.example"), civil_now());
    ASSERT_TRUE(accepting);
    OpensslPtr<SSL, SSL_free> client(SSL_new(context.get()));
    SSL_set_fd(client.get(), pair.ends[1]);
    EXPECT_EQ(shake_with(client.get(), **accepting), TlsStep::kDone) << (*accepting)->error().text;
    const s2s::TlsFacts facts = (*accepting)->facts();
    EXPECT_TRUE(facts.peer_certificate);
    EXPECT_EQ(facts.chain.has_value(), std::string_view(row.text).empty())
        << (facts.chain ? "" : facts.chain.error().text);
    if (facts.chain) continue;
    EXPECT_NE(facts.chain.error().text.find(row.text), std::string::npos) << facts.chain.error().text;
  }
}

}  // namespace
}  // namespace sallyport::net
