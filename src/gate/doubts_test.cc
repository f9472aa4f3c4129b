#include "gate/doubts.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;
using Told = std::vector<std::string>;

struct DoubtsTest : ::testing::Test {
  Told due(Time at) {
    Told all;
    while (const auto one = doubts.poll(at)) all.push_back(fmt::format("{} to {}", one->conn, one->mark));
    return all;
  }
  // A whole tick.
  Time now{Duration(limits::kDoubtTick) * 1000};
  Doubts doubts;
};

TEST_F(DoubtsTest, a_doubt_ends_after_the_delay_rounded_up_to_a_tick) {
  doubts.add(2, {100, 500}, now + 1us);
  EXPECT_EQ(due(now + limits::kDoubtDelay), Told{});
  ASSERT_TRUE(doubts.poll_timeout());
  EXPECT_EQ(*doubts.poll_timeout(), now + limits::kDoubtDelay + limits::kDoubtTick);
  EXPECT_EQ(due(*doubts.poll_timeout()), Told{"2 to 100"});
  EXPECT_FALSE(doubts.poll_timeout());
}

TEST_F(DoubtsTest, doubts_of_one_stream_within_one_tick_are_one) {
  doubts.add(2, {100, 500}, now);
  doubts.add(2, {200, 500}, now + limits::kDoubtTick - 1us);
  doubts.add(2, {300, 500}, now + limits::kDoubtTick);
  EXPECT_EQ(due(now + 1s), (Told{"2 to 200", "2 to 300"}));
}

TEST_F(DoubtsTest, the_oldest_end_early_where_too_many_bytes_are_held) {
  doubts.add(2, {100, limits::kDoubtBytesMax}, now);
  EXPECT_EQ(due(now), Told{}) << "at the bound";
  doubts.add(4, {1, 1}, now);
  const auto first = doubts.poll(now);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->conn, 2u);
  doubts.release(limits::kDoubtBytesMax);
  EXPECT_EQ(due(now), Told{}) << "the other one has room now";
}

}  // namespace
}  // namespace sallyport::gate
