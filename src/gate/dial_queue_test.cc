#include "gate/dial_queue.h"

#include <gtest/gtest.h>

#include <map>

namespace sallyport::gate {
namespace {

xmpp::Pair pair(std::string_view remote) {
  return {*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse(remote)};
}

struct DialQueueTest : ::testing::Test {
  // Opens a stream for the peer, or queues the pair.
  bool opens(const std::string& peer, ConnId conn) {
    const auto end = [&](ConnId loser) { ended.push_back(loser), held.erase(loser); };
    if (!queue.may_dial(peer, end)) {
      queue.wait(peer, pair(peer));
      return false;
    }
    held[conn] = queue.hold(peer, conn);
    return true;
  }
  void fill(const std::string& peer, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(opens(peer, last += 2));
  }

  DialQueue queue;
  ConnId last = 0;
  std::map<ConnId, DialQueue::Places::Part> held;
  std::vector<ConnId> ended;
};

constexpr std::size_t kShare = limits::peer_share(limits::kDialsMax);

TEST_F(DialQueueTest, one_peer_has_its_share_and_waits_for_the_rest) {
  fill("a.example", kShare);
  EXPECT_FALSE(opens("a.example", last += 2));
  EXPECT_TRUE(opens("b.example", last += 2));
  EXPECT_TRUE(ended.empty());
}

TEST_F(DialQueueTest, a_place_that_is_free_again_goes_to_the_pair_that_waits) {
  fill("a.example", kShare);
  opens("a.example", last += 2);
  std::vector<std::string> opened;
  const auto open = [&](const xmpp::Pair& each) { opened.push_back(each.remote.ascii()); };
  queue.open_waiting(open);
  EXPECT_TRUE(opened.empty());
  held.erase(held.begin());
  queue.open_waiting(open);
  EXPECT_EQ(opened, std::vector<std::string>{"a.example"});
  queue.open_waiting(open);
  EXPECT_EQ(opened.size(), 1u);
}

TEST_F(DialQueueTest, when_all_places_are_taken_the_peer_with_most_loses_its_oldest) {
  fill("a.example", kShare);
  for (std::size_t i = kShare; i < limits::kDialsMax; ++i) fill("p" + std::to_string(i) + ".example", 1);
  EXPECT_TRUE(opens("new.example", last += 2));
  EXPECT_EQ(ended, std::vector<ConnId>{2});
}

}  // namespace
}  // namespace sallyport::gate
