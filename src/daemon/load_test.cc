// The checks of a role's files other than their text: permissions, pins, presence.
#include "daemon/load.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "daemon/file.h"
#include "net/certificate.h"
#include "net/internal_ca.h"

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
    write(
        "policy.toml",
        "[[domain]]\nname = \"example.com\"\nservers = [\"192.0.2.3\"]\n[[allow]]\ndomain = \"b.example\"\n",
        0644);
    std::filesystem::create_directory(at("certs"));
    auto ca = net::make_internal_ca("core.corp.example", {}, kNow);
    ASSERT_TRUE(ca);
    ca_ = *ca;
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

  std::string text_of(const std::string& name) { return read_file(at(name)).value(); }
  // The errors of a core.toml with these lines in [core], and after the other tables. Sets `exposed_`.
  std::string core_errors(std::string_view in_core = "", std::string_view after = "") {
    write("core.toml",
          fmt::format(R"([core]
name = "core.corp.example"
s2s = ["192.0.2.2"]
policy = "policy.toml"
state = "state"
{}[identity]
certificate = "edge.crt"
key = "edge.key"
[certificates]
directory = "certs"
[[edge]]
name = "vcse.example.com"
address = "192.0.2.1"
pins = ["{}"]
{})",
                      in_core, kOther, after),
          0644);
    const auto loaded = load_core(at("core.toml"), kNow);
    EXPECT_EQ(loaded.value.has_value(), loaded.errors.empty());
    exposed_.clear();
    for (const config::Finding& finding : loaded.warnings)
      if (finding.code == Code::kConfigExposed) exposed_.push_back(finding.file);
    return shown_findings(loaded.errors);
  }

  static constexpr std::string_view kOther = "sha256:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";
  std::string folder_;
  std::string pin_;
  net::CaPem ca_;
  std::vector<std::string> exposed_;
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
  EXPECT_NE(core_errors().find("state: `state` in [core] is not a directory [config.value]"),
            std::string::npos)
      << core_errors();
}

TEST_F(LoadTest, a_spool_in_a_folder_that_does_not_exist_is_found_before_the_core_starts) {
  const auto errors_with = [this](const std::string& spool) {
    return core_errors("", fmt::format("[delivery]\nspool = \"{}\"\n", spool));
  };
  const std::string absent = "`spool` in [delivery]";
  EXPECT_EQ(errors_with("spool.db").find(absent), std::string::npos) << "the start makes `state`";
  EXPECT_NE(errors_with("queue/spool.db").find(at("state/queue") + "`, does not exist"), std::string::npos)
      << errors_with("queue/spool.db");
  EXPECT_NE(errors_with(at("queue/spool.db")).find(absent), std::string::npos);
  std::filesystem::create_directory(at("queue"));
  EXPECT_EQ(errors_with(at("queue/spool.db")).find(absent), std::string::npos);
}

TEST_F(LoadTest, a_dialback_secret_that_the_core_refuses_is_found) {
  write("short.secret", "123456", 0600);
  EXPECT_NE(
      core_errors("dialback_secret = \"short.secret\"\n").find("short.secret: a dialback secret must have"),
      std::string::npos)
      << core_errors();
  std::filesystem::create_directory(at("state"));
  write("state/dialback.secret", "123456", 0600);
  write("state/internal-ca.crt", ca_.certificates, 0644);
  write("state/internal-ca.key", ca_.key, 0600);
  EXPECT_NE(core_errors().find("state/dialback.secret: a dialback secret must have"), std::string::npos)
      << core_errors();
}

