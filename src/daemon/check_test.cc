#include "daemon/check.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "daemon/check_certificate.h"
#include "daemon/check_policy.h"
#include "daemon/check_steps.h"
#include "net/certificate_fixture.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;
using std::chrono::hours;

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }

// "chain pass, dates fail tls.untrusted": the steps with their verdicts and codes.
std::string summary(const CheckSteps& steps) {
  std::string out;
  for (const json::value& step : steps.list()) {
    if (!out.empty()) out += ", ";
    out += std::string(step.at("what").as_string()) + " " + std::string(step.at("verdict").as_string());
    if (const auto* code = step.get_object().if_contains("code")) out += " " + std::string(code->as_string());
  }
  return out;
}

std::string detail(const CheckSteps& steps, std::string_view what) {
  for (const json::value& step : steps.list()) {
    if (step.at("what").as_string() == what) return std::string(step.at("detail").as_string());
  }
  return "-";
}

// --- certificates

constexpr UnixTime kNow{hours(24 * 1000)};

s2s::TlsFacts good_facts() {
  s2s::TlsFacts facts;
  facts.peer_certificate = true;
  facts.chain = {};
  facts.names.dns = {"federated.com"};
  facts.usage = {true, true, true, false};
  facts.not_before = kNow - hours(24 * 30);
  facts.not_after = kNow + hours(24 * 60);
  return facts;
}

struct PeerCase {
  const char* name;
  s2s::TlsFacts facts;
  const char* required;  // policy asks for a certificate
  const char* dialback;  // policy accepts dialback; null: the same
};

std::vector<PeerCase> peer_cases() {
  const Error untrusted{Code::kTlsUntrusted, "x"};
  std::vector<PeerCase> cases;
  const auto add = [&cases](const char* name, auto change, const char* required, const char* dialback) {
    cases.push_back({name, good_facts(), required, dialback});
    change(cases.back().facts);
  };
  add(
      "good", [](auto&) {}, "certificate pass, chain pass, dates pass, EKU pass, proves the domain pass",
      nullptr);
  add(
      "none", [](auto& f) { f.peer_certificate = false; }, "certificate fail tls.no-certificate",
      "certificate warn tls.no-certificate");
  add(
      "untrusted", [&](auto& f) { f.chain = untrusted; },
      "certificate pass, chain fail tls.untrusted, dates pass, EKU pass, proves the domain fail "
      "tls.untrusted",
      "certificate pass, chain warn tls.untrusted, dates pass, EKU pass, proves the domain warn "
      "tls.untrusted");
  add(
      "another name", [](auto& f) { f.names.dns = {"other.example"}; },
      "certificate pass, chain pass, dates pass, EKU pass, proves the domain fail tls.name-mismatch",
      "certificate pass, chain pass, dates pass, EKU pass, proves the domain warn tls.name-mismatch");
  add(
      "expired",
      [&](auto& f) {
        f.chain = untrusted;
        f.not_after = kNow - hours(1);
      },
      "certificate pass, dates fail tls.untrusted, EKU pass, proves the domain fail tls.untrusted",
      "certificate pass, dates warn tls.untrusted, EKU pass, proves the domain warn tls.untrusted");
  add(
      "not valid yet",
      [&](auto& f) {
        f.chain = untrusted;
        f.not_before = kNow + hours(1);
      },
      "certificate pass, dates fail tls.untrusted, EKU pass, proves the domain fail tls.untrusted",
      "certificate pass, dates warn tls.untrusted, EKU pass, proves the domain warn tls.untrusted");
  add(
      "ends in 14 days less an hour", [](auto& f) { f.not_after = kNow + hours(24 * 14 - 1); },
      "certificate pass, chain pass, dates warn, EKU pass, proves the domain pass", nullptr);
  add(
      "ends in 14 days", [](auto& f) { f.not_after = kNow + hours(24 * 14); },
      "certificate pass, chain pass, dates pass, EKU pass, proves the domain pass", nullptr);
  add(
      "no EKU", [](auto& f) { f.usage = {}; },
      "certificate pass, chain pass, dates pass, EKU pass, proves the domain pass", nullptr);
  add(
      "serverAuth only",
      [](auto& f) {
        f.usage = {true, true, false, false};
      },
      "certificate pass, chain pass, dates pass, EKU pass, proves the domain pass", nullptr);
  add(
      "clientAuth only",
      [](auto& f) {
        f.usage = {true, false, true, false};
      },
      "certificate pass, chain pass, dates pass, EKU warn, proves the domain pass", nullptr);
  add(
      "neither",
      [&](auto& f) {
        f.chain = untrusted;
        f.usage = {true, false, false, false};
      },
      "certificate pass, dates pass, EKU fail tls.untrusted, proves the domain fail tls.untrusted",
      "certificate pass, dates pass, EKU warn tls.untrusted, proves the domain warn tls.untrusted");
  return cases;
}

