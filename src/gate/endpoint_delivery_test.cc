// When a stanza counts as delivered, and how its sender is answered where that is not known.
#include "gate/endpoint_fixture.h"

#include <algorithm>

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;
using Tickets = std::vector<Ticket>;
using Told = std::vector<std::string>;

struct EndpointDelivery : EndpointFixture {
  void ready(const std::string& limits = {}) {
    sends(message("first"));
    accepts(limits);
    reads();
    passes(limits::kDoubtDelay + limits::kDoubtTick);
    drain();
    ASSERT_EQ(delivered, Tickets{1});
    delivered.clear();
  }
};

TEST_F(EndpointDelivery, a_stanza_counts_as_delivered_a_little_after_the_socket_took_it) {
  ready();
  sends(message("2"));
  reads();
  EXPECT_EQ(delivered, Tickets{});
  ASSERT_TRUE(endpoint.poll_timeout());
  EXPECT_LE(*endpoint.poll_timeout(), now.mono + limits::kDoubtDelay + limits::kDoubtTick);
  passes(limits::kDoubtDelay - 1us);
  drain();
  EXPECT_EQ(delivered, Tickets{});
  passes(limits::kDoubtTick + 1us);
  drain();
  EXPECT_EQ(delivered, Tickets{2});
}

TEST_F(EndpointDelivery, an_answer_settles_what_it_answers_when_it_has_arrived) {
  ready();
  endpoint.answer(pair, message("error"), StreamReceipt{ConnId{77}, 5}, now);
  reads();
  EXPECT_EQ(acknowledgeable, std::vector<std::uint32_t>{});
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  drain();
  EXPECT_EQ(acknowledgeable, std::vector<std::uint32_t>{5});
  EXPECT_EQ(delivered, Tickets{});
}

TEST_F(EndpointDelivery, an_answer_settles_what_it_answers_when_it_cannot_arrive) {
  endpoint.answer(pair, message("error"), StreamReceipt{ConnId{77}, 5}, now);
  const auto dialled_now = dials();
  ASSERT_EQ(dialled_now.size(), 1u);
  EXPECT_EQ(acknowledgeable, std::vector<std::uint32_t>{});
  endpoint.handle_dial_failed(dialled_now[0], {Code::kDialRefused, "refused"}, now);
  drain();
  EXPECT_EQ(acknowledgeable, std::vector<std::uint32_t>{5});
  EXPECT_EQ(told, Told{});
}

// A message of the spool leaves it then, too.
TEST_F(EndpointDelivery, a_stanza_that_the_role_keeps_and_that_has_no_answer_is_settled_at_once) {
  endpoint.answer(pair, std::nullopt, StreamReceipt{0, 7, 7}, now);
  drain();
  EXPECT_EQ(acknowledgeable, std::vector<std::uint32_t>{7});
}

TEST_F(EndpointDelivery, an_answer_to_whom_nothing_is_owed_settles_nothing) {
  ready();
  endpoint.answer(pair, message("error"), std::nullopt, now);
  EXPECT_NE(reads().find("error"), std::string::npos);
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  drain();
  EXPECT_EQ(acknowledgeable, std::vector<std::uint32_t>{});
  EXPECT_EQ(delivered, Tickets{});
}

TEST_F(EndpointDelivery, what_is_written_within_one_tick_costs_one_timer) {
  ready();
  const Time tick =
      Time{(now.mono.time_since_epoch() / Duration(limits::kDoubtTick) + 1) * Duration(limits::kDoubtTick)};
  now.mono = tick;
  for (int i = 0; i < 5; ++i) {
    sends(message("m"));
    reads();
    now.mono += 1ms;
  }
  now.mono = *endpoint.poll_timeout();
  endpoint.handle_timeout(now);
  drain();
  EXPECT_EQ(delivered, (Tickets{2, 3, 4, 5, 6}));
}

