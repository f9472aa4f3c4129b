// The checks of a role's files other than their text: permissions, pins, presence.
#include "daemon/load.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "daemon/file.h"
#include "net/certificate.h"

namespace sallyport::daemon {
namespace {

constexpr UnixTime kNow{std::chrono::seconds(1'800'000'000)};

class LoadTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/load_test.XXXXXX";
    folder_ = ::mkdtemp(pattern);
    auto made = net::make_identity("edge", kNow);
    ASSERT_TRUE(made);
    pin_ = made->pin;
    write("edge.crt", made->certificate, 0644);
    write("edge.key", made->key, 0600);
    write_edge(kOther);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string at(const std::string& name) const { return folder_ + "/" + name; }
  void write(const std::string& name, std::string_view text, unsigned mode) {
    ASSERT_TRUE(replace_file(at(name), text, mode));
  }
  void write_edge(std::string_view pin) {
    write("edge.toml",
          fmt::format(
              "[edge]\nname = \"vcse.example.com\"\ns2s = [\"192.0.2.1\"]\ntraversal = [\"192.0.2.1\"]\n"
              "[identity]\ncertificate = \"edge.crt\"\nkey = \"edge.key\"\n[[core]]\nname = \"core-1\"\n"
              "pins = [\"{}\"]\n",
              pin),
          0644);
  }
  std::vector<Code> warnings() {
    const auto loaded = load_edge(at("edge.toml"), kNow);
    EXPECT_TRUE(loaded.value) << shown_findings(loaded.errors);
    std::vector<Code> codes;
    for (const config::Finding& finding : loaded.warnings) codes.push_back(finding.code);
    return codes;
  }

  static constexpr std::string_view kOther = "sha256:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";
  std::string folder_;
  std::string pin_;
};

TEST_F(LoadTest, a_key_that_others_may_use_is_warned_of) {
  const std::pair<unsigned, bool> modes[] = {{0600, false}, {0400, false}, {0640, false}, {0440, false},
                                             {0644, true},  {0604, true},  {0660, true},  {0602, true},
                                             {0601, true},  {0777, true}};
  for (const auto& [mode, warned] : modes) {
    ASSERT_EQ(::chmod(at("edge.key").c_str(), mode), 0);
    EXPECT_EQ(warnings(), warned ? std::vector{Code::kConfigExposed} : std::vector<Code>{})
        << std::oct << mode;
  }
  // The target of a symbolic link is checked.
  std::filesystem::rename(at("edge.key"), at("other.key"));
  std::filesystem::create_symlink("other.key", at("edge.key"));
  EXPECT_EQ(warnings(), std::vector{Code::kConfigExposed});
  ASSERT_EQ(::chmod(at("other.key").c_str(), 0600), 0);
  EXPECT_EQ(warnings(), std::vector<Code>{});
}

TEST_F(LoadTest, a_node_that_pins_its_own_key_is_warned_of) {
  EXPECT_EQ(warnings(), std::vector<Code>{});
  write_edge(pin_);
  EXPECT_EQ(warnings(), std::vector{Code::kConfigConflict});
}

TEST_F(LoadTest, a_state_that_is_a_file_is_found_before_the_core_starts) {
  write("state", "", 0600);
  write("core.toml",
        fmt::format(R"([core]
name = "core.corp.example"
s2s = ["192.0.2.2"]
policy = "policy.toml"
state = "state"
[identity]
certificate = "edge.crt"
key = "edge.key"
[certificates]
directory = "."
[[edge]]
name = "vcse.example.com"
address = "192.0.2.1"
pins = ["{}"]
)",
                    kOther),
        0644);
  write("policy.toml", "[[domain]]\nname = \"example.com\"\nservers = [\"192.0.2.3\"]\n", 0644);
  const auto loaded = load_core(at("core.toml"), kNow);
  EXPECT_FALSE(loaded.value);
  EXPECT_NE(shown_findings(loaded.errors).find("state: `state` in [core] is not a directory [config.value]"),
            std::string::npos)
      << shown_findings(loaded.errors);
}

TEST_F(LoadTest, an_absent_key_and_one_that_may_not_be_read_have_codes_of_their_own) {
  EXPECT_EQ(unreadable_finding("/x/edge.key", file_error("/x/edge.key", EACCES)).shown(),
            "/x/edge.key: Permission denied [file.denied]");
  EXPECT_EQ(unreadable_finding("/x/edge.key", file_error("/x/edge.key", EPERM)).code, Code::kFileDenied);
  std::filesystem::remove(at("edge.key"));
  const auto loaded = load_edge(at("edge.toml"), kNow);
  ASSERT_EQ(loaded.errors.size(), 1U);
  EXPECT_EQ(loaded.errors[0].code, Code::kConfigMissing);
}

}  // namespace
}  // namespace sallyport::daemon
