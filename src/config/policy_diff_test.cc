#include "config/policy_diff.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace sallyport::config {
namespace {

PolicyConfig policy(const std::string& text) {
  CoreConfig core{.name = xmpp::Domain::parse("core.corp.example").value()};
  core.internal_names.push_back(policy::DomainPattern::parse("*.corp.example").value());
  auto loaded = parse_policy(text, "/etc/sallyport/policy.toml", core);
  EXPECT_TRUE(loaded.value) << (loaded.errors.empty() ? "" : loaded.errors.front().shown());
  return loaded.value ? std::move(*loaded.value) : PolicyConfig{};
}

std::vector<std::string> diff(const std::string& was, const std::string& becomes) {
  std::vector<std::string> lines;
  for (const PolicyChange& change : compare_policies(policy(was), policy(becomes))) {
    lines.push_back(fmt::format("{} {}: {} -> {}", change.table, change.row, change.was, change.becomes));
  }
  return lines;
}

const std::string kDomain = "[[domain]]\nname = \"example.com\"\nservers = [\"10.0.0.20:5269\"]\n";

std::string alias(const std::string& name, const std::string& node = "conference.corp.example") {
  return fmt::format("[[chat_node]]\nalias = \"{}\"\nnode = \"{}\"\nservers = [\"10.0.0.20:5269\"]\n", name,
                     node);
}

TEST(PolicyDiff, each_kind_of_change_is_one_line) {
  struct Row {
    const char* name;
    std::string was, becomes;
    std::vector<std::string> lines;
  };
  const Row rows[] = {
      {"nothing", kDomain, kDomain, {}},
      {"a comment in the file", kDomain, "# new words\n\n" + kDomain, {}},
      {"a default written out",
       kDomain,
       "[federation]\nenabled = true\nprivacy = \"allow-list\"\n" + kDomain,
       {}},
      {"a key of [federation]",
       kDomain,
       "[federation]\nprivacy = \"off\"\n" + kDomain,
       {"federation privacy: allow-list -> off"}},
      {"trusted_ca",
       kDomain,
       "[federation]\ntrusted_ca = \"ca.pem\"\n" + kDomain,
       {"federation trusted_ca: system -> /etc/sallyport/ca.pem"}},
      {"an allow more",
       kDomain,
       kDomain + "[[allow]]\ndomain = \"a.example\"\nexpires = 2027-01-31\ncomment = \"c\"\n",
       {"allow a.example:  -> direction = both, expires = 2027-01-31, comment = c"}},
      {"a deny less",
       kDomain + "[[deny]]\ndomain = \"*.a.example\"\n",
       kDomain,
       {"deny *.a.example: direction = both -> "}},
      {"another direction",
       kDomain + "[[allow]]\ndomain = \"a.example\"\n",
       kDomain + "[[allow]]\ndomain = \"a.example\"\ndirection = \"in\"\n",
       {"allow a.example: direction = both -> direction = in"}},
      {"rows in another order",
       kDomain + "[[allow]]\ndomain = \"a.example\"\n[[allow]]\ndomain = \"b.example\"\n",
       "[[allow]]\ndomain = \"b.example\"\n" + kDomain + "[[allow]]\ndomain = \"a.example\"\n",
       {}},
      {"another server",
       kDomain,
       "[[domain]]\nname = \"example.com\"\nservers = [\"10.0.0.21\"]\ntrust = \"dialback\"\n",
       {"domain example.com: servers = [10.0.0.20:5269] -> servers = [10.0.0.21:5269], trust = dialback"}},
      {"a peer",
       kDomain,
       kDomain + "[[peer]]\ndomain = \"old.example\"\nauthenticate = \"dialback\"\ntls = \"optional\"\n",
       {"peer old.example:  -> authenticate = dialback, tls = optional"}},
      {"one static route of two",
       kDomain + "[[static_route]]\ndomain = \"f.example\"\naddress = \"198.51.100.7\"\n"
                 "[[static_route]]\ndomain = \"f.example\"\naddress = \"198.51.100.8\"\n",
       kDomain + "[[static_route]]\ndomain = \"f.example\"\naddress = \"198.51.100.8\"\n"
                 "[[static_route]]\ndomain = \"f.example\"\naddress = \"198.51.100.9\"\npriority = 5\n",
       {"static_route f.example: address = 198.51.100.7:5269, priority = 0, fallback = none -> "
        "address = 198.51.100.9:5269, priority = 5, fallback = none"}},
  };
  for (const Row& row : rows) EXPECT_EQ(diff(row.was, row.becomes), row.lines) << row.name;
}

TEST(PolicyDiff, the_first_alias_of_a_node_is_told_because_it_is_its_outward_name) {
  const std::string one = alias("a.example.com");
  const std::string two = alias("b.example.com");
  EXPECT_TRUE(diff(one + two, one + two).empty());
  EXPECT_EQ(diff(one + two, two + one).size(), 2u);
}

TEST(PolicyDiff, tables_come_in_the_order_of_the_file) {
  const auto lines =
      diff(kDomain, alias("a.example.com") + "[federation]\nenabled = false\n" +
                        "[[deny]]\ndomain = \"d.example\"\n[[allow]]\ndomain = \"z.example\"\n");
  ASSERT_EQ(lines.size(), 5u);
  const char* begins[] = {"federation enabled", "domain example.com", "chat_node a.example.com",
                          "allow z.example", "deny d.example"};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_TRUE(lines[i].starts_with(begins[i])) << lines[i];
}

}  // namespace
}  // namespace sallyport::config