TEST(Check, each_fault_of_the_peers_certificate_has_its_verdict) {
  for (const PeerCase& one : peer_cases()) {
    for (const bool dialback : {false, true}) {
      SCOPED_TRACE(std::string(one.name) + (dialback ? ", dialback" : ""));
      CheckSteps steps;
      std::optional<policy::PeerRules> rules;
      if (dialback) rules = policy::PeerRules{policy::Authenticate::kDialback, {}, false, true};
      const bool proved = check_peer_certificate(one.facts, domain("federated.com"), rules, kNow, steps);
      EXPECT_EQ(summary(steps), dialback && one.dialback != nullptr ? one.dialback : one.required);
      EXPECT_EQ(proved, summary(steps).ends_with("proves the domain pass"));
      for (const json::value& step : steps.list())
        EXPECT_EQ(step.get_object().contains("remedy"), step.at("verdict").as_string() != "pass") << step;
    }
  }
}

TEST(Check, usages_are_named_and_what_follows_of_ours_is_said) {
  EXPECT_EQ(usage_text({}), "none: every use is allowed");
  EXPECT_EQ(usage_text({true, true, true, false}), "serverAuth, clientAuth");
  EXPECT_EQ(usage_text({true, true, false, false}), "serverAuth only");
  EXPECT_EQ(usage_text({true, false, true, false}), "clientAuth only");
  EXPECT_EQ(usage_text({true, false, false, true}), "anyExtendedKeyUsage");
  EXPECT_EQ(usage_text({true, false, false, false}), "neither serverAuth nor clientAuth");

  s2s::TlsFacts facts = good_facts();
  const auto own = [&](s2s::ExtendedUsage usage, UnixTime until) {
    CheckSteps steps;
    check_own_certificate({domain("example.com"), usage, until}, facts, kNow, steps);
    return summary(steps) + ": " + detail(steps, "our certificate");
  };
  EXPECT_NE(own({true, true, true, false}, kNow).find("the peer did not ask for it"), std::string::npos);
  facts.own_certificate = "example.com";
  EXPECT_EQ(own({true, true, true, false}, kNow),
            "our certificate pass: example.com, EKU serverAuth, clientAuth");
  EXPECT_NE(own({true, true, false, false}, kNow).find("a peer that requires clientAuth"), std::string::npos);
  EXPECT_TRUE(own({}, kNow - hours(1)).starts_with("our certificate warn: "));
}

// --- policy and identity

class WithPolicy : public testing::Test {
 protected:
  void push(config::Push push) {
    means_.policy = config::PushedPolicy::make(std::move(push), domain("vcse.example.com"));
  }
  static config::Push example() {
    config::Push push;
    push.rules.local = {{domain("chatroom1.example.com"), true}, {domain("example.com"), false}};
    push.rules.lists = {{*policy::DomainPattern::parse("federated.com"), true},
                        {*policy::DomainPattern::parse("oneway.example"), true, policy::Direction::kOut},
                        {*policy::DomainPattern::parse("bad.example"), false}};
    return push;
  }
  // Certificates for these names.
  void certify(const std::vector<std::string>& names) {
    std::vector<config::CertificatePem> pems;
    for (const std::string& name : names) {
      net::Wish wish;
      wish.dns = {name};
      const net::Made made = net::TestAuthority::self_signed(wish);
      config::CertificatePem pem;
      pem.names = {name};
      pem.chain = made.certificate;
      pem.key = made.key;
      pems.push_back(std::move(pem));
    }
    std::vector<Error> unusable;
    means_.certificates = net::CertificateSet::make(pems, unusable);
    ASSERT_TRUE(unusable.empty());
  }
  std::string chosen(const std::optional<xmpp::Domain>& as = {}) {
    CheckSteps steps;
    const auto identity = choose_identity({domain("federated.com"), {}, false, as, {}}, means_, now_, steps);
    if (!identity) return std::string(code_row(identity.error().code).name);
    const std::string own = identity->own ? identity->own->ascii() : "nobody";
    return own + (identity->offered ? " with " + identity->offered->own.ascii() : "; " + summary(steps));
  }
  std::string checked(const char* remote, bool& may_dial) {
    CheckSteps steps;
    may_dial = check_policy(means_, domain("example.com"), domain(remote), now_, steps);
    return summary(steps);
  }

