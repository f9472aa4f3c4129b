#include "gate/ping_acks.h"

#include <gtest/gtest.h>

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;
using Due = PingAcks::Due;
using State = PingAcks::State;

TEST(PingId, the_number_of_an_id_is_read_back_and_other_ids_have_none) {
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{0xabcdef}, ~std::uint64_t{0}})
    EXPECT_EQ(ping_number(ping_id(number)), number);
  for (const char* id : {"", "ping-", "ping-1", "ping-000000000000000g", "ping-00000000000000001",
                         "xing-0000000000000001", "ping-+000000000000001"})
    EXPECT_FALSE(ping_number(id)) << id;
}

struct PingAcksTest : ::testing::Test {
  PingAcksTest() { acks.begin(PingAcks::Mode::kAuto); }
  // A stanza is written; returns what is due then.
  Due sends(bool presses = false) {
    acks.note_stanza();
    return acks.poll(presses, now);
  }
  void pings(std::uint64_t mark) { acks.note_ping(mark, mark, now); }
  Due passes(Duration time) {
    now += time;
    return acks.poll(false, now);
  }
  // Until what is due next.
  Due next() {
    EXPECT_TRUE(acks.poll_timeout());
    now = std::max(now, acks.poll_timeout().value_or(now));
    return acks.poll(false, now);
  }
  // The peer answers one ping at once: it is known to answer.
  void is_known_to_answer() {
    sends();
    pings(1);
    acks.handle_answer(1);
    now += limits::kPingInterval;
  }
  PingAcks acks;
  Time now{1h};
};

TEST_F(PingAcksTest, the_first_stanza_is_asked_about_at_once_and_the_next_one_when_there_is_an_answer) {
  EXPECT_EQ(acks.poll_timeout(), std::nullopt);
  EXPECT_EQ(sends(), Due::kPing);
  pings(100);
  EXPECT_EQ(sends(), Due::kNothing) << "one is in flight";
  EXPECT_EQ(acks.handle_answer(100), 100u);
  EXPECT_EQ(passes(limits::kPingInterval - 1us), Due::kNothing) << "one a second";
  EXPECT_EQ(next(), Due::kPing);
  pings(200);
  EXPECT_EQ(acks.handle_answer(200), 200u);
  EXPECT_EQ(acks.poll_timeout(), std::nullopt) << "a ping stands behind every stanza";
}

TEST_F(PingAcksTest, a_full_window_does_not_wait_for_the_interval) {
  is_known_to_answer();
  EXPECT_EQ(sends(), Due::kPing);
  pings(2);
  EXPECT_EQ(sends(true), Due::kNothing) << "one is in flight";
  acks.handle_answer(2);
  EXPECT_EQ(acks.poll(true, now), Due::kPing);
}

TEST_F(PingAcksTest, a_peer_that_answers_no_ping_is_not_waited_for_any_more) {
  EXPECT_EQ(sends(), Due::kPing);
  pings(1);
  EXPECT_EQ(passes(limits::kPingTimeout - 1us), Due::kNothing);
  EXPECT_EQ(passes(1us), Due::kPing) << "the second try";
  pings(2);
  EXPECT_TRUE(acks.is_strict());
  EXPECT_EQ(next(), Due::kFallBack);
  EXPECT_FALSE(acks.is_strict());
  EXPECT_EQ(sends(), Due::kNothing);
  acks.begin(PingAcks::Mode::kAuto);
  EXPECT_EQ(sends(true), Due::kNothing) << "on the next stream, too";
  EXPECT_EQ(next(), Due::kPing) << "an hour later";
  pings(3);
  sends();
  EXPECT_EQ(passes(limits::kPingTimeout), Due::kNothing) << "nobody waits for it";
  EXPECT_EQ(acks.handle_answer(3), 3u);
  EXPECT_TRUE(acks.is_strict()) << "the peer answers now";
}

TEST_F(PingAcksTest, a_late_answer_counts_for_its_own_ping) {
  sends();
  pings(1);
  passes(limits::kPingTimeout);
  pings(2);
  EXPECT_EQ(acks.handle_answer(1), 1u);
  EXPECT_EQ(acks.state(), State::kAnswered);
  EXPECT_EQ(acks.handle_answer(2), 2u);
  EXPECT_EQ(acks.handle_answer(2), std::nullopt) << "twice";
  EXPECT_EQ(acks.handle_answer(7), std::nullopt) << "never asked";
}

TEST_F(PingAcksTest, an_answer_to_a_later_ping_answers_those_before_it) {
  sends();
  pings(1);
  passes(limits::kPingTimeout);
  pings(2);
  EXPECT_EQ(acks.handle_answer(2), 2u);
  EXPECT_EQ(acks.handle_answer(1), std::nullopt);
}

TEST_F(PingAcksTest, a_peer_that_answered_before_and_does_not_now_is_dead_and_then_tried_anew) {
  is_known_to_answer();
  EXPECT_EQ(sends(), Due::kPing);
  pings(2);
  for (std::uint64_t ping = 3; ping < 2 + limits::kPingTriesAnswered; ++ping) {
    EXPECT_EQ(passes(limits::kPingTimeout), Due::kPing) << "the answer may be lost";
    pings(ping);
  }
  EXPECT_EQ(passes(limits::kPingTimeout - 1us), Due::kNothing);
  EXPECT_EQ(next(), Due::kDead);
  EXPECT_EQ(acks.state(), State::kTrying);
  EXPECT_EQ(sends(), Due::kPing);
}

