// The way of a stanza through a core, in both directions, and what its sender learns when it fails.
#include "gate/core_fixture.h"

namespace sallyport::gate {
namespace {

const std::string kAllowed = "[[allow]]\ndomain = \"partner.example\"\n";

std::string message(const std::string& from, const std::string& to, const std::string& more = "",
                    const std::string& inner = "<body>hi</body>") {
  return "<message from='" + from + "' to='" + to + "' id='m1'" + more + ">" + inner + "</message>";
}
const std::string kOut = message("alice@example.com", "bob@partner.example");
const std::string kIn = message("bob@partner.example", "alice@example.com");

struct CoreStanzas : CoreFixture {
  void linked(const std::string& rows = kAllowed) {
    starts(rows);
    link_comes_up();
  }
};

TEST_F(CoreStanzas, an_allowed_stanza_goes_to_the_edge_and_its_settlement_is_silent) {
  linked();
  internal_sends(kOut);
  EXPECT_EQ(edge_receives(), Lines{"alice@example.com to bob@partner.example: hi"});
  edge_settles(std::nullopt);
  EXPECT_EQ(internal_receives(), Lines{});
}

TEST_F(CoreStanzas, a_stanza_that_the_edge_could_not_deliver_is_bounced_and_the_error_names_the_leg) {
  linked();
  internal_sends(kOut);
  edge_settles(Error{Code::kDialRefused, "198.51.100.7:5269"});
  EXPECT_EQ(internal_receives(),
            Lines{"bob@partner.example to alice@example.com: remote-server-not-found, vcse.example.com -&gt; "
                  "partner.example: No server accepted the connection. (198.51.100.7:5269) [dial.refused]"});
}

TEST_F(CoreStanzas, a_request_is_answered_while_a_message_in_front_of_it_waits_at_the_edge) {
  linked();
  internal_sends(kOut);
  internal_sends("<iq type='get' from='alice@example.com' to='bob@partner.example' id='q'/>");
  ASSERT_EQ(edge_receives().size(), 2u);
  edge_->settles(1, Error{Code::kDialRefused, {}}, now_);
  passes(limits::kSettleAheadDelay);
  const Lines got = internal_receives();
  ASSERT_EQ(got.size(), 1u);
  EXPECT_NE(got[0].find("remote-server-not-found"), std::string::npos) << got[0];
  edge_settles(std::nullopt);
  EXPECT_EQ(internal_receives(), Lines{});
}

TEST_F(CoreStanzas, an_error_is_never_answered_with_an_error) {
  linked();
  internal_sends(message("alice@example.com", "bob@partner.example", " type='error'",
                         "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"));
  edge_settles(Error{Code::kDialRefused, {}});
  EXPECT_EQ(internal_receives(), Lines{});
}

TEST_F(CoreStanzas, a_stanza_that_policy_refuses_never_reaches_the_edge) {
  linked("");
  internal_sends(kOut);
  EXPECT_EQ(edge_receives(), Lines{});
  const auto told = internal_receives();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("not-allowed, core.corp.example -&gt; partner.example"), std::string::npos)
      << told[0];
}

TEST_F(CoreStanzas, a_mapped_node_has_its_alias_on_the_public_side) {
  linked();
  internal_sends(message("room@conference-2.corp.example", "bob@partner.example"));
  EXPECT_EQ(edge_receives(), Lines{"room@chatroom1.example.com to bob@partner.example: hi"});
  edge_sends(message("bob@partner.example", "room@chatroom1.example.com"));
  EXPECT_EQ(internal_receives(), Lines{"bob@partner.example to room@conference-2.corp.example: hi"});
}

TEST_F(CoreStanzas, without_a_link_stanzas_wait_in_order_and_go_when_it_comes_up) {
  starts(kAllowed);
  for (const char* body : {"1", "2", "3"})
    internal_sends(
        message("alice@example.com", "bob@partner.example", "", "<body>" + std::string(body) + "</body>"));
  EXPECT_EQ(internal_receives(), Lines{});
  link_comes_up();
  EXPECT_EQ(edge_receives(), (Lines{"alice@example.com to bob@partner.example: 1",
                                    "alice@example.com to bob@partner.example: 2",
                                    "alice@example.com to bob@partner.example: 3"}));
}

TEST_F(CoreStanzas, without_a_link_the_senders_get_an_error_after_the_longest_wait) {
  starts(kAllowed);
  internal_sends(kOut);
  passes(limits::kLifetimeMemory);
  const auto told = internal_receives();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("[link.down]"), std::string::npos) << told[0];
}

