#include "net/certificate.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "net/certificate_fixture.h"
#include "net/certificate_source.h"
#include "net/tls.h"

namespace sallyport::net {
namespace {

UnixTime civil_now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

TEST(Certificate, a_pair_is_checked_and_its_names_read) {
  TestAuthority root;
  Made made = root.issue({.dns = {"Example.COM", "*.example.com"}});
  auto checked = check_certificate(made.certificate + root.pem(), made.key, civil_now());
  ASSERT_TRUE(checked) << checked.error().text;
  EXPECT_EQ(checked->pem.names, (std::vector<std::string>{"example.com", "*.example.com"}));
  EXPECT_EQ(checked->issuer, "CN=Test Root");
  EXPECT_EQ(checked->pin, *certificate_pin(made.certificate));
  EXPECT_TRUE(checked->warnings.empty()) << checked->warnings.front();
}

TEST(Certificate, what_is_unusable_is_an_error_and_what_is_odd_a_warning) {
  TestAuthority root;
  Made good = root.issue({.dns = {"a.example"}});
  Made other = root.issue({.dns = {"b.example"}});
  Made alone = TestAuthority::self_signed({.dns = {"a.example"}});
  Made nameless = root.issue({.common_name = "a.example"});
  struct Row {
    const char* name;
    std::string chain, key;
    const char* error;    // empty: none
    const char* warning;  // empty: none
  } rows[] = {
      {"good", good.certificate + root.pem(), good.key, "", ""},
      {"another's key", good.certificate, other.key, "key is not that", ""},
      {"no certificate", "", good.key, "not a PEM certificate", ""},
      {"a torn certificate", good.certificate.substr(0, 300), good.key, "not a PEM certificate", ""},
      {"good, then torn", good.certificate + root.pem().substr(0, 200), good.key, "not a PEM certificate",
       ""},
      {"no key", good.certificate, "", "not a PEM private key", ""},
      {"a common name only", nameless.certificate, nameless.key, "no DNS name", ""},
      {"a leaf only", good.certificate, good.key, "", "intermediate"},
      {"self-signed", alone.certificate, alone.key, "", "self-signed"},
      {"out of order", good.certificate + other.certificate, good.key, "", "out of order"},
      {"too large", std::string(limits::kCertificateChainBytesMax + 1, 'x'), good.key, "too large", ""},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    auto checked = check_certificate(row.chain, row.key, civil_now());
    EXPECT_EQ(checked.has_value(), std::string_view(row.error).empty());
    if (!checked) {
      EXPECT_EQ(checked.error().code, Code::kFileFormat);
      EXPECT_NE(checked.error().text.find(row.error), std::string::npos) << checked.error().text;
    } else if (std::string_view(row.warning).empty()) {
      EXPECT_TRUE(checked->warnings.empty()) << checked->warnings.front();
    } else {
      ASSERT_EQ(checked->warnings.size(), 1U);
      EXPECT_NE(checked->warnings.front().find(row.warning), std::string::npos) << checked->warnings.front();
    }
  }
}

TEST(Certificate, a_leaf_that_a_trusted_root_has_issued_needs_no_intermediate) {
  const TestAuthority root, other{"Other"};
  const TestAuthority between(root, {.common_name = "Between", .usage = ""});
  const Made direct = root.issue({.dns = {"a.example"}});
  const Made below = between.issue({.dns = {"a.example"}});
  struct Row {
    const char* name;
    const Made& made;
    std::string trust;
    bool warned;
  } rows[] = {
      {"its root is trusted", direct, other.pem() + root.pem(), false},
      {"another root is trusted", direct, other.pem(), true},
      {"an intermediate authority has issued it", below, root.pem(), true},
      {"the intermediate authority is an anchor, but no root", below, between.pem(), true},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const auto trust = *TrustStore::parse(row.trust);
    const auto warnings =
        check_certificate(row.made.certificate, row.made.key, civil_now(), trust.get())->warnings;
    EXPECT_EQ(!warnings.empty(), row.warned) << (warnings.empty() ? "" : warnings.front());
  }
}

TEST(Certificate, dates_and_purpose_are_warnings) {
  TestAuthority root;
  struct Row {
    Wish wish;
    const char* warning;
  } rows[] = {
      {{.dns = {"a.example"}, .from_days = 1}, "not valid yet"},
      {{.dns = {"a.example"}, .from_days = -9, .to_days = -1}, "expired"},
      {{.dns = {"a.example"}, .to_days = 13}, "expires within"},
      {{.dns = {"a.example"}, .usage = "clientAuth"}, "does not allow servers"},
  };
  for (const Row& row : rows) {
    Made made = root.issue(row.wish);
    auto checked = check_certificate(made.certificate + root.pem(), made.key, civil_now());
    ASSERT_TRUE(checked);
    ASSERT_EQ(checked->warnings.size(), 1U) << row.warning;
    EXPECT_NE(checked->warnings.front().find(row.warning), std::string::npos);
  }
}

TEST(Certificate, its_extended_usage_is_read) {
  struct Row {
    const char* usage;
    bool present, server, client, any;
  } rows[] = {
      {"serverAuth", true, true, false, false},           {"clientAuth", true, false, true, false},
      {"serverAuth,clientAuth", true, true, true, false}, {"anyExtendedKeyUsage", true, false, false, true},
      {"emailProtection", true, false, false, false},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.usage);
    const Made made = TestAuthority::self_signed({.dns = {"a.example"}, .usage = row.usage});
    const s2s::ExtendedUsage usage = extended_usage((*Credential::parse(made.certificate, made.key))->leaf());
    EXPECT_EQ(usage.present, row.present);
    EXPECT_EQ(usage.server, row.server);
    EXPECT_EQ(usage.client, row.client);
    EXPECT_EQ(usage.any, row.any);
  }
  const Made none = TestAuthority::self_signed({.dns = {"a.example"}, .usage = ""});
  EXPECT_FALSE(extended_usage((*Credential::parse(none.certificate, none.key))->leaf()).present);
}

TEST(Certificate, its_end_is_warned_of_two_weeks_before_and_not_earlier) {
  TestAuthority root;
  const Made made = root.issue({.dns = {"a.example"}});
  const std::string chain = made.certificate + root.pem();
  const UnixTime end = check_certificate(chain, made.key, civil_now())->not_after;
  const auto warnings = [&](UnixTime now) { return check_certificate(chain, made.key, now)->warnings; };
  EXPECT_TRUE(warnings(end - limits::kCertificateExpiryWarning).empty());
  EXPECT_EQ(warnings(end - limits::kCertificateExpiryWarning + std::chrono::seconds(1)),
            std::vector<std::string>{"the certificate expires within 14 days"});
  EXPECT_EQ(warnings(end), std::vector<std::string>{"the certificate expires within 14 days"});
  EXPECT_EQ(warnings(end + std::chrono::seconds(1)), std::vector<std::string>{"the certificate has expired"});
}

TEST(Certificate, an_encrypted_key_is_refused_without_asking_anybody) {
  PkeyPtr key(EVP_EC_gen("P-256"));
  BioPtr out(BIO_new(BIO_s_mem()));
  char passphrase[] = "secret";
  PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), EVP_aes_256_cbc(), passphrase, 6, nullptr, nullptr);
  auto pin = private_key_pin(bio_text(out.get()));
  ASSERT_FALSE(pin);
  EXPECT_EQ(pin.error().code, Code::kFileFormat);
}

