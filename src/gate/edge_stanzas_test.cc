// The way of a stanza through an edge, in both directions, and what its sender learns when it fails.
#include "gate/edge_fixture.h"
#include "gate/ping_acks.h"

namespace sallyport::gate {
namespace {

std::string message(const std::string& from, const std::string& to, const std::string& id = "m1") {
  return "<message from='" + from + "' to='" + to + "' id='" + id + "'><body>hi</body></message>";
}
const std::string kOut = message("alice@example.com", "bob@partner.example");
const std::string kIn = message("bob@partner.example", "alice@example.com");
// As the core learns of it, with what stands beside it.
const std::string kCrossed =
    "message from bob@partner.example to alice@example.com by external at 198.51.100.7:40000: " + kIn;

std::string stream_error(const std::string& condition, const std::string& text) {
  const std::string space = " xmlns='urn:ietf:params:xml:ns:xmpp-streams'";
  return "<stream:error><" + condition + space + "/><text" + space + " xml:lang='en'>" + text +
         "</text></stream:error></stream:stream>";
}

struct EdgeStanzas : EdgeFixture {
  EdgeStanzas() {
    servers_.answer = ReceivingServers::Dials::kAccepted;
    starts();
    link_comes_up();
    core_pushes(push(1, {"partner.example", "other.example"}));
  }
};

// --- from the core to a remote server

TEST_F(EdgeStanzas, a_stanza_leaves_on_a_new_stream_and_is_settled_when_the_server_acknowledges_it) {
  servers_.acknowledge = true;
  core_sends(kOut);
  const std::string greeting =
      "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
      "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' "
      "from='example.com' to='partner.example' version='1.0'>";
  ASSERT_EQ(dialled(), Lines{"partner.example"});
  EXPECT_EQ(
      sockets_.written[servers_.dials[0].conn],
      greeting + "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + greeting +
          "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>ZXhhbXBsZS5jb20=</auth>" +
          greeting + "<enable xmlns='urn:xmpp:sm:3' resume='true'/>" + kOut + "<r xmlns='urn:xmpp:sm:3'/>");
  EXPECT_EQ(edge_settles(), Lines{"1 delivered"});
}

TEST_F(EdgeStanzas, what_the_socket_has_of_a_server_that_acknowledges_nothing_is_settled_after_two_pings) {
  core_sends(kOut);
  passes(limits::kPingTimeout);
  EXPECT_EQ(edge_settles(), Lines{});
  passes(limits::kPingTimeout);
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  EXPECT_EQ(edge_settles(), Lines{"1 delivered"});
}

TEST_F(EdgeStanzas, an_answer_to_its_ping_may_come_by_another_edge) {
  core_sends(kOut);
  passes(1s);
  EXPECT_EQ(edge_settles(), Lines{});
  const std::string& written = sockets_.written[servers_.dials[0].conn];
  const auto ping = ping_number(std::string_view(written).substr(written.rfind("ping-"), ping_id(0).size()));
  ASSERT_TRUE(ping);
  const Pair pair{domain("example.com"), domain("partner.example")};
  core_.session.heard(pair, *ping + 1);
  core_.session.heard({pair.local, domain("other.example")}, *ping);
  exchange();
  EXPECT_EQ(edge_settles(), Lines{}) << "that is none of its pings";
  core_.session.heard(pair, *ping);
  exchange();
  EXPECT_EQ(edge_settles(), Lines{"1 delivered"});
}

TEST_F(EdgeStanzas, a_server_that_opens_a_stream_to_another_edge_is_dialled_again) {
  servers_.answer = ReceivingServers::Dials::kRefused;
  for (int i = 0; i < 3; ++i) core_sends(kOut);
  EXPECT_EQ(dialled().size(), 2u) << "then it is in its back-off";
  core_.session.heard({domain("example.com"), domain("partner.example")}, 0);
  exchange();
  core_sends(kOut);
  EXPECT_EQ(dialled().size(), 3u);
}

TEST_F(EdgeStanzas, a_stanza_leaves_in_canonical_form) {
  core_sends(
      "<message to=\"bob@partner.example\" id=\"m1\" from=\"alice@EXAMPLE.com\" >"
      "<body >a &gt; b</body><x xmlns='urn:x'></x></message >");
  EXPECT_EQ(remote_receives(), Lines{"<message from='alice@example.com' to='bob@partner.example' id='m1'>"
                                     "<body>a &gt; b</body><x xmlns='urn:x'/></message>"});
}

TEST_F(EdgeStanzas, stanzas_of_one_pair_leave_on_one_stream_and_those_of_two_pairs_on_two) {
  const std::string next = message("alice@example.com", "bob@partner.example", "m2");
  const std::string other = message("alice@example.com", "carol@other.example");
  core_sends(kOut);
  core_sends(other);
  core_sends(next);
  EXPECT_EQ(dialled(), (Lines{"partner.example", "other.example"}));
  EXPECT_EQ(remote_receives(), (Lines{kOut + next, other}));
}

TEST_F(EdgeStanzas, a_stanza_whose_dial_is_refused_is_settled_with_the_code_and_the_text_for_its_sender) {
  servers_.answer = ReceivingServers::Dials::kRefused;
  core_sends(kOut);
  EXPECT_EQ(edge_settles(), Lines{"1 dial.refused: 198.51.100.7:5269"});
}

TEST_F(EdgeStanzas, a_stanza_to_a_domain_that_policy_does_not_allow_is_settled_and_nothing_is_dialled) {
  core_sends(message("alice@example.com", "bob@nobody.example"));
  EXPECT_EQ(edge_settles(), Lines{"1 policy.not-listed: nobody.example"});
  EXPECT_EQ(dialled(), Lines{});
}

// --- from a remote server to the core

TEST_F(EdgeStanzas, a_stanza_of_a_proved_pair_crosses_with_its_kind_addresses_and_proof_beside_it) {
  EXPECT_EQ(remote_sends(kIn), "");
  EXPECT_EQ(core_receives(), Lines{kCrossed});
}

TEST_F(EdgeStanzas, a_stanza_from_a_domain_that_is_not_proved_ends_the_stream_and_does_not_cross) {
  const ConnId conn = remote_.stream_for(stanza_of(kIn));
  EXPECT_EQ(remote_.says(conn, message("carol@other.example", "alice@example.com")),
            stream_error("invalid-from",
                         "The `from` of a stanza is not an address, or its domain is not one that the peer "
                         "proved."));
  EXPECT_TRUE(sockets_.ended.contains(conn));
  EXPECT_EQ(core_receives(), Lines{});
}

TEST_F(EdgeStanzas, a_stanza_to_a_domain_that_is_not_proved_ends_the_stream_and_does_not_cross) {
  const ConnId conn = remote_.stream_for(stanza_of(kIn));
  EXPECT_EQ(remote_.says(conn, message("bob@partner.example", "room@chat.example.com")),
            stream_error("improper-addressing",
                         "The `to` of a stanza is not an address, or its domain is not one of this stream."));
  EXPECT_TRUE(sockets_.ended.contains(conn));
  EXPECT_EQ(core_receives(), Lines{});
}

TEST_F(EdgeStanzas, a_bad_stanza_of_a_proved_pair_is_answered_on_a_stream_of_its_own_and_does_not_cross) {
  const ConnId conn = remote_.stream_for(stanza_of(kIn));
  EXPECT_EQ(remote_.says(conn, "<iq from='bob@partner.example' to='alice@example.com' id='q1' type='ask'/>"),
            "");
  EXPECT_EQ(core_receives(), Lines{});
  EXPECT_EQ(remote_receives(),
            Lines{"<iq from='alice@example.com' to='bob@partner.example' id='q1' type='error'>"
                  "<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
                  "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>The `type` of a stanza is "
                  "not one that RFC 6120 or RFC 6121 defines. (ask)</text></error></iq>"});
}

// --- the link is lost

TEST_F(EdgeStanzas, a_stanza_that_comes_while_the_link_is_lost_waits_and_crosses_when_it_is_up_again) {
  EXPECT_EQ(remote_sends(kIn), "");
  core_receives();
  link_is_lost();
  EXPECT_EQ(remote_sends(kIn), "");
  EXPECT_EQ(core_receives(), Lines{});
  link_comes_up();
  EXPECT_EQ(core_receives(), Lines{kCrossed});
}

TEST_F(EdgeStanzas, when_the_link_stays_lost_the_streams_of_remote_servers_are_ended) {
  const ConnId conn = remote_.stream_for(stanza_of(kIn));
  link_is_lost();
  EXPECT_EQ(remote_sends(kIn), "");
  passes(limits::kLinkDeadAfter - 1ms);
  EXPECT_EQ(remote_.hears(conn), "");
  passes(1ms);
  EXPECT_EQ(remote_.hears(conn), "</stream:stream>");
  passes(limits::kLinkSessionKept - limits::kLinkDeadAfter);
  EXPECT_TRUE(sockets_.ended.contains(conn));
}

TEST_F(EdgeStanzas, what_a_server_has_under_way_when_the_link_stays_lost_crosses_when_it_is_back) {
  const ConnId conn = remote_.stream_for(stanza_of(kIn));
  link_is_lost();
  EXPECT_EQ(remote_sends(kIn), "");
  EXPECT_TRUE(sockets_.held.contains(conn));
  passes(limits::kLinkDeadAfter);
  EXPECT_EQ(remote_.hears(conn), "</stream:stream>");
  EXPECT_FALSE(sockets_.held.contains(conn)) << "its server can end it";
  EXPECT_EQ(remote_sends(kIn), "") << "it was on its way";
  EXPECT_FALSE(sockets_.held.contains(conn));
  passes(limits::kCloseTimeout * 4);
  EXPECT_FALSE(sockets_.ended.contains(conn));
  link_comes_up();
  EXPECT_EQ(core_receives(), (Lines{kCrossed, kCrossed}));
}

struct EdgeBehind : EdgeStanzas {
  // The link is back, and the server has begun its next stream and sent a stanza there.
  EdgeBehind() {
    older = remote_.stream_for(stanza_of(kIn));
    remote_sends(kIn);
    core_receives();
    link_is_lost();
    passes(limits::kLinkDeadAfter);
    link_comes_up();
    next = remote_.stream_for(stanza_of(kIn), address("198.51.100.8"));
    remote_.says(next, message("bob@partner.example", "alice@example.com", "next"));
    EXPECT_TRUE(sockets_.held.contains(next));
    EXPECT_EQ(core_receives(), Lines{});
  }
  void expect_the_next_has_crossed() {
    passes(100ms);
    const Lines crossed = core_receives();
    ASSERT_EQ(crossed.size(), 1u);
    EXPECT_NE(crossed[0].find("id='next'"), std::string::npos);
    EXPECT_NE(crossed[0].find("at 198.51.100.8"), std::string::npos) << crossed[0];
    EXPECT_FALSE(sockets_.held.contains(next));
  }
  ConnId older, next;
};

TEST_F(EdgeBehind, what_comes_by_the_next_stream_waits_until_the_closed_one_has_been_read_to_its_end) {
  EXPECT_EQ(remote_.says(older, kIn), "");
  EXPECT_EQ(core_receives(), Lines{kCrossed});
  remote_.says(older, "</stream:stream>");
  expect_the_next_has_crossed();
}

TEST_F(EdgeBehind, a_closed_stream_that_breaks_is_waited_for_no_longer) {
  edge_->handle_disconnected(older, {Code::kStreamLost, {}}, now_);
  exchange();
  expect_the_next_has_crossed();
}

TEST_F(EdgeBehind, a_closed_stream_that_its_server_never_ends_is_not_waited_for_long) {
  passes(limits::kCloseTimeout - 1ms);
  EXPECT_EQ(core_receives(), Lines{});
  passes(1ms);
  expect_the_next_has_crossed();
}

TEST_F(EdgeBehind, when_the_link_is_lost_again_the_order_stays) {
  link_is_lost();
  EXPECT_EQ(remote_.says(older, kIn), "");
  passes(limits::kLinkDeadAfter);
  remote_.says(older, "</stream:stream>");
  link_comes_up();
  const Lines crossed = core_receives();
  ASSERT_EQ(crossed.size(), 2u);
  EXPECT_NE(crossed[0].find("id='m1'"), std::string::npos) << crossed[0];
  EXPECT_NE(crossed[1].find("id='next'"), std::string::npos);
}

TEST_F(EdgeStanzas, what_a_server_has_under_way_when_the_edge_drains_still_crosses) {
  const ConnId conn = remote_.stream_for(stanza_of(kIn));
  edge_->drain(now_);
  exchange();
  EXPECT_TRUE(remote_.hears(conn).ends_with("</stream:features></stream:stream>")) << remote_.hears(conn);
  EXPECT_EQ(remote_.says(conn, kIn), "");
  EXPECT_EQ(core_receives(), Lines{kCrossed});
  EXPECT_FALSE(sockets_.ended.contains(conn));
  remote_.says(conn, "</stream:stream>");
  EXPECT_TRUE(sockets_.ended.contains(conn));
}

TEST_F(EdgeStanzas, a_stream_that_is_not_read_when_the_edge_drains_is_closed_when_it_is_read_again) {
  const ConnId conn = remote_.stream_for(stanza_of(kIn));
  link_is_lost();
  remote_.says(conn, kIn);  // waits for the link
  edge_->drain(now_);
  passes(limits::kCloseTimeout + 1s);
  EXPECT_EQ(remote_.hears(conn), "");
  link_comes_up();
  passes(1s);
  EXPECT_EQ(remote_.hears(conn), "</stream:stream>");
  EXPECT_FALSE(sockets_.ended.contains(conn));
  remote_.says(conn, kIn);
  EXPECT_EQ(core_receives(), (Lines{kCrossed, kCrossed}));
}

TEST_F(EdgeStanzas, an_edge_is_drained_when_its_core_has_all_settlements) {
  core_sends(message("alice@example.com", "bob@nobody.example"));  // refused at once
  edge_->drain(now_);
  exchange();
  EXPECT_FALSE(edge_->is_drained());
  passes(limits::kSettleDelay + limits::kAckDelay + 1s);
  EXPECT_TRUE(edge_->is_drained());
}

// --- the core is started anew

TEST_F(EdgeStanzas, a_new_core_may_have_as_much_on_its_way_on_a_stream_that_is_ready_as_the_one_before) {
  const Pair pair{domain("example.com"), domain("partner.example")};
  const auto has_window = [&] {
    return core_.session.can_send(
        pair, limits::kChannelWindowMaxBytes - 2 * limits::kStanzaOverheadBytes - kOut.size());
  };
  core_sends(kOut);
  EXPECT_TRUE(has_window()) << "granted when the stream was ready";
  link_is_lost();
  core_ = core("another");
  link_comes_up();
  core_pushes(push(1, {"partner.example", "other.example"}));
  core_sends(kOut);
  EXPECT_TRUE(has_window());
}

TEST_F(EdgeStanzas, a_message_goes_to_a_new_core_again_and_a_request_is_answered) {
  remote_sends("<iq from='bob@partner.example' to='alice@example.com' id='1' type='get'><q xmlns='x'/></iq>");
  remote_sends(kIn);
  EXPECT_EQ(core_receives().size(), 2u);
  link_is_lost();
  core_ = core("another");
  link_comes_up();
  core_pushes(push(1, {"partner.example", "other.example"}));
  EXPECT_EQ(core_receives().size(), 1u);
  const Lines told = remote_receives();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("id='1' type='error'"), std::string::npos) << told[0];
  EXPECT_TRUE(status_has(R"("uncertain":1)"));
}

}  // namespace
}  // namespace sallyport::gate
