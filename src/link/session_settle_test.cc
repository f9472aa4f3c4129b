// Settlements and acknowledgements: their order, their batches and their delays.
#include <gtest/gtest.h>

#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

TEST(LinkSettlement, gives_a_refused_stanza_back_and_forgets_a_delivered_one) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.send_out("b", 2);
  link.exchange();
  const auto received = link.edge.take<Received>();
  link.edge.session.settle(received[0].receipt, std::nullopt, link.now);
  link.edge.session.settle(received[1].receipt, Error{Code::kDnsNoName, ""}, link.now);
  link.pass(limits::kSettleDelay);
  const auto settled = link.core.take<Settled>();
  ASSERT_EQ(outcomes(settled), (Strings{"1:", "2:dns.no-name"}));
  EXPECT_FALSE(settled[0].stanza);
  ASSERT_TRUE(settled[1].stanza);
  EXPECT_EQ(settled[1].stanza->id(), "b");
}

TEST(LinkSettlement, a_thousand_stanzas_do_not_cost_a_thousand_frames) {
  Link link;
  link.up();
  link.forget_sent();
  constexpr int kStanzas = 1000;
  int sent = 0;
  std::size_t settled = 0;
  while (settled < kStanzas) {
    while (sent < kStanzas && link.core.session.can_send(kPair, 200)) {
      link.core.session.send(kPair, stanza(kPair, std::to_string(sent), true, 200), static_cast<Ticket>(sent),
                             link.now);
      ++sent;
    }
    link.exchange();
    for (const Received& r : link.edge.take<Received>())
      link.edge.session.settle(r.receipt, std::nullopt, link.now);
    link.exchange();
    link.pass(10ms);
    settled += link.core.take<Settled>().size();
  }
  auto by_edge = frames_in(link.sent_by_edge);
  EXPECT_LE(by_edge[frame::Type::kSettle], 40);
  EXPECT_LE(by_edge[frame::Type::kAck], 40);
  auto by_core = frames_in(link.sent_by_core);
  EXPECT_EQ(by_core[frame::Type::kStanza], kStanzas);
  EXPECT_EQ(by_core[frame::Type::kOpen], 1);
}

TEST(LinkSettlement, many_channels_share_a_frame) {
  Link link;
  link.up();
  for (int i = 0; i < 100; ++i)
    link.send_out("x", static_cast<Ticket>(i), pair("example.com", "r" + std::to_string(i)));
  link.exchange();
  link.forget_sent();
  for (const Received& r : link.edge.take<Received>())
    link.edge.session.settle(r.receipt, std::nullopt, link.now);
  link.pass(limits::kSettleDelay);
  EXPECT_EQ(frames_in(link.sent_by_edge)[frame::Type::kSettle], 1);
  EXPECT_EQ(link.core.take<Settled>().size(), 100U);
}

TEST(LinkSettlement, waits_for_company_no_longer_than_the_delay) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.exchange();
  const auto received = link.edge.take<Received>();
  link.edge.session.settle(received[0].receipt, std::nullopt, link.now);
  EXPECT_EQ(link.edge.session.poll_timeout(), link.now + limits::kSettleDelay);
  link.pass(limits::kSettleDelay - 1us);
  EXPECT_TRUE(link.core.take<Settled>().empty());
  link.pass(1us);
  EXPECT_EQ(outcomes(link.core.take<Settled>()), Strings{"1:"});
}

TEST(LinkSettlement, rides_on_a_frame_that_goes_that_way) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.exchange();
  link.edge.session.settle(link.edge.take<Received>()[0].receipt, std::nullopt, link.now);
  link.exchange();
  EXPECT_TRUE(link.core.take<Settled>().empty());
  link.send_in("b", 2);
  link.exchange();
  EXPECT_EQ(outcomes(link.core.take<Settled>()), Strings{"1:"});
}

TEST(LinkSettlement, a_quarter_of_the_window_does_not_wait) {
  for (const bool quarter : {false, true}) {
    Link link;
    link.up();
    const std::size_t bytes =
        limits::kChannelWindowInitialBytes / 4 - limits::kStanzaOverheadBytes - (quarter ? 0 : 1);
    link.core.session.send(kPair, stanza(kPair, "a", true, bytes), 1, link.now);
    link.exchange();
    link.edge.session.settle(link.edge.take<Received>()[0].receipt, std::nullopt, link.now);
    link.exchange();
    EXPECT_EQ(link.core.take<Settled>().size(), quarter ? 1U : 0U);
  }
}