// Ten messages on one stream; the peer takes two, refuses the third and ends its stream. It reads nothing
// behind that, and the bytes of all ten are in its socket.
TEST_F(EndpointDelivery, of_ten_stanzas_in_flight_each_is_read_by_the_peer_or_answered_once) {
  ready();
  for (int i = 2; i <= 11; ++i) sends(message(std::to_string(i), i == 4 ? 20'000 : 10));
  const std::string sent = reads();
  for (int i = 2; i <= 11; ++i)
    EXPECT_NE(sent.find("id='" + std::to_string(i) + "'"), std::string::npos) << i;
  ends_stream_with("policy-violation");
  Told expected;
  for (int i = 2; i <= 11; ++i) expected.push_back(std::to_string(i) + " delivery.uncertain");
  EXPECT_EQ(told, expected);
  EXPECT_EQ(delivered, Tickets{});
  EXPECT_EQ(texts.front(), "policy-violation");
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  drain();
  EXPECT_EQ(told.size(), 10u);
  EXPECT_EQ(delivered, Tickets{}) << "none is settled twice";
  EXPECT_EQ(endpoint.counters().uncertain, 10u);
}

TEST_F(EndpointDelivery, what_was_settled_before_the_error_is_not_answered) {
  ready();
  sends(message("2"));
  reads();
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  sends(message("3"));
  reads();
  ends_stream_with("policy-violation");
  EXPECT_EQ(delivered, Tickets{2});
  EXPECT_EQ(told, Told{"3 delivery.uncertain"});
}

TEST_F(EndpointDelivery, what_the_socket_did_not_take_is_sent_on_the_next_stream) {
  ready();
  sends(message("2"));
  reads();
  sends(message("3"));
  ends_stream_with("policy-violation");
  EXPECT_EQ(told, Told{"2 delivery.uncertain"});
  accepts();
  EXPECT_NE(reads().find("id='3'"), std::string::npos);
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  drain();
  EXPECT_EQ(delivered, Tickets{3});
}

TEST_F(EndpointDelivery, what_a_stream_left_waits_longer_than_the_stream_lives) {
  ready();
  sends(message("2"));
  ends_stream_with("policy-violation");
  sends(message("3"));
  ASSERT_EQ(dialled.size(), 1u);
  endpoint.handle_dial_failed(dialled.back(), {Code::kDialRefused, {}}, now);
  drain();
  sends(message("4"));
  passes(limits::kLifetimeMemory);
  drain();
  EXPECT_EQ(told, (Told{"2 dial.refused", "3 dial.refused", "4 dial.refused"}));
}

TEST_F(EndpointDelivery, presence_in_doubt_is_never_answered) {
  ready();
  sends(stanza_of(xmpp::StanzaKind::kPresence, "", "2"));
  sends(stanza_of(xmpp::StanzaKind::kIq, "get", "3"));
  reads();
  ends_stream_with("policy-violation");
  EXPECT_EQ(delivered, Tickets{2});
  EXPECT_EQ(told, Told{"3 delivery.uncertain"});
}

TEST_F(EndpointDelivery, an_answer_in_doubt_is_logged) {
  ready();
  endpoint.send(pair, message("2"), 0, now);
  reads();
  policy.events.clear();
  ends_stream_with("policy-violation");
  EXPECT_EQ(told, Told{});
  ASSERT_FALSE(policy.events.empty());
  EXPECT_TRUE(std::ranges::any_of(policy.events, [](const LogEvent& e) { return e.name == "answer.lost"; }));
}

// Before a clean end the peer reads what is under way (RFC 6120 4.4). A broken connection tells nothing: a
// message goes out again.
TEST_F(EndpointDelivery, a_clean_end_settles_what_was_written_and_a_broken_connection_does_not) {
  ready();
  sends(message("2"));
  reads();
  says("</stream:stream>");
  EXPECT_EQ(delivered, Tickets{2});
  sends(message("3"));
  accepts();
  reads();
  loses_connection();
  EXPECT_EQ(delivered, (Tickets{2}));
  EXPECT_EQ(told, Told{});
  EXPECT_EQ(endpoint.counters().uncertain, 1u);
  EXPECT_EQ(endpoint.counters().sent_again, 1u);
  accepts();
  EXPECT_NE(reads().find("id='3'"), std::string::npos);
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  drain();
  EXPECT_EQ(delivered, (Tickets{2, 3}));
}

TEST_F(EndpointDelivery, no_more_is_in_doubt_on_one_stream_than_may_be) {
  ready();
  constexpr std::size_t kSize = 1000;
  const std::size_t cost = message("1", kSize).xml().size() + limits::kStanzaOverheadBytes;
  const std::size_t most = limits::kDoubtStreamBytesMax / cost + 1;
  for (std::size_t i = 0; i < most + 5; ++i) sends(message("1", kSize));
  reads();
  EXPECT_EQ(delivered.size(), 5u);
  // A large one stays until as much is behind it.
  sends(message("1", 100'000));
  sends(message("1", kSize));
  reads();
  EXPECT_EQ(delivered.size(), most + 5);
  ends_stream_with("policy-violation");
  EXPECT_EQ(told.size(), 2u);
}

TEST_F(EndpointDelivery, no_more_is_in_doubt_on_all_streams_than_may_be) {
  constexpr std::size_t kSize = 30'000;
  const std::size_t cost = message("m", kSize).xml().size() + limits::kStanzaOverheadBytes;
  const std::size_t most = limits::kDoubtBytesMax / cost;
  for (std::size_t i = 0; i < most + 3; ++i) {
    const std::string own = "n" + std::to_string(i) + ".example";
    const Pair other{*xmpp::Domain::parse(own), pair.remote};
    endpoint.send(other, message("m", kSize), ++last_ticket, now);
    accepts({}, own);
    reads();
    EXPECT_EQ(delivered.size(), i < most ? 0 : i + 1 - most) << i;
  }
  EXPECT_EQ(delivered, (Tickets{1, 2, 3}));
}

// --- XEP-0478

TEST_F(EndpointDelivery, a_stanza_above_the_peers_limit_is_answered_and_what_is_behind_it_goes_on) {
  const auto limit = [](std::size_t bytes) {
    return "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>" + std::to_string(bytes) +
           "</max-bytes></limits>";
  };
  const std::size_t size = message("2", 20'000).xml().size();
  ready(limit(size - 1));
  sends(message("2", 20'000));
  sends(message("3", 19'999));
  const std::string sent = reads();
  EXPECT_EQ(sent.find("id='2'"), std::string::npos);
  EXPECT_NE(sent.find("id='3'"), std::string::npos);
  EXPECT_EQ(told, Told{"2 stanza.too-large-for-peer"});
  EXPECT_EQ(texts.front(), std::to_string(size) + " bytes, " + std::to_string(size - 1) + " at most");
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  drain();
  EXPECT_EQ(delivered, Tickets{3});
  EXPECT_EQ(dials(), std::vector<ConnId>{}) << "the stream goes on";
}

TEST_F(EndpointDelivery, what_waited_for_the_stream_is_held_against_the_limit_too) {
  sends(message("1", 20'000));
  sends(message("2"));
  accepts("<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>10000</max-bytes></limits>");
  EXPECT_NE(reads().find("id='2'"), std::string::npos);
  EXPECT_EQ(told, Told{"1 stanza.too-large-for-peer"});
  EXPECT_TRUE(std::ranges::none_of(policy.events,
                                   [](const LogEvent& e) { return e.name == "peer.limit-too-small"; }));
}

TEST_F(EndpointDelivery, a_limit_that_no_server_may_set_is_obeyed_and_logged_once) {
  ready("<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>9999</max-bytes></limits>");
  sends(message("2", 10'000));
  sends(message("3"));
  reads();
  EXPECT_EQ(told, Told{"2 stanza.too-large-for-peer"});
  const auto is_it = [](const LogEvent& e) { return e.name == "peer.limit-too-small"; };
  ASSERT_EQ(std::ranges::count_if(policy.events, is_it), 1);
  EXPECT_EQ(format_text(*std::ranges::find_if(policy.events, is_it), ""),
            " warning peer.limit-too-small face=world direction=out local=example.com remote=far.example "
            "peer=[::]:0 max_bytes=9999");
}

// --- back-off

TEST_F(EndpointDelivery, after_failed_dials_the_next_one_waits_longer_each_time_and_not_at_all_at_first) {
  const auto fails = [&] {
    const auto conns = dials();
    ASSERT_EQ(conns.size(), 1u);
    endpoint.handle_dial_failed(conns.front(), {Code::kDialRefused, "no"}, now);
    drain();
  };
  sends(message("m"));
  fails();
  std::size_t answered = 1;
  for (const Duration wait : limits::kDialBackoff) {
    if (wait > 0s) {
      now.mono += wait - 1us;
      sends(message("m"));
      EXPECT_EQ(dials(), std::vector<ConnId>{}) << wait.count();
      EXPECT_EQ(told.size(), ++answered) << "answered at once, with the error of the last attempt";
      now.mono += 1us;
    }
    sends(message("m"));
    fails();
    EXPECT_EQ(told.size(), ++answered);
  }
  // The last step is kept.
  now.mono += *std::rbegin(limits::kDialBackoff) - 1us;
  sends(message("m"));
  EXPECT_EQ(dials(), std::vector<ConnId>{});
  now.mono += 1us;
  // A success begins anew: the next failure costs nothing.
  sends(message("m"));
  accepts();
  reads();
  loses_connection();
  sends(message("m"));
  fails();
  sends(message("m"));
  EXPECT_EQ(dials().size(), 1u);
}

TEST_F(EndpointDelivery, of_one_pair_one_dial_is_under_way) {
  for (int i = 0; i < 100; ++i) sends(message("m"));
  EXPECT_EQ(dials().size(), 1u);
}

// --- what is shown

TEST_F(EndpointDelivery, an_idle_stream_that_was_closed_leaves_no_error) {
  ready();
  passes(limits::kStreamIdleTimeout + 1s);
  says("</stream:stream>");
  EXPECT_EQ(endpoint.last_error(pair), std::nullopt);
}

TEST(EndpointLog, local_is_a_domain_of_this_organisation_on_both_sides) {
  for (const std::string face : {"world", "inside"}) {
    OpenPolicy policy;
    policy.internal = face == "inside";
    ConnIds ids;
    Endpoint endpoint{{face, policy, ids, policy, policy}};
    const Now now{Time{1s}, {}};
    const Pair pair{*xmpp::Domain::parse("near.example"), *xmpp::Domain::parse("far.example")};
    endpoint.send(pair, EndpointFixture::message("1"), 1, now);
    endpoint.handle_dial_failed(2, {Code::kDialRefused, ""}, now);
    ASSERT_FALSE(policy.events.empty());
    const std::string line = format_text(policy.events.back(), "");
    const std::string wanted =
        face == "world" ? "local=near.example remote=far.example" : "local=far.example remote=near.example";
    EXPECT_NE(line.find(wanted), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace sallyport::gate
