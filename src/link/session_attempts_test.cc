// What version 3 of the protocol adds: attempts, and a node that is being drained.
#include <gtest/gtest.h>

#include <algorithm>

#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

// A core of that version and an edge of this one.
struct Versions : Link {
  explicit Versions(std::uint16_t version) {
    SessionConfig config = End::config(NodeRole::kCore, "1");
    config.version_highest = version;
    core.session = LinkSession(std::move(config));
  }
  std::vector<int> attempts_at_edge() {
    exchange();
    std::vector<int> attempts;
    for (const auto& received : edge.take<Received>()) attempts.push_back(received.attempt);
    return attempts;
  }
};

TEST(LinkAttempts, cross_the_link_with_their_stanzas_and_after_a_break_again) {
  Versions link(frame::kVersionAttempts);
  link.up();
  for (const Attempt attempt : {0, 1, 2})
    link.core.session.send(kPair, stanza(kPair, "a"), 1, link.now, {}, attempt);
  EXPECT_EQ(link.attempts_at_edge(), (std::vector{0, 1, 2}));
  link.core.session.send(kPair, stanza(kPair, "b"), 1, link.now, {}, 2);
  link.cut();
  link.up();
  EXPECT_EQ(link.attempts_at_edge(), std::vector{2});
}

TEST(LinkAttempts, an_unsettled_stanza_comes_back_with_its_own) {
  Versions link(frame::kVersionAttempts);
  link.up();
  link.core.session.send(kPair, stanza(kPair, "a"), 1, link.now, {}, 2);
  const auto unsettled = link.core.session.abandon();
  ASSERT_EQ(unsettled.size(), 1U);
  EXPECT_EQ(unsettled[0].attempt, 2);
}

TEST(LinkAttempts, are_not_sent_to_an_earlier_version_and_not_accepted_from_it) {
  Versions link(2);
  link.up();
  link.core.session.send(kPair, stanza(kPair, "a"), 1, link.now, {}, 2);
  EXPECT_EQ(link.attempts_at_edge(), std::vector{0});
  std::string bytes;
  frame::append(
      bytes, frame::Stanza{1, 0, "alice@example.com", "bob@partner.example", "i", "", "", "<message/>", 1});
  link.edge.session.handle_bytes(bytes, link.now);
  EXPECT_TRUE(link.edge.session.wants_close());
}

TEST(LinkAttempts, a_new_session_says_how_many_stanzas_go_again) {
  Versions link(frame::kVersionAttempts);
  link.up();
  link.core.take<Up>();
  for (const char* id : {"a", "b"}) link.core.session.send(kPair, stanza(kPair, id), 1, link.now);
  link.exchange();
  link.cut();
  link.edge = End(NodeRole::kEdge, "2");
  link.core.session.send(kPair, stanza(kPair, "c"), 1, link.now);
  link.connect();
  link.exchange();
  const auto up = link.core.take<Up>();
  ASSERT_EQ(up.size(), 1U);
  EXPECT_FALSE(up[0].resumed);
  EXPECT_EQ(up[0].sent_again, 2U) << "c was not sent before";
}

TEST(LinkRepeats, what_may_not_be_repeated_is_given_back_when_the_other_process_is_new) {
  Versions link(frame::kVersionAttempts);
  SessionConfig config = End::config(NodeRole::kCore, "1");
  config.may_repeat = [](const xmpp::Pair&, const xmpp::Stanza& stanza, Ticket) {
    return stanza.id() != "b" && stanza.id() != "d";
  };
  link.core.session = LinkSession(std::move(config));
  link.up();
  Ticket ticket = 0;
  for (const char* id : {"a", "b", "c"}) link.core.session.send(kPair, stanza(kPair, id), ++ticket, link.now);
  link.exchange();
  link.cut();
  link.up();
  link.exchange();
  EXPECT_TRUE(link.core.take<NotRepeated>().empty()) << "the process is the same";
  link.cut();
  link.edge = End(NodeRole::kEdge, "2");
  link.core.session.send(kPair, stanza(kPair, "d"), ++ticket, link.now);
  link.connect();
  link.exchange();
  const auto kept_back = link.core.take<NotRepeated>();
  ASSERT_EQ(kept_back.size(), 1U) << "d was not sent before";
  EXPECT_EQ(kept_back[0].ticket, 2U);
  EXPECT_EQ(kept_back[0].stanza.id(), "b");
  std::vector<std::string> arrived;
  for (const auto& each : link.edge.take<Received>()) arrived.emplace_back(each.stanza.id());
  EXPECT_EQ(arrived, (std::vector<std::string>{"a", "c", "d"}));
  for (const auto& up : link.core.take<Up>()) EXPECT_EQ(up.sent_again, up.resumed ? 0U : 2U);
  EXPECT_EQ(link.core.session.unsettled(), 3U);
}

TEST(LinkDrain, is_told_at_once_and_after_each_greeting) {
  Versions link(frame::kVersionAttempts);
  link.up();
  link.edge.session.drain();
  link.exchange();
  EXPECT_EQ(link.core.take<PeerDrains>().size(), 1U);
  link.exchange();
  EXPECT_EQ(link.core.take<PeerDrains>().size(), 0U);
  link.cut();
  link.up();
  link.exchange();
  EXPECT_EQ(link.core.take<PeerDrains>().size(), 1U);
}

TEST(LinkDrain, is_no_word_of_an_earlier_version) {
  Versions link(2);
  link.up();
  link.edge.session.drain();
  link.exchange();
  EXPECT_EQ(link.core.take<PeerDrains>().size(), 0U);
  EXPECT_TRUE(link.core.session.is_up());
  std::string bytes;
  frame::append(bytes, frame::Drain{});
  link.core.session.handle_bytes(bytes, link.now);
  EXPECT_TRUE(link.core.session.wants_close());
}

TEST(LinkDrain, is_told_before_the_settlements_of_a_session_that_goes_on) {
  Link link;
  link.up();
  link.send_out("a", 1);
  link.exchange();
  const Receipt receipt = link.edge.take<Received>()[0].receipt;
  link.edge.session.drain();
  link.edge.session.settle(receipt, Error{Code::kStreamShutdown, {}}, link.now);
  link.now += limits::kSettleDelay;
  std::string lost;
  EXPECT_TRUE(link.edge.session.take_output(lost, link.now));
  link.cut();
  link.connect();
  link.exchange();
  link.core.collect();
  const auto& events = link.core.events;
  const auto is_settled = [](const Event& event) { return std::holds_alternative<Settled>(event); };
  const auto settled = std::ranges::find_if(events, is_settled);
  ASSERT_NE(settled, events.end());
  EXPECT_TRUE(std::any_of(events.begin(), settled,
                          [](const Event& event) { return std::holds_alternative<PeerDrains>(event); }));
}

}  // namespace
}  // namespace sallyport::link
