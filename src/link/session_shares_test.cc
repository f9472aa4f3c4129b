// The share of one peer of a link: its credit, its channels, the questions on it.
#include <gtest/gtest.h>

#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

constexpr std::size_t kShare = limits::peer_share(limits::kLinkCreditBytes);
constexpr std::size_t kBig = 60'000;  // within a channel's first window
constexpr std::size_t kCost = kBig + limits::kStanzaOverheadBytes;

xmpp::Pair slow(std::size_t i) { return pair("example.com", "s" + std::to_string(i) + ".slow.example"); }

// Sends to further names of the peer until the link has no room for it; returns how many it accepted.
std::size_t fill(Link& link, bool outward = true) {
  LinkSession& session = outward ? link.core.session : link.edge.session;
  std::size_t count = 0;
  while (count < 10'000 && session.can_send(slow(count), kBig)) {
    session.send(slow(count), stanza(slow(count), "x", outward, kBig), count, link.now);
    ++count;
  }
  return count;
}

TEST(LinkShares, a_peer_that_settles_nothing_has_its_share_of_the_credit_and_not_one_more) {
  for (const bool outward : {true, false}) {
    Link link;
    link.up();
    EXPECT_EQ(fill(link, outward), kShare / kCost);
    LinkSession& session = outward ? link.core.session : link.edge.session;
    const auto other = pair("example.com", "honest.example");
    EXPECT_TRUE(session.can_send(other, limits::kCanonicalBytesMax / 2));
    // A stanza given to `send` anyway waits in the session.
    const auto more = slow(20'000);
    session.send(more, stanza(more, "late", outward, kBig), 1, link.now);
    session.send(other, stanza(other, "honest", outward), 2, link.now);
    link.exchange();
    const auto received = ids((outward ? link.edge : link.core).take<Received>());
    EXPECT_EQ(received.size(), kShare / kCost + 1);
    EXPECT_EQ(received.back(), "honest");
  }
}

TEST(LinkShares, who_waits_for_a_peers_share_is_told_when_there_is_room_in_it) {
  Link link;
  link.up();
  const std::size_t sent = fill(link);
  EXPECT_FALSE(link.core.session.can_send(slow(20'000), kBig));
  link.exchange();
  auto received = link.edge.take<Received>();
  ASSERT_EQ(received.size(), sent);
  std::size_t settled = 0;
  for (; settled < sent && link.core.take<Writable>().empty(); ++settled) {
    link.edge.session.settle(received[settled].receipt, std::nullopt, link.now);
    link.pass(limits::kSettleDelay);
  }
  EXPECT_LE(settled, sent / 8 + 2) << "of the share";
  EXPECT_TRUE(link.core.session.can_send(slow(20'000), kBig));
  for (; settled < sent; ++settled)
    link.edge.session.settle(received[settled].receipt, std::nullopt, link.now);
  link.pass(limits::kSettleDelay);
  // No count is left over: the whole share is available again.
  link.pass(limits::kChannelIdle);
  EXPECT_EQ(fill(link), kShare / kCost);
}

TEST(LinkShares, however_many_slow_peers_there_are_a_newcomer_finds_credit) {
  Link link;
  link.up();
  for (int peer = 0; peer < 200; ++peer) {
    for (int i = 0; i < 1'000; ++i) {
      const auto to =
          pair("example.com", "s" + std::to_string(i) + ".peer" + std::to_string(peer) + ".example");
      if (!link.core.session.can_send(to, kBig)) break;
      link.core.session.send(to, stanza(to, "x", true, kBig), 1, link.now);
    }
  }
  EXPECT_TRUE(link.core.session.can_send(pair("example.com", "honest.example"), 1'000));
  link.exchange();
  EXPECT_TRUE(link.core.session.is_up() && link.edge.session.is_up());
}

TEST(LinkShares, after_a_reconnect_and_in_a_new_session_the_share_is_the_same) {
  for (const bool resumed : {true, false}) {
    Link link;
    link.up();
    const std::size_t sent = fill(link);
    link.exchange();
    link.cut();
    if (!resumed) link.edge = End(NodeRole::kEdge, "2");
    link.up();
    link.exchange();
    EXPECT_FALSE(link.core.session.can_send(slow(20'000), kBig)) << resumed;
    const auto received = link.edge.take<Received>();
    EXPECT_EQ(received.size(), sent);
    for (const Received& each : received) link.edge.session.settle(each.receipt, std::nullopt, link.now);
    link.pass(limits::kSettleDelay);
    EXPECT_EQ(link.core.session.unsettled_bytes(), 0u);
    EXPECT_EQ(fill(link), kShare / kCost) << resumed;
  }
}

TEST(LinkShares, a_peer_has_its_share_of_the_channels_and_not_one_more) {
  Link link;
  link.up();
  constexpr std::size_t kChannels = limits::peer_share(limits::kChannelsMax);
  std::size_t count = 0;
  while (count <= kChannels && link.core.session.can_send(slow(count), 10)) {
    link.core.session.send(slow(count), stanza(slow(count), "x"), count, link.now);
    ++count;
  }
  EXPECT_EQ(count, kChannels);
  EXPECT_TRUE(link.core.session.can_send(pair("example.com", "honest.example"), 10));
  // A name that has a channel continues.
  EXPECT_TRUE(link.core.session.can_send(slow(0), 10));
}

// Questions caused by peers do not keep our own streams from proving themselves.
TEST(LinkShares, questions_for_a_key_have_a_part_that_others_cannot_take) {
  Link link;
  link.up();
  constexpr std::size_t kOthers = limits::kLinkAsksMax - limits::kLinkAsksForKeys;
  for (std::size_t i = 0; i < kOthers; ++i) link.edge.session.ask(VerdictAsk{kPair, "s", "k"});
  EXPECT_TRUE(link.edge.take<Answered>().empty());
  link.edge.session.ask(VerdictAsk{kPair, "s", "k"});
  link.edge.session.ask(ControlAsk{"{}"});
  const auto busy = link.edge.take<Answered>();
  ASSERT_EQ(busy.size(), 2U);
  for (const Answered& each : busy) EXPECT_EQ(each.answer.error().code, Code::kLinkBusy);

  for (std::size_t i = 0; i < limits::kLinkAsksForKeys; ++i) link.edge.session.ask(KeyAsk{kPair, "s"});
  link.exchange();
  EXPECT_TRUE(link.edge.take<Answered>().empty());
  const auto asked = link.core.take<Asked>();
  EXPECT_EQ(asked.size(), limits::kLinkAsksMax);
  link.edge.session.ask(KeyAsk{kPair, "s"});
  EXPECT_EQ(link.edge.take<Answered>().size(), 1U);

  // An answer frees a place of its own kind.
  link.core.session.answer(asked.front().id, std::string("valid"));
  link.exchange();
  EXPECT_EQ(link.edge.take<Answered>().size(), 1U);
  link.edge.session.ask(VerdictAsk{kPair, "s", "k"});
  EXPECT_TRUE(link.edge.take<Answered>().empty());
  EXPECT_TRUE(link.core.session.is_up());
}

}  // namespace
}  // namespace sallyport::link
