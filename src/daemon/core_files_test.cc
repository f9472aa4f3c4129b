#include "daemon/core_files.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <filesystem>
#include <optional>

#include "daemon/file.h"

namespace sallyport::daemon {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

constexpr std::string_view kCore = R"(
[core]
name = "core.example.org"
s2s = ["10.0.0.5:5269"]
policy = "policy.toml"
[identity]
certificate = "core.crt"
key = "core.key"
[[edge]]
name = "vcse.example.net"
address = "192.0.2.10:7400"
pins = ["sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
[certificates]
directory = "certs"
[internal]
names = ["corp.example"]
)";

struct Lines : LogSink {
  void log(LogEvent event) override { names.push_back(event.name); }
  std::vector<std::string> names;
};

// A policy in a folder of its own, and a loop that is run by hand.
class CoreFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/core_files_test.XXXXXX";
    folder_ = ::mkdtemp(pattern);
    std::filesystem::create_directory(folder_ + "/certs");
    write("core.toml", kCore);
    write("policy.toml", policy_allowing("first.example"));
    auto config = config::parse_core_config(kCore, folder_ + "/core.toml");
    ASSERT_TRUE(config.value) << config.errors.front().shown();
    files_.emplace(CoreFiles{*config.value, sha256(kCore), {}, {}, {}, {}, {}});
    auto state = StateDirectory::open(folder_ + "/state");
    ASSERT_TRUE(state);
    state_.emplace(std::move(*state));
    auto loaded = load_policy(files_->config, {});
    ASSERT_TRUE(loaded.value);
    loaded.value->update.generation = *state_->generation(loaded.value->fingerprint);
    const auto use = [this](const std::shared_ptr<const config::PreparedPolicy>& policy) {
      used_.push_back(policy->update().generation);
    };
    in_use_.emplace(CoreFilesInUse::Parts{*files_, *state_, log_, worker_, io_.get_executor(), use},
                    config::PreparedPolicy::make(files_->config, std::move(loaded.value->update)),
                    loaded.value->fingerprint);
  }
  void TearDown() override {
    worker_.stop();
    std::filesystem::remove_all(folder_);
  }

  static std::string policy_allowing(const std::string& name) {
    return "[federation]\n[[domain]]\nname = \"example.com\"\nservers = [\"10.0.0.20\"]\n[[allow]]\ndomain = "
           "\"" +
           name + "\"\n";
  }
  void write(const std::string& name, std::string_view text) {
    ASSERT_TRUE(replace_file(folder_ + "/" + name, text, 0600));
  }
  static json::object question(const std::string& text, std::optional<int> generation = std::nullopt) {
    json::object asked{{"name", "new.toml"}, {"text", text}};
    if (generation) asked["generation"] = *generation;
    return asked;
  }
  CoreFilesInUse::Reply reply() {
    return [this](const CoreFilesInUse::Answer& answer) {
      answers_.push_back(json::parse(answer.json).as_object());
      refused_.push_back(answer.refused);
    };
  }
  void run(std::size_t answers) {
    io_.restart();
    const auto work = boost::asio::make_work_guard(io_);
    while (answers_.size() < answers && io_.run_one_for(10s) > 0) {
    }
    ASSERT_EQ(answers_.size(), answers);
  }

  std::string folder_;
  std::optional<CoreFiles> files_;
  std::optional<StateDirectory> state_;
  Lines log_;
  boost::asio::io_context io_{1};
  net::Worker worker_;
  std::optional<CoreFilesInUse> in_use_;
  std::vector<std::uint64_t> used_;
  std::vector<json::object> answers_;
  std::vector<bool> refused_;
};

TEST_F(CoreFilesTest, a_reload_is_in_use_when_it_is_answered_and_not_before_the_loop_runs) {
  write("policy.toml", policy_allowing("second.example"));
  in_use_->reload(reply());
  EXPECT_TRUE(used_.empty());
  run(1);
  EXPECT_EQ(used_, std::vector<std::uint64_t>{2});
  EXPECT_EQ(answers_[0].at("generation"), 2);
  EXPECT_EQ(answers_[0].at("changed"), true);
  EXPECT_EQ(log_.names.back(), "reload.done");
}

TEST_F(CoreFilesTest, what_has_not_changed_is_not_taken_again) {
  in_use_->reload(reply());
  in_use_->reload_certificates();
  run(1);
  in_use_->reload(reply());
  run(2);
  EXPECT_TRUE(used_.empty());
  EXPECT_EQ(answers_[1].at("changed"), false);
}

