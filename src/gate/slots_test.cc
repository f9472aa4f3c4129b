#include "gate/slots.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

namespace sallyport::gate {
namespace {

TEST(Slots, a_number_is_taken_once_and_used_again) {
  Slots<std::string> slots;
  EXPECT_EQ(slots.put("a"), 1u);
  EXPECT_EQ(slots.put("b"), 2u);
  EXPECT_EQ(slots.take(1), "a");
  EXPECT_EQ(slots.take(1), std::nullopt);
  EXPECT_EQ(slots.take(0), std::nullopt);
  EXPECT_EQ(slots.take(3), std::nullopt);
  EXPECT_EQ(slots.put("c"), 1u);
  EXPECT_EQ(slots.size(), 2u);
}

TEST(Sweep, what_is_idle_is_forgotten_at_the_limit_and_what_is_not_stays) {
  Sweep sweep(3);
  std::map<int, bool> busy;
  const auto add = [&](int key, bool is_busy) {
    sweep(busy, [](bool each) { return !each; });
    busy[key] = is_busy;
  };
  add(1, false), add(2, true), add(3, false);
  EXPECT_EQ(busy.size(), 3u);
  add(4, true);
  EXPECT_EQ(busy, (std::map<int, bool>{{2, true}, {4, true}}));
}

TEST(Sweep, entries_that_must_stay_are_not_looked_through_each_time) {
  Sweep sweep(2);
  std::map<int, bool> busy;
  int looked = 0;
  for (int key = 0; key < 1'000; ++key) {
    sweep(busy, [&](bool) { return ++looked, false; });
    busy[key] = true;
  }
  EXPECT_LT(looked, 3'000);
}

}  // namespace
}  // namespace sallyport::gate
