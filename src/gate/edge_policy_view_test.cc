#include "gate/edge_policy_view.h"

#include <gtest/gtest.h>

namespace sallyport::gate {
namespace {

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }
Pair pair(std::string_view local, std::string_view remote) { return {domain(local), domain(remote)}; }

policy::ListRow row(std::string_view name, bool allow,
                    policy::Direction direction = policy::Direction::kBoth) {
  return {*policy::DomainPattern::parse(name), allow, direction, {}, std::nullopt, 1};
}

constexpr UnixTime kNow{std::chrono::seconds(1'000)};
const xmpp::Domain kOwn = domain("vcse.example.net");

config::Push pushed() {
  config::Push push;
  push.generation = 3;
  push.rules.local = {{domain("example.com"), false}, {domain("chatroom1.example.com"), true}};
  push.rules.lists = {row("partner.example", true), row("in.example", true, policy::Direction::kIn),
                      row("out.example", true, policy::Direction::kOut), row("bad.example", false)};
  push.rules.routed = {domain("routed.example")};
  push.routes = {{domain("routed.example"), *route::HostPort::parse("198.51.100.7:5270"), 0, false, 1},
                 {domain("partner.example"), *route::HostPort::parse("xmpp.partner.example"), 0, true, 2}};
  push.rules.peers = {{.domain = *policy::DomainPattern::parse("old.example"),
                       .authenticate = policy::Authenticate::kDialback,
                       .tls = policy::TlsRule::kOptional,
                       .line = 4}};
  return push;
}

TEST(EdgePolicyView, serves_and_admits_nobody_before_the_first_push) {
  EdgePolicyView view;
  EXPECT_FALSE(view.serves(domain("example.com")));
  EXPECT_FALSE(view.admits(pair("example.com", "partner.example"), kNow));
  EXPECT_FALSE(view.find(pair("example.com", "partner.example"), kNow));
}

TEST(EdgePolicyView, serves_local_domains_and_aliases_only) {
  EdgePolicyView view;
  view.use(config::PushedPolicy::make(pushed(), kOwn));
  EXPECT_TRUE(view.serves(domain("example.com")));
  EXPECT_TRUE(view.serves(domain("chatroom1.example.com")));
  const auto other = view.serves(domain("elsewhere.example"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kStreamHostUnknown);
}

TEST(EdgePolicyView, waits_for_a_server_as_long_as_the_core_is_configured_to) {
  EdgePolicyView view;
  EXPECT_EQ(view.patience(), limits::kLifetimeMemory);
  config::Push push = pushed();
  push.rules.lifetime_memory = std::chrono::minutes(30);
  view.use(config::PushedPolicy::make(std::move(push), kOwn));
  EXPECT_EQ(view.patience(), std::chrono::minutes(30));
}

TEST(EdgePolicyView, admits_a_pair_when_either_side_may_start) {
  struct Case {
    std::string_view name;
    std::string_view remote;
    bool admitted;
  };
  const Case cases[] = {
      {"both", "partner.example", true},
      {"only the remote side may start", "in.example", true},
      {"only we may start: its answers need a stream", "out.example", true},
      {"denied", "bad.example", false},
      {"in no list", "other.example", false},
      {"routed, so allowed", "routed.example", true},
  };
  EdgePolicyView view;
  view.use(config::PushedPolicy::make(pushed(), kOwn));
  for (const auto& c : cases)
    EXPECT_EQ(view.admits(pair("example.com", c.remote), kNow).has_value(), c.admitted) << c.name;
}

TEST(EdgePolicyView, a_row_that_expires_counts_to_its_last_second_and_not_longer) {
  config::Push push = pushed();
  push.rules.lists.push_back(row("short.example", true));
  push.rules.lists.back().expires = kNow;
  EdgePolicyView view;
  view.use(config::PushedPolicy::make(std::move(push), kOwn));
  const Pair short_lived = pair("example.com", "short.example");
  EXPECT_TRUE(view.admits(short_lived, kNow - std::chrono::seconds(1)));
  EXPECT_TRUE(view.find(short_lived, kNow - std::chrono::seconds(1)));
  EXPECT_FALSE(view.admits(short_lived, kNow));
  EXPECT_FALSE(view.find(short_lived, kNow));
}

TEST(EdgePolicyView, the_core_has_to_be_asked_about_what_no_row_names_exactly) {
  struct Case {
    std::string_view name;
    std::string_view remote;
    bool asked;
  };
  const Case cases[] = {
      {"an allow row", "partner.example", false},  {"an allow row for one direction", "out.example", false},
      {"a static route", "routed.example", false}, {"the mode", "other.example", true},
      {"a wildcard", "below.wild.example", true},  {"a deny row for one direction", "half.example", true},
  };
  config::Push push = pushed();
  push.rules.privacy = policy::Privacy::kOff;
  push.rules.lists.push_back(row("*.wild.example", true));
  push.rules.lists.push_back(row("half.example", false, policy::Direction::kIn));
  EdgePolicyView view;
  view.use(config::PushedPolicy::make(push, kOwn));
  for (const auto& c : cases)
    EXPECT_FALSE(view.must_ask(pair("example.com", c.remote))) << c.name << ": a core of version 1";
  view.core_answers(true);
  for (const auto& c : cases) {
    EXPECT_EQ(view.must_ask(pair("example.com", c.remote)), c.asked) << c.name;
    EXPECT_TRUE(view.admits(pair("example.com", c.remote), kNow)) << c.name;
  }
}

TEST(EdgePolicyView, what_the_core_said_counts_until_the_next_policy) {
  config::Push push = pushed();
  push.rules.privacy = policy::Privacy::kOff;
  EdgePolicyView view;
  view.core_answers(true);
  view.use(config::PushedPolicy::make(push, kOwn));
  const Pair good = pair("example.com", "good.example");
  const Pair inside = pair("example.com", "corp.example");
  view.note_admission(good, {}, std::nullopt);
  view.note_admission(inside, {}, Error{Code::kPolicyInsideName, {}});
  EXPECT_FALSE(view.must_ask(good));
  EXPECT_FALSE(view.must_ask(inside));
  EXPECT_TRUE(view.admits(good, kNow));
  ASSERT_FALSE(view.admits(inside, kNow));
  EXPECT_EQ(view.admits(inside, kNow).error().code, Code::kPolicyInsideName);
  EXPECT_FALSE(view.find(inside, kNow)) << "nothing is dialled either";
  view.use(config::PushedPolicy::make(push, kOwn));
  EXPECT_TRUE(view.must_ask(good));
  EXPECT_TRUE(view.must_ask(inside));
}

TEST(EdgePolicyView, a_static_route_without_fallback_is_the_whole_plan) {
  EdgePolicyView view;
  view.use(config::PushedPolicy::make(pushed(), kOwn));
  const auto plan = view.find(pair("example.com", "routed.example"), kNow);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->steps.size(), 1u);
  EXPECT_EQ(plan->steps[0].address.text(), "198.51.100.7:5270");
  EXPECT_TRUE(plan->steps[0].trusted_address);
  EXPECT_FALSE(plan->dns);
}

TEST(EdgePolicyView, a_routed_host_name_is_checked_like_any_other_and_falls_back_to_dns_if_told_so) {
  EdgePolicyView view;
  view.use(config::PushedPolicy::make(pushed(), kOwn));
  const auto plan = view.find(pair("example.com", "partner.example"), kNow);
  ASSERT_TRUE(plan);
  ASSERT_EQ(plan->steps.size(), 1u);
  EXPECT_FALSE(plan->steps[0].trusted_address);
  EXPECT_EQ(plan->dns, domain("partner.example"));
}

TEST(EdgePolicyView, a_domain_without_route_is_found_by_dns) {
  EdgePolicyView view;
  view.use(config::PushedPolicy::make(pushed(), kOwn));
  const auto plan = view.find(pair("example.com", "in.example"), kNow);
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->steps.empty());
  EXPECT_EQ(plan->dns, domain("in.example"));
}

TEST(EdgePolicyView, less_than_required_tls_is_for_the_peer_that_was_named) {
  EdgePolicyView view;
  view.use(config::PushedPolicy::make(pushed(), kOwn));
  EXPECT_EQ(view.minimum_tls(domain("example.com"), domain("old.example")), policy::TlsRule::kOptional);
  EXPECT_EQ(view.minimum_tls(domain("example.com"), domain("partner.example")), policy::TlsRule::kRequired);
  EXPECT_EQ(view.minimum_tls(domain("example.com"), std::nullopt), policy::TlsRule::kRequired);
}

TEST(EdgePolicyView, forgets_everything_when_told_to) {
  EdgePolicyView view;
  view.use(config::PushedPolicy::make(pushed(), kOwn));
  EXPECT_NE(view.use(nullptr), nullptr);
  EXPECT_FALSE(view.has_policy());
  EXPECT_FALSE(view.serves(domain("example.com")));
}

// The pushed policy may have a row for it, a route to it, or no list at all.
TEST(EdgePolicyView, its_own_name_is_never_remote) {
  for (const auto privacy :
       {policy::Privacy::kAllowList, policy::Privacy::kDenyList, policy::Privacy::kOff}) {
    config::Push push = pushed();
    push.rules.privacy = privacy;
    push.rules.lists.push_back(row("vcse.example.net", true));
    push.rules.lists.push_back(row("*.example.net", true));
    push.rules.routed.push_back(kOwn);
    push.routes.push_back({kOwn, *route::HostPort::parse("198.51.100.7"), 0, false, 3});
    EdgePolicyView view;
    view.use(config::PushedPolicy::make(push, kOwn));
    const Pair own{domain("example.com"), kOwn};
    ASSERT_FALSE(view.admits(own, kNow));
    EXPECT_EQ(view.admits(own, kNow).error().code, Code::kPolicyInsideName);
    ASSERT_FALSE(view.find(own, kNow));
    EXPECT_EQ(view.find(own, kNow).error().code, Code::kPolicyInsideName);
    EXPECT_FALSE(view.serves(kOwn));
    EXPECT_TRUE(view.admits(pair("example.com", "other.example.net"), kNow));
  }
}

}  // namespace
}  // namespace sallyport::gate
