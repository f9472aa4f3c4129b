#include "config/push.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "config/prepared_policy.h"

namespace sallyport::config {
namespace {

using namespace std::chrono_literals;
using policy::Direction;

xmpp::Domain domain(std::string_view text) { return xmpp::Domain::parse(text).value(); }
policy::DomainPattern pattern(std::string_view text) { return policy::DomainPattern::parse(text).value(); }

CertificatePem certificate() {
  CertificatePem pem;
  pem.names = {"example.com", "*.example.com"};
  pem.chain = "-----BEGIN CERTIFICATE-----\n";
  pem.key = std::string("k\0y", 3);
  return pem;
}

Push full() {
  Push push;
  push.generation = 0x0102030405060708;
  push.policy_sha256 = sha256("policy");
  push.rules.enabled = false;
  push.rules.privacy = policy::Privacy::kOff;
  push.rules.authenticate = policy::Authenticate::kDialback;
  push.rules.local = {{domain("example.com"), false}, {domain("chatroom1.example.com"), true}};
  push.rules.lists = {
      {.domain = pattern("*.bücher.example"), .allow = true, .direction = Direction::kIn, .line = 300},
      {.domain = pattern("evil.example"),
       .allow = false,
       .direction = Direction::kOut,
       .expires = UnixTime(1'800'000'000s)},
      {.domain = pattern("old.example"), .allow = true, .expires = UnixTime(-86400s)},
  };
  push.rules.routed = {domain("routed.example")};
  push.rules.peers = {
      {.domain = pattern("old.example"),
       .authenticate = policy::Authenticate::kDialback,
       .tls = policy::TlsRule::kNone,
       .line = 7},
      {.domain = pattern("*.new.example"), .authenticate = policy::Authenticate::kCertificate, .line = 9},
      {.domain = pattern("x.example"), .tls = policy::TlsRule::kRequired, .line = 11},
  };
  push.routes = {
      {domain("routed.example"), route::HostPort::parse("[2001:db8::1]:5270").value(), 65535, true, 70'000},
      {domain("routed.example"), route::HostPort::parse("xmpp.routed.example").value()},
  };
  push.trusted_ca = "-----BEGIN CERTIFICATE-----\n";
  push.certificates = {certificate(), CertificatePem()};
  return push;
}

Push confirming() {
  Push push = full();
  push.rules.peers[0].confirm = policy::Confirm::kNone;
  push.rules.peers[1].on_doubt = policy::OnDoubt::kAnswer;
  push.rules.peers[2].confirm = policy::Confirm::kAck;
  return push;
}

Push patient() {
  Push push = confirming();
  push.rules.lifetime_memory = 1h;
  return push;
}

void expect_equal(const Push& a, const Push& b) {
  EXPECT_EQ(a.generation, b.generation);
  EXPECT_EQ(a.policy_sha256, b.policy_sha256);
  EXPECT_EQ(a.rules, b.rules);
  EXPECT_EQ(a.routes, b.routes);
  EXPECT_EQ(a.trusted_ca, b.trusted_ca);
  ASSERT_EQ(a.certificates.size(), b.certificates.size());
  for (std::size_t i = 0; i < a.certificates.size(); ++i) {
    EXPECT_EQ(a.certificates[i].names, b.certificates[i].names);
    EXPECT_EQ(a.certificates[i].chain, b.certificates[i].chain);
    EXPECT_EQ(a.certificates[i].key, b.certificates[i].key);
  }
}

Code refusal(std::string_view bytes) {
  const auto decoded = Push::decode(bytes);
  EXPECT_FALSE(decoded);
  return decoded ? Code::kInternal : decoded.error().code;
}

TEST(Push, what_is_encoded_is_decoded) {
  for (const auto& push : {Push(), full(), confirming(), patient()}) {
    const auto decoded = Push::decode(push.encode());
    ASSERT_TRUE(decoded);
    expect_equal(*decoded, push);
    EXPECT_EQ(decoded->encode(), push.encode());
  }
}

TEST(Push, an_edge_of_an_earlier_release_reads_what_sets_nothing_that_it_does_not_know) {
  EXPECT_EQ(full().encode()[0], 1);
  EXPECT_EQ(confirming().encode()[0], 2);
  EXPECT_EQ(patient().encode()[0], 3);
}

TEST(Push, cut_at_any_byte_or_with_one_more_it_is_refused) {
  const std::string bytes = full().encode();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(refusal(std::string_view(bytes).substr(0, size)), Code::kLinkFrame) << size;
  }
  EXPECT_EQ(refusal(bytes + '\0'), Code::kLinkFrame);
}

TEST(Push, every_other_byte_at_any_place_is_refused_or_means_something_else) {
  for (const std::string& bytes : {full().encode(), confirming().encode(), patient().encode()}) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      for (const int flip : {0x01, 0x02, 0x03, 0x20, 0x80}) {
        std::string changed = bytes;
        changed[at] = static_cast<char>(changed[at] ^ flip);
        const auto decoded = Push::decode(changed);
        // A push must have only one encoding.
        if (decoded)
          EXPECT_EQ(decoded->encode(), changed) << at;
        else
          EXPECT_EQ(decoded.error().code, Code::kLinkFrame);
      }
    }
  }
}

TEST(Push, an_edge_learns_how_long_a_message_waits_for_a_server_that_was_there) {
  CoreConfig config{.name = domain("core.corp.example")};
  config.delivery.lifetime_memory = 30s;
  const auto prepared = PreparedPolicy::make(config, PolicyUpdate());
  const auto decoded = Push::decode(prepared->push()->view());
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->rules.lifetime_memory, 30s);
}

TEST(Push, internal_names_and_comments_stay_at_home) {
  Push push;
  push.rules.internal_names = {pattern("secret-node.corp.example")};
  push.rules.lists = {{.domain = pattern("a.example"), .allow = true, .comment = "secret contract"}};
  const std::string bytes = push.encode();
  EXPECT_EQ(bytes.find("secret"), std::string::npos);
  const auto decoded = Push::decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_TRUE(decoded->rules.internal_names.empty());
  EXPECT_EQ(decoded->rules.lists.at(0).comment, "");
}

TEST(Push, counts_have_limits) {
  Push push;
  push.certificates.resize(limits::kCertificatesMax);
  EXPECT_TRUE(Push::decode(push.encode()));
  push.certificates.emplace_back();
  EXPECT_EQ(refusal(push.encode()), Code::kLinkFrame);

  push.certificates = {certificate()};
  push.certificates[0].names.assign(limits::kCertificateNamesMax, "a.example");
  EXPECT_TRUE(Push::decode(push.encode()));
  push.certificates[0].names.emplace_back("a.example");
  EXPECT_EQ(refusal(push.encode()), Code::kLinkFrame);

  push = Push();
  push.rules.lists.assign(limits::kPolicyRowsMax, {.domain = pattern("a.example"), .allow = true});
  EXPECT_TRUE(Push::decode(push.encode()));
  push.rules.lists.push_back(push.rules.lists.front());
  EXPECT_EQ(refusal(push.encode()), Code::kLinkFrame);
}

TEST(Push, bytes_have_a_limit) {
  Push push;
  push.trusted_ca.assign(limits::kPushBytesMax, 'x');
  const std::size_t around = push.encode().size() - limits::kPushBytesMax;
  push.trusted_ca.resize(limits::kPushBytesMax - around);
  const std::string bytes = push.encode();
  ASSERT_EQ(bytes.size(), limits::kPushBytesMax);
  EXPECT_TRUE(Push::decode(bytes));
  push.trusted_ca += 'x';
  EXPECT_EQ(refusal(push.encode()), Code::kLinkFrame);
}

TEST(Push, names_come_in_their_one_form) {
  Push push;
  push.rules.routed = {domain("routed.example")};
  std::string bytes = push.encode();
  const auto at = bytes.find("routed");
  for (const char c : {'R', ' ', '*', '\0', '.'}) {
    bytes[at] = c;
    EXPECT_EQ(refusal(bytes), Code::kLinkFrame) << c;
  }
}

}  // namespace
}  // namespace sallyport::config
