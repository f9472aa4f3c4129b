#include "policy/rules.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "policy/rules_fixture.h"

namespace sallyport::policy {
namespace {

TEST(Rules, the_verdict_names_the_row_and_its_line) {
  const Rules rules(
      rules_of(Privacy::kAllowList,
               {"+both partner.example", "-both *.evil.example", "~both old.example", "+in half.example"},
               {"routed.example"}));
  const std::pair<std::string, std::string> cases[] = {
      {"partner.example", "allow partner.example (policy.toml:1)"},
      {"x.evil.example", "deny *.evil.example (policy.toml:2)"},
      {"old.example", "expired: allow old.example (policy.toml:3)"},
      {"half.example", "other direction only: allow half.example (policy.toml:4)"},
      {"routed.example", "static route routed.example"},
      {"new.example", "no row matches (privacy is allow-list)"},
      {"example.com", "example.com is an internal name"},
      {"x.example.com", "x.example.com is below the local name example.com"},
  };
  for (const auto& [remote, because] : cases) {
    EXPECT_EQ(rules.decide({domain("example.com"), domain(remote)}, kOut, kNow).because, because);
  }
}

TEST(Rules, a_row_ends_with_the_second_it_names) {
  RuleSet set = rules_of(Privacy::kAllowList, {"+both a.example"});
  set.lists[0].expires = kNow;
  const Rules rules(std::move(set));
  const xmpp::Pair pair{domain("example.com"), domain("a.example")};
  EXPECT_EQ(answer(rules.decide(pair, kIn, kNow - 1s).result), "ok");
  EXPECT_EQ(answer(rules.decide(pair, kIn, kNow).result), "policy.expired");
}

TEST(Rules, of_rows_alike_the_one_that_lasts_longest_counts) {
  const std::optional<UnixTime> forever;
  const std::pair<std::vector<std::optional<UnixTime>>, std::string> cases[] = {
      {{kNow - 1s, kNow + 1s}, "allow a.example (policy.toml:2)"},
      {{kNow + 1s, kNow - 1s}, "allow a.example (policy.toml:1)"},
      {{kNow - 1s, forever, kNow - 1s}, "allow a.example (policy.toml:2)"},
      {{forever, forever}, "allow a.example (policy.toml:1)"},
      {{kNow - 1s, kNow - 2s}, "expired: allow a.example (policy.toml:1)"},
  };
  for (const auto& [expiries, because] : cases) {
    RuleSet set = rules_of(Privacy::kAllowList, std::vector<std::string>(expiries.size(), "+both a.example"));
    for (std::size_t i = 0; i < expiries.size(); ++i) set.lists[i].expires = expiries[i];
    EXPECT_EQ(Rules(std::move(set)).decide({domain("example.com"), domain("a.example")}, kIn, kNow).because,
              because);
  }
}

TEST(Rules, only_local_names_are_served) {
  const Rules rules(rules_of(Privacy::kOff, {}));
  EXPECT_TRUE(rules.is_local(domain("example.com")));
  EXPECT_TRUE(rules.is_local(domain("chatroom1.example.com")));
  for (const auto* name : {"corp.example", "x.example.com", "com", "a.example"}) {
    EXPECT_EQ(answer(rules.is_local(domain(name))), "policy.not-local") << name;
    EXPECT_EQ(answer(rules.decide({domain(name), domain("a.example")}, kIn, kNow).result), "policy.not-local")
        << name;
    EXPECT_EQ(answer(rules.may_answer({domain(name), domain("a.example")}, kNow)), "policy.not-local")
        << name;
  }
}

TEST(Rules, switched_off_nothing_starts_and_nothing_is_answered) {
  RuleSet set = rules_of(Privacy::kOff, {"+both a.example"});
  set.enabled = false;
  const Rules rules(std::move(set));
  const xmpp::Pair pair{domain("example.com"), domain("a.example")};
  EXPECT_EQ(answer(rules.decide(pair, kIn, kNow).result), "policy.disabled");
  EXPECT_EQ(answer(rules.decide(pair, kOut, kNow).result), "policy.disabled");
  EXPECT_EQ(answer(rules.may_answer(pair, kNow)), "policy.disabled");
}

TEST(Rules, the_most_specific_peer_row_speaks_alone) {
  RuleSet set = rules_of(Privacy::kOff, {});
  set.peers = {
      {pattern("old.example"), Authenticate::kDialback, TlsRule::kOptional},
      {pattern("*.old.example"), Authenticate::kDialback, std::nullopt},
      {pattern("new.old.example"), std::nullopt, TlsRule::kRequired},
      {pattern("*.lax.example"), Authenticate::kDialback, TlsRule::kNone},  // no configuration accepts this
      {pattern("lax.example"), Authenticate::kCertificate, TlsRule::kNone},
      {pattern("bare.example"), std::nullopt, TlsRule::kNone},
      {pattern("plain.example"), Authenticate::kDialback, TlsRule::kNone},
  };
  const Rules rules(std::move(set));
  const std::tuple<std::string, Authenticate, TlsRule> cases[] = {
      {"other.example", Authenticate::kCertificate, TlsRule::kRequired},
      {"old.example", Authenticate::kDialback, TlsRule::kOptional},
      {"x.y.old.example", Authenticate::kDialback, TlsRule::kRequired},
      {"new.old.example", Authenticate::kCertificate, TlsRule::kRequired},
      {"x.lax.example", Authenticate::kDialback, TlsRule::kRequired},
      {"lax.example", Authenticate::kCertificate, TlsRule::kRequired},
      {"bare.example", Authenticate::kCertificate, TlsRule::kRequired},
      {"plain.example", Authenticate::kDialback, TlsRule::kNone},
  };
  for (const auto& [name, authenticate, tls] : cases) {
    EXPECT_EQ(rules.peer(domain(name)).authenticate, authenticate) << name;
    EXPECT_EQ(rules.peer(domain(name)).tls, tls) << name;
  }
}

TEST(Rules, the_most_specific_peer_row_says_alone_how_stanzas_are_delivered) {
  RuleSet set = rules_of(Privacy::kOff, {});
  set.delivery = Delivery::kDurable;
  set.peers = {
      {.domain = pattern("*.example"), .confirm = Confirm::kNone, .on_doubt = OnDoubt::kAnswer},
      {.domain = pattern("*.a.example"), .delivery = Delivery::kMemory},
      {.domain = pattern("x.a.example"), .confirm = Confirm::kAck},
      {.domain = pattern("a.example"), .on_doubt = OnDoubt::kAnswer, .delivery = Delivery::kDurable},
  };
  const Rules rules(std::move(set));
  const std::tuple<std::string, Confirm, OnDoubt, Delivery> cases[] = {
      {"a.test", Confirm::kAuto, OnDoubt::kResend, Delivery::kDurable},        // no row: [federation]
      {"b.example", Confirm::kNone, OnDoubt::kAnswer, Delivery::kDurable},     // the shorter wildcard
      {"y.a.example", Confirm::kAuto, OnDoubt::kResend, Delivery::kMemory},    // the longer wildcard
      {"z.x.a.example", Confirm::kAuto, OnDoubt::kResend, Delivery::kMemory},  // below an exact name
      {"x.a.example", Confirm::kAck, OnDoubt::kResend, Delivery::kDurable},    // exact before wildcard
      {"a.example", Confirm::kAuto, OnDoubt::kAnswer, Delivery::kDurable},     // exact before wildcard
  };
  for (const auto& [name, confirm, on_doubt, delivery] : cases) {
    EXPECT_EQ(rules.peer(domain(name)).confirm, confirm) << name;
    EXPECT_EQ(rules.peer(domain(name)).on_doubt, on_doubt) << name;
    EXPECT_EQ(rules.peer(domain(name)).delivery, delivery) << name;
  }
}

TEST(Rules, a_hundred_thousand_rows_are_each_found) {
  RuleSet set{.privacy = Privacy::kAllowList};
  set.local = {{domain("example.com"), false}};
  constexpr std::uint32_t kRows = 100'000;
  set.lists.reserve(kRows);
  for (std::uint32_t i = 0; i < kRows; ++i) {
    const auto name = fmt::format("{}d{}.example", i % 2 ? "*." : "", i);
    set.lists.push_back({.domain = pattern(name), .allow = i % 3 != 0, .line = i + 1});
  }
  const Rules rules(std::move(set));
  for (std::uint32_t i = 0; i < kRows; i += 97) {
    const auto remote = domain(fmt::format("{}d{}.example", i % 2 ? "x." : "", i));
    const auto verdict = rules.decide({domain("example.com"), remote}, kIn, kNow);
    EXPECT_EQ(answer(verdict.result), i % 3 != 0 ? "ok" : "policy.denied") << i;
    EXPECT_NE(verdict.because.find(fmt::format("policy.toml:{})", i + 1)), std::string::npos) << i;
  }
}

TEST(DomainPattern, is_exact_or_a_wildcard_of_whole_labels) {
  const std::tuple<std::string, std::string, bool> cases[] = {
      {"partner.example", "partner.example", true},
      {"partner.example", "PARTNER.example.", true},
      {"partner.example", "x.partner.example", false},
      {"*.partner.example", "x.partner.example", true},
      {"*.partner.example", "x.y.partner.example", true},
      {"*.partner.example", "partner.example", false},
      {"*.partner.example", "xpartner.example", false},
      {"*.Bücher.example", "a.xn--bcher-kva.example", true},
  };
  for (const auto& [text, name, matches] : cases) {
    EXPECT_EQ(pattern(text).matches(domain(name)), matches) << text << " " << name;
  }
  EXPECT_EQ(pattern("*.Partner.Example").text(), "*.partner.example");
  for (const auto* text :
       {"", "*", "*.", "*x.example", "x.*.example", "**.example", "*.*.example", "a..b", "192.0.2.1"}) {
    EXPECT_FALSE(DomainPattern::parse(text)) << text;
  }
}

TEST(Rules, a_period_reaches_from_one_expiry_to_the_next) {
  RuleSet set = rules_of(Privacy::kAllowList, {"+both a.example", "+both b.example", "-in c.example"});
  EXPECT_TRUE(Rules(set).period(kNow).contains(UnixTime::min()));
  set.lists[0].expires = kNow + 10s;
  set.lists[2].expires = kNow - 10s;
  const Rules rules(set);
  struct Row {
    const char* when;
    Duration from_now;
    bool same;  // the verdict is the same as now
  };
  for (const Row& row : {Row{"before the first", -11s, false}, Row{"from the first", -10s, true},
                         Row{"before the second", 9s, true}, Row{"from the second", 10s, false}}) {
    SCOPED_TRACE(row.when);
    const UnixTime time = kNow + std::chrono::duration_cast<std::chrono::seconds>(row.from_now);
    EXPECT_EQ(rules.period(kNow).contains(time), row.same);
    EXPECT_TRUE(rules.period(time).contains(time));
    for (const auto* name : {"a.example", "c.example"}) {
      const xmpp::Pair pair{domain("example.com"), domain(name)};
      if (!row.same) continue;
      EXPECT_EQ(rules.decide(pair, kIn, time).result.has_value(),
                rules.decide(pair, kIn, kNow).result.has_value());
    }
  }
}

}  // namespace
}  // namespace sallyport::policy
