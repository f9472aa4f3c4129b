#include "s2s/stream_management_fixture.h"

namespace sallyport::s2s::dialogue {
namespace {

TEST(StreamManagement, a_count_is_an_unsigned_number_of_32_bits) {
  struct Case {
    const char* text;
    std::optional<std::uint32_t> expected;
  };
  for (const auto& [text, expected] :
       {Case{"0", 0}, Case{"7", 7}, Case{"4294967295", 4294967295u}, Case{"4294967296", std::nullopt},
        Case{"-1", std::nullopt}, Case{"+1", std::nullopt}, Case{"1 ", std::nullopt},
        Case{"x", std::nullopt}})
    EXPECT_EQ(handled_count(element("a", text)), expected) << text;
  EXPECT_FALSE(handled_count(element("a"))) << "no h at all";
}

// --- the entity that sends

TEST_F(AckRequestsTest, management_is_asked_for_once_and_only_where_the_last_features_offer_it) {
  requests.start();
  EXPECT_EQ(writes(), "");
  offers();
  offers(false);
  requests.start();
  EXPECT_EQ(writes(), "");
  offers();
  requests.start();
  requests.start();
  EXPECT_EQ(writes(), kEnable);
}

TEST_F(AckRequestsTest, one_request_is_out_at_a_time_behind_the_first_stanza_that_none_asked_about) {
  is_on();
  sends(3);
  EXPECT_EQ(writes(), "s" + kRequest + "ss");
  EXPECT_EQ(gets(element("a", "1")), "1 delivered");
  EXPECT_EQ(writes(), kRequest) << "two are left";
  sends(1);
  EXPECT_EQ(writes(), "s");
  EXPECT_EQ(gets(element("a", "4")), "3 delivered");
  EXPECT_EQ(writes(), "");
  EXPECT_FALSE(requests.deadline());
}

TEST_F(AckRequestsTest, what_is_sent_before_enabled_is_asked_about_then) {
  offers();
  requests.start();
  sends(2);
  EXPECT_EQ(writes(), kEnable + "ss");
  EXPECT_EQ(gets(element("enabled")), "");
  EXPECT_EQ(writes(), kRequest);
  EXPECT_EQ(gets(element("a", "2")), "2 delivered");
}

TEST_F(AckRequestsTest, where_management_fails_what_was_written_is_in_doubt_as_ever) {
  offers();
  requests.start();
  sends(2);
  const std::string written = writes();
  EXPECT_EQ(gets(element("failed")), fmt::format("in doubt until {}", written.size()));
  EXPECT_FALSE(requests.deadline());
  sends();
  EXPECT_EQ(writes(), "s");
}

TEST_F(AckRequestsTest, a_count_that_was_never_sent_and_one_that_goes_back_end_the_stream) {
  for (const char* h : {"4", "0", "x"}) {
    LoneStream alone;
    SendLane sending;
    sending.add(proof(pair("local.example", "remote.example")));
    AckRequests asks(alone.stream, sending);
    asks.handle_features(features(true));
    asks.start();
    asks.handle_element(element("enabled"));
    for (int i = 0; i < 3; ++i) sending.add(alone.stream.output().end(), 1);
    asks.handle_element(element("a", "1"));
    asks.handle_element(element("a", h));
    EXPECT_TRUE(alone.ended) << h;
    ASSERT_TRUE(alone.end) << h;
    EXPECT_EQ(alone.end->code, Code::kStreamAckInvalid) << h;
  }
}

TEST_F(AckRequestsTest, elements_out_of_order_end_the_stream) {
  for (const char* name : {"a", "r", "enabled", "failed", "resume"}) {
    LoneStream alone;
    SendLane sending;
    AckRequests asks(alone.stream, sending);
    asks.handle_element(element(name, "0"));
    ASSERT_TRUE(alone.end) << name;
    EXPECT_EQ(alone.end->code, Code::kStreamOrder) << name;
  }
}

TEST_F(AckRequestsTest, a_peer_that_asks_is_told_that_nothing_came) {
  is_on();
  gets(element("r"));
  EXPECT_EQ(writes(), answer(0));
}

TEST_F(AckRequestsTest, a_peer_has_so_long_to_answer) {
  offers();
  requests.start();
  EXPECT_EQ(requests.deadline(), lone.stream.now() + limits::kAckTimeout);
  gets(element("enabled"));
  EXPECT_FALSE(requests.deadline());
  sends();
  EXPECT_EQ(requests.deadline(), lone.stream.now() + limits::kAckTimeout);
}

TEST_F(AckRequestsTest, at_the_end_what_the_socket_took_is_unacknowledged_and_the_rest_unsent) {
  is_on();
  sends(2);
  writes();
  const std::uint64_t taken = lone.stream.output().end();
  sends(3);
  const SendEnded ended = lane.end(taken, true, std::nullopt);
  EXPECT_EQ(ended.unsent, 3u);
  EXPECT_EQ(ended.unacknowledged, 2u);
  EXPECT_EQ(ended.uncertain, 2u);
}

// --- the entity that receives

TEST_F(AckAnswersTest, management_is_enabled_once_and_only_for_a_peer_that_has_proved_itself) {
  EXPECT_FALSE(answers.handle_received()) << "not counted before";
  answers.handle_element(element("enable"), false);
  EXPECT_NE(writes().find("<failed"), std::string::npos);
  answers.handle_element(element("enable"), true);
  EXPECT_EQ(writes(), kEnabled);
  answers.handle_element(element("enable"), true);
  EXPECT_NE(writes().find("<failed"), std::string::npos);
  EXPECT_EQ(answers.handle_received(), 1u) << "counted from the first on";
}

TEST_F(AckAnswersTest, a_request_is_answered_at_once_where_all_is_handled) {
  is_on();
  answers.handle_element(element("r"), true);
  EXPECT_EQ(writes(), answer(0));
  receives(2);
  answers.handle(1);
  answers.handle(2);
  EXPECT_EQ(writes(), "") << "nobody asked";
  answers.handle_element(element("r"), true);
  EXPECT_EQ(writes(), answer(2));
}

TEST_F(AckAnswersTest, a_request_waits_until_all_is_handled_or_its_time_is_over) {
  is_on();
  receives(2);
  answers.handle_element(element("r"), true);
  EXPECT_EQ(writes(), "");
  answers.handle(1);
  EXPECT_EQ(answers.deadline(), lone.stream.now() + limits::kAckAnswerDelay);
  answers.handle_timeout(lone.stream.now() + limits::kAckAnswerDelay);
  EXPECT_EQ(writes(), answer(1));
  EXPECT_FALSE(answers.deadline());
  answers.handle_element(element("r"), true);
  answers.handle(2);
  EXPECT_EQ(writes(), answer(2));
}

TEST_F(AckAnswersTest, a_stanza_is_acknowledged_only_with_all_before_it) {
  is_on();
  receives(3);
  answers.handle(3);
  answers.handle(2);
  answers.handle_element(element("r"), true);
  answers.handle_timeout(lone.stream.now() + limits::kAckAnswerDelay);
  EXPECT_EQ(writes(), answer(0));
  answers.handle(1);
  answers.handle_element(element("r"), true);
  EXPECT_EQ(writes(), answer(3));
}

TEST_F(AckAnswersTest, what_is_answered_on_the_stream_is_handled_at_once) {
  is_on();
  answers.skip();
  answers.handle_element(element("r"), true);
  EXPECT_EQ(writes(), answer(1));
}

TEST_F(AckAnswersTest, a_peer_that_is_not_read_hears_the_count_without_asking) {
  is_on();
  receives(2);
  answers.handle(1);
  EXPECT_FALSE(answers.deadline());
  const Time begun = lone.stream.now();
  answers.hold(true);
  EXPECT_TRUE(answers.is_held());
  EXPECT_EQ(answers.deadline(), begun + limits::kHeldAnswerInterval);
  answers.handle_timeout(begun + limits::kHeldAnswerInterval - std::chrono::milliseconds(1));
  EXPECT_EQ(writes(), "");
  lone.stream.set_now(begun + limits::kHeldAnswerInterval);
  answers.handle_timeout(lone.stream.now());
  EXPECT_EQ(writes(), answer(1));
  EXPECT_EQ(answers.deadline(), begun + 2 * limits::kHeldAnswerInterval) << "and again";
  answers.hold(false);
  EXPECT_FALSE(answers.deadline());
}

TEST_F(AckAnswersTest, a_request_that_was_read_before_the_hold_is_answered_in_its_time) {
  is_on();
  receives(1);
  answers.handle_element(element("r"), true);
  answers.hold(true);
  EXPECT_EQ(answers.deadline(), lone.stream.now() + limits::kAckAnswerDelay);
}

TEST_F(AckAnswersTest, a_held_stream_without_management_says_nothing) {
  answers.hold(true);
  EXPECT_FALSE(answers.deadline());
}

TEST_F(AckAnswersTest, the_last_count_is_told_before_the_stream_is_closed) {
  is_on();
  receives(2);
  answers.handle(1);
  answers.close();
  EXPECT_EQ(writes(), answer(1));
  answers.close();
  EXPECT_EQ(writes(), "") << "told once";
}

TEST_F(AckAnswersTest, elements_out_of_order_end_the_stream) {
  answers.handle_element(element("r"), true);
  ASSERT_TRUE(lone.end);
  EXPECT_EQ(lone.end->code, Code::kStreamOrder);
}

TEST_F(AckAnswersTest, numbers_that_were_never_given_and_those_after_the_end_change_nothing) {
  is_on();
  receives(1);
  answers.handle(2);
  answers.handle(0);
  answers.handle(1);
  answers.handle(1);
  lone.stream.close(std::nullopt, lone.stream.now());
  receives(1);
  answers.handle(2);
  EXPECT_EQ(writes(), "");
}

}  // namespace
}  // namespace sallyport::s2s::dialogue
