// The delivery settings of policy.toml: `delivery` in [federation] and [[peer]], `confirm` and `on_doubt` in
// [[peer]]. Their values, their diff, and what an edge is told of them.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "config/policy_config.h"
#include "config/policy_diff.h"
#include "config/push.h"

namespace sallyport::config {
namespace {

using policy::Confirm;
using policy::Delivery;
using policy::OnDoubt;
using Lines = std::vector<std::string>;

Loaded<PolicyConfig> load(const std::string& text) {
  const CoreConfig core{.name = xmpp::Domain::parse("core.corp.example").value()};
  return parse_policy(text, "policy.toml", core);
}
PolicyConfig policy_of(const std::string& text) {
  auto loaded = load(text);
  EXPECT_TRUE(loaded.value) << text;
  return loaded.value ? std::move(*loaded.value) : PolicyConfig{};
}
Lines errors(const std::string& text) {
  Lines lines;
  for (const Finding& finding : load(text).errors) lines.push_back(finding.shown());
  return lines;
}
std::string peer(std::string_view settings, std::string_view domain = "a.example") {
  return fmt::format("[[peer]]\ndomain = \"{}\"\n{}\n", domain, settings);
}
policy::PeerRow row(std::string_view settings) { return policy_of(peer(settings)).rules.peers.at(0); }
policy::PeerRules rules_for(const policy::Rules& rules, std::string_view domain) {
  return rules.peer(xmpp::Domain::parse(domain).value());
}

TEST(PeerConfig, each_value_is_read) {
  for (const Confirm value : {Confirm::kAuto, Confirm::kAck, Confirm::kNone}) {
    const auto read = row(fmt::format("confirm = \"{}\"", policy::confirm_name(value)));
    EXPECT_EQ(read.confirm, value);
    EXPECT_FALSE(read.on_doubt || read.delivery || read.authenticate || read.tls);
  }
  for (const OnDoubt value : {OnDoubt::kResend, OnDoubt::kAnswer}) {
    const auto read = row(fmt::format("on_doubt = \"{}\"", policy::on_doubt_name(value)));
    EXPECT_EQ(read.on_doubt, value);
    EXPECT_FALSE(read.confirm || read.delivery);
  }
  for (const Delivery value : {Delivery::kMemory, Delivery::kDurable}) {
    const auto read = row(fmt::format("delivery = \"{}\"", policy::delivery_name(value)));
    EXPECT_EQ(read.delivery, value);
    EXPECT_FALSE(read.confirm || read.on_doubt);
    EXPECT_EQ(read.line, 1U);
    const auto all =
        policy_of(fmt::format("[federation]\ndelivery = \"{}\"\n", policy::delivery_name(value)));
    EXPECT_EQ(all.rules.delivery, value);
  }
}

TEST(PeerConfig, what_is_left_out_has_its_default) {
  EXPECT_EQ(policy_of("").rules.delivery, Delivery::kMemory);
  const auto read = row("tls = \"required\"");
  EXPECT_FALSE(read.confirm || read.on_doubt || read.delivery);
  const policy::Rules rules(policy_of(peer("tls = \"required\"")).rules);
  for (const char* name : {"a.example", "b.example"}) {
    EXPECT_EQ(rules_for(rules, name).confirm, Confirm::kAuto) << name;
    EXPECT_EQ(rules_for(rules, name).on_doubt, OnDoubt::kResend) << name;
    EXPECT_EQ(rules_for(rules, name).delivery, Delivery::kMemory) << name;
  }
}

TEST(PeerConfig, an_invalid_value_is_told_with_the_valid_ones) {
  EXPECT_EQ(errors(peer("confirm = \"acks\"\non_doubt = \"bounce\"\ndelivery = \"disk\"")),
            (Lines{"policy.toml:3:11: `confirm` in [[peer]] is `acks`; expected one of \"auto\", \"ack\", "
                   "\"none\" [config.value]",
                   "policy.toml:4:12: `on_doubt` in [[peer]] is `bounce`; expected one of \"resend\", "
                   "\"answer\" [config.value]",
                   "policy.toml:5:12: `delivery` in [[peer]] is `disk`; expected one of \"memory\", "
                   "\"durable\" [config.value]"}));
  EXPECT_EQ(errors(peer("confirm = true\non_doubt = 1\ndelivery = []")),
            (Lines{"policy.toml:3:11: `confirm` in [[peer]] must be a string [config.value]",
                   "policy.toml:4:12: `on_doubt` in [[peer]] must be a string [config.value]",
                   "policy.toml:5:12: `delivery` in [[peer]] must be a string [config.value]"}));
  EXPECT_EQ(errors("[federation]\ndelivery = \"Durable\"\n"),
            Lines{"policy.toml:2:12: `delivery` in [federation] is `Durable`; expected one of \"memory\", "
                  "\"durable\" [config.value]"});
}

TEST(PeerConfig, a_key_that_is_misspelt_is_told_with_the_nearest) {
  EXPECT_EQ(
      errors(peer("confrim = \"ack\"\non_doubts = \"answer\"\ndelivry = \"durable\"")),
      (Lines{"policy.toml:3:1: unknown key `confrim` in [[peer]]; did you mean `confirm`? [config.key]",
             "policy.toml:4:1: unknown key `on_doubts` in [[peer]]; did you mean `on_doubt`? [config.key]",
             "policy.toml:5:1: unknown key `delivry` in [[peer]]; did you mean `delivery`? [config.key]"}));
  // They are keys of a peer, not of the federation.
  EXPECT_EQ(errors("[federation]\nconfirm = \"ack\"\non_doubt = \"answer\"\n").size(), 2U);
}

TEST(PeerConfig, a_row_that_sets_one_of_them_has_an_effect) {
  const auto idle = [](const std::string& text) {
    auto warnings = load(text).warnings;
    return std::erase_if(warnings, [](const Finding& f) { return f.code == Code::kConfigNoEffect; });
  };
  EXPECT_EQ(idle(peer("")), 1U);
  for (const char* setting : {"confirm = \"auto\"", "on_doubt = \"resend\"", "delivery = \"memory\""})
    EXPECT_EQ(idle(peer(setting)), 0U) << setting;
}

TEST(PeerConfig, the_diff_shows_them) {
  struct Case {
    std::string was, becomes;
    Lines lines;
  };
  const Case cases[] = {
      {"", "[federation]\ndelivery = \"memory\"\n", {}},
      {"", "[federation]\ndelivery = \"durable\"\n", {"federation delivery: memory -> durable"}},
      {"", peer("delivery = \"durable\""), {"peer a.example:  -> delivery = durable"}},
      {peer("confirm = \"ack\""), "", {"peer a.example: confirm = ack -> "}},
      {peer("confirm = \"ack\""),
       peer("confirm = \"auto\""),
       {"peer a.example: confirm = ack -> confirm = auto"}},
      {peer("on_doubt = \"resend\""),
       peer("on_doubt = \"answer\""),
       {"peer a.example: on_doubt = resend -> on_doubt = answer"}},
      {peer("delivery = \"memory\""),
       peer("delivery = \"durable\""),
       {"peer a.example: delivery = memory -> delivery = durable"}},
      {peer("authenticate = \"dialback\""),
       peer("delivery = \"durable\"\non_doubt = \"answer\"\nconfirm = \"none\"\nauthenticate = \"dialback\""),
       {"peer a.example: authenticate = dialback -> authenticate = dialback, confirm = none, on_doubt = "
        "answer, delivery = durable"}},
      {peer(""), peer("confirm = \"none\""), {"peer a.example: nothing set -> confirm = none"}},
  };
  for (const Case& c : cases) {
    Lines lines;
    for (const PolicyChange& change : compare_policies(policy_of(c.was), policy_of(c.becomes)))
      lines.push_back(fmt::format("{} {}: {} -> {}", change.table, change.row, change.was, change.becomes));
    EXPECT_EQ(lines, c.lines) << c.becomes;
  }
}

// --- what an edge is told

Push push_of(const std::string& text) {
  Push push;
  push.rules = policy_of(text).rules;
  push.rules.internal_names.clear();
  return push;
}

TEST(PeerConfig, delivery_is_not_sent_to_an_edge) {
  const Push push =
      push_of("[federation]\ndelivery = \"durable\"\n" + peer("delivery = \"durable\"\nconfirm = \"ack\"") +
              peer("delivery = \"durable\"\ntls = \"required\"", "b.example"));
  const std::string bytes = push.encode();
  const auto decoded = Push::decode(bytes);
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->rules.delivery, Delivery::kMemory);
  Push without = push;
  without.rules.delivery = Delivery::kMemory;
  for (policy::PeerRow& row : without.rules.peers) row.delivery.reset();
  EXPECT_EQ(decoded->rules, without.rules);
  EXPECT_EQ(bytes, without.encode());
}

TEST(PeerConfig, a_row_that_sets_only_delivery_keeps_a_wider_row_from_the_peer_on_the_edge_too) {
  const Push push = push_of(peer("authenticate = \"dialback\"\nconfirm = \"none\"", "*.a.example") +
                            peer("delivery = \"durable\"", "x.a.example"));
  const auto decoded = Push::decode(push.encode());
  ASSERT_TRUE(decoded);
  ASSERT_EQ(decoded->rules.peers.size(), 2U);
  const policy::Rules core(push.rules);
  const policy::Rules edge(decoded->rules);
  for (const char* name : {"x.a.example", "y.a.example", "b.example"}) {
    EXPECT_EQ(rules_for(edge, name).authenticate, rules_for(core, name).authenticate) << name;
    EXPECT_EQ(rules_for(edge, name).confirm, rules_for(core, name).confirm) << name;
  }
  EXPECT_EQ(rules_for(edge, "x.a.example").authenticate, policy::Authenticate::kCertificate);
}

TEST(PeerConfig, an_edge_of_an_earlier_release_reads_rows_that_set_only_delivery) {
  const std::string bytes = push_of(peer("delivery = \"durable\"")).encode();
  EXPECT_EQ(bytes[0], 1);
  EXPECT_TRUE(Push::decode(bytes));
}

}  // namespace
}  // namespace sallyport::config
