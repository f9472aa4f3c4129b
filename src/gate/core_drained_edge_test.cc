// What a core does when its edge tells it that it is being drained.
#include <boost/json.hpp>

#include "base/presence_limits.h"
#include "gate/core_fixture.h"

namespace sallyport::gate {
namespace {

struct CoreDrainedEdge : CoreFixture {
  CoreDrainedEdge() {
    servers_.acknowledge = true;
    starts("[[allow]]\ndomain = \"partner.example\"\n");
    link_comes_up();
  }
  void edge_drains() {
    edge_->session.drain();
    exchange();
  }
  static std::string message(const std::string& id) {
    return fmt::format(
        "<message from='alice@example.com' to='bob@partner.example' id='{}'><body>{}</body></message>", id,
        id);
  }
  static Lines to_bob(const std::string& id) { return {"alice@example.com to bob@partner.example: " + id}; }
  boost::json::object asks(const std::string& question) {
    return boost::json::parse(core_->control(question, now_)).as_object();
  }
};

TEST_F(CoreDrainedEdge, sends_it_nothing_more_and_waits_for_another_or_the_next_one) {
  internal_sends(message("1"));
  EXPECT_EQ(edge_receives(), to_bob("1"));
  edge_drains();
  internal_sends(message("2"));
  edge_settles(std::nullopt);
  EXPECT_EQ(edge_receives(), Lines{});
  edge_->loses_link(*core_, now_);
  link_comes_up();
  exchange();
  EXPECT_EQ(edge_receives(), to_bob("2"));
  EXPECT_EQ(internal_receives(), Lines{});
}

TEST_F(CoreDrainedEdge, takes_back_what_it_refuses_because_of_that_in_order) {
  for (const char* id : {"1", "2", "3", "4"}) internal_sends(message(id));
  EXPECT_EQ(edge_receives().size(), 4u);
  edge_drains();
  internal_sends(message("5"));
  edge_settles(std::nullopt);
  edge_settles(Error{Code::kStreamShutdown, {}});
  edge_settles(Error{Code::kDialRefused, {}});
  EXPECT_EQ(internal_receives().size(), 1u) << "another reason is an answer";
  edge_settles(Error{Code::kStreamShutdown, {}});
  edge_->loses_link(*core_, now_);
  link_comes_up();
  exchange();
  EXPECT_EQ(edge_receives(), (Lines{to_bob("2")[0], to_bob("4")[0], to_bob("5")[0]}));
  EXPECT_EQ(internal_receives(), Lines{});
}

TEST_F(CoreDrainedEdge, takes_back_in_the_order_of_sending_what_it_is_told_ahead_of_others) {
  for (const char* id : {"1", "2", "3"}) internal_sends(message(id));
  EXPECT_EQ(edge_receives().size(), 3u);
  edge_drains();
  for (int i = 0; i < 2; ++i) edge_->settles(1, Error{Code::kStreamShutdown, {}}, now_);
  passes(limits::kSettleAheadDelay);
  edge_settles(Error{Code::kStreamShutdown, {}});
  edge_->loses_link(*core_, now_);
  link_comes_up();
  exchange();
  EXPECT_EQ(edge_receives(), (Lines{to_bob("1")[0], to_bob("2")[0], to_bob("3")[0]}));
}

TEST_F(CoreDrainedEdge, loses_no_order_where_it_ends_before_it_has_handed_back_all) {
  for (const char* id : {"1", "2", "3"}) internal_sends(message(id));
  EXPECT_EQ(edge_receives().size(), 3u);
  edge_drains();
  edge_->settles(1, Error{Code::kStreamShutdown, {}}, now_);
  passes(limits::kSettleAheadDelay);
  internal_sends(message("4"));
  edge_->loses_link(*core_, now_);
  link_comes_up();
  exchange();
  EXPECT_EQ(edge_receives(), (Lines{to_bob("1")[0], to_bob("2")[0], to_bob("3")[0], to_bob("4")[0]}));
}

TEST_F(CoreDrainedEdge, takes_back_also_what_it_hears_of_after_a_break_of_the_link) {
  internal_sends(message("1"));
  EXPECT_EQ(edge_receives(), to_bob("1"));
  edge_drains();
  edge_->settles(Error{Code::kStreamShutdown, {}}, now_);
  now_.mono += limits::kSettleDelay;
  std::string lost;
  EXPECT_TRUE(edge_->session.take_output(lost, now_.mono));
  edge_->loses_link(*core_, now_);
  edge_->connects(*core_, core_dials_edge(), 0, now_);
  exchange();
  EXPECT_EQ(internal_receives(), Lines{});
  edge_->loses_link(*core_, now_);
  link_comes_up();
  exchange();
  EXPECT_EQ(edge_receives(), to_bob("1"));
}

TEST_F(CoreDrainedEdge, goes_on_with_what_it_took_back_also_where_a_question_of_its_own_is_settled_last) {
  internal_sends("<presence from='alice@example.com/a' to='bob@partner.example'/>");
  internal_sends(message("1"));
  internal_sends(message("2"));
  EXPECT_EQ(edge_receives().size(), 3u);
  edge_settles(std::nullopt);
  edge_settles(Error{Code::kDialRefused, {}});
  EXPECT_EQ(edge_receives().size(), 1u) << "whether the server is there";
  edge_drains();
  edge_settles(Error{Code::kStreamShutdown, {}});
  edge_settles(std::nullopt);
  edge_->loses_link(*core_, now_);
  link_comes_up();
  exchange();
  EXPECT_EQ(edge_receives(), to_bob("2"));
}

TEST_F(CoreDrainedEdge, is_no_sign_that_the_servers_behind_it_are_gone) {
  edge_sends("<presence from='bob@partner.example/phone' to='alice@example.com'/>");
  for (auto waited = 0s; waited < limits::kPeerSilence + 10s; waited += 1s) passes(1s);
  ASSERT_EQ(edge_receives().size(), 1u) << "whether the server is there";
  internal_receives();
  edge_drains();
  edge_settles(Error{Code::kStreamShutdown, {}});
  EXPECT_EQ(internal_receives(), Lines{});
  edge_->loses_link(*core_, now_);
  link_comes_up();
  exchange();
  EXPECT_EQ(edge_receives().size(), 1u) << "it is asked by the next edge";
}

TEST_F(CoreDrainedEdge, shows_it_in_status_and_explain) {
  edge_drains();
  EXPECT_EQ(asks(R"({"ask":"status"})").at("links").at(0).at("state").as_string(), "draining");
  const auto answer = asks(R"({"ask":"explain","from":"alice@example.com","to":"bob@partner.example"})");
  EXPECT_EQ(answer.at("result").as_string(), "refused");
  bool named = false;
  for (const auto& step : answer.at("steps").as_array())
    named = named || (step.at("what").as_string() == "link" &&
                      step.at("detail").as_string() == "being drained: vcse.example.com");
  EXPECT_TRUE(named);
}

TEST_F(CoreDrainedEdge, takes_what_it_still_brings) {
  edge_drains();
  edge_sends("<message from='bob@partner.example' to='alice@example.com' id='i'><body>late</body></message>");
  EXPECT_EQ(internal_receives(), Lines{"bob@partner.example to alice@example.com: late"});
}

}  // namespace
}  // namespace sallyport::gate
