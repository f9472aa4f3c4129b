#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "config/policy_config.h"

namespace sallyport::config {
namespace {

using namespace std::chrono_literals;
using policy::Direction;
using policy::Privacy;

xmpp::Domain domain(std::string_view text) { return xmpp::Domain::parse(text).value(); }

CoreConfig core() {
  CoreConfig config{.name = domain("core.corp.example")};
  config.edges.push_back(
      {.name = domain("vcse.dmz.example"), .address = HostPort::parse("192.0.2.10:7400").value()});
  for (const auto* name : {"corp.example", "*.corp.example"}) {
    config.internal_names.push_back(policy::DomainPattern::parse(name).value());
  }
  return config;
}

std::vector<std::string> shown(const std::vector<Finding>& findings) {
  std::vector<std::string> lines;
  for (const auto& finding : findings) lines.push_back(finding.shown());
  return lines;
}
Loaded<PolicyConfig> load(const std::string& text, std::optional<UnixTime> now = std::nullopt) {
  return parse_policy(text, "policy.toml", core(), now);
}

// A [[domain]] example.com in lines 1 to 3 and an alias in lines 4 to 7.
const std::string kServed = R"([[domain]]
name = "example.com"
servers = ["10.0.0.20:5269"]
[[chat_node]]
alias = "chatroom1.example.com"
node = "conference-2.corp.example"
servers = ["10.0.0.20"]
)";

TEST(PolicyConfig, the_contract_in_full) {
  const auto loaded = parse_policy(kServed + R"(
[federation]
enabled       = true
privacy       = "allow-list"
authenticate  = "dialback"
static_routes = true
trusted_ca    = "ca.pem"
[[domain]]
name = "example.net"
servers = ["im-1.corp.example:5270", "10.0.0.21"]
trust = "dialback"
[[chat_node]]
alias = "rooms.example.net"
servers = ["10.0.0.21"]
[[static_route]]
domain   = "chatroom1.federated.com"
address  = "198.51.100.7:5269"
priority = 10
fallback = "dns"
[[static_route]]
domain   = "chatroom1.federated.com"
address  = "xmpp.federated.com"
[[allow]]
domain    = "bücher.example"
direction = "in"
comment   = "contract 4711"
expires   = 2027-01-31
[[deny]]
domain    = "*.evil.example"
[[peer]]
domain       = "old.example"
authenticate = "dialback"
tls          = "optional"
)",
                                   "/etc/sallyport/policy.toml", core());
  ASSERT_EQ(shown(loaded.errors), std::vector<std::string>());
  const PolicyConfig& config = *loaded.value;
  EXPECT_EQ(config.trusted_ca, "/etc/sallyport/ca.pem");
  EXPECT_TRUE(config.static_routes);

  ASSERT_EQ(config.served.size(), 4U);
  EXPECT_EQ(config.served[0].name, domain("example.com"));
  EXPECT_EQ(config.served[0].internal_name, domain("example.com"));
  EXPECT_FALSE(config.served[0].trust);
  EXPECT_EQ(config.served[0].line, 1U);
  EXPECT_EQ(config.served[1].servers.at(0).text(), "im-1.corp.example:5270");
  EXPECT_EQ(config.served[1].servers.at(1).text(), "10.0.0.21:5269");
  EXPECT_EQ(config.served[1].trust, Trust::kDialback);
  EXPECT_EQ(config.served[2].name, domain("chatroom1.example.com"));
  EXPECT_EQ(config.served[2].internal_name, domain("conference-2.corp.example"));
  EXPECT_TRUE(config.served[2].is_alias);
  EXPECT_EQ(config.served[3].internal_name, domain("rooms.example.net"));

