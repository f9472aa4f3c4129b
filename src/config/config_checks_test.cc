// Findings about values that are valid on their own: overlapping listeners, a file of the other role,
// addresses that are too open, unknown keys without a similar known one.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/edge_config.h"
#include "config/file_role.h"
#include "config/policy_config.h"

namespace sallyport::config {
namespace {

constexpr std::string_view kPin = "sha256:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";

std::string edge(std::string_view s2s, std::string_view traversal, std::string_view more = "") {
  return fmt::format(
      "[edge]\nname = \"vcse.example.com\"\ns2s = [{}]\ntraversal = [{}]\n{}\n[identity]\ncertificate = "
      "\"edge.crt\"\nkey = \"edge.key\"\n[[core]]\nname = \"core-1\"\npins = [\"{}\"]\n",
      s2s, traversal, more, kPin);
}
std::string core(std::string_view s2s, std::string_view more, std::string_view tables = "") {
  return fmt::format(
      "[core]\nname = \"core.corp.example\"\ns2s = [{}]\npolicy = "
      "\"policy.toml\"\n{}\n[identity]\ncertificate = "
      "\"core.crt\"\nkey = \"core.key\"\n[[edge]]\nname = \"vcse.example.com\"\naddress = "
      "\"192.0.2.10:7400\"\npins = [\"{}\"]\n[certificates]\ndirectory = \"certs\"\n{}",
      s2s, more, kPin, tables);
}

template <typename T>
std::vector<std::string> errors(const Loaded<T>& loaded) {
  std::vector<std::string> lines;
  for (const Finding& finding : loaded.errors) lines.push_back(finding.shown());
  return lines;
}
using Lines = std::vector<std::string>;

TEST(Overlap, of_listeners_is_refused_with_both_places) {
  const auto edge_errors = [](const std::string& text) {
    return errors(parse_edge_config(text, "edge.toml"));
  };
  EXPECT_EQ(
      edge_errors(edge(R"("192.0.2.1:5269")", R"("192.0.2.1:5269")")),
      (Lines{"edge.toml:4:14: `traversal` in [edge] listens on 192.0.2.1:5269, which overlaps with "
             "192.0.2.1:5269 of `s2s` in [edge] (edge.toml:3:8); give one of them another address or port "
             "[config.conflict]"}));
  struct Case {
    std::string_view s2s, traversal, metrics;
    std::size_t errors;
  };
  const Case cases[] = {
      {R"("0.0.0.0:5269")", R"("192.0.2.1:5269")", "127.0.0.1:7481", 1},
      {R"("192.0.2.1:5269")", R"("0.0.0.0:5269")", "127.0.0.1:7481", 1},
      {R"("0.0.0.0:5269")", R"("192.0.2.1:7400")", "127.0.0.1:5269", 1},
      {R"("[::]:5269")", R"("[2001:db8::1]:5269")", "127.0.0.1:7481", 1},
      {R"("192.0.2.1", "192.0.2.1:5269")", R"("192.0.2.1:7400")", "127.0.0.1:7481", 1},
      {R"("0.0.0.0:5269")", R"("0.0.0.0:7400")", "0.0.0.0:7400", 1},
      {R"("0.0.0.0:5269")", R"("192.0.2.1:5269")", "127.0.0.1:5269", 2},
      // The families are separate (IPV6_V6ONLY), and so are different addresses and ports.
      {R"("0.0.0.0:5269", "[::]:5269")", R"("192.0.2.1:7400")", "127.0.0.1:7481", 0},
      {R"("0.0.0.0:5269")", R"("[2001:db8::1]:5269")", "127.0.0.1:7481", 0},
      {R"("192.0.2.1:5269")", R"("192.0.2.2:5269")", "127.0.0.1:5269", 0},
  };
  for (const Case& one : cases) {
    const std::string text = edge(one.s2s, one.traversal, fmt::format("metrics = \"{}\"", one.metrics));
    EXPECT_EQ(edge_errors(text).size(), one.errors) << text << testing::PrintToString(edge_errors(text));
  }
}

TEST(Overlap, of_a_cores_listeners_takes_its_resolver_and_console_too) {
  struct Case {
    std::string_view more, tables;
    std::size_t errors;
  };
  constexpr std::string_view kDns =
      "[dns]\nlisten = [\"10.0.0.5:53\"]\nupstream = [\"10.0.0.1\"]\nclients = [\"10.0.0.0/8\"]\n";
  constexpr std::string_view kAdmin = "[admin]\nlisten = \"127.0.0.1:7482\"\ntokens_file = \"t\"\n";
  const Case cases[] = {
      {"", kDns, 0},
      {"metrics = \"10.0.0.5:53\"", kDns, 1},
      {"metrics = \"10.0.0.5:5269\"", "", 1},
      {"metrics = \"127.0.0.1:7482\"", kAdmin, 1},
      {"metrics = \"127.0.0.1:7481\"", kAdmin, 0},
      {"", "[admin]\nlisten = \"unix:/run/x.sock\"\ntokens_file = \"t\"\n", 0},
  };
  for (const Case& one : cases) {
    const std::string text = core(R"("10.0.0.5:5269")", one.more, one.tables);
    const Lines found = errors(parse_core_config(text, "core.toml"));
    EXPECT_EQ(found.size(), one.errors) << text << testing::PrintToString(found);
  }
}

TEST(Metrics, that_the_internet_may_reach_are_warned_of) {
  const std::pair<std::string_view, std::string_view> cases[] = {{"127.0.0.1", ""},
                                                                 {"[::1]", ""},
                                                                 {"10.0.0.5", ""},
                                                                 {"[fd00::5]", ""},
                                                                 {"8.8.8.8", "a public address"},
                                                                 {"0.0.0.0", "every address of this host"},
                                                                 {"[::]", "every address of this host"}};
  for (const auto& [address, why] : cases) {
    const std::string more = fmt::format("metrics = \"{}\"", address);
    const auto of_edge = parse_edge_config(edge(R"("192.0.2.1")", R"("192.0.2.1")", more), "edge.toml");
    const auto of_core = parse_core_config(core(R"("10.0.0.5")", more), "core.toml");
    ASSERT_TRUE(of_edge.value && of_core.value) << address;
    for (const auto& warnings : {of_edge.warnings, of_core.warnings}) {
      ASSERT_EQ(warnings.size(), why.empty() ? 0U : 1U) << address;
      if (warnings.empty()) continue;
      EXPECT_EQ(warnings[0].code, Code::kConfigExposed);
      EXPECT_EQ(warnings[0].line, 5U);
      EXPECT_NE(warnings[0].text.find(why), std::string::npos) << warnings[0].text;
    }
  }
}

TEST(ConfigRole, a_file_of_another_role_is_named_as_that_and_as_nothing_else) {
  const std::string of_edge = edge(R"("192.0.2.1")", R"("192.0.2.1")");
  const std::string of_core = core(R"("10.0.0.5")", "");
  const std::string of_policy = "[[domain]]\nname = \"a.example\"\nservers = [\"10.0.0.20\"]\n";
  EXPECT_EQ(errors(parse_edge_config(of_core, "edge.toml")),
            Lines{"edge.toml:1:1: this looks like a core.toml; an edge.toml is expected here [config.role]"});
  EXPECT_EQ(errors(parse_core_config(of_edge, "core.toml")),
            Lines{"core.toml:1:1: this looks like an edge.toml; a core.toml is expected here [config.role]"});
  EXPECT_EQ(
      errors(parse_core_config(of_policy, "core.toml")),
      Lines{"core.toml:1:1: this looks like a policy.toml; a core.toml is expected here [config.role]"});
  const auto loaded = parse_core_config(of_core, "core.toml");
  ASSERT_TRUE(loaded.value);
  EXPECT_EQ(
      errors(parse_policy(of_edge, "policy.toml", *loaded.value)),
      Lines{"policy.toml:1:1: this looks like an edge.toml; a policy.toml is expected here [config.role]"});
  EXPECT_TRUE(parse_policy(of_policy, "policy.toml", *loaded.value).value);
}

TEST(ConfigRole, tables_that_do_not_tell_leave_the_faults_to_be_named) {
  for (const char* text : {"", "[identity]\nkey = \"k\"\n", "[edge]\n[core]\n"}) {
    for (const std::string& line : errors(parse_edge_config(text, "edge.toml")))
      EXPECT_EQ(line.find("config.role"), std::string::npos) << line;
  }
}

TEST(UnknownKey, that_is_far_from_all_gets_the_list_and_no_nearest_one) {
  const auto found = errors(
      parse_edge_config(edge(R"("192.0.2.1")", R"("192.0.2.1")", "frobnicate = 1\nmetrcs = 2"), "edge.toml"));
  EXPECT_EQ(found,
            (Lines{"edge.toml:5:1: unknown key `frobnicate` in [edge]; known here: name, s2s, traversal, "
                   "control, control_group, metrics, shards [config.key]",
                   "edge.toml:6:1: unknown key `metrcs` in [edge]; did you mean `metrics`? [config.key]"}));
}

TEST(Policy, that_serves_nothing_is_warned_of) {
  const auto loaded = parse_core_config(core(R"("10.0.0.5")", ""), "core.toml");
  ASSERT_TRUE(loaded.value);
  for (const char* text : {"", "[federation]\nprivacy = \"off\"\n", "[[allow]]\ndomain = \"a.example\"\n"}) {
    const auto policy = parse_policy(text, "policy.toml", *loaded.value);
    ASSERT_TRUE(policy.value) << text;
    ASSERT_EQ(policy.warnings.size(), 1U) << text;
    EXPECT_EQ(
        policy.warnings[0].shown(),
        "policy.toml:1:1: the policy has no [[domain]] and no [[chat_node]] row, so nothing is federated "
        "[config.serves-nothing]");
  }
  EXPECT_TRUE(parse_policy("[[chat_node]]\nalias = \"a.example\"\nservers = [\"10.0.0.20\"]\n[[allow]]\n"
                           "domain = \"b.example\"\n",
                           "policy.toml", *loaded.value)
                  .warnings.empty());
}

TEST(Policy, that_admits_nobody_is_warned_of) {
  const auto loaded = parse_core_config(core(R"("10.0.0.5")", ""), "core.toml");
  ASSERT_TRUE(loaded.value);
  const UnixTime now{std::chrono::sys_days(std::chrono::year(2026) / 7 / 1)};
  const std::string allow = "[[allow]]\ndomain = \"b.example\"\n";
  const std::string past = allow + "expires = 2026-06-01\n";
  const std::pair<std::string, std::string> policies[] = {
      {"", "no [[allow]] row is in force"},
      {past, "no [[allow]] row is in force"},
      {"[[deny]]\ndomain = \"c.example\"\n", "no [[allow]] row is in force"},
      {"[federation]\nenabled = false\n" + allow, "`enabled` in [federation] is false"},
      {allow, ""},
      {past + "[[allow]]\ndomain = \"c.example\"\n", ""},
      {"[federation]\nprivacy = \"off\"\n", ""},
      {"[federation]\nprivacy = \"deny-list\"\n", ""},
      {"[[static_route]]\ndomain = \"b.example\"\naddress = \"192.0.2.9\"\n", ""},
      {"[federation]\nstatic_routes = false\n[[static_route]]\ndomain = \"b.example\"\naddress = "
       "\"192.0.2.9\"\n",
       "no [[allow]] row is in force"},
  };
  for (const auto& [text, why] : policies) {
    const auto policy = parse_policy("[[domain]]\nname = \"a.example\"\nservers = [\"10.0.0.20\"]\n" + text,
                                     "policy.toml", *loaded.value, now);
    ASSERT_TRUE(policy.value) << text;
    std::string warned;
    for (const Finding& finding : policy.warnings)
      if (finding.code == Code::kConfigServesNothing) warned += finding.text;
    EXPECT_EQ(why.empty(), warned.empty()) << text << warned;
    EXPECT_NE(warned.find(why), std::string::npos) << text << warned;
  }
}

TEST(Config, a_control_path_that_no_socket_can_have_is_found) {
  const std::string fits = "/" + std::string(106, 'c');
  const std::string key = "control = \"" + fits;
  EXPECT_TRUE(parse_core_config(core(R"("10.0.0.5")", key + "\"\n"), "core.toml").value);
  const auto loaded = parse_core_config(core(R"("10.0.0.5")", key + "c\"\n"), "core.toml");
  ASSERT_EQ(loaded.errors.size(), 1U);
  EXPECT_EQ(loaded.errors[0].code, Code::kConfigValue);
  EXPECT_GT(loaded.errors[0].line, 1U);
  EXPECT_NE(loaded.errors[0].text.find("a path of 108 bytes; that of a Unix socket has at most 107"),
            std::string::npos)
      << loaded.errors[0].text;
}

}  // namespace
}  // namespace sallyport::config