TEST_F(CoreStanzas, a_stanza_from_the_public_side_is_settled_when_the_internal_server_has_read_it) {
  linked();
  servers_.acknowledge = true;
  edge_sends(kIn);
  EXPECT_EQ(internal_receives(), Lines{"bob@partner.example to alice@example.com: hi"});
  EXPECT_EQ(outcomes(), Lines{"1 delivered"});
}

TEST_F(CoreStanzas, a_stanza_from_the_public_side_that_policy_refuses_is_settled_with_the_code) {
  linked("[[deny]]\ndomain = \"partner.example\"\n");
  edge_sends(kIn);
  EXPECT_EQ(outcomes(), Lines{"1 policy.denied"});
  EXPECT_EQ(internal_receives(), Lines{});
}

TEST_F(CoreStanzas, a_stanza_that_is_refused_is_settled_when_its_answer_is_on_the_link) {
  linked("[[allow]]\ndomain = \"partner.example\"\ndirection = \"out\"\n");
  const std::string body = "<body>" + std::string(limits::kChannelWindowInitialBytes / 2, 'x') + "</body>";
  for (int i = 0; i < 3; ++i) internal_sends(message("alice@example.com", "bob@partner.example", "", body));
  ASSERT_EQ(edge_receives().size(), 1u) << "the window of the pair is full";
  edge_sends(kIn);
  EXPECT_EQ(outcomes(), Lines{});
  edge_settles(std::nullopt);
  edge_settles(std::nullopt);
  EXPECT_EQ(outcomes(), Lines{"1 policy.direction"});
}

TEST_F(CoreStanzas, a_refused_stanza_of_an_internal_server_is_acknowledged_when_its_answer_is_settled) {
  linked();
  servers_.answer = ReceivingServers::Dials::kUnanswered;
  const std::string refused = message("alice@example.com", "bob@nobody.example");
  const ConnId conn = internal_.stream_for(stanza_of(refused));
  internal_.says(conn, "<enable xmlns='urn:xmpp:sm:3'/>");
  internal_.says(conn, refused + "<r xmlns='urn:xmpp:sm:3'/>");
  passes(limits::kAckAnswerDelay);
  EXPECT_NE(internal_.hears(conn).find("h='0'"), std::string::npos) << internal_.hears(conn);
  core_->handle_dial_failed(servers_.dials.back().conn, {Code::kDialRefused, {}}, now_);
  exchange();
  EXPECT_NE(internal_.says(conn, "<r xmlns='urn:xmpp:sm:3'/>").find("h='1'"), std::string::npos);
}

TEST_F(CoreStanzas, an_answer_is_not_sent_where_the_edge_that_brought_the_stanza_is_another_process) {
  linked("[[allow]]\ndomain = \"partner.example\"\ndirection = \"out\"\n");
  const std::string body = "<body>" + std::string(limits::kChannelWindowInitialBytes / 2, 'x') + "</body>";
  for (int i = 0; i < 2; ++i) internal_sends(message("alice@example.com", "bob@partner.example", "", body));
  edge_sends(kIn);
  edge_->loses_link(*core_, now_);
  link_comes_up();
  std::size_t received = 0;
  for (int i = 0; i < 4; ++i) {
    received += edge_receives().size();
    while (!edge_->unsettled.empty()) edge_settles(std::nullopt);
  }
  EXPECT_EQ(received, 2u) << "both messages, and no answer";
}