TEST_F(LoadTest, an_internal_ca_with_another_key_is_found) {
  const std::string named = "[internal]\nca_certificate = \"ca.crt\"\nca_key = \"ca.key\"\n";
  write("ca.crt", ca_.certificates, 0644);
  write("ca.key", ca_.key, 0600);
  EXPECT_EQ(core_errors("", named), "");
  const auto other = net::make_internal_ca("core.corp.example", {}, kNow);
  ASSERT_TRUE(other);
  write("ca.key", other->key, 0600);
  const std::string why = "the key is not that of the first certificate (its key: ";
  EXPECT_NE(core_errors("", named).find("ca.crt: " + why), std::string::npos) << core_errors("", named);
  write("ca.crt", text_of("edge.crt"), 0644);
  write("ca.key", text_of("edge.key"), 0600);
  EXPECT_NE(core_errors("", named).find("not one of a certificate authority"), std::string::npos);

  std::filesystem::create_directory(at("state"));
  write("state/internal-ca.crt", ca_.certificates, 0644);
  write("state/internal-ca.key", other->key, 0600);
  EXPECT_NE(core_errors().find("state/internal-ca.crt: " + why), std::string::npos) << core_errors();
  std::filesystem::remove(at("state/internal-ca.key"));
  EXPECT_NE(core_errors().find("internal-ca.key is not there"), std::string::npos) << core_errors();
  EXPECT_FALSE(file_exists(at("state/internal-ca.key"))) << "a check writes nothing";
  std::filesystem::remove(at("state/internal-ca.crt"));
  EXPECT_EQ(core_errors(), "") << "the core makes them";
  write("state/generation", "1 x\n", 0600);
  EXPECT_NE(core_errors().find("restore them from a backup"), std::string::npos) << core_errors();
}

TEST_F(LoadTest, secrets_in_the_state_directory_that_others_may_use_are_warned_of) {
  std::filesystem::create_directory(at("state"));
  write("state/dialback.secret", std::string(64, 'a'), 0600);
  write("state/internal-ca.crt", ca_.certificates, 0644);
  write("state/internal-ca.key", ca_.key, 0600);
  EXPECT_EQ(core_errors(), "");
  EXPECT_EQ(exposed_, std::vector<std::string>{});
  for (const char* secret : {"state/dialback.secret", "state/internal-ca.key"}) {
    ASSERT_EQ(::chmod(at(secret).c_str(), 0644), 0);
    EXPECT_EQ(core_errors(), "");
    EXPECT_EQ(exposed_, std::vector{at(secret)});
    ASSERT_EQ(::chmod(at(secret).c_str(), 0600), 0);
  }
}

TEST_F(LoadTest, a_file_that_is_no_trust_anchor_is_found_by_its_name) {
  const std::string text =
      text_of("edge.toml") + "[resolver]\nservers = [\"192.0.2.53\"]\ntrust_anchor = \"root.key\"\n";
  write("edge.toml", text, 0644);
  write("root.key", ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n",
        0644);
  EXPECT_EQ(shown_findings(load_edge(at("edge.toml"), kNow).errors), "");
  for (const char* none : {"not a record\n", "", "; a comment\n", ". IN A 192.0.2.1\n"}) {
    write("root.key", none, 0644);
    const auto loaded = load_edge(at("edge.toml"), kNow);
    ASSERT_EQ(loaded.errors.size(), 1U) << shown_findings(loaded.errors);
    EXPECT_EQ(loaded.errors[0].code, Code::kFileFormat);
    EXPECT_EQ(loaded.errors[0].file, at("root.key"));
  }
}

TEST_F(LoadTest, a_stored_generation_that_cannot_be_read_is_found) {
  std::filesystem::create_directory(at("state"));
  write("state/internal-ca.crt", ca_.certificates, 0644);
  write("state/internal-ca.key", ca_.key, 0600);
  write("state/generation", "7 abc\n", 0600);
  EXPECT_EQ(core_errors(), "");
  for (const char* damaged : {"xx", "", "99999999999999999999999 abc\n", "7 abc"}) {
    write("state/generation", damaged, 0600);
    EXPECT_NE(core_errors().find("state/generation"), std::string::npos) << damaged;
  }
}

TEST_F(LoadTest, only_an_absent_file_is_missing) {
  const auto code_of_policy = [this] { return core_errors().substr(core_errors().rfind('[')); };
  const std::string policy = text_of("policy.toml");
  std::filesystem::remove(at("policy.toml"));
  EXPECT_EQ(code_of_policy(), "[config.missing]\n") << core_errors();
  std::filesystem::create_directory(at("policy.toml"));
  EXPECT_EQ(code_of_policy(), "[file.unreadable]\n") << core_errors();
  std::filesystem::remove(at("policy.toml"));
  write("policy.toml", policy + std::string(limits::kConfigFileBytesMax, '#'), 0644);
  EXPECT_EQ(code_of_policy(), "[file.unreadable]\n") << core_errors();
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