TEST(Certificate, identities_differ_and_have_the_pin_of_their_key) {
  auto a = make_identity("core.corp.example", civil_now());
  auto b = make_identity("core.corp.example", civil_now());
  ASSERT_TRUE(a && b);
  EXPECT_NE(a->pin, b->pin);
  EXPECT_EQ(a->pin, *certificate_pin(a->certificate));
  EXPECT_EQ(a->pin, *private_key_pin(a->key));
  EXPECT_EQ(a->pin.size(), std::string("sha256:").size() + 44);
  EXPECT_TRUE(Credential::parse(a->certificate, a->key));
}

TEST(Certificate, a_request_carries_the_names_as_they_are) {
  auto key = make_private_key();
  ASSERT_TRUE(key);
  auto text = make_request({"example.com", "a.example,DNS:evil.example"}, *key);
  ASSERT_TRUE(text);
  RequestPtr request(PEM_read_bio_X509_REQ(read_bio(*text).get(), nullptr, nullptr, nullptr));
  ASSERT_TRUE(request);
  PkeyPtr own(X509_REQ_get_pubkey(request.get()));
  EXPECT_EQ(X509_REQ_verify(request.get(), own.get()), 1);
  STACK_OF(X509_EXTENSION)* extensions = X509_REQ_get_extensions(request.get());
  GeneralNamesPtr names(
      static_cast<GENERAL_NAMES*>(X509V3_get_d2i(extensions, NID_subject_alt_name, nullptr, nullptr)));
  ASSERT_TRUE(names);
  // A comma in a name does not make two of it.
  EXPECT_EQ(sk_GENERAL_NAME_num(names.get()), 2);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  EXPECT_FALSE(make_request({}, *key));
  EXPECT_FALSE(make_request({"example.com"}, "nonsense"));
}

TEST(PushedCertificates, exact_before_wildcard_valid_before_expired_longest_first) {
  TestAuthority root;
  auto pem = [&root](const Wish& wish) {
    Made made = root.issue(wish);
    config::CertificatePem out;
    out.chain = made.certificate;
    out.key = made.key;
    return out;
  };
  PushedCertificates certificates;
  UnixTime now = civil_now();
  auto domain = [](const char* text) { return *xmpp::Domain::parse(text); };
  EXPECT_FALSE(certificates.credential_for(domain("a.example"), now));
  auto unusable = certificates.use(
      {pem({.dns = {"*.example"}, .to_days = 300}), pem({.dns = {"a.example"}, .to_days = 20}),
       pem({.dns = {"a.example"}, .to_days = 40}),
       pem({.dns = {"a.example"}, .from_days = 10, .to_days = 400}), config::CertificatePem()});
  EXPECT_EQ(unusable.size(), 1U);
  auto days_left = [&](const char* name) -> long {
    auto credential = certificates.credential_for(domain(name), now);
    if (!credential) return 0;
    return std::chrono::duration_cast<std::chrono::hours>((*credential)->not_after() - now).count() / 24;
  };
  EXPECT_NEAR(days_left("a.example"), 40, 1);
  EXPECT_NEAR(days_left("b.example"), 300, 1);
  EXPECT_EQ(days_left("b.c.example"), 0);
  EXPECT_EQ(days_left("example"), 0);
  certificates.use(nullptr);
  auto gone = certificates.credential_for(domain("a.example"), now);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Code::kTlsNoLocalCertificate);
}

TEST(PushedCertificates, the_secret_heap_takes_the_keys) {
  lock_secret_memory();
  TestAuthority root;
  Made made = root.issue({.dns = {"a.example"}});
  std::size_t before = CRYPTO_secure_used();
  {
    auto credential = Credential::parse(made.certificate, made.key);
    ASSERT_TRUE(credential);
    EXPECT_GT(CRYPTO_secure_used(), before);
  }
  EXPECT_EQ(CRYPTO_secure_used(), before);
}

}  // namespace
}  // namespace sallyport::net
