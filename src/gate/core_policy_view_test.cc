#include "gate/core_policy_view.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace sallyport::gate {
namespace {

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }
Pair pair(std::string_view remote, std::string_view internal) { return {domain(remote), domain(internal)}; }

config::CoreConfig config() {
  config::CoreConfig config{.name = domain("core.example.org")};
  config.internal_names = {*policy::DomainPattern::parse("corp.example"),
                           *policy::DomainPattern::parse("*.corp.example")};
  config.edges = {{domain("vcse.example.net"), {}, {}}, {domain("vcse-2.example.net"), {}, {}}};
  return config;
}

config::PolicyUpdate update() {
  config::PolicyUpdate update;
  const auto server = *route::HostPort::parse("10.0.0.20:5269");
  update.policy.served = {
      {domain("example.com"),
       domain("example.com"),
       {server, *route::HostPort::parse("10.0.0.21")},
       std::nullopt,
       false,
       1},
      {domain("chatroom1.example.com"),
       domain("conference-2.corp.example"),
       {server},
       config::Trust::kDialback,
       true,
       2},
      {domain("rooms.example.com"), domain("rooms.example.com"), {server}, std::nullopt, true, 3}};
  update.policy.rules.local = {{domain("example.com"), false},
                               {domain("chatroom1.example.com"), true},
                               {domain("rooms.example.com"), true}};
  update.policy.rules.privacy = policy::Privacy::kOff;
  update.certificates.emplace_back();
  update.certificates[0].key = "secret";
  update.generation = 7;
  return update;
}

class CorePolicyViewTest : public testing::Test {
 protected:
  config::CoreConfig config_ = config();
  PolicyInForce snapshot_{config::PreparedPolicy::make(config_, update())};
  CorePolicyView view_{config_};
  void SetUp() override { view_.use(&snapshot_); }
};

TEST_F(CorePolicyViewTest, serves_any_remote_domain_but_no_internal_name) {
  EXPECT_TRUE(view_.serves(domain("partner.example")));
  for (const auto* name : {"corp.example", "x.corp.example", "example.com", "chatroom1.example.com"})
    EXPECT_FALSE(view_.serves(domain(name))) << name;
}

TEST_F(CorePolicyViewTest, admits_the_names_that_internal_servers_serve) {
  EXPECT_TRUE(view_.admits(pair("partner.example", "example.com"), UnixTime{}));
  EXPECT_TRUE(view_.admits(pair("partner.example", "conference-2.corp.example"), UnixTime{}));
  EXPECT_TRUE(view_.admits(pair("partner.example", "rooms.example.com"), UnixTime{}));
  EXPECT_FALSE(view_.admits(pair("partner.example", "chatroom1.example.com"), UnixTime{}));
  EXPECT_FALSE(view_.admits(pair("partner.example", "other.example.com"), UnixTime{}));
}

TEST_F(CorePolicyViewTest, internal_servers_are_tried_in_the_order_they_stand) {
  const auto plan = view_.find(pair("partner.example", "example.com"), UnixTime{});
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->steps.size(), 2u);
  EXPECT_EQ(plan->steps[0].address.text(), "10.0.0.20:5269");
  EXPECT_EQ(plan->steps[1].address.text(), "10.0.0.21:5269");
  EXPECT_TRUE(plan->steps[0].trusted_address);
  EXPECT_FALSE(plan->dns);
}

TEST_F(CorePolicyViewTest, trust_may_differ_for_one_domain) {
  EXPECT_TRUE(view_.rules(pair("partner.example", "example.com")).use_external);
  EXPECT_FALSE(view_.rules(pair("partner.example", "conference-2.corp.example")).use_external);
}

TEST_F(CorePolicyViewTest, without_a_server_ca_the_configured_address_proves_a_server) {
  auto rules = view_.rules(pair("partner.example", "example.com"));
  EXPECT_TRUE(rules.address_proves);
  EXPECT_EQ(rules.authenticate, policy::Authenticate::kDialback);
  config_.server_ca = "servers-ca.crt";
  rules = view_.rules(pair("partner.example", "example.com"));
  EXPECT_FALSE(rules.address_proves);
  EXPECT_EQ(rules.authenticate, policy::Authenticate::kCertificate);
}

