// The life of connections: timeouts, outages, events for the owners, questions and pushes.
#include <gtest/gtest.h>

#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

// --- liveness

TEST(LinkLife, an_idle_link_stays_up_by_pings) {
  Link link;
  link.up();
  link.forget_sent();
  link.pass(60s);
  EXPECT_TRUE(link.core.session.is_up() && link.edge.session.is_up());
  const int pings =
      frames_in(link.sent_by_core)[frame::Type::kPing] + frames_in(link.sent_by_edge)[frame::Type::kPing];
  EXPECT_GE(pings, 19);
  EXPECT_LE(pings, 41);
}

TEST(LinkLife, silence_is_pinged_and_then_dead) {
  for (const bool core : {true, false}) {
    Link link;
    link.up();
    End& end = core ? link.core : link.edge;
    const Time heard = link.now;
    // From here on nothing arrives.
    std::string out;
    link.now = heard + limits::kLinkPingAfter;
    EXPECT_EQ(end.session.poll_timeout(), link.now);
    end.session.handle_timeout(link.now);
    ASSERT_TRUE(end.session.take_output(out, link.now));
    EXPECT_EQ(frames_in(out)[frame::Type::kPing], 1);
    link.now = heard + limits::kLinkDeadAfter - 1us;
    end.session.handle_timeout(link.now);
    EXPECT_FALSE(end.session.wants_close());
    link.now += 1us;
    end.session.handle_timeout(link.now);
    EXPECT_TRUE(end.session.wants_close());
    out.clear();
    EXPECT_FALSE(end.session.take_output(out, link.now)) << "nobody reads it";
    EXPECT_TRUE(end.take<Dead>().empty());
    end.session.handle_disconnected(link.now);
    EXPECT_EQ(end.take<Down>()[0].error.code, Code::kLinkDead);
    EXPECT_EQ(end.take<Dead>().size(), 1U) << "it has been silent for long enough";
  }
}

TEST(LinkLife, who_only_listens_says_that_he_lives) {
  Link link;
  link.up();
  // The edge receives a large frame byte by byte for 20 s; the core gets its pings meanwhile.
  link.core.session.send(kPair, stanza(kPair, "a", true, 1'000'000), 1, link.now);
  link.fetch();
  std::string frame = std::exchange(link.core.out, {});
  for (int i = 0; i < 200; ++i) {
    link.now += 100ms;
    link.edge.session.handle_bytes(frame.substr(0, 1000), link.now);
    frame.erase(0, 1000);
    link.edge.session.handle_timeout(link.now);
    link.core.session.handle_timeout(link.now);
    link.fetch();
    link.core.session.handle_bytes(std::exchange(link.edge.out, {}), link.now);
    ASSERT_TRUE(link.core.session.is_up()) << i;
  }
}

TEST(LinkLife, a_greeting_that_is_not_answered_is_dead_however_it_dribbles) {
  for (const bool core : {true, false}) {
    Link link;
    link.connect();
    End& end = core ? link.core : link.edge;
    const Time start = link.now;
    EXPECT_EQ(end.session.poll_timeout(), start + limits::kLinkDeadAfter);
    link.now = start + limits::kLinkDeadAfter - 1us;
    end.session.handle_bytes(std::string_view(core ? "\2" : "\1", 1), link.now);
    end.session.handle_timeout(link.now);
    EXPECT_FALSE(end.session.wants_close());
    link.now += 1us;
    end.session.handle_timeout(link.now);
    EXPECT_TRUE(end.session.wants_close());
    end.session.handle_disconnected(link.now);
    EXPECT_EQ(end.take<Down>()[0].error.code, Code::kLinkDead);
    EXPECT_TRUE(end.take<Dead>().empty()) << "it had never been up";
  }
}

TEST(LinkLife, dead_is_told_once_an_outage_and_again_in_the_next) {
  Link link;
  link.up();
  for (int outage = 0; outage < 2; ++outage) {
    link.cut();
    EXPECT_EQ(link.core.take<Down>().size(), outage == 0 ? 1U : 2U);
    EXPECT_EQ(link.core.session.poll_timeout(), link.now + limits::kLinkDeadAfter);
    link.pass(limits::kLinkDeadAfter - 1us);
    EXPECT_TRUE(link.core.take<Dead>().empty());
    link.pass(1us);
    EXPECT_EQ(link.core.take<Dead>().size(), 1U);
    EXPECT_EQ(link.edge.take<Dead>().size(), 1U);
    // A connection without a greeting does not end the outage.
    link.core.session.handle_connected(link.now);
    link.pass(1s);
    link.core.session.handle_disconnected(link.now);
    link.pass(20s);
    EXPECT_TRUE(link.core.take<Dead>().empty());
    link.connect();
    link.exchange();
    EXPECT_TRUE(link.core.take<Up>()[0].resumed);
  }
}

