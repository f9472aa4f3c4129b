// What `explain` says of a core's part of the way, and what a core does while it is drained.
#include <boost/json.hpp>

#include "gate/core_fixture.h"

namespace sallyport::gate {
namespace {

const std::string kIn =
    "<message from='bob@partner.example' to='alice@example.com' id='m1'><body>hi</body></message>";

struct CoreExplain : CoreFixture {
  CoreExplain() {
    starts("[[allow]]\ndomain = \"partner.example\"\n");
    link_comes_up();
  }
  // The result, then each step that refuses.
  Lines explains(const std::string& from, const std::string& to) {
    const auto answer =
        boost::json::parse(
            core_->control(R"({"ask":"explain","from":")" + from + R"(","to":")" + to + R"("})", now_))
            .as_object();
    Lines lines{std::string(answer.at("result").as_string())};
    for (const auto& step : answer.at("steps").as_array())
      if (!step.at("ok").as_bool()) lines.emplace_back(step.at("what").as_string());
    return lines;
  }
  Lines outward() { return explains("alice@example.com", "bob@partner.example"); }
  Lines inward() { return explains("bob@partner.example", "alice@example.com"); }
};

TEST_F(CoreExplain, an_internal_server_that_failed_refuses_nothing_outward_and_inward_only_in_the_back_off) {
  EXPECT_EQ(inward(), Lines{"ok"});
  servers_.answer = ReceivingServers::Dials::kRefused;
  edge_sends(kIn);
  EXPECT_EQ(inward(), Lines{"ok"}) << "the first failure has no back-off: the next stanza dials";
  edge_sends(kIn);
  EXPECT_EQ(inward(), (Lines{"refused", "internal server"}));
  EXPECT_EQ(outward(), Lines{"ok"});
  passes(limits::kDialBackoff[1]);
  EXPECT_EQ(inward(), Lines{"ok"});
}

TEST_F(CoreExplain, a_core_that_is_drained_refuses_both_ways) {
  core_->drain(now_);
  EXPECT_EQ(inward(), (Lines{"refused", "core"}));
  EXPECT_EQ(outward(), (Lines{"refused", "core"}));
}

TEST_F(CoreExplain, while_it_is_drained_what_the_edge_sends_is_answered_and_no_stream_is_opened) {
  servers_.acknowledge = true;
  edge_sends(kIn);
  EXPECT_EQ(internal_receives().size(), 1u);
  core_->drain(now_);
  exchange();
  const std::size_t dials = servers_.dials.size();
  edge_sends(kIn);
  EXPECT_EQ(internal_receives(), Lines{});
  EXPECT_EQ(servers_.dials.size(), dials);
  EXPECT_EQ(outcomes().back(), "2 stream.shutdown");
  const auto told = edge_receives();
  ASSERT_EQ(told.size(), 1u) << "its sender is told";
  EXPECT_NE(told[0].find("bob@partner.example"), std::string::npos) << told[0];
}

}  // namespace
}  // namespace sallyport::gate