TEST_F(CoreFilesTest, a_bad_one_is_refused_whole_and_the_next_order_is_carried_out) {
  write("policy.toml", "[[allow]]\ndmoain = \"x.example\"\n");
  in_use_->reload(reply());
  in_use_->diff(question(policy_allowing("second.example")), reply());
  run(2);
  EXPECT_TRUE(refused_[0]);
  EXPECT_NE(json::serialize(answers_[0].at("errors")).find("dmoain"), std::string::npos);
  EXPECT_FALSE(refused_[1]);
  EXPECT_EQ(answers_[1].at("changes").as_array().size(), 2u);
  EXPECT_TRUE(used_.empty());
}

TEST_F(CoreFilesTest, an_order_without_a_text_is_refused_and_changes_nothing) {
  in_use_->apply(json::object{{"ask", "policy apply"}, {"txt", "[federation]\n"}}, reply());
  in_use_->apply(json::object{{"ask", "policy apply"}, {"text", 7}}, reply());
  in_use_->diff(json::object{{"ask", "policy diff"}}, reply());
  run(3);
  for (const std::size_t i : {0u, 1u, 2u}) {
    EXPECT_TRUE(refused_[i]);
    EXPECT_EQ(answers_[i].at("error").at("code"), "control.refused") << i;
  }
  EXPECT_TRUE(used_.empty());
}

TEST_F(CoreFilesTest, a_policy_that_serves_nothing_is_warned_of_in_the_answer_and_the_log) {
  in_use_->apply(question("[federation]\n"), reply());
  run(1);
  write("policy.toml", "[federation]\nenabled = true\n");
  in_use_->reload(reply());
  run(2);
  for (const json::object& answer : answers_) {
    EXPECT_NE(json::serialize(answer.at("warnings")).find("config.serves-nothing"), std::string::npos)
        << json::serialize(answer);
  }
  EXPECT_EQ(refused_, (std::vector{false, false}));
  EXPECT_EQ(std::ranges::count(log_.names, "config.warning"), 2);
}

TEST_F(CoreFilesTest, an_edit_that_was_never_reloaded_is_not_written_over) {
  write("policy.toml", policy_allowing("edited.example"));
  in_use_->apply(question(policy_allowing("second.example")), reply());
  run(1);
  EXPECT_TRUE(refused_[0]);
  EXPECT_EQ(answers_[0].at("error").at("code"), "control.edited");
  EXPECT_EQ(*read_file(folder_ + "/policy.toml"), policy_allowing("edited.example"));
}

TEST_F(CoreFilesTest, orders_are_carried_out_in_turn_each_on_what_the_one_before_left) {
  in_use_->apply(question(policy_allowing("second.example"), 1), reply());
  in_use_->apply(question(policy_allowing("third.example"), 1), reply());
  in_use_->apply(question(policy_allowing("fourth.example"), 2), reply());
  in_use_->reload(reply());
  run(4);
  EXPECT_EQ(used_, (std::vector<std::uint64_t>{2, 3}));
  EXPECT_EQ(refused_, (std::vector{false, true, false, false}));
  EXPECT_EQ(answers_[1].at("error").at("code"), "control.generation");
  EXPECT_EQ(answers_[3].at("changed"), false);
  EXPECT_EQ(*read_file(folder_ + "/policy.toml"), policy_allowing("fourth.example"));
}

TEST_F(CoreFilesTest, a_reload_that_has_not_begun_serves_all_who_ask_for_one) {
  in_use_->reload(reply());  // begins
  write("policy.toml", policy_allowing("second.example"));
  for (int i = 0; i < 3; ++i) in_use_->reload(reply());
  run(4);
  EXPECT_EQ(used_, std::vector<std::uint64_t>{2});
  for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(answers_[i].at("generation"), 2) << i;
  std::size_t reloads = 0;
  for (const std::string& name : log_.names) reloads += name.starts_with("reload.") ? 1 : 0;
  EXPECT_EQ(reloads, 2u);
}

TEST_F(CoreFilesTest, the_answering_resolver_is_told_by_the_policy_in_force) {
  const auto kind = [this](const char* name) { return in_use_->kind_of(*xmpp::Domain::parse(name)); };
  EXPECT_EQ(kind("example.com"), dns::NameKind::kInternal);
  EXPECT_EQ(kind("corp.example"), dns::NameKind::kInternal);
  EXPECT_EQ(kind("rooms.example.com"), dns::NameKind::kExternal);
  in_use_->apply(question(policy_allowing("x.example") +
                          "[[chat_node]]\nalias = \"rooms.example.com\"\nnode = \"corp.example\"\n"
                          "servers = [\"10.0.0.20\"]\n"),
                 reply());
  run(1);
  EXPECT_FALSE(refused_[0]) << json::serialize(answers_[0]);
  EXPECT_EQ(kind("rooms.example.com"), dns::NameKind::kRenamedAlias);
  EXPECT_EQ(in_use_->served().size(), 2u);
}

}  // namespace
}  // namespace sallyport::daemon