TEST(LinkLife, a_short_cut_is_no_death) {
  Link link;
  link.up();
  link.cut();
  link.pass(limits::kLinkDeadAfter - 1s);
  link.connect();
  link.exchange();
  link.pass(60s);
  EXPECT_TRUE(link.core.take<Dead>().empty());
  EXPECT_TRUE(link.edge.take<Dead>().empty());
  EXPECT_TRUE(link.edge.take<Forgotten>().empty());
}

TEST(LinkLife, an_edge_forgets_after_a_minute_and_a_core_does_not) {
  for (const bool forgotten : {false, true}) {
    Link link;
    link.up();
    link.send_out("a", 1);
    link.send_in("b", 2);
    link.exchange();
    const Receipt stale = link.edge.take<Received>()[0].receipt;
    link.core.take<Received>();
    link.cut();
    link.pass(limits::kLinkSessionKept - (forgotten ? 0us : 1us));
    EXPECT_EQ(link.edge.take<Forgotten>().size(), forgotten ? 1U : 0U);
    EXPECT_TRUE(link.core.take<Forgotten>().empty());
    link.connect();
    link.exchange();
    EXPECT_EQ(link.core.take<Up>()[0].resumed, !forgotten);
    EXPECT_EQ(link.edge.take<Up>()[0].resumed, !forgotten);
    EXPECT_EQ(ids(link.edge.take<Received>()), forgotten ? Strings{"a"} : Strings{}) << "sent anew";
    EXPECT_EQ(ids(link.core.take<Received>()), forgotten ? Strings{"b"} : Strings{});
    link.edge.session.settle(stale, std::nullopt, link.now);
    link.pass(limits::kSettleDelay);
    EXPECT_EQ(outcomes(link.core.take<Settled>()), forgotten ? Strings{} : Strings{"1:"});
  }
}