  const policy::RuleSet& rules = config.rules;
  EXPECT_TRUE(rules.enabled);
  EXPECT_EQ(rules.privacy, Privacy::kAllowList);
  EXPECT_EQ(rules.authenticate, policy::Authenticate::kDialback);
  EXPECT_EQ(rules.local.size(), 4U);
  std::vector<std::string> inside;
  for (const auto& pattern : rules.internal_names) inside.push_back(pattern.text());
  EXPECT_EQ(inside, (std::vector<std::string>{"corp.example", "*.corp.example", "core.corp.example",
                                              "vcse.dmz.example", "conference-2.corp.example"}));
  ASSERT_EQ(rules.lists.size(), 2U);
  EXPECT_EQ(rules.lists[0].domain.text(), "xn--bcher-kva.example");
  EXPECT_TRUE(rules.lists[0].allow);
  EXPECT_EQ(rules.lists[0].direction, Direction::kIn);
  EXPECT_EQ(rules.lists[0].comment, "contract 4711");
  EXPECT_EQ(rules.lists[0].expires, UnixTime(1'801'440'000s));  // 2027-02-01T00:00:00Z
  EXPECT_EQ(rules.lists[0].line, 30U);
  EXPECT_FALSE(rules.lists[1].allow);
  EXPECT_EQ(rules.lists[1].direction, Direction::kBoth);
  EXPECT_EQ(rules.routed, std::vector<xmpp::Domain>{domain("chatroom1.federated.com")});
  ASSERT_EQ(rules.peers.size(), 1U);
  EXPECT_EQ(rules.peers[0].tls, policy::TlsRule::kOptional);

  ASSERT_EQ(config.routes.size(), 2U);
  EXPECT_EQ(config.routes[0].priority, 10);
  EXPECT_TRUE(config.routes[0].fallback_dns);
  EXPECT_EQ(config.routes[1].address.text(), "xmpp.federated.com:5269");
  EXPECT_FALSE(config.routes[1].fallback_dns);
}

TEST(PolicyConfig, left_empty_nobody_is_allowed_yet) {
  const auto loaded = load("");
  ASSERT_TRUE(loaded.value);
  EXPECT_TRUE(loaded.value->rules.enabled);
  EXPECT_EQ(loaded.value->rules.privacy, Privacy::kAllowList);
  EXPECT_EQ(loaded.value->rules.authenticate, policy::Authenticate::kCertificate);
  EXPECT_TRUE(loaded.value->static_routes);
  EXPECT_EQ(loaded.value->trusted_ca, "");
  EXPECT_EQ(load("[federation]\ntrusted_ca = \"system\"\n").value->trusted_ca, "");
}

TEST(PolicyConfig, static_routes_that_are_off_allow_nobody) {
  const auto loaded = load(
      "[federation]\nstatic_routes = false\n[[static_route]]\ndomain = \"a.example\"\naddress = "
      "\"192.0.2.1\"\n" +
      kServed);
  ASSERT_TRUE(loaded.value);
  EXPECT_EQ(loaded.value->routes.size(), 1U);
  EXPECT_TRUE(loaded.value->rules.routed.empty());
  EXPECT_EQ(shown(loaded.warnings),
            (std::vector<std::string>{"policy.toml:1:1: `privacy` is \"allow-list\" and no [[allow]] row is "
                                      "in force, so nothing is federated [config.serves-nothing]",
                                      "policy.toml:3:1: [[static_route]] rows have no effect: "
                                      "static_routes is false [config.no-effect]"}));
}

struct Case {
  std::string name, text;
  std::vector<std::string> findings;  // without "policy.toml:"
};

TEST(PolicyConfig, every_fault_is_told_with_its_place) {
  const auto row = [](std::string_view kind, std::string_view rest) {
    return fmt::format("{}[[{}]]\n{}\n", kServed, kind, rest);
  };
  const Case cases[] = {
      {"a name served twice",
       row("domain", "name = \"EXAMPLE.com\"\nservers = [\"10.0.0.1\"]"),
       {"9:8: `example.com` is already served by the row in line 1 [config.conflict]"}},
      {"an alias that is a local domain",
       row("chat_node", "alias = \"example.com\"\nservers = [\"10.0.0.1\"]"),
       {"9:9: `example.com` is already served by the row in line 1 [config.conflict]"}},
      {"an alias twice",
       row("chat_node", "alias = \"chatroom1.example.com\"\nservers = [\"10.0.0.1\"]"),
       {"9:9: `chatroom1.example.com` is already served by the row in line 4 [config.conflict]"}},
      {"the core's name",
       row("domain", "name = \"core.corp.example\"\nservers = [\"10.0.0.1\"]"),
       {"9:8: `core.corp.example` is the name of the core [config.conflict]"}},
      {"a node that is a local domain",
       row("chat_node", "alias = \"x.example.com\"\nnode = \"example.com\"\nservers = [\"10.0.0.1\"]"),
       {"10:8: the node `example.com` is itself served under that name by another row [config.conflict]"}},
      {"a node that is another's alias",
       row("chat_node",
           "alias = \"x.example.com\"\nnode = \"chatroom1.example.com\"\nservers = [\"10.0.0.1\"]"),
       {"10:8: the node `chatroom1.example.com` is itself served under that name by another row "
        "[config.conflict]"}},
      {"a node outside",
       row("chat_node",
           "alias = \"x.example.com\"\nnode = \"rooms.other.example\"\nservers = [\"10.0.0.1\"]"),
       {"10:8: the node `rooms.other.example` is neither under [internal] names in core.toml nor below a "
        "[[domain]]; add it to [internal] names [config.conflict]"}},
      {"a node below a domain",
       row("chat_node",
           "alias = \"x.example.com\"\nnode = \"conference-1.example.com\"\nservers = [\"10.0.0.1\"]"),
       {}},
      {"two aliases of one node",
       row("chat_node",
           "alias = \"x.example.com\"\nnode = \"conference-2.corp.example\"\nservers = [\"10.0.0.1\"]"),
       {}},
      {"the node written as the alias itself",
       row("chat_node", "alias = \"x.example.com\"\nnode = \"x.example.com\"\nservers = [\"10.0.0.1\"]"),
       {}},
      {"a domain without servers",
       row("domain", "name = \"b.example\"\nservers = []"),
       {"10:11: `servers` in [[domain]] must be a list of at least one string [config.value]"}},
      {"allow an internal name",
       row("allow", "domain = \"im.corp.example\""),
       {"9:10: `im.corp.example` is an internal name; it cannot be allowed as a remote domain "
        "[config.conflict]"}},
      {"allow all internal names",
       row("allow", "domain = \"*.corp.example\""),
       {"9:10: `*.corp.example` is an internal name; it cannot be allowed as a remote domain "
        "[config.conflict]"}},
      {"allow some internal names",
       row("allow", "domain = \"*.eu.corp.example\""),
       {"9:10: `*.eu.corp.example` is an internal name; it cannot be allowed as a remote domain "
        "[config.conflict]"}},
      {"allow a local domain",
       row("allow", "domain = \"example.com\""),
       {"9:10: `example.com` is an internal name; it cannot be allowed as a remote domain "
        "[config.conflict]"}},
      {"allow an edge",
       row("allow", "domain = \"vcse.dmz.example\""),
       {"9:10: `vcse.dmz.example` is an internal name; it cannot be allowed as a remote domain "
        "[config.conflict]"}},
      {"allow what only holds internal names among others", row("allow", "domain = \"*.example\""), {}},
      {"route an internal name",
       row("static_route", "domain = \"chatroom1.example.com\"\naddress = \"192.0.2.1\""),
       {"9:10: `chatroom1.example.com` is an internal name; it cannot have a static route "
        "[config.conflict]"}},
      {"route a name below a local domain",
       row("static_route", "domain = \"x.example.com\"\naddress = \"192.0.2.1\""),
       {}},
      {"route a wildcard, badly",
       row("static_route",
           "domain = \"*.a.example\"\naddress = \"a b\"\npriority = 65536\nfallback = \"srv\""),
       {"9:10: `domain` in [[static_route]]: ",
        "10:11: `address` in [[static_route]]: `a b` is not an address and port",
        "11:12: `priority` in [[static_route]] must be a number from 0 to 65535 [config.value]",
        "12:12: `fallback` in [[static_route]] is `srv`; expected one of \"none\", \"dns\" [config.value]"}},
      {"lax TLS for a wildcard",
       row("peer", "domain = \"*.a.example\"\nauthenticate = \"dialback\"\ntls = \"none\""),
       {"11:7: `tls` may be less than required only for an exact domain, not for a wildcard "
        "[config.conflict]"}},
      {"lax TLS with certificates",
       row("peer", "domain = \"a.example\"\nauthenticate = \"certificate\"\ntls = \"optional\""),
       {"11:7: `tls` may be less than required only together with authenticate = \"dialback\" in the same "
        "row "
        "[config.conflict]"}},
      {"lax TLS, dialback not said in the row",
       "[federation]\nauthenticate = \"dialback\"\n[[peer]]\ndomain = \"a.example\"\ntls = \"optional\"",
       {"5:7: `tls` may be less than required only together with authenticate = \"dialback\" in the same row "
        "[config.conflict]"}},
      {"a strict wildcard",
       row("peer", "domain = \"*.a.example\"\nauthenticate = \"dialback\"\ntls = \"required\""),
       {}},
      {"one peer twice",
       row("peer", "domain = \"a.example\"\nauthenticate = \"dialback\"") +
           "[[peer]]\ndomain = \"A.example\"\nauthenticate = \"dialback\"",
       {"12:10: [[peer]] `a.example` is already listed in line 8 [config.conflict]"}},
      {"a quoted date, a wrong way, a near key",
       row("deny",
           "domain = \"a.example\"\nexpires = \"2027-01-31\"\ndirection = \"inbound\"\ncoment = \"x\""),
       {"10:11: `expires` in [[deny]] must be a date without quotes: 2027-01-31 [config.value]",
        "11:13: `direction` in [[deny]] is `inbound`; expected one of \"in\", \"out\", \"both\" "
        "[config.value]",
        "12:1: unknown key `coment` in [[deny]]; did you mean `comment`? [config.key]"}},
      {"a day that does not exist", row("deny", "domain = \"a.example\"\nexpires = 2027-02-30"), {"10:"}},
      {"federation",
       "[federation]\nprivacy = \"allow\"\nauthenticate = \"none\"\nenabled = \"yes\"\n",
       {"2:11: `privacy` in [federation] is `allow`; expected one of \"allow-list\", \"deny-list\", \"off\" "
        "[config.value]",
        "3:16: `authenticate` in [federation] is `none`; expected one of \"certificate\", \"dialback\" "
        "[config.value]",
        "4:11: `enabled` in [federation] must be true or false [config.value]"}},
      {"a header that no key begins", "[[$allow]]\n", {"1:"}},
      {"a letter that is no key's behind a key", "[federation]\nna\u00efve = true\n", {"2:"}},
      {"a header of nothing", "[[\n", {"1:"}},
      {"a dotted header that ends", "[a.\n", {"1:"}},
      {"a key written twice", "[federation]\nenabled = true\nenabled = false\n", {"3:"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    const auto loaded = load(c.text);
    const auto errors = shown(loaded.errors);
    ASSERT_EQ(errors.size(), c.findings.size()) << ::testing::PrintToString(errors);
    for (std::size_t i = 0; i < errors.size(); ++i) {
      EXPECT_EQ(errors[i].substr(0, 12 + c.findings[i].size()), "policy.toml:" + c.findings[i]);
    }
    EXPECT_EQ(loaded.value.has_value(), c.findings.empty());
  }
}

TEST(PolicyConfig, rows_that_change_nothing_are_warned_of) {
  const std::string allow_list, deny_list = "[federation]\nprivacy = \"deny-list\"\n";
  const auto rows = [](std::initializer_list<std::string_view> all) {
    std::string text;
    for (const auto row : all) {
      const auto space = row.find(' ');
      text += fmt::format("[[{}]]\ndomain = \"{}\"\n", row.substr(0, space), row.substr(space + 1));
    }
    return text;
  };
  const std::string in = "direction = \"in\"\n";
  const Case cases[] = {
      {"an allow", rows({"allow a.example"}), {}},
      {"a deny of what nobody allows",
       rows({"deny a.example"}),
       {"1:1: `deny a.example` has no effect: the name is refused without it"}},
      {"a deny within an allow", rows({"allow *.example", "deny a.example"}), {}},
      {"a deny wider than the allow",
       rows({"allow a.b.example", "deny *.b.example"}),
       {"3:1: `deny *.b.example` has no effect: the name is refused without it"}},
      {"a deny of a routed name",
       rows({"deny a.example"}) + "[[static_route]]\ndomain = \"a.example\"\naddress = \"192.0.2.1\"\n",
       {}},
      {"an allow of a routed name",
       rows({"allow a.example"}) + "[[static_route]]\ndomain = \"a.example\"\naddress = \"192.0.2.1\"\n",
       {}},
      {"an allow within an allow",
       rows({"allow *.example", "allow a.example"}),
       {"3:1: `allow a.example` has no effect: `allow *.example` in line 1 has the same effect"}},
      {"an allow that lasts longer than the wider one",
       rows({"allow *.example"}) + "expires = 2027-01-31\n" + rows({"allow a.example"}),
       {}},
      {"an allow that ends before the wider one",
       rows({"allow *.example"}) + "expires = 2027-01-31\n" + rows({"allow a.example"}) +
           "expires = 2026-12-31\n",
       {"4:1: `allow a.example` has no effect: `allow *.example` in line 1 has the same effect"}},
      {"an allow that reopens", rows({"allow *.example", "deny *.b.example", "allow a.b.example"}), {}},
      {"an allow beside a deny",
       rows({"allow a.example", "deny a.example"}),
       {"1:1: `allow a.example` has no effect: `deny a.example` in line 3 wins"}},
      {"an allow beside a deny of one way", rows({"allow a.example", "deny a.example"}) + in, {}},
      {"the same twice",
       rows({"allow a.example", "allow A.example"}),
       {"3:1: `allow a.example` has no effect: `allow a.example` in line 1 has the same effect"}},
      {"a narrow one before a wide one",
       rows({"allow a.example"}) + in + rows({"allow a.example"}),
       {"1:1: `allow a.example` has no effect: `allow a.example` in line 4 has the same effect"}},
      {"a wildcard below a local domain",
       rows({"allow *.example.com"}),
       {"1:1: `allow *.example.com` has no effect: names below example.com are allowed only by rows that "
        "name "
        "them exactly"}},
      {"an exact name below a local domain", rows({"allow x.example.com"}), {}},
      {"also in deny-list mode", deny_list + rows({"allow x.example.com"}), {}},
      {"a deny below a local domain",
       deny_list + rows({"deny x.example.com"}),
       {"3:1: `deny x.example.com` has no effect: the name is refused without it"}},
      {"a deny of an internal name",
       rows({"deny im.corp.example"}),
       {"1:1: `deny im.corp.example` has no effect: internal names are never remote"}},
      {"deny-list: a deny", deny_list + rows({"deny a.example"}), {}},
      {"deny-list: an allow",
       deny_list + rows({"allow a.example"}),
       {"3:1: `allow a.example` has no effect: the name is admitted without it"}},
      {"deny-list: an allow within a deny", deny_list + rows({"deny *.example", "allow a.example"}), {}},
      {"expired",
       rows({"allow a.example"}) + "expires = 2026-01-14\n",
       {"1:1: `allow a.example` expired after 2026-01-14"}},
      {"expires today", rows({"allow a.example"}) + "expires = 2026-01-15\n", {}},
      {"a route twice",
       "[[static_route]]\ndomain = \"a.example\"\naddress = \"192.0.2.1\"\n[[static_route]]\ndomain = "
       "\"a.example\"\naddress = \"192.0.2.1:5269\"\n",
       {"4:1: the static route a.example to 192.0.2.1:5269 is listed twice"}},
      {"an empty peer",
       "[[peer]]\ndomain = \"a.example\"\n",
       {"1:1: [[peer]] `a.example` has no effect: it sets nothing"}},
      {"an inside peer",
       "[[peer]]\ndomain = \"corp.example\"\ntls = \"required\"\n",
       {"1:1: [[peer]] `corp.example` has no effect: internal names are never remote"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.name);
    // The served names come last, so that line numbers begin with the rows.
    const auto loaded = load(c.text + kServed, UnixTime(1'768'435'200s));  // 2026-01-15T00:00:00Z
    EXPECT_EQ(shown(loaded.errors), std::vector<std::string>());
    auto idle = loaded.warnings;
    std::erase_if(idle, [](const Finding& finding) { return finding.code != Code::kConfigNoEffect; });
    std::vector<std::string> expected;
    for (const auto& finding : c.findings)
      expected.push_back("policy.toml:" + finding + " [config.no-effect]");
    EXPECT_EQ(shown(idle), expected);
  }
}

// Also checks that so many rows for one name are not slower than for many names.
TEST(PolicyConfig, rows_have_a_limit) {
  constexpr std::string_view kRow = "{domain=\"a\"},\n";
  std::string text = "deny=[\n";
  text.reserve(kRow.size() * limits::kPolicyRowsMax + 64);
  for (std::size_t i = 0; i < limits::kPolicyRowsMax; ++i) text += kRow;
  text += "]\n";
  const auto full = load(text + kServed);
  ASSERT_TRUE(full.value);
  EXPECT_EQ(full.value->rules.lists.size(), limits::kPolicyRowsMax);
  EXPECT_EQ(full.warnings.size(), limits::kPolicyRowsMax + 1) << "each row, and that no row allows anybody";
  text += "[[allow]]\ndomain = \"b\"\n";
  EXPECT_EQ(
      shown(load(text).errors),
      std::vector<std::string>{"policy.toml:1:1: there are 200001 [[allow]] and [[deny]] rows; the limit is "
                               "200000 [config.value]"});
}

}  // namespace
}  // namespace sallyport::config
