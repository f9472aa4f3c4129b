// What shows an endpoint that its peer has read a stanza, and what it does where nothing does.
#include "gate/endpoint_fixture.h"
#include "gate/role_fixture.h"

namespace sallyport::gate {
namespace {

using Tickets = std::vector<Ticket>;
using Told = std::vector<std::string>;

struct EndpointConfirm : EndpointFixture {
  EndpointConfirm() { policy.confirm = policy::Confirm::kAuto; }
  // A stream is open, and the first stanza was written on it; returns what the server can read.
  std::string opens(const std::string& features = {}) {
    sends(message("1"));
    accepts(features);
    return reads();
  }
  Tickets confirmed() {
    drain();
    return std::exchange(delivered, {});
  }
  // The id of the last ping in what the server read; empty where there is none.
  static std::string ping_in(const std::string& bytes) {
    const auto at = bytes.rfind("<iq type='get' from='example.com' to='far.example' id='ping-");
    if (at == bytes.npos) return {};
    const auto begin = bytes.find("ping-", at);
    return bytes.substr(begin, bytes.find('\'', begin) - begin);
  }
  // What the server of far.example says on the stream that it opened to us.
  void peer_says(const std::string& xml) {
    if (!theirs_) {
      theirs_ = ids.next();
      endpoint.handle_accepted(*theirs_, {address("198.51.100.7"), {}, true}, now);
      auto facts = certificate({"far.example"}, "example.com");
      facts.own_certificate = "example.com";
      endpoint.handle_tls(*theirs_, std::move(facts), now);
      for (const auto& bytes :
           {header("far.example", "example.com"), kAuth, header("far.example", "example.com")})
        endpoint.handle_bytes(*theirs_, bytes, now);
    }
    endpoint.handle_bytes(*theirs_, xml, now);
  }
  void peer_answers(const std::string& id, const std::string& type = "result",
                    const std::string& from = "far.example") {
    peer_says("<iq type='" + type + "' from='" + from + "' to='example.com' id='" + id + "'/>");
  }
  // The stanzas that reach the role.
  std::size_t received() {
    std::size_t count = 0;
    while (auto output = endpoint.poll()) count += std::holds_alternative<On<s2s::StanzaReceived>>(*output);
    return count;
  }
  std::string confirmed_by() {
    for (const auto& row : endpoint.connections())
      if (row.outgoing) return row.confirmed_by;
    return "no stream";
  }
  std::optional<ConnId> theirs_;
};

// --- pings

TEST_F(EndpointConfirm, a_ping_stands_behind_the_stanzas_and_its_answer_confirms_them) {
  sends(message("1"));
  sends(message("2"));
  accepts();
  const std::string sent = reads();
  const std::string id = ping_in(sent);
  ASSERT_FALSE(id.empty()) << sent;
  EXPECT_GT(sent.find(id), sent.find("id='2'"));
  sends(message("3"));
  reads();
  passes(limits::kDoubtDelay * 4);
  EXPECT_EQ(confirmed(), Tickets{}) << "the socket has them; nobody has read them";
  EXPECT_EQ(confirmed_by(), "") << "not known yet";
  peer_answers(id);
  EXPECT_EQ(confirmed(), (Tickets{1, 2})) << "3 was written behind the ping";
  EXPECT_EQ(endpoint.counters().stanzas_in, 0u) << "the answer is the endpoint's own";
  EXPECT_EQ(confirmed_by(), "ping");
}

TEST_F(EndpointConfirm, an_error_confirms_as_a_result_does_and_what_is_written_later_needs_another_ping) {
  const std::string id = ping_in(opens());
  sends(message("2"));
  reads();
  peer_answers(id, "error");
  EXPECT_EQ(confirmed(), Tickets{1});
  passes(limits::kPingInterval);
  const std::string second = ping_in(reads());
  ASSERT_FALSE(second.empty());
  EXPECT_NE(second, id);
  peer_answers(second);
  EXPECT_EQ(confirmed(), Tickets{2});
}

// Each of them counts for limits::kStanzaOverheadBytes more on the link, whose channel is full long before a
// stream of that many bytes is.
TEST_F(EndpointConfirm, small_stanzas_that_fill_half_a_channel_are_asked_about_before_the_interval_is_over) {
  constexpr std::size_t kMost = limits::kChannelWindowInitialBytes / 2 / limits::kStanzaOverheadBytes;
  peer_answers(ping_in(opens()));
  EXPECT_EQ(confirmed().size(), 1u);
  sends(message("2"));
  EXPECT_EQ(ping_in(reads()), "");
  for (std::size_t i = 3; i < 3 + kMost; ++i) sends(message(std::to_string(i)));
  const std::string id = ping_in(reads());
  ASSERT_FALSE(id.empty());
  peer_answers(id);
  EXPECT_GE(confirmed().size(), kMost / 2);
}

TEST_F(EndpointConfirm, what_answers_no_ping_of_this_stream_is_a_stanza_as_any_other) {
  const std::string id = ping_in(opens());
  peer_answers("ping-0123456789abcdef");
  peer_says("<iq type='get' from='far.example' to='example.com' id='" + id + "'><x xmlns='x'/></iq>");
  peer_says("<message from='far.example' to='example.com' id='" + id + "'/>");
  EXPECT_EQ(received(), 3u);
  EXPECT_EQ(endpoint.counters().stanzas_in, 3u);
  EXPECT_EQ(confirmed(), Tickets{});
}

TEST_F(EndpointConfirm, a_peer_that_answers_no_ping_gets_what_the_socket_takes) {
  opens();
  passes(limits::kPingTimeout);
  EXPECT_FALSE(ping_in(reads()).empty()) << "the second try";
  passes(limits::kPingTimeout);
  EXPECT_EQ(confirmed_by(), "none");
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  EXPECT_EQ(confirmed(), Tickets{1});
  sends(message("2"));
  EXPECT_EQ(ping_in(reads()), "");
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  EXPECT_EQ(confirmed(), Tickets{2});
  EXPECT_EQ(endpoint.counters().fell_back, 1u);
}

TEST_F(EndpointConfirm, a_peer_that_answered_and_is_silent_is_dead_and_its_stanzas_go_out_again) {
  peer_answers(ping_in(opens()));
  EXPECT_EQ(confirmed(), Tickets{1});
  passes(limits::kPingInterval);
  sends(message("2"));
  EXPECT_FALSE(ping_in(reads()).empty());
  passes(limits::kAckTimeout);
  EXPECT_EQ(told, Told{});
  EXPECT_EQ(dials().size(), 1u) << "the dead stream is replaced";
  EXPECT_EQ(endpoint.counters().sent_again, 1u);
}

// The driver writes it to nobody any more; a request would come twice else.
TEST_F(EndpointConfirm, what_the_driver_of_a_dead_stream_has_not_written_goes_out_by_the_next_one_only) {
  peer_answers(ping_in(opens()));
  passes(limits::kPingInterval);
  sends(message("2"));
  EXPECT_FALSE(ping_in(reads()).empty());
  sends(stanza_of(xmpp::StanzaKind::kIq, "get", "3"));
  EXPECT_NE(server.waits_in_driver().find("id='3'"), std::string::npos);
  passes(limits::kAckTimeout);
  drain();
  EXPECT_TRUE(server.is_cut_off);
  EXPECT_EQ(told, Told{});
  accepts();
  EXPECT_NE(reads().find("id='3'"), std::string::npos);
}

TEST_F(EndpointConfirm, where_policy_wants_no_confirmation_nothing_is_asked) {
  policy.confirm = policy::Confirm::kNone;
  EXPECT_EQ(ping_in(opens("<sm xmlns='urn:xmpp:sm:3'/>")), "");
  EXPECT_EQ(confirmed_by(), "none");
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  EXPECT_EQ(confirmed(), Tickets{1});
}

TEST_F(EndpointConfirm, where_policy_demands_confirmation_a_silent_peer_is_dead) {
  policy.confirm = policy::Confirm::kAck;
  opens();
  for (std::size_t i = 0; i < limits::kPingTries; ++i) passes(limits::kPingTimeout), reads();
  EXPECT_EQ(confirmed(), Tickets{});
  EXPECT_EQ(endpoint.counters().sent_again, 1u);
}

// --- stream management

// Two gateways that ping for each other's answers would never be silent again.
TEST_F(EndpointConfirm, an_answer_alone_is_not_asked_about_and_counts_as_read_once_the_socket_took_it) {
  sends(stanza_of(xmpp::StanzaKind::kIq, "result", "a"));
  accepts();
  EXPECT_EQ(ping_in(reads()), "");
  passes(limits::kDoubtDelay * 2);
  EXPECT_EQ(confirmed().size(), 1u);
  EXPECT_EQ(ping_in(reads()), "");
}

TEST_F(EndpointConfirm, an_answer_that_counts_as_read_is_uncertain_when_the_connection_breaks) {
  sends(stanza_of(xmpp::StanzaKind::kIq, "result", "a"));
  accepts();
  reads();
  passes(limits::kDoubtDelay * 2);
  EXPECT_EQ(confirmed(), Tickets{1});
  loses_connection();
  EXPECT_EQ(endpoint.counters().uncertain, 1u);
  EXPECT_EQ(told, Told{});
}

TEST_F(EndpointConfirm, an_answer_that_counts_as_read_is_certain_when_a_ping_behind_it_is_answered) {
  sends(stanza_of(xmpp::StanzaKind::kIq, "result", "a"));
  accepts();
  reads();
  passes(limits::kDoubtDelay * 2);
  sends(message("2"));
  peer_answers(ping_in(reads()));
  EXPECT_EQ(confirmed(), (Tickets{1, 2}));
  loses_connection();
  EXPECT_EQ(endpoint.counters().uncertain, 0u);
}

TEST_F(EndpointConfirm, a_peer_with_stream_management_gets_no_ping) {
  const std::string sent = opens("<sm xmlns='urn:xmpp:sm:3'/>");
  EXPECT_NE(sent.find("<enable xmlns='urn:xmpp:sm:3' resume='true'/>"), std::string::npos) << sent;
  says("<enabled xmlns='urn:xmpp:sm:3'/>");
  EXPECT_NE(reads().find("<r xmlns='urn:xmpp:sm:3'/>"), std::string::npos);
  EXPECT_EQ(confirmed(), Tickets{});
  says("<a xmlns='urn:xmpp:sm:3' h='1'/>");
  EXPECT_EQ(confirmed(), Tickets{1});
  EXPECT_EQ(confirmed_by(), "ack");
  passes(limits::kPingInterval * 3);
  EXPECT_EQ(ping_in(reads()), "");
}

TEST_F(EndpointConfirm, a_peer_that_dies_while_nothing_is_sent_is_noticed_in_time_by_the_next_stanza) {
  opens("<sm xmlns='urn:xmpp:sm:3'/>");
  says("<enabled xmlns='urn:xmpp:sm:3'/>");
  says("<a xmlns='urn:xmpp:sm:3' h='1'/>");
  EXPECT_EQ(confirmed(), Tickets{1});
  passes(1min);
  sends(message("2"));
  reads();
  ASSERT_TRUE(endpoint.poll_timeout());
  EXPECT_LE(*endpoint.poll_timeout(), now.mono + limits::kAckTimeout);
  dials();
  passes(limits::kAckTimeout);
  EXPECT_EQ(dials().size(), 1u);
  EXPECT_EQ(endpoint.counters().sent_again, 1u);
}

TEST_F(EndpointConfirm,
       a_peer_that_offers_acknowledgements_and_gives_none_is_asked_by_pings_from_the_third_stream_on) {
  const std::string offer = "<sm xmlns='urn:xmpp:sm:3'/>";
  for (std::size_t stream = 1; stream <= limits::kPingTries; ++stream) {
    sends(message(std::to_string(stream)));
    accepts(offer);
    EXPECT_NE(reads().find("<enable "), std::string::npos);
    EXPECT_EQ(endpoint.counters().fell_back, 0u);
    says("<enabled xmlns='urn:xmpp:sm:3'/>");
    passes(limits::kAckTimeout);
  }
  EXPECT_EQ(endpoint.counters().fell_back, 1u);
  sends(message("3"));
  accepts(offer);
  const std::string sent = reads();
  EXPECT_EQ(sent.find("<enable "), std::string::npos);
  EXPECT_NE(ping_in(sent), "");
}

TEST_F(EndpointConfirm, a_slow_reader_is_given_no_more_than_it_may_owe) {
  opens("<sm xmlns='urn:xmpp:sm:3'/>");
  says("<enabled xmlns='urn:xmpp:sm:3'/>");
  says("<a xmlns='urn:xmpp:sm:3' h='1'/>");
  reads();
  constexpr std::size_t kBody = 10'000;
  constexpr std::size_t kMost = limits::kUnconfirmedBytesMax / kBody + 1;
  for (std::size_t i = 0; i < 2 * kMost; ++i) sends(message(std::to_string(i), kBody));
  const std::string sent = reads();
  EXPECT_LE(sent.size(), limits::kUnconfirmedBytesMax + 2 * kBody);
  EXPECT_GE(sent.size(), limits::kUnconfirmedBytesMax);
  EXPECT_EQ(reads(), "") << "more time brings no more";
  says("<a xmlns='urn:xmpp:sm:3' h='3'/>");
  EXPECT_NE(reads().find("<message"), std::string::npos) << "a confirmation does";
  EXPECT_EQ(confirmed().size(), 3u);
}

// --- streams that end with stanzas unconfirmed

struct EndpointInDoubt : EndpointConfirm {
  // Messages 2 and 3 and a request 4 are in flight when the connection is lost.
  void loses_three() {
    peer_answers(ping_in(opens()));
    EXPECT_EQ(confirmed(), Tickets{1});
    sends(message("2"));
    sends(message("3"));
    sends(stanza_of(xmpp::StanzaKind::kIq, "get", "4"));
    reads();
    dials();
    loses_connection();
  }
};

TEST_F(EndpointInDoubt, messages_are_sent_again_in_order_ahead_of_new_ones_and_requests_are_answered) {
  loses_three();
  EXPECT_EQ(told, Told{"4 delivery.uncertain"});
  sends(message("5"));
  accepts();
  const std::string sent = reads();
  EXPECT_LT(sent.find("id='2'"), sent.find("id='3'"));
  EXPECT_LT(sent.find("id='3'"), sent.find("id='5'"));
  EXPECT_EQ(endpoint.counters().sent_again, 2u);
  peer_answers(ping_in(sent));
  EXPECT_EQ(confirmed(), (Tickets{2, 3, 5}));
}

TEST_F(EndpointInDoubt, a_message_is_sent_again_once) {
  loses_three();
  accepts();
  reads();
  loses_connection();
  EXPECT_EQ(told, (Told{"4 delivery.uncertain", "2 delivery.uncertain", "3 delivery.uncertain"}));
}

TEST_F(EndpointInDoubt, where_policy_says_answer_messages_are_answered) {
  policy.on_doubt = policy::OnDoubt::kAnswer;
  loses_three();
  EXPECT_EQ(told, (Told{"2 delivery.uncertain", "3 delivery.uncertain", "4 delivery.uncertain"}));
  EXPECT_EQ(endpoint.counters().sent_again, 0u);
}

TEST_F(EndpointInDoubt, a_stream_that_the_peer_closes_in_order_has_been_read) {
  peer_answers(ping_in(opens()));
  confirmed();
  sends(message("2"));
  reads();
  says("</stream:stream>");
  EXPECT_EQ(confirmed(), Tickets{2});
  EXPECT_EQ(told, Told{});
}

}  // namespace
}  // namespace sallyport::gate
