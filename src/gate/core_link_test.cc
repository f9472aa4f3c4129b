// A core and the connection to its edge: how it is dialled again, and what of its failures is logged.
#include "gate/core_fixture.h"

namespace sallyport::gate {
namespace {

// A core whose only edge is not there.
class CoreLinkTest : public CoreFixture {
 protected:
  CoreLinkTest() { starts(""); }
  // The next dial of the edge fails, whenever it comes.
  void dial_fails(Code code, const std::string& text) {
    core_->handle_dial_failed(core_dials_edge(), {code, text}, now_);
  }
  // Events by their name, code and number of times.
  Lines logged() const { return log_.lines({"code", "times"}); }
  std::ptrdiff_t count(std::string_view line) const { return std::ranges::count(logged(), line); }
  std::ptrdiff_t beginning(std::string_view begin) const {
    return std::ranges::count_if(logged(), [&](const std::string& line) { return line.starts_with(begin); });
  }
};

TEST_F(CoreLinkTest, an_edge_that_is_not_there_is_logged_once_and_not_at_each_try) {
  for (int i = 0; i < 8; ++i) dial_fails(Code::kDialRefused, "try " + std::to_string(i));
  EXPECT_EQ(beginning("link.down"), 1);
  EXPECT_EQ(count("link.down dial.refused"), 1);
}

TEST_F(CoreLinkTest, a_policy_counts_at_once_and_the_one_before_is_left_to_the_driver_to_free) {
  applies("");
  EXPECT_NE(core_->control(R"({"ask":"policy show"})", now_).find(R"("generation":2)"), std::string::npos);
  ASSERT_EQ(storage_.discarded.size(), 1u);
  EXPECT_EQ(storage_.discarded[0].use_count(), 1);
}

TEST_F(CoreLinkTest, causes_that_alternate_are_each_logged_once) {
  for (int i = 0; i < 8; ++i) dial_fails(i % 2 == 0 ? Code::kDialRefused : Code::kTlsHandshake, "no");
  EXPECT_EQ(count("link.down dial.refused"), 1);
  EXPECT_EQ(count("link.down tls.handshake"), 1);
  EXPECT_EQ(beginning("link.down"), 2);
}

TEST_F(CoreLinkTest, a_failure_that_lasts_is_logged_again_with_how_often) {
  const Time start = now_.mono;
  while (now_.mono < start + limits::kRepeatAgainMin + limits::kLinkReconnectMax)
    dial_fails(Code::kDialRefused, "no");
  EXPECT_EQ(beginning("link.down"), 2);
  EXPECT_EQ(beginning("link.down dial.refused "), 1);
}

TEST_F(CoreLinkTest,
       an_edge_without_a_shard_for_this_core_is_dialled_rarely_and_streams_come_again_elsewhere) {
  const ConnId conn = internal_.connects();
  dial_fails(Code::kLinkShard, "refused");
  ASSERT_TRUE(core_->poll_timeout());
  carry();
  EXPECT_TRUE(others_.dialled.empty());
  const std::string said = sockets_.written[conn];
  EXPECT_TRUE(sockets_.ended == std::set<ConnId>{conn} || said.find("<reset ") != std::string::npos) << said;
  const Time refused = now_.mono;
  dial_fails(Code::kLinkShard, "refused");
  EXPECT_GE(now_.mono, refused + limits::kLinkReconnectMax);
  // It is logged once, like any other reason, and streams that come meanwhile are not ended again at each
  // try.
  EXPECT_EQ(beginning("link.down link.shard"), 1);
}

// Another process has this core's key and its link: the edge refuses with that cause, and dialling again soon
// would not help.
TEST_F(CoreLinkTest, a_core_whose_identity_another_one_uses_backs_off_and_shows_the_cause) {
  const auto refused = [&] {
    edge_connects();
    edge_->session.refuse({Code::kLinkSameIdentity, "core-1 is linked from 10.0.0.6"});
    carry();
  };
  refused();
  EXPECT_NE(
      core_->control(R"({"ask":"status"})", now_).find("link.same-identity: core-1 is linked from 10.0.0.6"),
      std::string::npos);
  for (int i = 0; i < 5; ++i) {
    const Time before = now_.mono;
    refused();
    EXPECT_GE(now_.mono, before + limits::kLinkReconnectMax);
    EXPECT_LE(now_.mono, before + Duration(limits::kLinkReconnectMax) * 5 / 4);
  }
  EXPECT_EQ(count("link.down link.same-identity"), 1);
}

// --- two edges

struct CoreTwoEdges : CoreFixture {
  CoreTwoEdges() {
    config_.edges.push_back(config_.edges[0]);
    config_.edges[1].name = domain("vcse2.example.com");
    servers_.acknowledge = true;
    starts(allow());
    link_comes_up();
    other_edge_comes_up();
  }
  static std::string allow(const std::string& more = {}) {
    return "[[allow]]\ndomain = \"partner.example\"\n" + more;
  }
  // By the first edge, with the pair proved there.
  void partner_sends(const std::string& xml) { edge_sends(xml); }
  static std::string message(const std::string& id) {
    return fmt::format(
        "<message from='alice@example.com' to='bob@partner.example' id='{}'><body>x</body></message>", id);
  }
  static std::string answer(const std::string& from, const std::string& to) {
    return fmt::format("<iq from='{}' to='{}' id='ping-000000000000002a' type='result'/>", from, to);
  }
  const Pair kPair{domain("example.com"), domain("partner.example")};
  // What the other edge was told of since the last call.
  std::vector<std::uint64_t> other_edge_hears() {
    std::vector<std::uint64_t> pings;
    for (const auto& each : std::exchange(others_.edge->heard, {})) {
      EXPECT_EQ(each.pair, kPair);
      pings.push_back(each.ping);
    }
    return pings;
  }
};
using Pings = std::vector<std::uint64_t>;

TEST_F(CoreTwoEdges, an_answer_to_a_ping_that_comes_by_one_is_told_to_the_other_alone) {
  partner_sends(answer("partner.example", "example.com"));
  EXPECT_EQ(outcomes(), Lines{"1 delivered"});
  EXPECT_EQ(other_edge_hears(), Pings{42});
  EXPECT_TRUE(edge_->heard.empty());
  EXPECT_EQ(internal_receives(), Lines{});
  partner_sends(answer("partner.example", "example.com"));
  EXPECT_EQ(other_edge_hears(), Pings{42});
}

TEST_F(CoreTwoEdges, an_answer_to_a_user_goes_to_the_user) {
  partner_sends(answer("bob@partner.example", "example.com"));
  partner_sends(answer("partner.example", "alice@example.com"));
  EXPECT_EQ(internal_receives(),
            (Lines{"bob@partner.example to example.com: ", "partner.example to alice@example.com: "}));
  EXPECT_EQ(other_edge_hears(), Pings{});
}

TEST_F(CoreTwoEdges, who_may_only_answer_may_answer_a_ping) {
  applies("[[allow]]\ndomain = \"partner.example\"\ndirection = \"out\"\n");
  partner_sends(answer("partner.example", "example.com"));
  EXPECT_EQ(outcomes(), Lines{"1 delivered"});
  EXPECT_EQ(other_edge_hears(), Pings{42});
}

TEST_F(CoreTwoEdges, of_a_pair_that_policy_does_not_admit_nothing_is_told) {
  applies("");
  partner_sends(answer("partner.example", "example.com"));
  EXPECT_EQ(other_edge_hears(), Pings{});
}

TEST_F(CoreTwoEdges, a_core_that_drains_tells_of_answers_still) {
  core_->drain(now_);
  partner_sends(answer("partner.example", "example.com"));
  EXPECT_EQ(outcomes(), Lines{"1 delivered"});
  EXPECT_EQ(other_edge_hears(), Pings{42});
}

TEST_F(CoreTwoEdges, the_one_that_carries_a_pair_is_told_of_a_stream_at_the_other) {
  internal_sends(message("1"));
  LinkPeer& way_out = edge_->received.empty() ? *others_.edge : *edge_;
  LinkPeer& way_in = edge_->received.empty() ? *edge_ : *others_.edge;
  ASSERT_EQ(way_out.received.size(), 1u);
  const std::string said =
      "<message from='bob@partner.example' to='alice@example.com' id='2'><body>2</body></message>";
  for (int i = 0; i < 2; ++i) way_in.sends(stanza_of(said), kPair, now_);
  exchange();
  ASSERT_EQ(way_out.heard.size(), 1u);
  EXPECT_EQ(way_out.heard[0].ping, 0u);
  EXPECT_TRUE(way_in.heard.empty());
}

TEST_F(CoreTwoEdges, one_that_refuses_the_policy_is_left_by_its_pairs_when_nothing_is_on_its_way) {
  internal_sends(message("1"));
  LinkPeer& first = edge_->received.empty() ? *others_.edge : *edge_;
  LinkPeer& second = edge_->received.empty() ? *edge_ : *others_.edge;
  ASSERT_EQ(first.received.size(), 1u);
  first.pushes.answer = Error{Code::kLinkDomain, {}};
  first.settles(std::nullopt, now_);
  exchange();
  applies(allow());
  internal_sends(message("2"));
  ASSERT_EQ(second.received.size(), 1u);
  EXPECT_EQ(second.received[0].stanza.id(), "2");
  EXPECT_EQ(internal_receives(), Lines{});
}

// --- the edge is started anew

struct CoreNewEdge : CoreFixture {
  CoreNewEdge() {
    servers_.acknowledge = true;
    starts("[[allow]]\ndomain = \"partner.example\"\n");
    link_comes_up();
  }
};

TEST_F(CoreNewEdge, a_message_goes_again_and_a_request_is_answered) {
  internal_sends(
      "<iq from='alice@example.com' to='bob@partner.example' id='1' type='get'><q xmlns='x'/></iq>");
  internal_sends(
      "<message from='alice@example.com' to='bob@partner.example' id='2'><body>2</body></message>");
  EXPECT_EQ(edge_receives().size(), 2u);
  core_->handle_disconnected(*edge_->conn, {Code::kLinkDown, {}}, now_);
  link_comes_up();
  EXPECT_EQ(edge_receives(), Lines{"alice@example.com to bob@partner.example: 2"});
  const Lines told = internal_receives();
  ASSERT_EQ(told.size(), 1u);
  EXPECT_NE(told[0].find("delivery.uncertain"), std::string::npos) << told[0];
  EXPECT_NE(core_->control(R"({"ask":"status"})", now_).find(R"("uncertain":1)"), std::string::npos);
}

TEST_F(CoreNewEdge, may_have_as_much_on_its_way_on_a_stream_that_is_ready_as_the_one_before) {
  const std::string in =
      "<message from='bob@partner.example' to='alice@example.com' id='3'><body>3</body></message>";
  const Pair pair{*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse("partner.example")};
  const auto has_window = [&] {
    return edge_->session.can_send(
        pair, limits::kChannelWindowMaxBytes - 2 * limits::kStanzaOverheadBytes - in.size());
  };
  servers_.acknowledge = false;
  edge_sends(in);
  EXPECT_TRUE(has_window()) << "granted when the stream was ready";
  core_->handle_disconnected(*edge_->conn, {Code::kLinkDown, {}}, now_);
  link_comes_up();
  edge_sends(in);
  EXPECT_TRUE(has_window());
}

}  // namespace
}  // namespace sallyport::gate
