// Windows, the credit of the link, and channels that open and close.
#include <gtest/gtest.h>

#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

std::size_t at_bound(std::uint32_t window) { return window - limits::kStanzaOverheadBytes; }

TEST(LinkCredit, a_channel_takes_its_window_and_not_one_more) {
  Link link;
  EXPECT_FALSE(link.core.session.can_send(kPair, 1));
  link.up();
  const std::size_t half = at_bound(limits::kChannelWindowInitialBytes / 2);
  link.core.session.send(kPair, stanza(kPair, "a", true, half), 1, link.now);
  EXPECT_FALSE(link.core.session.can_send(kPair, half + 1));
  EXPECT_TRUE(link.core.session.can_send(kPair, half));
  link.core.session.send(kPair, stanza(kPair, "b", true, half), 2, link.now);
  EXPECT_FALSE(link.core.session.can_send(kPair, 0));
  EXPECT_TRUE(link.core.session.can_send(pair("example.com", "other.example"), half));
}

TEST(LinkCredit, one_stanza_of_any_legal_size_always_goes_alone) {
  Link link;
  link.up();
  EXPECT_TRUE(link.core.session.can_send(kPair, limits::kCanonicalBytesMax));
  link.core.session.send(kPair, stanza(kPair, "a", true, limits::kCanonicalBytesMax), 1, link.now);
  EXPECT_FALSE(link.core.session.can_send(kPair, 0));
  link.exchange();
  EXPECT_EQ(link.edge.take<Received>()[0].stanza.xml().size(), limits::kCanonicalBytesMax);
}

TEST(LinkCredit, a_stanza_too_large_for_a_frame_is_refused_and_not_sent) {
  Link link;
  link.up();
  link.forget_sent();
  link.core.session.send(kPair, stanza(kPair, "a", true, limits::kCanonicalBytesMax + 1), 1, link.now);
  link.core.session.send(kPair, stanza(kPair, std::string(limits::kStanzaIdBytesMax + 1, 'i')), 2, link.now);
  EXPECT_EQ(outcomes(link.core.take<Settled>()), (Strings{"1:xml.too-large", "2:xml.too-large"}));
  link.exchange();
  EXPECT_TRUE(link.sent_by_core.empty());
}

TEST(LinkCredit, a_grant_lets_more_go_and_the_owner_is_told_once) {
  Link link;
  link.up();
  const std::size_t full = at_bound(limits::kChannelWindowInitialBytes);
  link.core.session.send(kPair, stanza(kPair, "a", true, full), 1, link.now);
  EXPECT_FALSE(link.core.session.can_send(kPair, full));
  link.exchange();
  EXPECT_TRUE(link.core.take<Writable>().empty());
  link.edge.session.grant(kPair, 2 * limits::kChannelWindowInitialBytes - 1);
  link.exchange();
  EXPECT_TRUE(link.core.take<Writable>().empty()) << "one byte is missing";
  link.edge.session.grant(kPair, 2 * limits::kChannelWindowInitialBytes);
  link.edge.session.grant(kPair, 1000);
  link.edge.session.grant(pair("no", "channel"), 1'000'000);
  link.exchange();
  const auto writable = link.core.take<Writable>();
  ASSERT_EQ(writable.size(), 1U);
  EXPECT_EQ(writable[0].pair, kPair);
  EXPECT_TRUE(link.core.session.can_send(kPair, full));
  link.edge.session.grant(kPair, 1'000'000);
  link.exchange();
  EXPECT_TRUE(link.core.take<Writable>().empty());
}

TEST(LinkCredit, a_grant_is_held_to_the_limit_and_survives_a_cut) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.exchange();
  link.cut();
  link.edge.session.grant(kPair, ~0U);
  link.connect();
  link.exchange();
  EXPECT_TRUE(link.core.session.is_up());
  const std::size_t rest = at_bound(limits::kChannelWindowMaxBytes) - limits::kStanzaOverheadBytes -
                           stanza(kPair, "a").xml().size();
  EXPECT_FALSE(link.core.session.can_send(kPair, rest + 1));
  EXPECT_TRUE(link.core.session.can_send(kPair, rest));
}

TEST(LinkCredit, a_settlement_gives_room_back_and_the_owner_is_told) {
  Link link;
  link.up();
  const std::size_t full = at_bound(limits::kChannelWindowInitialBytes);
  link.core.session.send(kPair, stanza(kPair, "a", true, full), 1, link.now);
  EXPECT_FALSE(link.core.session.can_send(kPair, 1));
  link.exchange();
  link.edge.session.settle(link.edge.take<Received>()[0].receipt, std::nullopt, link.now);
  link.exchange();
  EXPECT_EQ(link.core.take<Writable>().size(), 1U);
  EXPECT_TRUE(link.core.session.can_send(kPair, full));
}

