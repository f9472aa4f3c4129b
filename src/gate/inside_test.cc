#include "gate/inside.h"

#include <gtest/gtest.h>

namespace sallyport::gate {
namespace {

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }
Pair pair(std::string_view world, std::string_view inside) { return {domain(world), domain(inside)}; }

CoreConfig config() {
  CoreConfig config{.name = domain("core.corp.example")};
  config.internal_names = {*policy::DomainPattern::parse("corp.example"),
                           *policy::DomainPattern::parse("*.corp.example")};
  return config;
}

PolicyUpdate update() {
  PolicyUpdate update;
  const auto server = *route::HostPort::parse("10.0.0.20:5269");
  update.policy.served = {
      {domain("example.com"), domain("example.com"), {server, *route::HostPort::parse("10.0.0.21")}, std::nullopt, false, 1},
      {domain("chatroom1.example.com"), domain("conference-2.corp.example"), {server}, Trust::kDialback, true, 2},
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

class InsideFace : public testing::Test {
 protected:
  CoreConfig config_ = config();
  Snapshot snapshot_{config_, update()};
  Inside inside_{config_};
  void SetUp() override { inside_.use(&snapshot_); }
};

TEST_F(InsideFace, serves_any_domain_of_the_world_but_no_inside_name) {
  EXPECT_TRUE(inside_.serves(domain("partner.example")));
  for (const auto* name : {"corp.example", "x.corp.example", "example.com", "chatroom1.example.com"})
    EXPECT_FALSE(inside_.serves(domain(name))) << name;
}

TEST_F(InsideFace, admits_the_names_that_internal_servers_serve) {
  EXPECT_TRUE(inside_.admits(pair("partner.example", "example.com")));
  EXPECT_TRUE(inside_.admits(pair("partner.example", "conference-2.corp.example")));
  EXPECT_TRUE(inside_.admits(pair("partner.example", "rooms.example.com")));
  EXPECT_FALSE(inside_.admits(pair("partner.example", "chatroom1.example.com")));
  EXPECT_FALSE(inside_.admits(pair("partner.example", "other.example.com")));
}

TEST_F(InsideFace, internal_servers_are_tried_in_the_order_they_stand) {
  const auto plan = inside_.find(pair("partner.example", "example.com"));
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->steps.size(), 2u);
  EXPECT_EQ(plan->steps[0].address.text(), "10.0.0.20:5269");
  EXPECT_EQ(plan->steps[1].address.text(), "10.0.0.21:5269");
  EXPECT_TRUE(plan->steps[0].trusted_address);
  EXPECT_FALSE(plan->dns);
}

TEST_F(InsideFace, trust_may_differ_for_one_domain) {
  EXPECT_TRUE(inside_.rules(pair("partner.example", "example.com")).use_external);
  EXPECT_FALSE(inside_.rules(pair("partner.example", "conference-2.corp.example")).use_external);
}

TEST_F(InsideFace, without_a_server_ca_the_configured_address_proves_a_server) {
  auto rules = inside_.rules(pair("partner.example", "example.com"));
  EXPECT_TRUE(rules.address_proves);
  EXPECT_EQ(rules.authenticate, s2s::Authenticate::kDialback);
  config_.server_ca = "servers-ca.crt";
  rules = inside_.rules(pair("partner.example", "example.com"));
  EXPECT_FALSE(rules.address_proves);
  EXPECT_EQ(rules.authenticate, s2s::Authenticate::kCertificate);
}

TEST_F(InsideFace, the_push_names_nothing_inside) {
  const std::string bytes = snapshot_.encode_push();
  for (const auto* hidden : {"corp.example", "conference-2", "10.0.0.2"})
    EXPECT_EQ(bytes.find(hidden), std::string::npos) << hidden;
  const auto push = Push::decode(bytes);
  ASSERT_TRUE(push);
  EXPECT_EQ(push->generation, 7u);
  EXPECT_EQ(push->rules.local.size(), 3u);
}

TEST_F(InsideFace, a_mapped_node_is_known_outside_by_its_alias) {
  EXPECT_EQ(snapshot_.inside_of(domain("chatroom1.example.com")), domain("conference-2.corp.example"));
  EXPECT_EQ(snapshot_.inside_of(domain("example.com")), domain("example.com"));
  EXPECT_EQ(snapshot_.aliases().alias_of(domain("conference-2.corp.example"), domain("partner.example")),
            domain("chatroom1.example.com"));
  EXPECT_TRUE(snapshot_.aliases().is_mapped_node(domain("conference-2.corp.example")));
  EXPECT_FALSE(snapshot_.aliases().is_mapped_node(domain("rooms.example.com")));
}

}  // namespace
}  // namespace sallyport::gate