TEST(LinkSettlement, texts_are_cut_to_what_a_frame_takes) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.exchange();
  link.edge.session.settle(link.edge.take<Received>()[0].receipt,
                           Error{Code::kDnsNoName, std::string(5000, 'x')}, link.now);
  link.pass(limits::kSettleDelay);
  const auto settled = link.core.take<Settled>();
  ASSERT_EQ(settled.size(), 1U);
  EXPECT_EQ(settled[0].outcome->text.size(), limits::kLinkTextBytesMax);
}

TEST(LinkSettlement, unacknowledged_settlements_are_bounded_and_none_is_lost) {
  // The core's acknowledgements do not arrive: frames to the edge are dropped from here on.
  Link link;
  link.up();
  const std::string text(limits::kLinkTextBytesMax, 'x');
  int sent = 0;
  while (sent < 3'000 && link.core.session.can_send(pair("a", "r" + std::to_string(sent % 100)), 0)) {
    link.send_out(std::to_string(sent), static_cast<Ticket>(sent),
                  pair("a", "r" + std::to_string(sent % 100)));
    ++sent;
  }
  link.exchange();
  // All outcomes differ, so each takes a run of its own.
  for (const Received& r : link.edge.take<Received>()) {
    link.edge.session.settle(r.receipt, Error{Code::kDnsNoName, std::string(r.stanza.id()) + text}, link.now);
  }
  link.now += limits::kSettleDelay;
  std::string bytes;
  std::string all;
  while (link.edge.session.take_output(bytes, link.now)) all += std::exchange(bytes, {});
  EXPECT_GT(all.size(), limits::kSettleLogBytesMax - limits::kSettleBytesMax);
  EXPECT_LT(all.size(), limits::kSettleLogBytesMax + 2 * limits::kSettleBytesMax);
  EXPECT_GT(*link.edge.session.poll_timeout(), link.now)
      << "a settlement that may not leave keeps nobody awake";
  link.cut();
  link.connect();
  link.exchange();
  link.pass(2s);
  EXPECT_EQ(link.core.take<Settled>().size(), static_cast<std::size_t>(sent));
}

TEST(LinkSettlement, a_receipt_of_another_epoch_or_of_nothing_does_nothing) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.exchange();
  const Receipt receipt = link.edge.take<Received>()[0].receipt;
  for (Receipt wrong : {Receipt{receipt.epoch + 1, receipt.channel, receipt.sequence},
                        Receipt{receipt.epoch, receipt.channel + 1, receipt.sequence},
                        Receipt{receipt.epoch, receipt.channel, receipt.sequence + 1},
                        Receipt{receipt.epoch, receipt.channel, 0}}) {
    link.edge.session.settle(wrong, std::nullopt, link.now);
  }
  link.pass(limits::kSettleDelay);
  EXPECT_TRUE(link.core.take<Settled>().empty());
  link.edge.session.settle(receipt, Error{Code::kDnsNoName, ""}, link.now);
  link.edge.session.settle(receipt, std::nullopt, link.now);
  link.pass(limits::kSettleDelay);
  EXPECT_EQ(outcomes(link.core.take<Settled>()), Strings{"1:dns.no-name"});
}

TEST(LinkAck, goes_alone_only_after_its_delay) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.exchange();
  link.forget_sent();
  link.pass(limits::kAckDelay - 1us);
  EXPECT_TRUE(link.sent_by_edge.empty());
  link.pass(1us);
  EXPECT_EQ(frames_in(link.sent_by_edge)[frame::Type::kAck], 1);
}

TEST(LinkAck, goes_at_once_when_much_waits_for_it) {
  Link link;
  link.up();
  link.core.session.send(kPair, stanza(kPair, "a", true, limits::kAckAfterBytes), 1, link.now);
  link.exchange();
  EXPECT_EQ(frames_in(link.sent_by_edge)[frame::Type::kAck], 1);
}

}  // namespace
}  // namespace sallyport::link