  CheckMeans means_;
  UnixTime now_ = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
};

TEST_F(WithPolicy, the_first_local_domain_with_a_certificate_speaks) {
  push(example());
  EXPECT_EQ(chosen(), "example.com; our certificate warn tls.no-local-certificate");
  certify({"chatroom1.example.com"});
  EXPECT_EQ(chosen(), "chatroom1.example.com with chatroom1.example.com");
  certify({"chatroom1.example.com", "example.com"});
  EXPECT_EQ(chosen(), "example.com with example.com");
  EXPECT_EQ(chosen(domain("chatroom1.example.com")), "chatroom1.example.com with chatroom1.example.com");
  EXPECT_EQ(chosen(domain("other.example")), "policy.not-local");
  certify({"example.com"});
  EXPECT_EQ(chosen(domain("chatroom1.example.com")),
            "chatroom1.example.com; our certificate warn tls.no-local-certificate");
}

TEST_F(WithPolicy, without_an_edge_the_reason_is_told_and_nothing_is_offered) {
  means_.why_alone = {Code::kControlAbsent, "/run/sallyport/edge.sock: Permission denied"};
  EXPECT_EQ(chosen(), "nobody; our certificate warn control.absent");
  CheckSteps steps;
  ASSERT_TRUE(choose_identity({domain("federated.com")}, means_, now_, steps));
  EXPECT_NE(detail(steps, "our certificate").find("Permission denied"), std::string::npos);
  bool may_dial = false;
  EXPECT_EQ(checked("federated.com", may_dial), "policy warn");
  EXPECT_TRUE(may_dial);
}

TEST_F(WithPolicy, the_pair_is_checked_in_both_directions_and_our_own_names_are_not_dialled) {
  push(example());
  const struct {
    const char* remote;
    const char* verdict;
    bool may_dial;
  } cases[] = {
      {"federated.com", "policy pass", true},
      {"oneway.example", "policy pass", true},
      {"bad.example", "policy fail policy.denied", true},
      {"unknown.example", "policy fail policy.not-listed", true},
      {"example.com", "policy fail policy.inside-name", false},
      {"vcse.example.com", "policy fail policy.inside-name", false},
      {"sub.example.com", "policy fail policy.below-local", false},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.remote);
    bool may_dial = !one.may_dial;
    EXPECT_EQ(checked(one.remote, may_dial), one.verdict);
    EXPECT_EQ(may_dial, one.may_dial);
  }
}

TEST_F(WithPolicy, nothing_is_dialled_while_federation_is_switched_off) {
  config::Push off = example();
  off.rules.enabled = false;
  push(off);
  for (const char* remote : {"federated.com", "example.com", "sub.example.com"}) {
    bool may_dial = true;
    EXPECT_EQ(checked(remote, may_dial), "policy fail policy.disabled");
    EXPECT_FALSE(may_dial);
  }
}

TEST_F(WithPolicy, a_name_of_ours_is_answered_without_a_lookup) {
  push(example());
  const auto answer = run_check({domain("sub.example.com")}, means_, {});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->at("result").as_string(), "failed");
  EXPECT_EQ(answer->at("steps").as_array().size(), 2U);  // our certificate, policy
}