TEST_F(CorePolicyViewTest, the_push_names_nothing_internal) {
  const std::string_view bytes = snapshot_.policy()->push()->view();
  for (const auto* hidden : {"corp.example", "conference-2", "10.0.0.2"})
    EXPECT_EQ(bytes.find(hidden), std::string::npos) << hidden;
  const auto push = config::Push::decode(bytes);
  ASSERT_TRUE(push);
  EXPECT_EQ(push->generation, 7u);
  EXPECT_EQ(push->rules.local.size(), 3u);
}

TEST_F(CorePolicyViewTest, the_push_leaves_out_rows_that_only_name_internal_names) {
  config::PolicyUpdate rows = update();
  for (const auto* name :
       {"x.corp.example", "*.deep.corp.example", "conference-2.corp.example", "bad.example"})
    rows.policy.rules.lists.push_back({.domain = *policy::DomainPattern::parse(name), .allow = false});
  for (const auto* name : {"y.corp.example", "old.example"})
    rows.policy.rules.peers.push_back({.domain = *policy::DomainPattern::parse(name)});
  const auto prepared = config::PreparedPolicy::make(config_, rows);
  EXPECT_EQ(prepared->push()->view().find("corp.example"), std::string::npos);
  const auto push = config::Push::decode(prepared->push()->view());
  ASSERT_TRUE(push);
  EXPECT_EQ(push->rules.lists.size(), 1u);
  EXPECT_EQ(push->rules.peers.size(), 1u);
  EXPECT_EQ(prepared->rules().set().lists.size(), 4u);
}

TEST_F(CorePolicyViewTest, a_mapped_node_is_known_outside_by_its_alias) {
  EXPECT_EQ(snapshot_.internal_name_of(domain("chatroom1.example.com")), domain("conference-2.corp.example"));
  EXPECT_EQ(snapshot_.internal_name_of(domain("example.com")), domain("example.com"));
  EXPECT_EQ(snapshot_.aliases().alias_of(domain("conference-2.corp.example"), domain("partner.example")),
            domain("chatroom1.example.com"));
  EXPECT_TRUE(snapshot_.aliases().is_mapped_node(domain("conference-2.corp.example")));
  EXPECT_FALSE(snapshot_.aliases().is_mapped_node(domain("rooms.example.com")));
}

TEST_F(CorePolicyViewTest, the_names_of_the_doors_are_never_remote) {
  for (const auto* name : {"core.example.org", "vcse.example.net", "vcse-2.example.net"}) {
    config::PolicyUpdate open = update();
    open.policy.rules.lists = {{.domain = *policy::DomainPattern::parse(name), .allow = true}};
    open.policy.rules.routed = {domain(name)};
    const PolicyInForce snapshot(config::PreparedPolicy::make(config_, open));
    const auto verdict = snapshot.rules().may_answer(pair("example.com", name), {});
    ASSERT_FALSE(verdict) << name;
    EXPECT_EQ(verdict.error().code, Code::kPolicyInsideName) << name;
    view_.use(&snapshot);
    EXPECT_FALSE(view_.serves(domain(name))) << name;
    view_.use(&snapshot_);
  }
  const PolicyInForce mapped(config::PreparedPolicy::make(config_, update()));
  EXPECT_TRUE(mapped.rules().is_internal(domain("conference-2.corp.example")));
  EXPECT_TRUE(mapped.rules().may_answer(pair("example.com", "partner.example"), {}));
}

