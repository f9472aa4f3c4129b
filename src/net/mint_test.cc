#include "net/mint.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "net/certificate_fixture.h"
#include "net/file.h"
#include "net/x509_parts.h"

namespace sallyport::net {
namespace {

UnixTime civil_now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }
xmpp::Domain domain(const std::string& text) { return *xmpp::Domain::parse(text); }

std::vector<policy::DomainPattern> patterns(const std::vector<std::string>& texts) {
  std::vector<policy::DomainPattern> out;
  for (const std::string& text : texts) out.push_back(*policy::DomainPattern::parse(text));
  return out;
}

// The verdict of a server that trusts only this authority on the certificate, for TLS in either direction.
std::string verdict(const std::string& ca, const Credential& leaf, int purpose, bool strict = true) {
  X509Ptr anchor(PEM_read_bio_X509(read_bio(ca).get(), nullptr, nullptr, nullptr));
  StorePtr store(X509_STORE_new());
  X509_STORE_add_cert(store.get(), anchor.get());
  OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), leaf.leaf(), nullptr);
  X509_STORE_CTX_set_purpose(context.get(), purpose);
  if (strict) X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(context.get()), X509_V_FLAG_X509_STRICT);
  return X509_verify_cert(context.get()) == 1
             ? "ok"
             : X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
}

class MintTest : public ::testing::Test {
 protected:
  std::unique_ptr<Minter> minter(const std::vector<std::string>& internal_names) {
    return *Minter::make(ca_, patterns(internal_names));
  }

  UnixTime now_ = civil_now();
  CaPem ca_ = *make_internal_ca("core.corp.example",
                                patterns({"corp.example", "*.corp.example", "host.other.example"}), now_);
};

TEST_F(MintTest, a_leaf_names_its_domain_and_serves_both_directions) {
  auto source = minter({"corp.example", "*.corp.example"});
  auto leaf = source->credential_for(domain("bücher.example"), now_);
  ASSERT_TRUE(leaf) << leaf.error().text;
  EXPECT_EQ(verdict(ca_.certificates, **leaf, X509_PURPOSE_SSL_CLIENT), "ok");
  EXPECT_EQ(verdict(ca_.certificates, **leaf, X509_PURPOSE_SSL_SERVER), "ok");
  auto names = certificate_names((*leaf)->leaf());
  ASSERT_TRUE(names);
  EXPECT_EQ(names->dns, std::vector<std::string>{"xn--bcher-kva.example"});
  EXPECT_EQ((*leaf)->not_before(), now_ - std::chrono::hours(1));
  EXPECT_EQ((*leaf)->not_after(), now_ + limits::kMintedLifetime);
}

TEST_F(MintTest, a_name_longer_than_a_common_name_may_be_is_minted) {
  std::string label(63, 'a');
  auto leaf = minter({})->credential_for(domain(label + "." + label + ".example"), now_);
  ASSERT_TRUE(leaf);
  EXPECT_EQ(verdict(ca_.certificates, **leaf, X509_PURPOSE_SSL_SERVER), "ok");
}

TEST_F(MintTest, an_internal_name_is_never_minted_for) {
  struct Row {
    const char* name;
    bool minted;
  } rows[] = {{"corp.example", false},         {"im.corp.example", false}, {"a.b.corp.example", false},
              {"notcorp.example", true},       {"example", true},          {"host.other.example", false},
              {"x.host.other.example", false}, {"other.example", true},    {"local.example", false}};
  auto source = minter({"local.example"});
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    auto leaf = source->credential_for(domain(row.name), now_);
    EXPECT_EQ(leaf.has_value(), row.minted);
    if (!leaf) {
      EXPECT_EQ(leaf.error().code, Code::kPolicyInsideName);
    }
  }
}

TEST_F(MintTest, the_authority_itself_may_not_name_internal_names) {
  // Certificates that a thief of the key signs, and the Minter would not: servers reject them.
  auto key = Credential::parse(ca_.certificates, ca_.key);
  ASSERT_TRUE(key);
  for (const auto& [name, expected] :
       {std::pair("im.corp.example", "excluded subtree violation"), std::pair("partner.example", "ok")}) {
    CaPem unconstrained = *make_internal_ca("core.corp.example", {}, now_);
    auto leaf = (*Minter::make(unconstrained, {}))->credential_for(domain(name), now_);
    ASSERT_TRUE(leaf);
    X509* x = (*leaf)->leaf();
    X509_set_issuer_name(x, X509_get_subject_name((*key)->leaf()));
    X509_EXTENSION_free(X509_delete_ext(x, X509_get_ext_by_NID(x, NID_authority_key_identifier, -1)));
    X509_sign(x, (*key)->key(), EVP_sha256());
    X509Ptr again(X509_dup(x));
    X509_up_ref(again.get());
    EVP_PKEY_up_ref((*leaf)->key());
    auto stolen = Credential::adopt(again.get(), {}, (*leaf)->key());
    EXPECT_EQ(verdict(ca_.certificates, *stolen, X509_PURPOSE_ANY, false), expected);
  }
}

