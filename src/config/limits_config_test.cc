#include "config/limits_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/codes.h"
#include "config/core_config.h"
#include "config/delivery_config.h"
#include "config/edge_config.h"

namespace sallyport::config {
namespace {

using Role = LimitKey::Role;

struct Read {
  limits::Configured value;
  std::vector<std::string> errors;
  std::vector<std::string> warnings;
};

// Reads [limits] with these lines on a node of that role.
Read read(Role role, const std::string& lines) {
  const std::string file = role == Role::kEdge ? "edge.toml" : "core.toml";
  const TomlDocument document = parse_toml("[limits]\n" + lines);
  Findings findings(file);
  TableReader root(document.root, {}, "", findings);
  Read out{read_limits(root, role, findings), {}, {}};
  root.finish();
  const Loaded<int> loaded = std::move(findings).finish(0);
  for (const Finding& finding : loaded.errors) out.errors.push_back(finding.shown());
  for (const Finding& finding : loaded.warnings) out.warnings.push_back(finding.shown());
  return out;
}

bool is_read_by(const LimitKey& key, Role role) { return key.role == Role::kBoth || key.role == role; }

TEST(LimitsConfig, each_key_sets_its_own_member_at_both_ends_of_its_range) {
  for (const Role role : {Role::kEdge, Role::kCore}) {
    for (const LimitKey& key : limit_keys()) {
      if (!is_read_by(key, role)) continue;
      SCOPED_TRACE(key.name);
      for (const std::size_t value : {key.min, key.max}) {
        limits::Configured expected;
        expected.*key.member = value;
        const Read got = read(role, fmt::format("{} = {}\n", key.name, value));
        EXPECT_EQ(got.errors, std::vector<std::string>());
        EXPECT_EQ(got.value, expected);
      }
    }
  }
}

TEST(LimitsConfig, a_value_outside_its_range_is_refused_with_the_range) {
  for (const LimitKey& key : limit_keys()) {
    SCOPED_TRACE(key.name);
    const Role role = key.role == Role::kBoth ? Role::kEdge : key.role;
    const char* file = role == Role::kEdge ? "edge.toml" : "core.toml";
    const std::string expected = fmt::format("`{}` in [limits] must be a number from {} to {} [config.value]",
                                             key.name, key.min, key.max);
    for (const std::string& value : {std::to_string(key.min - 1), std::to_string(key.max + 1),
                                     std::string("-1"), std::string("\"9\"")}) {
      const Read got = read(role, fmt::format("{} = {}\n", key.name, value));
      EXPECT_EQ(got.errors,
                std::vector<std::string>{fmt::format("{}:2:{}: {}", file, key.name.size() + 4, expected)});
      EXPECT_EQ(got.value, limits::Configured{});
    }
  }
}

TEST(LimitsConfig, the_default_is_within_its_range) {
  for (const LimitKey& key : limit_keys()) {
    const std::size_t value = limits::Configured{}.*key.member;
    EXPECT_LE(key.min, value) << key.name;
    EXPECT_LE(value, key.max) << key.name;
    EXPECT_LE(key.max, 16 * value) << key.name;
  }
}

TEST(LimitsConfig, a_key_that_has_no_meaning_on_the_node_names_the_other_file) {
  EXPECT_EQ(read(Role::kEdge, "mints_per_second = 10\n").errors,
            std::vector<std::string>{
                "edge.toml:2:1: `mints_per_second` in [limits] is only valid in core.toml [config.key]"});
  EXPECT_EQ(
      read(Role::kCore, "unauthenticated_per_address = 10\n").errors,
      std::vector<std::string>{"core.toml:2:1: `unauthenticated_per_address` in [limits] is only valid in "
                               "edge.toml [config.key]"});
}

TEST(LimitsConfig, a_part_that_is_set_above_the_whole_is_a_warning) {
  using Lines = std::vector<std::string>;
  EXPECT_EQ(read(Role::kEdge, "streams = 10\nunauthenticated = 11\n").warnings,
            Lines{"edge.toml:3:19: `unauthenticated` (11) in [limits] has no effect above `streams` (10) "
                  "[config.conflict]"});
  EXPECT_EQ(read(Role::kEdge, "unauthenticated_per_address = 9\nunauthenticated = 8\n").warnings,
            Lines{"edge.toml:2:31: `unauthenticated_per_address` (9) in [limits] has no effect above "
                  "`unauthenticated` (8) [config.conflict]"});
  EXPECT_EQ(
      read(Role::kCore, "pair_queue_bytes = 4194305\nwaiting_bytes = 4194304\n").warnings,
      Lines{"core.toml:2:20: `pair_queue_bytes` (4194305) in [limits] has no effect above `waiting_bytes` "
            "(4194304) [config.conflict]"});
  EXPECT_EQ(read(Role::kEdge, "streams = 10\nunauthenticated = 10\n").warnings, Lines());
  EXPECT_EQ(read(Role::kCore, "streams = 10\n").warnings, Lines()) << "what the file does not set";
}

TEST(LimitsConfig, an_unknown_key_is_refused_with_the_nearest_one) {
  EXPECT_EQ(read(Role::kCore, "verification = 10\n").errors,
            std::vector<std::string>{"core.toml:2:1: unknown key `verification` in [limits]; did you mean "
                                     "`verifications`? [config.key]"});
}

TEST(LimitsConfig, both_files_have_the_table) {
  const std::string text = "[limits]\nstreams = 0\n";
  const auto tells = [](const std::vector<Finding>& findings) {
    return std::ranges::count_if(
        findings, [](const Finding& f) { return f.text.starts_with("`streams` in [limits]"); });
  };
  EXPECT_EQ(tells(parse_edge_config(text, "edge.toml").errors), 1);
  EXPECT_EQ(tells(parse_core_config(text, "core.toml").errors), 1);
}

// The keys of a table that a text names.
void add_keys(std::string_view text, std::string_view table, std::set<std::string>& keys) {
  for (auto at = text.find(table); at != std::string_view::npos; at = text.find(table)) {
    text.remove_prefix(at + table.size());
    keys.emplace(text.substr(0, text.find_first_of("`., ")));
  }
}

bool is_key_of_delivery(const std::string& name) {
  const TomlDocument document = parse_toml(fmt::format("[delivery]\n{} = true\n", name));
  Findings findings("core.toml");
  TableReader root(document.root, {}, "", findings);
  read_delivery(root, "/state", findings);
  return std::move(findings).finish(0).errors.at(0).code != Code::kConfigKey;
}

// A remedy that says "raise" names a key.
TEST(LimitsConfig, each_limit_that_a_remedy_names_is_a_key) {
  std::set<std::string> limits;
  std::set<std::string> delivery;
  for (const auto& row : code_table()) {
    std::set<std::string> of_limits;
    add_keys(row.remedy, "[limits] ", of_limits);
    add_keys(row.remedy, "[delivery] ", delivery);
    const bool says_raise = row.remedy.find("aise ") != std::string_view::npos;
    const bool of_delivery = row.remedy.find("[delivery] ") != std::string_view::npos;
    EXPECT_EQ(says_raise, !of_limits.empty() || (says_raise && of_delivery)) << row.name;
    limits.merge(of_limits);
  }
  EXPECT_FALSE(limits.empty());
  EXPECT_FALSE(delivery.empty());
  for (const std::string& name : limits) {
    EXPECT_TRUE(std::ranges::any_of(limit_keys(), [&](const LimitKey& key) { return key.name == name; }))
        << name;
  }
  for (const std::string& name : delivery) EXPECT_TRUE(is_key_of_delivery(name)) << name;
}

}  // namespace
}  // namespace sallyport::config