// Every spelling that the parser takes for the name is translated, so none of them goes outward.
TEST(PolicyInForce, a_node_is_translated_in_every_spelling_of_its_name) {
  struct Case {
    std::string_view alias, node, spelling;
    bool uri = false;
  };
  const std::string_view ascii = "conference-2.corp.example", idn = "xn--rume-loa.corp.example";
  const Case cases[] = {
      {"chat.example.com", ascii, "conference-2.corp.example"},
      {"chat.example.com", ascii, "Conference-2.CORP.example"},
      {"chat.example.com", ascii, "conference-2.corp.example."},
      {"chat.example.com", ascii, "\uff43onference-2.corp.example"},
      {"chat.example.com", ascii, "\uff23ONFERENCE-\uff12.corp.example."},
      {"chat.example.com", ascii, "%63onference-2.corp.example", true},
      {"chat.example.com", ascii, "%43onference-2.corp%2Eexample", true},
      {"chat.example.com", ascii, "%EF%BD%83onference-2.corp.example", true},
      {"chat.example.com", idn, "xn--rume-loa.corp.example"},
      {"chat.example.com", idn, "XN--RUME-LOA.corp.example"},
      {"chat.example.com", idn, "r\u00e4ume.corp.example"},
      {"chat.example.com", idn, "R\u00c4UME.Corp.example"},
      {"chat.example.com", idn, "ra\u0308ume.corp.example"},
      {"chat.example.com", idn, "\uff52\u00e4ume.corp.example."},
      {"chat.example.com", idn, "r%C3%A4ume.corp.example", true},
      {"chat.example.com", idn, "R%c3%84UME.corp.example", true},
      {"chat.example.com", idn, "ra%CC%88ume.corp.example", true},
  };
  for (const Case& c : cases) {
    ASSERT_TRUE(c.uri || *xmpp::Domain::parse(c.spelling) == domain(c.node)) << c.spelling;
    config::PolicyUpdate one;
    one.policy.served = {{domain(c.alias), domain(c.node), {}, std::nullopt, true, 1},
                         {domain("far.example.com"), domain("far.corp.example"), {}, std::nullopt, true, 2}};
    const PolicyInForce out(config::PreparedPolicy::make(config(), one));
    std::swap(one.policy.served[0].name, one.policy.served[0].internal_name);
    const PolicyInForce in(config::PreparedPolicy::make(config(), one));
    const std::string scheme = c.uri ? "xmpp:" : "";
    const std::string xml = "<message from='a.example' to='b.example'><x xmlns='urn:x' at='" + scheme +
                            "room@" + std::string(c.spelling) + "/n'/></message>";
    auto stanza = xmpp::StanzaReader().read(xml);
    ASSERT_TRUE(stanza) << xml;
    auto back = *stanza;
    ASSERT_TRUE(out.outward(*stanza, domain("partner.example")));
    EXPECT_NE(stanza->xml().find("at='" + scheme + "room@chat.example.com/n'"), std::string::npos)
        << stanza->xml();
    ASSERT_TRUE(in.inward(back));
    EXPECT_EQ(back.xml(), stanza->xml());
  }
}

TEST(PolicyInForce, a_stanza_that_outgrows_its_limit_stays_as_it_was) {
  config::PolicyUpdate one;
  one.policy.served = {
      {domain("a.very.long.alias.example.com"), domain("n.corp.example"), {}, std::nullopt, true, 1}};
  const PolicyInForce snapshot(config::PreparedPolicy::make(config(), one));
  const std::string id = std::string(limits::kStanzaIdBytesMax - 16, 'i') + "@n.corp.example";
  auto stanza =
      xmpp::StanzaReader().read("<message from='r@n.corp.example' to='b.example' id='" + id + "'/>");
  ASSERT_TRUE(stanza);
  const auto before = *stanza;
  const auto mapped = snapshot.outward(*stanza, domain("b.example"));
  ASSERT_FALSE(mapped);
  EXPECT_EQ(mapped.error().code, Code::kXmlTooLarge);
  EXPECT_EQ(stanza->xml(), before.xml());
  EXPECT_EQ(stanza->from(), before.from());
}

}  // namespace
}  // namespace sallyport::gate
