#include "s2s/send_lane.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include <fmt/format.h>

namespace sallyport::s2s {
namespace {

constexpr std::size_t kCost = limits::kStanzaOverheadBytes;

struct SendLaneTest : ::testing::Test {
  // Writes stanzas of 10 bytes, one behind the other.
  void writes(int count) {
    for (int i = 0; i < count; ++i) lane.add(end += 10, 10);
  }
  static std::string shown(const std::optional<InDoubt>& doubt) {
    return doubt ? fmt::format("{} in doubt until {}", doubt->bytes / (10 + kCost), doubt->mark) : "nothing";
  }
  static std::string shown(const std::optional<Delivered>& delivered) {
    return delivered ? fmt::format("{} delivered", delivered->count) : "nothing";
  }
  static std::string shown(const SendEnded& ended) {
    return fmt::format("{} unsent, {} uncertain{}", ended.unsent, ended.uncertain,
                       ended.peer_error ? ", by an error" : "");
  }
  std::string socket_takes(std::uint64_t total) { return shown(lane.handle_written(total, end)); }
  std::string confirms(std::uint64_t mark) { return shown(lane.confirm(mark)); }
  std::string ends(std::uint64_t taken, bool broken = false, std::optional<Error> error = std::nullopt) {
    return shown(lane.end(taken, broken, std::move(error)));
  }