TEST(LinkCredit, the_link_is_full_before_its_channels_and_everyone_who_waits_is_told) {
  Link link;
  link.up();
  const std::size_t full = at_bound(limits::kCanonicalBytesMax);
  const auto remote = [](std::size_t i) { return pair("example.com", "r" + std::to_string(i)); };
  constexpr std::size_t kFull = limits::kLinkCreditBytes / limits::kCanonicalBytesMax;
  for (std::size_t i = 0; i < kFull; ++i) {
    ASSERT_TRUE(link.core.session.can_send(remote(i), full)) << i;
    link.core.session.send(remote(i), stanza(remote(i), "x", true, full), i, link.now);
  }
  EXPECT_FALSE(link.core.session.can_send(remote(1000), 0));
  EXPECT_FALSE(link.core.session.can_send(remote(1001), 0));
  link.exchange();
  for (const Received& r : link.edge.take<Received>())
    link.edge.session.settle(r.receipt, std::nullopt, link.now);
  link.exchange();
  EXPECT_EQ(link.core.take<Settled>().size(), kFull);
  EXPECT_EQ(link.core.take<Writable>().size(), 2U);
}

TEST(LinkCredit, who_asked_before_the_link_was_up_is_told_when_it_is) {
  Link link;
  EXPECT_FALSE(link.core.session.can_send(kPair, 1));
  link.connect();
  link.exchange();
  EXPECT_EQ(link.core.take<Writable>().size(), 1U);
}

TEST(LinkChannels, an_idle_channel_is_closed_and_opened_again) {
  Link link;
  link.up();
  const auto round = [&link](Ticket ticket) {
    link.send_out("a", ticket);
    link.exchange();
    link.edge.session.settle(link.edge.take<Received>()[0].receipt, std::nullopt, link.now);
    link.pass(limits::kSettleDelay);
    EXPECT_EQ(link.core.take<Settled>().size(), 1U);
  };
  round(1);
  link.forget_sent();
  link.pass(limits::kChannelIdle - 1us);
  EXPECT_EQ(frames_in(link.sent_by_core)[frame::Type::kClose], 0);
  link.pass(1us);
  EXPECT_EQ(frames_in(link.sent_by_core)[frame::Type::kClose], 1);
  link.edge.session.grant(kPair, 1'000'000);
  round(2);
  EXPECT_EQ(frames_in(link.sent_by_core)[frame::Type::kOpen], 1);
}

TEST(LinkChannels, a_grant_that_crosses_a_close_is_ignored) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.exchange();
  link.edge.session.settle(link.edge.take<Received>()[0].receipt, std::nullopt, link.now);
  link.pass(limits::kSettleDelay);
  link.pass(limits::kChannelIdle - 1us);
  link.now += 1us;
  link.core.session.handle_timeout(link.now);
  link.edge.session.grant(kPair, 1'000'000);
  link.exchange();
  EXPECT_TRUE(link.core.session.is_up());
  link.send_out("b", 2);
  link.exchange();
  EXPECT_EQ(link.edge.take<Received>().size(), 1U);
}

TEST(LinkChannels, when_all_are_open_the_longest_idle_one_makes_room) {
  Link link;
  link.up();
  const auto remote = [](std::size_t i) { return pair("a", "r" + std::to_string(i)); };
  for (std::size_t i = 0; i < limits::kChannelsMax; ++i) link.send_out("x", i, remote(i));
  EXPECT_FALSE(link.core.session.can_send(remote(limits::kChannelsMax), 0)) << "none is idle";
  EXPECT_TRUE(link.core.session.can_send(remote(7), 0));
  link.exchange();
  const auto received = link.edge.take<Received>();
  for (std::size_t i : {9U, 5U}) {
    link.edge.session.settle(received[i].receipt, std::nullopt, link.now);
    link.pass(limits::kSettleDelay);
  }
  EXPECT_EQ(link.core.take<Writable>().size(), 1U);
  ASSERT_TRUE(link.core.session.can_send(remote(limits::kChannelsMax), 0));
  link.send_out("y", 1'000'000, remote(limits::kChannelsMax));
  link.exchange();
  EXPECT_TRUE(link.core.session.is_up() && link.edge.session.is_up());
  EXPECT_EQ(ids(link.edge.take<Received>()), Strings{"y"});
  link.send_out("z", 1'000'001, remote(5));
  link.exchange();
  EXPECT_EQ(ids(link.edge.take<Received>()), Strings{"z"});
  EXPECT_FALSE(link.core.session.can_send(remote(9), 0)) << "it made room, and none is idle now";
}
}  // namespace
}  // namespace sallyport::link
