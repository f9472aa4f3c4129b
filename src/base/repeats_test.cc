#include "base/repeats.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace sallyport {
namespace {

using namespace std::chrono_literals;

constexpr Time kStart{};

TEST(Repeats, the_first_time_is_said_and_then_at_growing_intervals) {
  Repeats repeats;
  EXPECT_EQ(repeats.happened("a", kStart), 1u);
  EXPECT_FALSE(repeats.happened("a", kStart + 30s));
  EXPECT_FALSE(repeats.happened("a", kStart + limits::kRepeatAgainMin - 1ms));
  EXPECT_EQ(repeats.happened("a", kStart + limits::kRepeatAgainMin), 3u);
  EXPECT_FALSE(repeats.happened("a", kStart + 2 * limits::kRepeatAgainMin));
  EXPECT_EQ(repeats.happened("a", kStart + 3 * limits::kRepeatAgainMin), 2u);
}

TEST(Repeats, what_goes_on_for_days_is_said_once_an_hour) {
  Repeats repeats;
  int lines = 0;
  for (Time now = kStart; now < kStart + 48h; now += 10s) lines += repeats.happened("a", now) ? 1 : 0;
  EXPECT_GE(lines, 48);
  EXPECT_LE(lines, 56);
}

TEST(Repeats, two_that_alternate_are_each_said_once) {
  Repeats repeats;
  int lines = 0;
  for (int i = 0; i < 50; ++i) lines += repeats.happened(i % 2 == 0 ? "a" : "b", kStart + i * 1s) ? 1 : 0;
  EXPECT_EQ(lines, 2);
}

TEST(Repeats, what_is_over_is_new_when_it_comes_again) {
  Repeats repeats;
  EXPECT_EQ(repeats.happened("a", kStart), 1u);
  repeats.clear();
  EXPECT_EQ(repeats.happened("a", kStart), 1u);
}

TEST(Repeats, past_the_bound_the_one_said_longest_ago_is_forgotten) {
  Repeats repeats;
  for (std::size_t i = 0; i < limits::kRepeatsMax; ++i) {
    EXPECT_EQ(repeats.happened(std::to_string(i), kStart + std::chrono::milliseconds(i)), 1u);
  }
  EXPECT_FALSE(repeats.happened("0", kStart + 1s)) << "at the bound all are known";
  EXPECT_EQ(repeats.happened("one more", kStart + 1s), 1u);
  EXPECT_FALSE(repeats.happened("1", kStart + 1s));
  EXPECT_EQ(repeats.happened("0", kStart + 1s), 1u) << "it was the oldest";
}

}  // namespace
}  // namespace sallyport