TEST_F(MintTest, leaves_are_kept_and_renewed_at_half_life) {
  auto source = minter({});
  auto first = *source->credential_for(domain("a.example"), now_);
  EXPECT_EQ(*source->credential_for(domain("a.example"), now_), first);
  UnixTime half = now_ + std::chrono::duration_cast<std::chrono::seconds>(limits::kMintedLifetime) / 2;
  EXPECT_EQ(*source->credential_for(domain("a.example"), half), first);
  auto second = *source->credential_for(domain("a.example"), half + std::chrono::seconds(1));
  EXPECT_NE(second, first);
  // After a clock is set back no certificate is valid only in the future.
  EXPECT_NE(*source->credential_for(domain("a.example"), now_ - std::chrono::hours(2)), second);
  EXPECT_EQ(source->minted(), 3U);
  EXPECT_EQ(source->cached(), 1U);
}

TEST_F(MintTest, minting_is_limited_by_the_second_but_what_is_cached_is_not) {
  auto source = *Minter::make(ca_, {}, 8);
  // Half of them for one server, the rest for as many servers as needed.
  std::vector<dns::Ip> servers;
  for (std::uint8_t i = 0; i < 9; ++i) servers.push_back(dns::Ip::v4({10, 0, 0, i}));
  for (std::size_t i = 0; i < 8; ++i) {
    ASSERT_TRUE(source->credential_for(domain("d" + std::to_string(i) + ".example"), now_, servers[i]));
  }
  auto one_past = source->credential_for(domain("late.example"), now_, servers[8]);
  ASSERT_FALSE(one_past);
  EXPECT_EQ(one_past.error().code, Code::kTlsMintRate);
  EXPECT_TRUE(source->credential_for(domain("d0.example"), now_, servers[8]));
  EXPECT_TRUE(source->credential_for(domain("late.example"), now_ + std::chrono::seconds(1), servers[8]));
}

TEST_F(MintTest, one_server_takes_no_more_mints_of_a_second_than_it_leaves_to_others) {
  const dns::Ip busy = dns::Ip::v4({10, 0, 0, 1});
  const dns::Ip other = dns::Ip::v4({10, 0, 0, 2});
  for (const std::size_t per_second : {std::size_t{1}, std::size_t{8}, limits::kMintsPerSecondMax}) {
    SCOPED_TRACE(per_second);
    auto source = *Minter::make(ca_, {}, per_second);
    const auto mint = [&](const std::string& name, const dns::Ip& server) {
      auto leaf = source->credential_for(domain(name), now_, server);
      return leaf ? "minted" : std::string(code_row(leaf.error().code).name);
    };
    const std::size_t share = std::max<std::size_t>(1, per_second / 2);
    for (std::size_t i = 0; i < share; ++i)
      ASSERT_EQ(mint("d" + std::to_string(i) + ".example", busy), "minted") << i;
    EXPECT_EQ(mint("late.example", busy), "tls.mint-rate");
    EXPECT_EQ(mint("late.example", other), per_second == 1 ? "tls.mint-rate" : "minted");
    EXPECT_EQ(source->minted(), per_second == 1 ? 1 : share + 1);
  }
}

TEST_F(MintTest, with_a_large_rsa_key_a_quarter_is_minted) {
  const PkeyPtr key(EVP_RSA_gen(3200));
  const X509Ptr slow(X509_dup((*Credential::parse(ca_.certificates, ca_.key))->leaf()));
  X509_set_pubkey(slow.get(), key.get());
  X509_sign(slow.get(), key.get(), EVP_sha256());
  auto source = *Minter::make({pem_of(slow.get()), key_text(key.get())}, {}, 8);
  EXPECT_TRUE(source->credential_for(domain("a.example"), now_, dns::Ip::v4({10, 0, 0, 1})));
  EXPECT_TRUE(source->credential_for(domain("b.example"), now_, dns::Ip::v4({10, 0, 0, 2})));
  EXPECT_FALSE(source->credential_for(domain("c.example"), now_, dns::Ip::v4({10, 0, 0, 3})));
}