TEST_F(CoreStanzas, what_is_not_answered_stays_unacknowledged_when_the_core_is_drained) {
  linked();
  servers_.answer = ReceivingServers::Dials::kUnanswered;
  const std::string refused = message("alice@example.com", "bob@nobody.example");
  const ConnId conn = internal_.stream_for(stanza_of(refused));
  internal_.says(conn, "<enable xmlns='urn:xmpp:sm:3'/>");
  internal_.says(conn, refused);
  core_->drain(now_);
  exchange();
  EXPECT_EQ(internal_.hears(conn).find("</stream:stream>"), std::string::npos)
      << "its answer waits for a stream";
  core_->handle_dial_failed(servers_.dials.back().conn, {Code::kDialRefused, {}}, now_);
  exchange();
  const std::string heard = internal_.hears(conn);
  EXPECT_NE(heard.find("</stream:stream>"), std::string::npos) << heard;
  EXPECT_EQ(heard.find("h='1'"), std::string::npos) << heard;
}

TEST_F(CoreStanzas, what_an_edge_refuses_while_the_core_drains_is_answered_before_it_is_acknowledged) {
  servers_.acknowledge = true;
  linked();
  const ConnId conn = internal_.stream_for(stanza_of(kOut));
  internal_.says(conn, "<enable xmlns='urn:xmpp:sm:3'/>");
  internal_.says(conn, kOut);
  core_->drain(now_);
  exchange();
  edge_settles(Error{Code::kDialRefused, {}});
  exchange();
  const Lines answers = internal_receives();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_NE(answers[0].find("[dial.refused]"), std::string::npos) << answers[0];
  passes(limits::kDoubtDelay + limits::kDoubtTick);
  const std::string heard = internal_.hears(conn);
  EXPECT_NE(heard.find("h='1'"), std::string::npos) << heard;
  EXPECT_TRUE(heard.ends_with("</stream:stream>")) << heard;
}

TEST_F(CoreStanzas, what_comes_while_a_core_without_a_link_drains_is_answered) {
  linked();
  const ConnId conn = internal_.stream_for(stanza_of(kOut));
  edge_->loses_link(*core_, now_);
  core_->drain(now_);
  exchange();
  internal_.says(conn, kOut);
  passes(200ms);
  EXPECT_EQ(internal_receives().size(), 1u);
}

TEST_F(CoreStanzas,
       what_has_no_way_from_a_core_that_drains_stays_unacknowledged_and_what_came_before_does_not) {
  linked();
  const ConnId conn = internal_.stream_for(stanza_of(kOut));
  internal_.says(conn, "<enable xmlns='urn:xmpp:sm:3'/>");
  internal_.says(conn, kOut);
  edge_settles(std::nullopt);
  exchange();
  edge_->loses_link(*core_, now_);
  internal_.says(conn, kOut);
  EXPECT_FALSE(sockets_.ended.contains(conn));
  core_->drain(now_);
  exchange();
  const std::string heard = internal_.hears(conn);
  EXPECT_NE(heard.find("h='1'"), std::string::npos) << heard;
  EXPECT_TRUE(heard.ends_with("</stream:stream>")) << heard;
  EXPECT_EQ(internal_receives(), Lines{});
  EXPECT_TRUE(core_->is_drained());
}

TEST_F(CoreStanzas, the_addresses_of_a_stanza_count_and_not_what_the_edge_calls_them) {
  linked(kAllowed + "[[allow]]\ndomain = \"other.example\"\n");
  const Pair claimed{*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse("other.example")};
  edge_sends(kIn, claimed);
  EXPECT_EQ(outcomes(), Lines{"1 jid.invalid"});
  EXPECT_EQ(internal_receives(), Lines{});
  EXPECT_EQ(edge_receives(), Lines{}) << "its sender is not known";
}

TEST_F(CoreStanzas, the_name_of_a_mapped_node_is_not_a_federated_one) {
  linked();
  edge_sends(message("bob@partner.example", "room@conference-2.corp.example"));
  EXPECT_EQ(internal_receives(), Lines{});
  ASSERT_EQ(outcomes(), Lines{"1 policy.node-name"});
}

}  // namespace
}  // namespace sallyport::gate
