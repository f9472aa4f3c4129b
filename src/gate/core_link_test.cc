#include <gtest/gtest.h>

#include <algorithm>

#include "base/limits.h"
#include "config/policy_config.h"
#include "gate/core.h"
#include "gate/core_for_test.h"
#include "link/session.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

class Lines : public LogSink {
 public:
  void log(LogEvent event) override {
    std::string line = event.name;
    for (const auto& [key, value] : event.fields) {
      if (key == "code" || key == "times") line += " " + value;
    }
    lines_.push_back(std::move(line));
  }
  std::ptrdiff_t count(std::string_view line) const { return std::ranges::count(lines_, line); }
  std::ptrdiff_t beginning(std::string_view begin) const {
    return std::ranges::count_if(lines_, [&](const std::string& line) { return line.starts_with(begin); });
  }

 private:
  std::vector<std::string> lines_;
};

class Counting : public Random {
 public:
  void fill(std::uint8_t* out, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) out[i] = next_ += 37;
  }

 private:
  std::uint8_t next_ = 0;
};

// A core whose one edge is not there.
class CoreLinkTest : public testing::Test {
 protected:
  CoreLinkTest() {
    auto config = core_for_test();
    auto policy = config::parse_policy(
        "[federation]\n[[domain]]\nname = \"example.com\"\nservers = [\"10.0.0.20:5269\"]\n", "policy.toml",
        config);
    EXPECT_TRUE(policy.value) << (policy.errors.empty() ? "" : policy.errors.front().shown());
    config_.emplace(config);
    update_.policy = std::move(*policy.value);
    update_.generation = 1;
    core_ = std::make_unique<Core>(CoreSetup{*config_, prepared(), "secret", "1", "i"}, random_, log_, now_);
  }
  // The next dialling of the edge, whenever it comes, fails like this.
  void dial_fails(Code code, const std::string& text) {
    for (int i = 0; i < 10; ++i) {
      while (auto output = core_->poll()) {
        if (const auto* dial = std::get_if<DialLink>(&*output)) {
          core_->handle_dial_failed(dial->conn, {code, text}, now_);
          return;
        }
      }
      now_.mono = *core_->poll_timeout();
      core_->handle_timeout(now_);
    }
    FAIL() << "it does not dial";
  }

  std::shared_ptr<const config::PreparedPolicy> prepared() const {
    return config::PreparedPolicy::make(*config_, update_);
  }

  std::optional<config::CoreConfig> config_;
  config::PolicyUpdate update_;
  Lines log_;
  Counting random_;
  Now now_{};
  std::unique_ptr<Core> core_;
};

TEST_F(CoreLinkTest, an_edge_that_is_not_there_is_said_once_and_not_at_each_try) {
  for (int i = 0; i < 8; ++i) dial_fails(Code::kDialRefused, "try " + std::to_string(i));
  EXPECT_EQ(log_.beginning("link.down"), 1);
  EXPECT_EQ(log_.count("link.down dial.refused"), 1);
}

TEST_F(CoreLinkTest, a_policy_counts_at_once_and_the_one_before_is_left_to_the_driver_to_free) {
  while (core_->poll()) {
  }
  ++update_.generation;
  core_->apply(prepared(), now_);
  EXPECT_NE(core_->control(R"({"ask":"policy show"})", now_).find(R"("generation":2)"), std::string::npos);
  std::vector<std::shared_ptr<const void>> discarded;
  while (auto output = core_->poll()) {
    if (auto* discard = std::get_if<Discard>(&*output)) discarded.push_back(std::move(discard->value));
  }
  ASSERT_EQ(discarded.size(), 1u);
  EXPECT_EQ(discarded[0].use_count(), 1);
}

TEST_F(CoreLinkTest, causes_that_alternate_are_each_said_once) {
  for (int i = 0; i < 8; ++i) dial_fails(i % 2 == 0 ? Code::kDialRefused : Code::kTlsHandshake, "no");
  EXPECT_EQ(log_.count("link.down dial.refused"), 1);
  EXPECT_EQ(log_.count("link.down tls.handshake"), 1);
  EXPECT_EQ(log_.beginning("link.down"), 2);
}

TEST_F(CoreLinkTest, what_goes_on_is_said_again_with_how_often) {
  const Time start = now_.mono;
  while (now_.mono < start + limits::kRepeatAgainMin + limits::kLinkReconnectMax)
    dial_fails(Code::kDialRefused, "no");
  EXPECT_EQ(log_.beginning("link.down"), 2);
  EXPECT_EQ(log_.beginning("link.down dial.refused "), 1);
}

TEST_F(CoreLinkTest,
       an_edge_without_a_shard_for_this_core_is_dialled_rarely_and_streams_come_again_elsewhere) {
  core_->handle_accepted(1, {}, now_);
  dial_fails(Code::kLinkShard, "refused");
  ASSERT_TRUE(core_->poll_timeout());
  std::vector<ConnId> ended;
  while (auto output = core_->poll()) {
    if (const auto* disconnect = std::get_if<Disconnect>(&*output)) ended.push_back(disconnect->conn);
    EXPECT_FALSE(std::holds_alternative<DialLink>(*output));
  }
  std::string said;
  core_->take_output(1, said, now_);
  EXPECT_TRUE(ended == std::vector<ConnId>{1} || said.find("<reset ") != std::string::npos) << said;
  const Time refused = now_.mono;
  dial_fails(Code::kLinkShard, "refused");
  EXPECT_GE(now_.mono, refused + limits::kLinkReconnectMax);
  // Said once, like any other reason; and streams that come meanwhile are not ended again at each try.
  EXPECT_EQ(log_.beginning("link.down link.shard"), 1);
}

// Another process has this core's key and its link: the edge says so, and dialling again soon would not help.
TEST_F(CoreLinkTest, a_core_whose_identity_another_one_uses_backs_off_and_shows_the_cause) {
  const auto refused = [&] {
    for (int i = 0; i < 10; ++i) {
      while (auto output = core_->poll()) {
        const auto* dial = std::get_if<DialLink>(&*output);
        if (dial == nullptr) continue;
        link::Session edge({link::Role::kEdge, "vcse.example.com", "1", "edge"});
        edge.handle_connected(now_.mono);
        edge.refuse({Code::kLinkSameIdentity, "core-1 is linked from 10.0.0.6"});
        std::string bytes;
        edge.take_output(bytes, now_.mono);
        core_->handle_link(dial->conn, 0, {}, now_);
        core_->handle_bytes(dial->conn, bytes, now_);
        return;
      }
      now_.mono = *core_->poll_timeout();
      core_->handle_timeout(now_);
    }
    FAIL() << "it does not dial";
  };
  refused();
  EXPECT_NE(
      core_->control(R"({"ask":"status"})", now_).find("link.same-identity: core-1 is linked from 10.0.0.6"),
      std::string::npos);
  for (int i = 0; i < 5; ++i) {
    const Time before = now_.mono;
    refused();
    EXPECT_GE(now_.mono, before + limits::kLinkReconnectMax);
    EXPECT_LE(now_.mono, before + Duration(limits::kLinkReconnectMax) * 5 / 4);
  }
  EXPECT_EQ(log_.count("link.down link.same-identity"), 1);
}

}  // namespace
}  // namespace sallyport::gate