TEST_F(PingAcksTest, an_answer_that_is_lost_is_made_up_for_by_that_to_the_next_ping) {
  is_known_to_answer();
  sends();
  pings(2);
  passes(limits::kPingTimeout);
  pings(3);
  passes(1s);
  EXPECT_EQ(acks.handle_answer(3), 3u);
  EXPECT_EQ(passes(limits::kAckTimeout), Due::kNothing);
  EXPECT_EQ(acks.state(), State::kAnswered);
}

TEST_F(PingAcksTest, a_long_patience_asks_again_and_again_and_counts_from_the_first_ping) {
  acks.begin(PingAcks::Mode::kAuto, 60s);
  is_known_to_answer();
  sends();
  const Time asked = now;
  std::uint64_t ping = 2;
  pings(ping);
  while (next() == Due::kPing) pings(++ping);
  EXPECT_EQ(now, asked + 60s);
  EXPECT_EQ(ping, 2u + 11);
}

TEST_F(PingAcksTest, an_answer_after_the_fall_back_leaves_no_old_ping_open) {
  sends();
  pings(1);
  next();
  pings(2);
  EXPECT_EQ(next(), Due::kFallBack);
  now += 1h;
  EXPECT_EQ(acks.handle_answer(1), 1u);
  EXPECT_EQ(acks.poll(false, now), Due::kPing)
      << "the second one is forgotten, and its stanzas are asked about";
}

TEST_F(PingAcksTest, a_short_patience_has_room_for_all_pings) {
  constexpr Duration kShort = limits::kPingTimeout;
  acks.begin(PingAcks::Mode::kAuto, kShort);
  sends();
  pings(1);
  acks.handle_answer(1);
  now += limits::kPingInterval;
  sends();
  pings(2);
  for (std::uint64_t ping = 3; ping < 2 + limits::kPingTriesAnswered; ++ping) {
    EXPECT_EQ(passes(kShort / limits::kPingTriesAnswered), Due::kPing);
    pings(ping);
  }
  EXPECT_EQ(passes(kShort / limits::kPingTriesAnswered - 1us), Due::kNothing);
  EXPECT_EQ(next(), Due::kDead);
}

TEST_F(PingAcksTest, a_peer_that_must_answer_and_does_not_is_dead) {
  acks.begin(PingAcks::Mode::kMust);
  EXPECT_EQ(sends(), Due::kPing);
  pings(1);
  EXPECT_EQ(next(), Due::kPing);
  pings(2);
  EXPECT_EQ(next(), Due::kDead);
  acks.begin(PingAcks::Mode::kMust);
  EXPECT_TRUE(acks.is_strict());
}

TEST_F(PingAcksTest, where_pings_are_off_nothing_is_asked) {
  acks.begin(PingAcks::Mode::kOff);
  EXPECT_EQ(sends(true), Due::kNothing);
  EXPECT_EQ(acks.poll_timeout(), std::nullopt);
  EXPECT_FALSE(acks.is_strict());
}

TEST_F(PingAcksTest, an_answer_that_belongs_to_another_stream_counts_for_nothing) {
  sends();
  pings(1);
  acks.begin(PingAcks::Mode::kAuto);
  EXPECT_EQ(acks.handle_answer(1), std::nullopt);
}

TEST_F(PingAcksTest, an_answer_causes_no_ping_and_counts_as_read_after_a_while) {
  acks.note_answer(now);
  EXPECT_EQ(acks.poll(true, now), Due::kNothing);
  EXPECT_EQ(passes(limits::kDoubtDelay - 1us), Due::kNothing);
  EXPECT_EQ(next(), Due::kAssume);
  EXPECT_EQ(acks.poll_timeout(), std::nullopt);
}

TEST_F(PingAcksTest, an_answer_in_front_of_a_stanza_is_asked_about_with_it) {
  acks.note_answer(now);
  EXPECT_EQ(sends(), Due::kPing);
  pings(100);
  acks.handle_answer(100);
  EXPECT_EQ(acks.poll_timeout(), std::nullopt);
}

TEST_F(PingAcksTest, an_answer_behind_a_ping_waits_for_that) {
  is_known_to_answer();
  EXPECT_EQ(sends(), Due::kPing);
  pings(100);
  acks.note_answer(now);
  EXPECT_EQ(passes(2 * limits::kDoubtDelay), Due::kNothing);
  acks.handle_answer(100);
  EXPECT_EQ(acks.poll(false, now), Due::kAssume);
}

TEST_F(PingAcksTest, a_pair_that_fell_back_is_asked_again_when_the_peer_opens_a_stream) {
  EXPECT_EQ(sends(), Due::kPing);
  pings(1);
  EXPECT_EQ(next(), Due::kPing);
  pings(2);
  EXPECT_EQ(next(), Due::kFallBack);
  EXPECT_EQ(sends(), Due::kNothing);
  acks.note_way_back();
  EXPECT_EQ(sends(), Due::kPing);
}

// Else a stream that is closing would be asked again and again at one instant.
TEST_F(PingAcksTest, a_ping_that_the_stream_does_not_take_is_due_again_later) {
  EXPECT_EQ(sends(), Due::kPing);
  acks.note_not_written(now);
  EXPECT_EQ(acks.poll(false, now), Due::kNothing);
  EXPECT_EQ(next(), Due::kPing);
  pings(1);
  EXPECT_EQ(next(), Due::kPing) << "the second try";
  acks.note_not_written(now);
  EXPECT_EQ(acks.poll(true, now), Due::kNothing);
  EXPECT_GT(*acks.poll_timeout(), now);
}

}  // namespace
}  // namespace sallyport::gate