TEST_F(MintTest, a_server_that_asks_for_many_leaves_loses_its_own_and_not_those_of_others) {
  auto source = *Minter::make(ca_, {}, 100'000);
  const dns::Ip busy = dns::Ip::v4({10, 0, 0, 1});
  const dns::Ip other = dns::Ip::v4({10, 0, 0, 2});
  const auto name = [](std::size_t i) { return domain("d" + std::to_string(i) + ".example"); };
  // The other's are the oldest, and unused.
  for (std::size_t i = 0; i < 3; ++i) ASSERT_TRUE(source->credential_for(name(i), now_, other));
  for (std::size_t i = 3; i < limits::kMintedCacheMax + 3; ++i)
    ASSERT_TRUE(source->credential_for(name(i), now_, busy));
  EXPECT_EQ(source->cached(), limits::kMintedCacheMax);
  const std::uint64_t minted = source->minted();
  for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(source->credential_for(name(i), now_, other));
  EXPECT_EQ(source->minted(), minted);
  // Its own oldest three are gone.
  EXPECT_TRUE(source->credential_for(name(6), now_, busy));
  EXPECT_EQ(source->minted(), minted);
  EXPECT_TRUE(source->credential_for(name(5), now_, busy));
  EXPECT_EQ(source->minted(), minted + 1);
}

TEST_F(MintTest, the_cache_is_bounded_and_forgets_the_longest_unused) {
  auto source = *Minter::make(ca_, {}, 2 * limits::kMintedCacheMax);
  UnixTime now = now_;
  auto name = [](std::size_t i) { return domain("d" + std::to_string(i) + ".example"); };
  for (std::size_t i = 0; i <= limits::kMintedCacheMax; ++i) {
    if (i % 1'000 == 0) now += std::chrono::seconds(1);
    ASSERT_TRUE(source->credential_for(name(i), now));
    ASSERT_TRUE(source->credential_for(name(0), now));
  }
  EXPECT_EQ(source->cached(), limits::kMintedCacheMax);
  std::uint64_t minted = source->minted();
  EXPECT_TRUE(source->credential_for(name(0), now));
  EXPECT_EQ(source->minted(), minted);
  EXPECT_TRUE(source->credential_for(name(1), now + std::chrono::seconds(1)));
  EXPECT_EQ(source->minted(), minted + 1);
}

TEST_F(MintTest, a_name_that_becomes_internal_is_forgotten) {
  auto source = minter({});
  ASSERT_TRUE(source->credential_for(domain("a.example"), now_));
  ASSERT_TRUE(source->credential_for(domain("b.example"), now_));
  source->set_internal_names(patterns({"a.example"}));
  EXPECT_EQ(source->cached(), 1U);
  EXPECT_FALSE(source->credential_for(domain("a.example"), now_));
  EXPECT_TRUE(source->credential_for(domain("b.example"), now_));
}

TEST_F(MintTest, what_is_not_an_authority_with_its_key_is_refused) {
  IdentityPem identity = *make_identity("x", now_);
  EXPECT_EQ(Minter::make({identity.certificate, identity.key}, {}).error().code, Code::kFileFormat);
  EXPECT_EQ(Minter::make({ca_.certificates, identity.key}, {}).error().code, Code::kFileFormat);
  CaPem other = *make_internal_ca("core.corp.example", {}, now_);
  // Rotation: the key belongs to the first of several.
  EXPECT_TRUE(Minter::make({ca_.certificates + other.certificates, ca_.key}, {}));
  EXPECT_FALSE(Minter::make({other.certificates + ca_.certificates, ca_.key}, {}));
}

class InternalCaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/tmp/sallyport-ca-XXXXXX";
    ASSERT_NE(::mkdtemp(path), nullptr);
    state_ = path;
  }
  void TearDown() override {
    ::unlink((state_ + "/internal-ca.crt").c_str());
    ::unlink((state_ + "/internal-ca.key").c_str());
    EXPECT_EQ(::rmdir(state_.c_str()), 0);  // nothing else is there
  }
  std::string state_;
};

TEST_F(InternalCaTest, is_made_once_and_its_key_is_ours_alone) {
  auto made = open_internal_ca(state_, "core.corp.example", patterns({"corp.example"}), civil_now());
  ASSERT_TRUE(made) << made.error().text;
  struct stat status {};
  ASSERT_EQ(::stat((state_ + "/internal-ca.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  auto again = open_internal_ca(state_, "core.corp.example", {}, civil_now());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->certificates, made->certificates);
  EXPECT_EQ(again->key, made->key);
  EXPECT_EQ(*ca_excluded_names(again->certificates), std::vector<std::string>{"corp.example"});
}

TEST_F(InternalCaTest, one_half_alone_is_an_error_and_stays_as_it_is) {
  for (const char* lost : {"/internal-ca.key", "/internal-ca.crt"}) {
    ASSERT_TRUE(open_internal_ca(state_, "core", {}, civil_now()));
    ::unlink((state_ + lost).c_str());
    auto opened = open_internal_ca(state_, "core", {}, civil_now());
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, Code::kConfigMissing);
    EXPECT_FALSE(file_exists(state_ + lost));
    ::unlink((state_ + "/internal-ca.crt").c_str());
    ::unlink((state_ + "/internal-ca.key").c_str());
  }
}

TEST_F(InternalCaTest, a_folder_that_is_not_there_is_an_error) {
  EXPECT_EQ(open_internal_ca(state_ + "/none", "core", {}, civil_now()).error().code, Code::kFileUnreadable);
}

TEST(File, is_read_within_its_bound_and_replaced_whole) {
  std::string path = "/tmp/sallyport-file-" + std::to_string(::getpid());
  ASSERT_TRUE(write_file(path, "first", 0600));
  ASSERT_TRUE(write_file(path, "12345", 0600));
  EXPECT_EQ(*read_file(path, 5), "12345");
  EXPECT_EQ(read_file(path, 4).error().code, Code::kFileUnreadable);
  EXPECT_EQ(::unlink(path.c_str()), 0);
  EXPECT_EQ(read_file(path, 5).error().code, Code::kFileUnreadable);
}

}  // namespace
}  // namespace sallyport::net