TEST(LinkLife, a_new_process_gets_everything_anew_in_order_within_its_window) {
  for (const bool core : {true, false}) {
    Link link;
    link.up();
    if (core)
      link.send_in("x", 99);
    else
      link.send_out("x", 99);
    link.exchange();
    link.edge.session.grant(kPair, ~0U);
    link.core.session.grant(kPair, ~0U);
    link.exchange();
    const bool outward = !core;  // the surviving side sends
    End& living = core ? link.edge : link.core;
    End& fresh = core ? link.core : link.edge;
    for (int i = 0; i < 10; ++i) {
      living.session.send(kPair, stanza(kPair, std::to_string(i), outward, 30'000), static_cast<Ticket>(i),
                          link.now);
    }
    link.exchange();
    EXPECT_EQ(fresh.take<Received>().size(), 11U);
    link.cut();
    fresh = End(core ? NodeRole::kCore : NodeRole::kEdge, "2");
    link.connect();
    link.exchange();
    EXPECT_FALSE(living.take<Up>()[0].resumed);
    Strings got;
    for (int round = 0; round < 20; ++round) {
      const auto received = fresh.take<Received>();
      EXPECT_LE(received.size(), 3U) << "a new channel has the initial window";
      for (const Received& r : received) {
        got.emplace_back(r.stanza.id());
        fresh.session.settle(r.receipt, std::nullopt, link.now);
      }
      link.pass(limits::kSettleDelay);
    }
    EXPECT_EQ(got, (Strings{"x", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
    EXPECT_EQ(living.take<Settled>().size(), 11U);
    EXPECT_EQ(living.session.unsettled_bytes(), 0U);
  }
}

TEST(LinkLife, a_lost_welcome_is_harmless) {
  for (const bool first : {true, false}) {
    Link link;
    if (!first) {
      link.up();
      link.send_out("a", 1);
      link.exchange();
      link.cut();
    }
    link.connect();
    link.fetch();
    link.edge.session.handle_bytes(std::exchange(link.core.out, {}), link.now);
    EXPECT_TRUE(link.edge.session.is_up());
    link.cut();
    link.core.events.clear();
    link.connect();
    link.exchange();
    EXPECT_EQ(link.core.take<Up>().back().resumed, !first);
    EXPECT_EQ(link.edge.take<Received>().size(), first ? 0U : 1U);
  }
}

TEST(LinkLife, a_connection_that_replaces_one_that_nobody_ended_ends_it) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.edge.session.handle_connected(link.now);
  link.core.session.handle_disconnected(link.now);
  link.core.session.handle_connected(link.now);
  link.exchange();
  EXPECT_EQ(link.edge.take<Down>().size(), 1U);
  EXPECT_TRUE(link.edge.take<Up>()[0].resumed);
  EXPECT_EQ(link.edge.take<Received>().size(), 1U);
}

TEST(LinkRefuse, the_other_side_learns_why_and_whether_to_come_again) {
  const struct {
    Code code;
    bool final;
  } kCases[] = {{Code::kLinkSecondCore, true},
                {Code::kLinkDomain, true},
                {Code::kLinkVersion, true},
                {Code::kStreamShutdown, false},
                {Code::kLinkPushTooLarge, false}};
  for (const bool greeted : {false, true}) {
    for (const auto& c : kCases) {
      Link link;
      greeted ? link.up() : link.connect();
      link.edge.session.refuse({c.code, "because"});
      EXPECT_TRUE(link.edge.session.wants_close());
      link.exchange();
      EXPECT_TRUE(link.core.session.wants_close());
      link.cut();
      const auto core = link.core.take<Down>();
      const auto edge = link.edge.take<Down>();
      ASSERT_EQ(core.size() + edge.size(), 2U);
      EXPECT_EQ(core[0].error, (Error{c.code, "because"}));
      EXPECT_EQ(core[0].final, c.final);
      EXPECT_EQ(edge[0].error, (Error{c.code, "because"}));
      EXPECT_FALSE(edge[0].final);
    }
  }
}

TEST(LinkRefuse, without_a_connection_does_nothing) {
  Link link;
  link.edge.session.refuse({Code::kLinkSecondCore, ""});
  EXPECT_FALSE(link.edge.session.wants_close());
  link.up();
  EXPECT_TRUE(link.edge.session.is_up());
}

// --- abandoning

TEST(LinkGiveUp, on_a_live_connection_a_stanza_that_is_on_its_way_is_not_withdrawn) {
  Link link;
  link.up();
  link.send_out("a", 1);
  EXPECT_FALSE(link.core.session.withdraw(kPair, 1));
  EXPECT_FALSE(link.core.session.withdraw(kPair, 2));
  EXPECT_FALSE(link.core.session.withdraw(pair("no", "pair"), 1));
  link.cut();
  EXPECT_TRUE(link.core.session.withdraw(kPair, 1));
  EXPECT_FALSE(link.core.session.withdraw(kPair, 1));
  EXPECT_EQ(link.core.session.unsettled_bytes(), 0U);
}

TEST(LinkGiveUp, what_was_withdrawn_before_it_came_never_comes) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.send_out("b", 2);
  link.send_out("c", 3);
  link.cut();
  EXPECT_TRUE(link.core.session.withdraw(kPair, 2));
  link.connect();
  link.exchange();
  const auto received = link.edge.take<Received>();
  EXPECT_EQ(ids(received), (Strings{"a", "c"}));
  for (const Received& r : received) link.edge.session.settle(r.receipt, std::nullopt, link.now);
  link.pass(limits::kSettleDelay);
  EXPECT_EQ(outcomes(link.core.take<Settled>()), (Strings{"1:", "3:"}));
}

TEST(LinkGiveUp, a_settlement_of_what_was_abandoned_is_ignored) {
  Link link;
  link.up();
  const xmpp::Pair other = pair("example.com", "other.example");
  link.send_out("a", 1);
  link.send_out("b", 2, other);
  link.send_out("c", 3);
  link.exchange();
  link.cut();
  link.send_out("d", 4);
  const auto unsettled = link.core.session.abandon();
  ASSERT_EQ(unsettled.size(), 4U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(unsettled[i].ticket, i + 1);
    EXPECT_EQ(unsettled[i].sent, i != 3);
  }
  EXPECT_EQ(unsettled[1].pair, other);
  EXPECT_EQ(unsettled[2].stanza.id(), "c");
  EXPECT_EQ(link.core.session.unsettled_bytes(), 0U);
  EXPECT_TRUE(link.core.session.abandon().empty());
  link.connect();
  link.exchange();
  const auto received = link.edge.take<Received>();
  EXPECT_EQ(ids(received), (Strings{"a", "b", "c"}));
  for (const Received& r : received) link.edge.session.settle(r.receipt, std::nullopt, link.now);
  link.pass(limits::kSettleDelay);
  EXPECT_TRUE(link.core.take<Settled>().empty());
  EXPECT_TRUE(link.core.session.can_send(kPair, limits::kCanonicalBytesMax)) << "the credit came back";
}

}  // namespace
}  // namespace sallyport::link
