#include "gate/policy_epoch.h"

#include <gtest/gtest.h>

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

TEST(PolicyEpoch, streams_are_checked_in_turns_and_all_of_them_in_the_end) {
  PolicyEpoch epoch;
  EXPECT_FALSE(epoch.poll_timeout()) << "nothing has changed";
  const std::uint64_t before = epoch.current();
  std::vector<ConnId> streams(2 * limits::kCheckedPerTurn + 1);
  for (std::size_t i = 0; i < streams.size(); ++i) streams[i] = i;
  epoch.advance(streams);
  EXPECT_NE(epoch.current(), before);

  std::vector<std::size_t> turns;
  std::vector<ConnId> checked;
  for (Time now{1s}; turns.empty() || epoch.poll_timeout(); now += 1ms) {
    const std::size_t start = checked.size();
    epoch.take_turn(now, [&](ConnId conn) { checked.push_back(conn); });
    turns.push_back(checked.size() - start);
    if (epoch.poll_timeout()) {
      EXPECT_EQ(*epoch.poll_timeout(), now) << "the next turn is due at once, after other work";
    }
  }
  EXPECT_EQ(turns, (std::vector<std::size_t>{limits::kCheckedPerTurn, limits::kCheckedPerTurn, 1}));
  std::ranges::sort(checked);
  EXPECT_EQ(checked, streams);
}

TEST(PolicyEpoch, another_change_begins_anew) {
  PolicyEpoch epoch;
  epoch.advance({1, 2});
  epoch.advance({3});
  std::vector<ConnId> checked;
  epoch.take_turn(Time{1s}, [&](ConnId conn) { checked.push_back(conn); });
  EXPECT_EQ(checked, std::vector<ConnId>{3});
}

}  // namespace
}  // namespace sallyport::gate
