#include "config/delivery_config.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "config/quantity.h"

namespace sallyport::config {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

// [delivery] is line 15.
std::string core(std::string_view delivery, std::string_view more = "", std::string_view state = "") {
  return fmt::format(
      "[core]\nname = \"core.corp.example\"\ns2s = [\"10.0.0.5\"]\n{}\npolicy = \"policy.toml\"\n[identity]\n"
      "certificate = \"core.crt\"\nkey = \"core.key\"\n[certificates]\ndirectory = \"certs\"\n[[edge]]\n"
      "name = \"vcse.example.com\"\naddress = \"192.0.2.10\"\npins = "
      "[\"sha256:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=\"]\n[delivery]\n{}\n{}",
      state, delivery, more);
}

Lines shown(const std::vector<Finding>& findings) {
  Lines lines;
  for (const Finding& finding : findings) lines.push_back(finding.shown());
  return lines;
}
Loaded<CoreConfig> load(const std::string& text) {
  return parse_core_config(text, "/etc/sallyport/core.toml");
}
Lines errors(std::string_view delivery, std::string_view more = "") {
  return shown(parse_core_config(core(delivery, more), "core.toml").errors);
}

TEST(Quantity, a_size_is_a_number_a_space_and_a_unit) {
  const std::pair<std::string_view, std::optional<std::uint64_t>> cases[] = {
      {"0 B", 0},
      {"1 B", 1},
      {"3 KiB", 3072},
      {"64 MiB", 67'108'864},
      {"4 GiB", 4'294'967'296},
      {"18446744073709551615 B", UINT64_MAX},
      {"17179869183 GiB", 17'179'869'183ULL << 30},
      {"17179869184 GiB", std::nullopt},
      {"18446744073709551616 B", std::nullopt},
      {"", std::nullopt},
      {"64", std::nullopt},
      {"MiB", std::nullopt},
      {" MiB", std::nullopt},
      {"64MiB", std::nullopt},
      {"64  MiB", std::nullopt},
      {" 64 MiB", std::nullopt},
      {"64 MiB ", std::nullopt},
      {"64 MB", std::nullopt},
      {"64 mib", std::nullopt},
      {"64 TiB", std::nullopt},
      {"-1 MiB", std::nullopt},
      {"+1 MiB", std::nullopt},
      {"1.5 GiB", std::nullopt},
      {"1 GiB 1 MiB", std::nullopt},
  };
  for (const auto& [text, bytes] : cases) EXPECT_EQ(parse_size(text), bytes) << text;
}

TEST(Quantity, a_duration_is_a_number_with_a_unit) {
  const std::pair<std::string_view, std::optional<std::chrono::seconds>> cases[] = {
      {"0s", 0s},
      {"90s", 90s},
      {"2m", 120s},
      {"24h", 86'400s},
      {"30d", 2'592'000s},
      {"2147483648s", 2'147'483'648s},
      {"2147483649s", std::nullopt},
      {"24856d", std::nullopt},
      {"18446744073709551615d", std::nullopt},
      {"", std::nullopt},
      {"90", std::nullopt},
      {"d", std::nullopt},
      {"1 d", std::nullopt},
      {"1d ", std::nullopt},
      {"1w", std::nullopt},
      {"1D", std::nullopt},
      {"2min", std::nullopt},
      {"100ms", std::nullopt},
      {"-1d", std::nullopt},
      {"1.5h", std::nullopt},
      {"1d12h", std::nullopt},
  };
  for (const auto& [text, duration] : cases) EXPECT_EQ(parse_duration(text), duration) << text;
}

TEST(Quantity, is_shown_in_the_largest_whole_unit) {
  for (const char* text : {"0 B", "1023 B", "1 KiB", "1025 B", "16 MiB", "1023 MiB", "1024 GiB"})
    EXPECT_EQ(size_text(parse_size(text).value()), text);
  for (const char* text : {"0s", "10s", "61s", "1m", "90m", "1h", "25h", "30d"})
    EXPECT_EQ(duration_text(parse_duration(text).value()), text);
}

TEST(DeliveryConfig, the_contract_in_full) {
  const auto loaded = load(core(
      "memory = \"32 MiB\"\nspool = \"queue.db\"\nspool_max = \"8 GiB\"\nlifetime = \"2d\"\nlifetime_memory "
      "= \"90s\"",
      "", "state = \"/srv/sallyport\""));
  ASSERT_EQ(shown(loaded.errors), Lines());
  EXPECT_EQ(loaded.value->delivery, (DeliveryConfig{"/srv/sallyport/queue.db", 8ULL << 30, 48h, 90s}));
  EXPECT_EQ(loaded.value->limits.waiting_bytes, 32U << 20);
}

TEST(DeliveryConfig, what_is_left_out_has_its_default) {
  const DeliveryConfig expected{"/var/lib/sallyport/spool.db", 4ULL << 30, 24h, 2min};
  for (const auto& text : {core(""), core("").replace(core("").find("[delivery]"), 10, "")}) {
    const auto loaded = load(text);
    ASSERT_EQ(shown(loaded.errors), Lines());
    EXPECT_EQ(loaded.value->delivery, expected);
    EXPECT_EQ(loaded.value->limits, limits::Configured());
  }
}

TEST(DeliveryConfig, the_spool_is_relative_to_the_state) {
  struct Case {
    const char *state, *spool, *path;
  };
  const Case cases[] = {
      {"", "", "/var/lib/sallyport/spool.db"},
      {"", "spool = \"a/b.db\"", "/var/lib/sallyport/a/b.db"},
      {"", "spool = \"/srv/spool.db\"", "/srv/spool.db"},
      {"state = \"state\"", "", "/etc/sallyport/state/spool.db"},
      {"state = \"state\"", "spool = \"q.db\"", "/etc/sallyport/state/q.db"},
      {"state = \"state\"", "spool = \"/srv/spool.db\"", "/srv/spool.db"},
  };
  for (const Case& c : cases) {
    const auto loaded = load(core(c.spool, "", c.state));
    ASSERT_TRUE(loaded.value);
    EXPECT_EQ(loaded.value->delivery.spool, c.path);
  }
}

TEST(DeliveryConfig, values_at_the_bound_are_accepted_and_one_past_it_refused) {
  struct Case {
    std::string key, least, below, most, above, range;
  };
  const Case cases[] = {
      {"memory", "4 MiB", "4194303 B", "1 GiB", "1073741825 B",
       "a size from \"4 MiB\" to \"1 GiB\", in B, KiB, MiB or GiB"},
      {"spool_max", "16 MiB", "16777215 B", "1024 GiB", "1099511627777 B",
       "a size from \"16 MiB\" to \"1024 GiB\", in B, KiB, MiB or GiB"},
      {"lifetime", "1m", "59s", "30d", "2592001s", "a duration from \"1m\" to \"30d\", in s, m, h or d"},
      {"lifetime_memory", "10s", "9s", "1h", "3601s", "a duration from \"10s\" to \"1h\", in s, m, h or d"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.key);
    const std::string rest = c.key == "lifetime" ? "\nlifetime_memory = \"1m\"" : "";
    for (const auto& value : {c.least, c.most})
      EXPECT_EQ(errors(fmt::format("{} = \"{}\"{}", c.key, value, rest)), Lines()) << value;
    const Lines refused{fmt::format("core.toml:16:{}: `{}` in [delivery] must be {} [config.value]",
                                    c.key.size() + 4, c.key, c.range)};
    for (const auto& value : {c.below, c.above, std::string(), std::string("64"), std::string("much")})
      EXPECT_EQ(errors(fmt::format("{} = \"{}\"{}", c.key, value, rest)), refused) << value;
    EXPECT_EQ(errors(fmt::format("{} = 64{}", c.key, rest)), refused);
  }
  const auto loaded = load(core("memory = \"4 MiB\"\nspool_max = \"1024 GiB\""));
  EXPECT_EQ(loaded.value->limits.waiting_bytes, 4U << 20);
  EXPECT_EQ(loaded.value->delivery.spool_bytes, 1ULL << 40);
}

TEST(DeliveryConfig, lifetime_is_not_below_lifetime_memory) {
  EXPECT_EQ(errors("lifetime = \"2m\""), Lines());
  EXPECT_EQ(errors("lifetime = \"1h\"\nlifetime_memory = \"60m\""), Lines());
  EXPECT_EQ(errors("lifetime = \"119s\""),
            Lines{"core.toml:16:12: `lifetime` (119s) in [delivery] is less than `lifetime_memory` (2m) "
                  "[config.conflict]"});
  EXPECT_EQ(errors("lifetime_memory = \"1h\"\nlifetime = \"3599s\""),
            Lines{"core.toml:17:12: `lifetime` (3599s) in [delivery] is less than `lifetime_memory` (1h) "
                  "[config.conflict]"});
}

TEST(DeliveryConfig, one_file_sets_the_bound_in_memory_once) {
  EXPECT_EQ(
      errors("memory = \"64 MiB\"", "[limits]\nwaiting_bytes = 67108864"),
      Lines{"core.toml:18:17: `waiting_bytes` in [limits] and `memory` in [delivery] set the same bound; "
            "remove one of them [config.conflict]"});
  const auto loaded = load(core("", "[limits]\nwaiting_bytes = 5000000"));
  ASSERT_TRUE(loaded.value);
  EXPECT_EQ(loaded.value->limits.waiting_bytes, 5'000'000U);
  // Other keys of [limits] stay beside it.
  const auto beside = load(core("memory = \"8 MiB\"", "[limits]\npair_queue_bytes = 9000000\nstreams = 10"));
  ASSERT_TRUE(beside.value);
  EXPECT_EQ(beside.value->limits.streams, 10U);
  EXPECT_EQ(beside.value->limits.waiting_bytes, 8U << 20);
  EXPECT_EQ(
      shown(beside.warnings),
      Lines{"/etc/sallyport/core.toml:18:20: `pair_queue_bytes` (9000000) in [limits] has no effect above "
            "`memory` (8388608) [config.conflict]"});
}

TEST(DeliveryConfig, a_key_that_is_unknown_is_told_with_the_nearest) {
  EXPECT_EQ(
      errors("spool_bytes = \"1 GiB\"\nlife_time = \"1d\"\nspool = \"\""),
      (Lines{"core.toml:16:1: unknown key `spool_bytes` in [delivery]; known here: memory, spool, "
             "spool_max, lifetime, lifetime_memory [config.key]",
             "core.toml:17:1: unknown key `life_time` in [delivery]; did you mean `lifetime`? [config.key]",
             "core.toml:18:9: `spool` in [delivery] must be a string that is not empty [config.value]"}));
}

}  // namespace
}  // namespace sallyport::config
