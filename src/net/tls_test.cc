// Two ends of a socket pair do a handshake in one thread; their facts are compared with tables.
#include "net/tls_fixture.h"

namespace sallyport::net {
namespace {

TEST_F(TlsTest, a_chain_is_a_fact_in_both_purposes_and_never_ends_the_handshake) {
  Wish base{.dns = {"client.example"}};
  auto with = [&base](auto change) {
    Wish wish = base;
    change(wish);
    return wish;
  };
  struct Row {
    const char* name;
    Made made;
    bool trusted;
    const char* text;
  } rows[] = {
      {"serverAuth only", root_.issue(base), true, ""},
      {"clientAuth only", root_.issue(with([](Wish& w) { w.usage = "clientAuth"; })), true, ""},
      {"no usage", root_.issue(with([](Wish& w) { w.usage = ""; })), true, ""},
      {"any usage", root_.issue(with([](Wish& w) { w.usage = "anyExtendedKeyUsage"; })), true, ""},
      {"e-mail only", root_.issue(with([](Wish& w) { w.usage = "emailProtection"; })), false, "not for TLS"},
      {"expired", root_.issue(with([](Wish& w) { w.from_days = -30, w.to_days = -1; })), false, "expired"},
      {"not yet", root_.issue(with([](Wish& w) { w.from_days = 1; })), false, "not yet valid"},
      {"self-signed", TestAuthority::self_signed(base), false, "self"},
      {"a stranger's", stranger_.issue(base), false, "issuer"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    s2s::TlsFacts facts = facts_about(row.made, "client.example");
    EXPECT_TRUE(facts.peer_certificate);
    EXPECT_EQ(facts.chain.has_value(), row.trusted);
    EXPECT_EQ(facts.names.dns, std::vector<std::string>{"client.example"});
    EXPECT_EQ(facts.key_pin, *certificate_pin(row.made.certificate));
    EXPECT_EQ(facts.usage.present, std::string_view(row.name) != "no usage");
    EXPECT_EQ(client_facts_.own_certificate, "client.example");
    EXPECT_TRUE(client_facts_.chain.has_value());
    if (row.trusted) continue;
    EXPECT_EQ(facts.chain.error().code, Code::kTlsUntrusted);
    EXPECT_NE(facts.chain.error().text.find(row.text), std::string::npos) << facts.chain.error().text;
  }
}

TEST_F(TlsTest, all_three_kinds_of_names_are_facts_and_the_common_name_is_none) {
  Wish wish{
      .dns = {"a.example", "*.b.example"}, .srv = {"_xmpp-server.c.example"}, .xmpp_addr = {"d.example"}};
  wish.common_name = "cn.example";
  s2s::TlsFacts facts = facts_about(root_.issue(wish), "a.example");
  EXPECT_EQ(facts.names.dns, (std::vector<std::string>{"a.example", "*.b.example"}));
  EXPECT_EQ(facts.names.srv, std::vector<std::string>{"_xmpp-server.c.example"});
  EXPECT_EQ(facts.names.xmpp_addr, std::vector<std::string>{"d.example"});
}

// Ours are read in OpenSSL's default library context, the peer's in that of handshakes.
TEST_F(TlsTest, keys_of_every_kind_prove_themselves_on_both_sides) {
  for (const char* kind : {"P-256", "P-384", "RSA", "ED25519"}) {
    SCOPED_TRACE(kind);
    server_.certificates.use({pushed(root_.issue({.dns = {"server.example"}, .key = kind}))});
    Made made = root_.issue({.dns = {"client.example"}, .key = kind});
    s2s::TlsFacts facts = facts_about(made, "client.example");
    EXPECT_TRUE(facts.chain.has_value());
    EXPECT_EQ(facts.key_pin, *certificate_pin(made.certificate));
    EXPECT_TRUE(client_facts_.chain.has_value());
    EXPECT_EQ(client_facts_.names.dns, std::vector<std::string>{"server.example"});
  }
}

TEST_F(TlsTest, a_name_with_a_nul_inside_is_dropped) {
  Wish wish{.dns = {"a.example", std::string("bank.example\0.evil.example", 26)},
            .srv = {std::string("_xmpp-server.bank.example\0x", 27)}};
  s2s::TlsFacts facts = facts_about(root_.issue(wish), "a.example");
  EXPECT_EQ(facts.names.dns, std::vector<std::string>{"a.example"});
  EXPECT_TRUE(facts.names.srv.empty());
}

TEST_F(TlsTest, names_are_counted_at_the_bound_and_one_past_it) {
  for (std::size_t surplus : {0, 1}) {
    Wish wish{.dns = {"a.example"}};
    while (wish.dns.size() < limits::kCertificateNamesMax + surplus)
      wish.dns.push_back("n" + std::to_string(wish.dns.size()) + ".example");
    s2s::TlsFacts facts = facts_about(root_.issue(wish), "a.example");
    EXPECT_EQ(facts.chain.has_value(), surplus == 0);
    EXPECT_EQ(facts.names.dns.size(), surplus == 0 ? limits::kCertificateNamesMax : 0);
  }
}

TEST_F(TlsTest, without_a_client_certificate_the_handshake_completes) {
  SocketPair pair;
  auto accepting = server_.tls.accept(pair.ends[0], domain("server.example"), civil_now());
  auto dialling =
      client_.tls.connect(pair.ends[1], domain("client.example"), "server.example", false, civil_now());
  ASSERT_TRUE(shake(**accepting, **dialling));
  s2s::TlsFacts facts = (*accepting)->facts();
  EXPECT_FALSE(facts.peer_certificate);
  EXPECT_EQ(facts.chain.error().code, Code::kTlsNoCertificate);
  EXPECT_EQ(facts.own_certificate, "server.example");
  EXPECT_EQ(facts.server_name, "server.example");
  EXPECT_EQ(facts.version, "TLSv1.3");
  EXPECT_TRUE(facts.alpn.empty());
  EXPECT_TRUE((*dialling)->facts().own_certificate.empty());
}

TEST_F(TlsTest, an_intermediate_certificate_may_be_an_anchor) {
  ASSERT_TRUE(server_.tls.trust(root_.issue({.dns = {"x"}, .is_ca = true}).certificate + root_.pem()));
  Made leaf = root_.issue({.dns = {"client.example"}});
  EXPECT_TRUE(facts_about(leaf, "client.example").chain.has_value());
  // A self-signed certificate that the administrator lists is trusted, too.
  Made lonely = TestAuthority::self_signed({.dns = {"client.example"}});
  ASSERT_TRUE(server_.tls.trust(lonely.certificate));
  EXPECT_TRUE(facts_about(lonely, "client.example").chain.has_value());
}

TEST_F(TlsTest, unreadable_trust_leaves_the_old_one_in_force) {
  auto trusted = server_.tls.trust("nonsense");
  ASSERT_FALSE(trusted);
  EXPECT_EQ(trusted.error().code, Code::kFileFormat);
  EXPECT_TRUE(facts_about(root_.issue({.dns = {"client.example"}}), "client.example").chain.has_value());
  server_.tls.trust_nothing();
  EXPECT_FALSE(facts_about(root_.issue({.dns = {"client.example"}}), "client.example").chain.has_value());
}

TEST_F(TlsTest, a_domain_without_a_certificate_is_not_accepted_for) {
  SocketPair pair;
  auto accepting = server_.tls.accept(pair.ends[0], domain("other.example"), civil_now());
  ASSERT_FALSE(accepting);
  EXPECT_EQ(accepting.error().code, Code::kTlsNoLocalCertificate);
}

TEST_F(TlsTest, direct_tls_is_answered_by_server_name) {
  server_.certificates.use({pushed(root_.issue({.dns = {"server.example", "*.server.example"}}))});
  struct Row {
    const char* sni;
    bool good;
  } rows[] = {{"server.example", true},      {"SERVER.example", true}, {"x.server.example", true},
              {"x.y.server.example", false}, {"other.example", false}, {"", false}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.sni);
    SocketPair pair;
    auto accepting = server_.tls.accept_direct(pair.ends[0], civil_now());
    auto dialling = client_.tls.connect(pair.ends[1], domain("client.example"), row.sni, true, civil_now());
    EXPECT_EQ(shake(*accepting, **dialling), row.good);
    if (row.good) {
      EXPECT_EQ(accepting->facts().alpn, "xmpp-server");
      EXPECT_EQ((*dialling)->facts().alpn, "xmpp-server");
      EXPECT_EQ(accepting->facts().server_name, accepting->facts().own_certificate);
    } else {
      EXPECT_EQ(accepting->error().code, Code::kTlsUnknownName);
      EXPECT_EQ((*dialling)->error().code, Code::kTlsHandshake);
    }
  }
}

// A client of another protocol, made with OpenSSL alone. Where the alert cannot be sent, the reason is the
// same.
TEST_F(TlsTest, another_application_protocol_ends_the_handshake) {
  for (const bool hears : {true, false}) {
    SCOPED_TRACE(hears);
    SocketPair pair;
    auto accepting = server_.tls.accept_direct(pair.ends[0], civil_now());
    OpensslPtr<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
    OpensslPtr<SSL, SSL_free> other(SSL_new(context.get()));
    SSL_set_tlsext_host_name(other.get(), "server.example");
    SSL_set_alpn_protos(other.get(), reinterpret_cast<const unsigned char*>("\x02h2\x08http/1.1"), 12);
    SSL_set_fd(other.get(), pair.ends[1]);
    SSL_connect(other.get());
    if (!hears) ::shutdown(pair.ends[1], SHUT_RD);
    EXPECT_EQ(accepting->handshake(), TlsStep::kFailed);
    EXPECT_EQ(accepting->error().code, Code::kTlsAlpn);
    EXPECT_EQ(accepting->error().text, "h2, http/1.1");
    // RFC 8446 6: a header of five bytes, a level and a description.
    char alert[64];
    EXPECT_EQ(::recv(pair.ends[1], alert, sizeof alert, 0), hears ? 7 : 0);
  }
}

TEST_F(TlsTest, old_versions_weak_suites_and_renegotiation_are_refused) {
  struct Row {
    const char* name;
    int version_max;
    const char* suites;
    bool good;
  } rows[] = {
      {"TLS 1.1", TLS1_1_VERSION, "ALL:@SECLEVEL=0", false},
      {"TLS 1.2 with CBC", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256", false},
      {"TLS 1.2 with GCM", TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true},
      {"TLS 1.3", TLS1_3_VERSION, "ALL", true},
      {"TLS 1.2 with RSA", TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", true},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    if (std::string(row.suites).find("-RSA-") != std::string::npos)
      server_.certificates.use({pushed(root_.issue({.dns = {"server.example"}, .key = "RSA"}))});
    SocketPair pair;
    auto accepting = server_.tls.accept(pair.ends[0], domain("server.example"), civil_now());
    OpensslPtr<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_max_proto_version(context.get(), row.version_max);
    SSL_CTX_set_cipher_list(context.get(), row.suites);
    OpensslPtr<SSL, SSL_free> other(SSL_new(context.get()));
    SSL_set_fd(other.get(), pair.ends[1]);
    TlsStep step = shake_with(other.get(), **accepting);
    EXPECT_EQ(step == TlsStep::kDone, row.good);
    if (!row.good) continue;
    SSL_connect(other.get());
    // No ticket was issued that could resume this session elsewhere.
    char byte;
    EXPECT_EQ(SSL_read(other.get(), &byte, 1), -1);
    EXPECT_EQ(SSL_SESSION_has_ticket(SSL_get_session(other.get())), 0);
    EXPECT_EQ(SSL_SESSION_is_resumable(SSL_get_session(other.get())), 0);
    if (row.version_max != TLS1_2_VERSION) continue;
    SSL_renegotiate(other.get());
    SSL_do_handshake(other.get());
    (*accepting)->read(&byte, 1);
    EXPECT_LE(SSL_do_handshake(other.get()), 0);
  }
}

TEST_F(TlsTest, of_what_a_peer_offers_aes_128_comes_first) {
  struct Row {
    const char* offered;
    const char* taken;
  };
  for (const Row& row :
       {Row{"TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
        Row{"TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
        Row{"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"}}) {
    SCOPED_TRACE(row.offered);
    SocketPair pair;
    auto accepting = server_.tls.accept(pair.ends[0], domain("server.example"), civil_now());
    OpensslPtr<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_ciphersuites(context.get(), row.offered);
    OpensslPtr<SSL, SSL_free> other(SSL_new(context.get()));
    SSL_set_fd(other.get(), pair.ends[1]);
    TlsStep step = shake_with(other.get(), **accepting);
    ASSERT_EQ(step, TlsStep::kDone);
    EXPECT_EQ((*accepting)->facts().cipher, row.taken);
  }
}

TEST_F(TlsTest, bytes_and_the_end_pass_through) {
  SocketPair pair;
  auto accepting = server_.tls.accept(pair.ends[0], domain("server.example"), civil_now());
  auto dialling =
      client_.tls.connect(pair.ends[1], domain("client.example"), "server.example", false, civil_now());
  ASSERT_TRUE(shake(**accepting, **dialling));
  char buffer[64];
  EXPECT_EQ((*accepting)->read(buffer, sizeof buffer).step, TlsStep::kWantRead);
  EXPECT_EQ((*dialling)->write("hello").bytes, 5U);
  Tls::Moved moved = (*accepting)->read(buffer, sizeof buffer);
  EXPECT_EQ(std::string(buffer, moved.bytes), "hello");
  EXPECT_EQ((*dialling)->close(), TlsStep::kDone);
  EXPECT_EQ((*accepting)->read(buffer, sizeof buffer).step, TlsStep::kEnded);
  EXPECT_EQ((*accepting)->error().code, Code::kStreamLost);
}

}  // namespace
}  // namespace sallyport::net