TEST_F(WithPolicy, the_plan_is_that_of_a_stanza) {
  const CheckOrder order{domain("federated.com")};
  EXPECT_EQ(plan_of(order, means_).dns, domain("federated.com"));
  config::Push pushed = example();
  pushed.routes = {{domain("federated.com"), *route::HostPort::parse("192.0.2.7:5269"), 0, false}};
  push(pushed);
  EXPECT_EQ(plan_of(order, means_).steps.size(), 1U);
  EXPECT_FALSE(plan_of(order, means_).dns);
  pushed.routes[0].fallback_dns = true;
  push(pushed);
  EXPECT_TRUE(plan_of(order, means_).dns);
  CheckOrder named = order;
  named.host = *route::HostPort::parse("192.0.2.8");
  const gate::DialPlan plan = plan_of(named, means_);
  ASSERT_EQ(plan.steps.size(), 1U);
  EXPECT_EQ(plan.steps[0].address.text(), "192.0.2.8:5269");
  EXPECT_FALSE(plan.dns);
}

// --- the order and the answer

TEST(Check, an_order_is_read_as_it_was_written) {
  CheckOrder order{domain("federated.com"), *route::HostPort::parse("192.0.2.8"), true, domain("example.com"),
                   "PEM"};
  const auto read = order_of(question_of(order));
  ASSERT_TRUE(read);
  EXPECT_EQ(question_of(*read), question_of(order));
  EXPECT_EQ(question_of(order).at("ask").as_string(), "check tls");
  EXPECT_EQ(question_of({domain("federated.com")}).at("ask").as_string(), "check domain");
  for (const char* bad : {R"({"ask":"check domain"})", R"({"ask":"check domain","domain":"a b"})",
                          R"({"ask":"check domain","domain":"a.example","as":"a b"})",
                          R"({"ask":"check tls","domain":"a.example"})",
                          R"({"ask":"check tls","domain":"a.example","host":"x:y"})"}) {
    const auto refused = order_of(json::parse(bad).as_object());
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, Code::kControlRefused);
  }
}

TEST(Check, nobody_at_the_named_address_is_a_failed_connection) {
  CheckOrder order{domain("federated.com"), *route::HostPort::parse("127.0.0.1:1")};
  const auto answer = run_check(order, {}, {});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->at("result").as_string(), "failed");
  EXPECT_EQ(answer->at("by").as_string(), "command");
  EXPECT_TRUE(answer->at("local").is_null());
  EXPECT_EQ(answer->at("steps").as_array().back().at("code").as_string(), "dial.refused");
}

TEST(Check, people_see_one_remedy_below_each_step_that_does_not_pass) {
  CheckSteps steps;
  steps.pass(step::kTls, "TLSv1.3");
  steps.warn(step::kDates, "it expires", "Renew it.");
  steps.fail(step::kConnection, {Code::kDialRefused, "192.0.2.1:5269"});
  const std::string shown = show_check({{"steps", steps.list()}, {"result", steps.result()}});
  EXPECT_EQ(shown,
            "pass  TLS                 TLSv1.3\n"
            "WARN  dates               it expires\n"
            "                          Renew it.\n"
            "FAIL  connection          No server accepted the connection. 192.0.2.1:5269 [dial.refused]\n"
            "                          " +
                std::string(code_row(Code::kDialRefused).remedy) + "\n\nfailed, 1 warning\n");
}

TEST(Check, what_a_peer_chose_is_escaped_and_our_apostrophes_are_not) {
  CheckSteps steps;
  steps.fail(step::kTls, {Code::kTlsNoCertificate, "a\x1b[31m\nb"});
  const std::string shown = show_check({{"steps", steps.list()}, {"result", steps.result()}});
  EXPECT_EQ(shown.find('\x1b'), std::string::npos);
  EXPECT_NE(shown.find("\\u001b[31m\\u000ab"), std::string::npos) << shown;
  CheckSteps own;
  own.pass(step::kTls, "the peer's \"name\"");
  EXPECT_NE(show_check({{"steps", own.list()}}).find("the peer's \"name\""), std::string::npos);
}

}  // namespace
}  // namespace sallyport::daemon