  SendLane lane;
  std::uint64_t end = 0;
};

TEST_F(SendLaneTest, a_stanza_is_in_doubt_when_the_socket_has_all_of_it) {
  writes(3);
  EXPECT_EQ(socket_takes(9), "nothing");
  EXPECT_EQ(socket_takes(10), "1 in doubt until 10");
  EXPECT_EQ(socket_takes(10), "nothing");
  EXPECT_EQ(socket_takes(30), "2 in doubt until 30");
  EXPECT_EQ(lane.in_flight(), 3u);
}

TEST_F(SendLaneTest, what_is_confirmed_is_delivered_once_and_in_order) {
  writes(3);
  socket_takes(30);
  EXPECT_EQ(confirms(9), "nothing");
  EXPECT_EQ(confirms(20), "2 delivered");
  EXPECT_EQ(confirms(20), "nothing");
  EXPECT_EQ(confirms(99), "1 delivered");
  EXPECT_EQ(lane.in_flight(), 0u);
}

TEST_F(SendLaneTest, a_mark_confirms_nothing_that_the_socket_has_not_taken) {
  writes(2);
  socket_takes(10);
  EXPECT_EQ(confirms(99), "1 delivered");
  EXPECT_EQ(lane.in_flight(), 1u);
}

TEST_F(SendLaneTest, the_oldest_are_delivered_when_more_than_the_bound_would_be_in_doubt) {
  const int most = static_cast<int>(limits::kDoubtStreamBytesMax / (10 + kCost)) + 1;
  writes(most);
  socket_takes(end);
  EXPECT_EQ(shown(lane.overflow()), "nothing");
  writes(3);
  socket_takes(end);
  EXPECT_EQ(shown(lane.overflow()), "3 delivered");
  EXPECT_EQ(shown(lane.overflow()), "nothing");
}

TEST_F(SendLaneTest, one_stanza_may_be_in_doubt_however_large_it_is) {
  lane.add(1'000'000, 1'000'000);
  lane.handle_written(1'000'000, 1'000'000);
  EXPECT_EQ(shown(lane.overflow()), "nothing");
}

// Ten stanzas: the connection has taken five of them, the socket three, one is delivered.
TEST_F(SendLaneTest, the_end_of_a_stream_tells_each_stanza_in_flight_once) {
  struct Case {
    bool broken;
    bool by_error;
    const char* expected;
  };
  for (const auto& [broken, by_error, expected] : {
           // The connection still writes the stanzas that it took; the socket has not taken two of them yet.
           Case{false, false, "5 unsent, 2 uncertain"},
           Case{false, true, "5 unsent, 4 uncertain, by an error"},
           // The two in doubt, and the delivered one of which as little is known.
           Case{true, false, "7 unsent, 3 uncertain"},
           Case{true, true, "7 unsent, 3 uncertain"},
       }) {
    lane = SendLane();
    end = 0;
    writes(10);
    socket_takes(30);
    ASSERT_EQ(confirms(10), "1 delivered");
    EXPECT_EQ(ends(50, broken, by_error ? std::optional(Error{Code::kStreamErrorByPeer, {}}) : std::nullopt),
              expected);
    EXPECT_EQ(lane.in_flight(), 0u);
    EXPECT_EQ(ends(50, broken), "0 unsent, 0 uncertain") << "told once";
  }
}

TEST_F(SendLaneTest, of_what_was_delivered_longer_than_a_write_window_ago_nothing_is_uncertain) {
  writes(1);
  socket_takes(10);
  confirms(10);
  lane.add(end += limits::kWriteWindowBytes, limits::kWriteWindowBytes);
  socket_takes(end);
  confirms(end);
  EXPECT_EQ(ends(end, true), "0 unsent, 1 uncertain");
}

TEST_F(SendLaneTest, what_is_assumed_to_be_read_is_uncertain_until_something_behind_it_is_confirmed) {
  lane.set_confirmed_by(ConfirmedBy::kPings);
  writes(2);
  socket_takes(20);
  EXPECT_EQ(shown(lane.assume_read()), "2 delivered");
  EXPECT_EQ(lane.in_flight(), 0u);
  writes(1);
  socket_takes(30);
  SendLane other = lane;
  EXPECT_EQ(shown(other.end(30, true, std::nullopt)), "0 unsent, 3 uncertain");
  lane.acknowledge_to(30);
  EXPECT_EQ(ends(30, true), "0 unsent, 0 uncertain");
}

// The last pair has ended, and the connection breaks while the stream closes.
TEST_F(SendLaneTest, what_counted_as_delivered_when_the_lane_ended_is_uncertain_when_the_connection_breaks) {
  writes(3);
  socket_takes(20);
  confirms(10);
  EXPECT_EQ(ends(20), "1 unsent, 0 uncertain");
  EXPECT_EQ(ends(20, true), "0 unsent, 2 uncertain");
  EXPECT_EQ(ends(20, true), "0 unsent, 0 uncertain") << "told once";
}

TEST_F(SendLaneTest, the_lane_is_full_above_the_bound_and_until_half_of_it_is_written) {
  const std::uint64_t most = limits::kWriteQueueBytesMax;
  lane.add(end += most, most);
  EXPECT_FALSE(lane.is_full());
  writes(1);
  EXPECT_TRUE(lane.is_full());
  socket_takes(end - most / 2 - 1);
  EXPECT_TRUE(lane.is_full()) << "more than half is left";
  socket_takes(end - most / 2);
  EXPECT_FALSE(lane.is_full());
}

TEST_F(SendLaneTest, the_peer_finds_a_stream_idle_that_long_after_our_last_traffic) {
  using namespace std::chrono_literals;
  lane = SendLane(Time(1h));
  const StreamLimits announced{.max_bytes = std::nullopt, .idle = Duration(60s)};
  EXPECT_EQ(lane.peer_idle_deadline(), Time(1h) + idle_timeout({}));
  lane.set_peer_limits(announced);
  lane.note_traffic(Time(2h));
  EXPECT_EQ(lane.peer_idle_deadline(), Time(2h) + idle_timeout(announced));
}

TEST_F(SendLaneTest, the_bytes_in_doubt_are_accounted_for_to_the_last) {
  writes(5);
  std::size_t held = lane.handle_written(40, end)->bytes;
  held -= lane.confirm(20)->bytes;
  EXPECT_EQ(held, 2 * (10 + kCost));
  EXPECT_EQ(lane.end(50, false, std::nullopt).doubted_bytes, held);
}

}  // namespace
}  // namespace sallyport::s2s
