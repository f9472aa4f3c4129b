#include "link/session.h"

#include <gtest/gtest.h>

#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

TEST(LinkGreeting, both_come_up_and_know_each_other) {
  Link link;
  link.connect();
  EXPECT_FALSE(link.core.session.is_up());
  link.exchange();
  const auto core = link.core.take<Up>();
  const auto edge = link.edge.take<Up>();
  ASSERT_EQ(core.size(), 1U);
  ASSERT_EQ(edge.size(), 1U);
  EXPECT_EQ(core[0].peer_name, "vcse.example.com");
  EXPECT_EQ(core[0].peer_version, "0.1.1");
  EXPECT_FALSE(core[0].resumed);
  EXPECT_EQ(edge[0].peer_name, "core-1");
  EXPECT_EQ(edge[0].peer_version, "0.1.0");
  EXPECT_FALSE(edge[0].resumed);
}

TEST(LinkGreeting, the_edge_says_nothing_before_the_core) {
  Link link;
  link.connect();
  std::string out;
  EXPECT_FALSE(link.edge.session.take_output(out, link.now));
  EXPECT_TRUE(link.core.session.take_output(out, link.now));
}

TEST(LinkStanza, arrives_as_it_was_sent_and_is_settled) {
  Link link;
  link.up();
  xmpp::Stanza sent = stanza(kPair, "a");
  link.core.session.send(kPair, sent, 7, link.now);
  link.exchange();
  auto received = link.edge.take<Received>();
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0].pair(), kPair);
  const xmpp::Stanza& got = received[0].stanza;
  EXPECT_EQ(got.kind(), sent.kind());
  EXPECT_EQ(got.from(), sent.from());
  EXPECT_EQ(got.to(), sent.to());
  EXPECT_EQ(got.id(), sent.id());
  EXPECT_EQ(got.type(), sent.type());
  EXPECT_EQ(got.lang(), sent.lang());
  EXPECT_EQ(got.xml(), sent.xml());
  EXPECT_GT(link.core.session.unsettled_bytes(), 0U);

  link.edge.session.settle(received[0].receipt, std::nullopt, link.now);
  link.pass(limits::kSettleDelay);
  EXPECT_EQ(outcomes(link.core.take<Settled>()), Strings{"7:"});
  EXPECT_EQ(link.core.session.unsettled_bytes(), 0U);
}

TEST(LinkStanza, goes_inward_with_its_provenance) {
  Link link;
  link.up();
  const Provenance first{"external", "198.51.100.7:5269"};
  const Provenance second{"dialback", "198.51.100.8:40000"};
  link.send_in("a", 1, first);
  link.send_in("b", 2, first);
  link.send_in("c", 3, second);
  link.send_in("d", 4, first);
  link.exchange();
  const auto received = link.core.take<Received>();
  ASSERT_EQ(ids(received), (Strings{"a", "b", "c", "d"}));
  EXPECT_EQ(received[1].provenance().method, "external");
  EXPECT_EQ(received[2].provenance().method, "dialback");
  EXPECT_EQ(received[2].provenance().peer_address, "198.51.100.8:40000");
  EXPECT_EQ(received[3].provenance().method, "external");
}

TEST(LinkStanza, on_a_core_bytes_that_speak_for_themselves_are_believed_and_nothing_beside_them) {
  const std::string xml =
      "<message from='bob@partner.example/x' to='alice@example.com' id='in-the-bytes' "
      "type='chat'><body>x</body>"
      "</message>";
  const std::string of_another =
      "<message from='eve@other.example' to='alice@example.com' id='in-the-bytes'/>";
  const auto bob = *xmpp::Jid::parse("bob@partner.example/x");
  const auto alice = *xmpp::Jid::parse("alice@example.com");
  const struct {
    const char* name;
    std::string bytes;
    bool judged;
    std::string id;
  } cases[] = {
      {"plain", xml, true, "in-the-bytes"},
      {"the parser must judge", "<message id=\"in-the-bytes\"><!-- --></message>", false, "beside"},
      {"more than one", xml + xml, false, "beside"},
      {"of another domain", of_another, false, "beside"},
  };
  for (const auto& c : cases) {
    Link link;
    link.up();
    link.edge.session.send(kPair, {xmpp::StanzaKind::kMessage, bob, alice, "beside", "", "", c.bytes}, 1,
                           link.now);
    link.core.session.send(kPair, {xmpp::StanzaKind::kMessage, alice, bob, "beside", "", "", c.bytes}, 2,
                           link.now);
    link.exchange();
    const auto inward = link.core.take<Received>();
    ASSERT_EQ(inward.size(), 1U) << c.name;
    EXPECT_EQ(inward[0].judged, c.judged) << c.name;
    EXPECT_EQ(inward[0].stanza.id(), c.id) << c.name;
    EXPECT_EQ(inward[0].stanza.xml(), c.bytes) << c.name;
    // An edge takes the core's word.
    const auto outward = link.edge.take<Received>();
    ASSERT_EQ(outward.size(), 1U) << c.name;
    EXPECT_FALSE(outward[0].judged) << c.name;
    EXPECT_EQ(outward[0].stanza.id(), "beside") << c.name;
  }
}

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

TEST(LinkSettlement, leaves_in_order_whatever_order_it_is_made_in) {
  Link link;
  link.up();
  for (int i = 0; i < 4; ++i) link.send_out(std::to_string(i), static_cast<Ticket>(i));
  link.exchange();
  const auto received = link.edge.take<Received>();
  link.edge.session.settle(received[2].receipt, std::nullopt, link.now);
  link.edge.session.settle(received[1].receipt, Error{Code::kDnsNoName, "partner.example"}, link.now);
  link.pass(limits::kSettleDelay);
  EXPECT_EQ(outcomes(link.core.take<Settled>()), Strings{});
  link.edge.session.settle(received[0].receipt, std::nullopt, link.now);
  link.pass(limits::kSettleDelay);
  const auto settled = link.core.take<Settled>();
  EXPECT_EQ(outcomes(settled), (Strings{"0:", "1:dns.no-name", "2:"}));
  EXPECT_EQ(settled[1].outcome->text, "partner.example");
}

// --- settlement: batches and delays

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
  // No two outcomes are the same, so each costs a run of its own.
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

// --- credit

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
