// Settlements that are told ahead of a stanza in front of them, which may wait for its server for minutes.
#include <gtest/gtest.h>

#include "link/session_abuse_fixture.h"

namespace sallyport::link {
namespace {

using frame::Frame;

struct LinkAhead : testing::Test {
  Link link;
  std::vector<Received> received;  // by the edge

  void sends(int stanzas) {
    link.up();
    for (int i = 0; i < stanzas; ++i) link.send_out(std::to_string(i), static_cast<Ticket>(i));
    link.exchange();
    received = link.edge.take<Received>();
    ASSERT_EQ(received.size(), static_cast<std::size_t>(stanzas));
  }
  void settles(std::size_t number, Outcome outcome = {}) {
    link.edge.session.settle(received[number].receipt, std::move(outcome), link.now);
  }
  Strings told_after(Duration duration) {
    link.pass(duration);
    return outcomes(link.core.take<Settled>());
  }
};

TEST_F(LinkAhead, what_stands_behind_one_that_waits_is_told_once) {
  sends(6);
  settles(2);
  settles(1, Error{Code::kDnsNoName, "partner.example"});
  settles(4);
  settles(5);
  EXPECT_EQ(told_after(limits::kSettleAheadDelay - 1us), Strings{});
  link.pass(1us);
  const auto ahead = link.core.take<Settled>();
  EXPECT_EQ(outcomes(ahead), (Strings{"1:dns.no-name", "2:", "4:", "5:"}));
  EXPECT_EQ(ahead[0].outcome->text, "partner.example");
  EXPECT_EQ(ahead[0].stanza->id(), "1");
  settles(0);
  settles(3, Error{Code::kDialRefused, ""});
  EXPECT_EQ(told_after(limits::kSettleDelay), (Strings{"0:", "3:dial.refused"}));
  EXPECT_EQ(told_after(1min), Strings{});
  EXPECT_EQ(link.core.session.unsettled_bytes(), 0U);
}

TEST_F(LinkAhead, a_row_of_them_is_one_frame) {
  sends(100);
  for (std::size_t i = 99; i > 0; --i) settles(i);
  link.forget_sent();
  EXPECT_EQ(told_after(limits::kSettleAheadDelay).size(), 99U);
  EXPECT_EQ(frames_in(link.sent_by_edge)[frame::Type::kSettleAhead], 1);
  settles(0);
  EXPECT_EQ(told_after(limits::kSettleDelay), Strings{"0:"});
  EXPECT_EQ(frames_in(link.sent_by_edge)[frame::Type::kSettle], 1);
}

TEST_F(LinkAhead, nothing_is_told_ahead_where_the_one_in_front_is_settled_soon) {
  sends(3);
  settles(2);
  settles(1);
  link.pass(limits::kSettleAheadDelay / 2);
  settles(0);
  link.forget_sent();
  EXPECT_EQ(told_after(1s), (Strings{"0:", "1:", "2:"}));
  EXPECT_EQ(frames_in(link.sent_by_edge)[frame::Type::kSettleAhead], 0);
}

TEST_F(LinkAhead, their_credit_comes_back_in_turn) {
  link.up();
  const std::size_t bytes = limits::kChannelWindowInitialBytes / 2 - limits::kStanzaOverheadBytes;
  for (Ticket t : {0, 1}) link.core.session.send(kPair, stanza(kPair, "s", true, bytes), t, link.now);
  link.exchange();
  received = link.edge.take<Received>();
  settles(1);
  EXPECT_EQ(told_after(limits::kSettleAheadDelay), Strings{"1:"});
  EXPECT_FALSE(link.core.session.can_send(kPair, 0));
  settles(0);
  EXPECT_EQ(told_after(limits::kSettleDelay), Strings{"0:"});
  EXPECT_TRUE(link.core.session.can_send(kPair, bytes));
}

TEST_F(LinkAhead, a_break_of_the_link_before_or_after_loses_none_and_doubles_none) {
  sends(4);
  settles(1);
  link.cut();
  settles(3, Error{Code::kDnsNoName, ""});
  link.pass(1s);
  link.connect();
  link.exchange();
  EXPECT_EQ(told_after(limits::kSettleAheadDelay), (Strings{"1:", "3:dns.no-name"}));
  link.cut();
  link.connect();
  link.exchange();
  settles(0);
  settles(2);
  EXPECT_EQ(told_after(1s), (Strings{"0:", "2:"}));
}

TEST_F(LinkAhead, another_process_is_not_sent_what_was_told) {
  sends(3);
  settles(1);
  EXPECT_EQ(told_after(limits::kSettleAheadDelay), Strings{"1:"});
  link.cut();
  link.edge = End(NodeRole::kEdge, "2");
  link.connect();
  link.exchange();
  EXPECT_EQ(ids(link.edge.take<Received>()), (Strings{"0", "2"}));
}

TEST_F(LinkAhead, what_is_abandoned_later_has_its_order) {
  sends(4);
  settles(2, Error{Code::kStreamShutdown, ""});
  link.pass(limits::kSettleAheadDelay);
  const auto told = link.core.take<Settled>();
  ASSERT_EQ(told.size(), 1U);
  const auto left = link.core.session.abandon();
  ASSERT_EQ(left.size(), 3U);
  EXPECT_LT(left[0].order, left[1].order);
  EXPECT_LT(left[1].order, told[0].order);
  EXPECT_LT(told[0].order, left[2].order);
}

TEST_F(LinkAhead, a_channel_that_closes_before_they_are_due_is_no_harm) {
  sends(2);
  settles(1);
  settles(0);
  link.exchange();
  link.now += limits::kSettleDelay;
  link.exchange();
  EXPECT_EQ(outcomes(link.core.take<Settled>()), (Strings{"0:", "1:"}));
  link.pass(limits::kChannelIdle + 1s);
  link.send_out("again", 7);
  link.exchange();
  EXPECT_EQ(ids(link.edge.take<Received>()), Strings{"again"});
}

TEST_F(LinkAhead, an_earlier_version_is_told_in_order) {
  SessionConfig config = End::config(NodeRole::kCore, "1", frame::kVersionAhead - 1);
  link.core.session = LinkSession(std::move(config));
  sends(2);
  settles(1);
  EXPECT_EQ(told_after(2s), Strings{});
  settles(0);
  EXPECT_EQ(told_after(2s), (Strings{"0:", "1:"}));
}

TEST_F(LinkAhead, unacknowledged_ones_are_bounded_too) {
  sends(3);
  link.edge.session.grant(kPair, limits::kChannelWindowMaxBytes);
  link.exchange();
  int sent = 3;
  for (; link.core.session.can_send(kPair, 0); ++sent)
    link.send_out(std::to_string(sent), static_cast<Ticket>(sent));
  link.exchange();
  for (Received& each : link.edge.take<Received>()) received.push_back(std::move(each));
  const std::string text(limits::kLinkTextBytesMax, 'x');
  for (std::size_t i = 1; i < received.size(); ++i)
    settles(i, Error{Code::kDnsNoName, std::to_string(i) + text});
  link.now += limits::kSettleAheadDelay;
  std::string all;
  std::string bytes;
  while (link.edge.session.take_output(bytes, link.now)) all += std::exchange(bytes, {});
  EXPECT_GT(all.size(), limits::kSettleLogBytesMax - limits::kSettleBytesMax);
  EXPECT_LT(all.size(), limits::kSettleLogBytesMax + limits::kSettleBytesMax);
  link.cut();
  link.connect();
  link.exchange();
  EXPECT_EQ(told_after(2s).size(), static_cast<std::size_t>(sent - 1));
  settles(0);
  EXPECT_EQ(told_after(2s), Strings{"0:"});
  EXPECT_EQ(link.core.session.unsettled(), 0U);
}

TEST(LinkAheadAbuse, more_than_is_unsettled_and_acknowledged_ends_the_link) {
  const frame::Settle first{{{1, 1, {}}}};
  const struct {
    const char* name;
    std::vector<Frame> frames;
    bool good;
    Strings told;
  } kCases[] = {
      {"without ACK", {frame::SettleAhead{1, 2, 1, {}}}, false, {}},
      {"what was acknowledged", {frame::Ack{3}, frame::SettleAhead{1, 2, 1, {}}}, true, {"1:"}},
      {"more than was acknowledged", {frame::Ack{3}, frame::SettleAhead{1, 2, 2, {}}}, false, {}},
      {"all, also the first", {frame::Ack{4}, frame::SettleAhead{1, 1, 3, {}}}, true, {"0:", "1:", "2:"}},
      {"the last",
       {frame::Ack{4}, frame::SettleAhead{1, 3, 1, {"dns.no-name", ""}}},
       true,
       {"2:dns.no-name"}},
      {"one after the last", {frame::Ack{4}, frame::SettleAhead{1, 4, 1, {}}}, false, {}},
      {"the number zero", {frame::Ack{4}, frame::SettleAhead{1, 0, 1, {}}}, false, {}},
      {"a number that would wrap", {frame::Ack{4}, frame::SettleAhead{1, ~0ULL, 1, {}}}, false, {}},
      {"a count that would wrap", {frame::Ack{4}, frame::SettleAhead{1, 2, ~0ULL, {}}}, false, {}},
      {"another channel", {frame::Ack{4}, frame::SettleAhead{2, 1, 1, {}}}, false, {}},
      {"what was settled before", {frame::Ack{4}, first, frame::SettleAhead{1, 1, 1, {}}}, false, {"0:"}},
      {"twice",
       {frame::Ack{4}, frame::SettleAhead{1, 2, 1, {}}, frame::SettleAhead{1, 2, 2, {"dns.no-name", ""}}},
       false,
       {"1:"}},
      {"and settled in turn as something else",
       {frame::Ack{4}, frame::SettleAhead{1, 2, 1, {}}, frame::Settle{{{1, 3, {"dns.no-name", ""}}}}},
       true,
       {"1:", "0:dns.no-name", "2:dns.no-name"}},
  };
  for (const auto& c : kCases) {
    Abused peer(NodeRole::kCore);
    peer.greet();
    for (Ticket t = 0; t < 3; ++t) peer.end.session.send(kPair, stanza(kPair, "s"), t, peer.now);
    EXPECT_EQ(peer.heard()[frame::Type::kStanza], 3);
    for (const Frame& f : c.frames) {
      EXPECT_TRUE(peer.good()) << c.name << ": refused too early";
      peer.say(f);
    }
    EXPECT_EQ(peer.good(), c.good) << c.name;
    EXPECT_EQ(outcomes(peer.end.take<Settled>()), c.told) << c.name;
  }
}

TEST(LinkAheadAbuse, is_refused_in_an_earlier_version) {
  Abused peer(NodeRole::kEdge);
  peer.say(frame::Hello{1, frame::kVersionAhead - 1, 0, "c", "1", "core-1", "", 0, 0});
  peer.say(frame::SettleAhead{1, 1, 1, {}});
  EXPECT_EQ(peer.refusal(), "link.frame");
}

}  // namespace
}  // namespace sallyport::link
