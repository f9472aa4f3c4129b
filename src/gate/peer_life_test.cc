// When a peer across whom presence is shown is asked, and when it is lost.
#include "gate/peer_life.h"

#include <gtest/gtest.h>

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

struct PeerLifeTest : ::testing::Test {
  PeerLifeTest() { life.watch(1, now); }
  std::vector<int> asks() {
    return life.poll(limits::kPeerSilence, now, [](int) { return true; });
  }
  PeerLife<int> life;
  Time now{1h};
};

TEST_F(PeerLifeTest, a_silent_peer_is_asked_once_until_there_is_an_answer) {
  now += limits::kPeerSilence - 1us;
  EXPECT_EQ(asks(), std::vector<int>{});
  now += 1us;
  EXPECT_EQ(asks(), std::vector{1});
  EXPECT_EQ(asks(), std::vector<int>{});
  life.answered(1, now);
  EXPECT_EQ(asks(), std::vector<int>{});
  now += limits::kPeerSilence;
  EXPECT_EQ(asks(), std::vector{1});
}

TEST_F(PeerLifeTest, a_peer_that_is_heard_of_is_not_asked) {
  for (int i = 0; i < 4; ++i) {
    now += limits::kPeerSilence / 2;
    EXPECT_FALSE(life.heard(1, now));
    EXPECT_EQ(asks(), std::vector<int>{});
  }
}

TEST_F(PeerLifeTest, a_peer_that_missed_a_stanza_is_asked_at_once_and_once) {
  EXPECT_TRUE(life.missed(1));
  EXPECT_FALSE(life.missed(1));
  EXPECT_FALSE(life.missed(2)) << "nothing is shown across it";
}

TEST_F(PeerLifeTest, a_lost_peer_is_lost_once_is_not_asked_and_is_back_when_it_is_heard_of) {
  life.heard(1, now);
  EXPECT_TRUE(life.lose(1));
  EXPECT_FALSE(life.lose(1));
  now += 2 * limits::kPeerSilence;
  EXPECT_EQ(asks(), std::vector<int>{});
  EXPECT_TRUE(life.heard(1, now));
  EXPECT_FALSE(life.heard(1, now));
}

TEST_F(PeerLifeTest, one_across_which_nothing_is_shown_any_more_is_forgotten) {
  now += limits::kPeerSilence;
  EXPECT_EQ(life.poll(limits::kPeerSilence, now, [](int) { return false; }), std::vector<int>{});
  EXPECT_TRUE(life.empty());
}

TEST_F(PeerLifeTest, no_more_than_the_bound_are_remembered_as_lost) {
  const int most = static_cast<int>(limits::kLostPeersMax);
  for (int i = 0; i <= most; ++i) {
    life.watch(i, now);
    EXPECT_TRUE(life.lose(i));
  }
  EXPECT_TRUE(life.heard(0, now));
  EXPECT_FALSE(life.heard(most, now)) << "one past the bound";
}

}  // namespace
}  // namespace sallyport::gate
