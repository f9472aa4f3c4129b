// A core between an internal server and an edge, under rules that let one side start.
#include "gate/core_fixture.h"

namespace sallyport::gate {
namespace {

// No internal server can be reached, so that each stanza from the public side is settled before the next.
class CoreOneWayTest : public CoreFixture {
 protected:
  CoreOneWayTest() { servers_.answer = ReceivingServers::Dials::kRefused; }
  static std::string row(std::string_view direction, std::string_view list = "allow") {
    return "[[" + std::string(list) + "]]\ndomain = \"partner.example\"\ndirection = \"" +
           std::string(direction) + "\"\n";
  }
  void start(const std::string& rows) {
    starts(rows);
    link_comes_up();
  }

  // From the internal side, on a new stream. Whether it came to the edge.
  bool leaves(const std::string& xml) {
    edge_receives();
    const auto stanza = stanza_of(xml);
    const ConnId conn = internal_.proves(stanza.from().domain().ascii(), stanza.to().domain().ascii());
    internal_.says(conn, xml);
    exchange();
    return edge_receives().size() == 1;
  }
  // From the public side. Whether the core takes it towards an internal server; if it does not, policy must
  // be the reason.
  bool enters(const std::string& xml) {
    const std::size_t before = edge_->unsettled.size();
    edge_sends(xml);
    // The error that answers a request takes no room on the channel afterwards.
    for (; edge_->unsettled.size() > before; edge_->unsettled.pop_back())
      edge_->session.settle(edge_->unsettled.back(), std::nullopt, now_.mono);
    exchange();
    const auto settled = std::exchange(edge_->settled, {});
    EXPECT_EQ(settled.size(), 1u);
    if (settled.empty() || !settled.back().outcome) {
      ADD_FAILURE() << "not refused";
      return false;
    }
    const auto code = settled.back().outcome->code;
    if (code == Code::kDialInside) return true;
    EXPECT_TRUE(code_row(code).name.starts_with("policy.")) << code_row(code).name;
    return false;
  }

  // The edge has delivered all that it received. How many stanzas come then.
  std::size_t arriving_when_settled() {
    edge_receives();
    while (!edge_->unsettled.empty()) edge_->settles(std::nullopt, now_);
    exchange();
    return edge_receives().size();
  }
};

const std::string kAsk =
    "<iq from='alice@example.com/desk' to='bob@partner.example/phone' id='q1' type='get'><q "
    "xmlns='urn:x'/></iq>";
const std::string kReply =
    "<iq from='bob@partner.example/phone' to='alice@example.com/desk' id='q1' type='result'/>";
const std::string kTheyAsk =
    "<iq from='bob@partner.example/phone' to='alice@example.com/desk' id='q2' type='get'><q "
    "xmlns='urn:x'/></iq>";
const std::string kWeReply =
    "<iq from='alice@example.com/desk' to='bob@partner.example/phone' id='q2' type='result'/>";
const std::string kText =
    "<presence from='bob@partner.example' to='alice@example.com'><status>text</status></presence>";
const std::string kErrorText =
    "<message from='bob@partner.example' to='alice@example.com' type='error'><body>text</body></message>";

TEST_F(CoreOneWayTest, outward_only_an_answer_enters_and_nothing_else) {
  start(row("out"));
  EXPECT_FALSE(enters(kTheyAsk));
  EXPECT_FALSE(enters(kText));
  EXPECT_FALSE(enters(kErrorText));
  EXPECT_FALSE(enters(kReply));
  EXPECT_TRUE(leaves(kAsk));
  EXPECT_TRUE(enters(kReply));
  EXPECT_FALSE(enters(kReply));
  EXPECT_TRUE(leaves("<presence from='alice@example.com' to='bob@partner.example' type='probe'/>"));
  EXPECT_TRUE(enters(kText));
}

TEST_F(CoreOneWayTest, inward_only_an_answer_leaves_and_nothing_else) {
  start(row("in"));
  EXPECT_FALSE(leaves(kAsk));
  EXPECT_FALSE(leaves(kWeReply));
  EXPECT_TRUE(enters(kTheyAsk));
  EXPECT_TRUE(leaves(kWeReply));
  EXPECT_FALSE(leaves(kWeReply));
}

TEST_F(CoreOneWayTest, both_ways_nothing_is_asked_for) {
  start(row("both"));
  for (const auto& xml : {kReply, kText, kErrorText, kTheyAsk}) EXPECT_TRUE(enters(xml)) << xml;
  for (const auto& xml : {kAsk, kWeReply}) EXPECT_TRUE(leaves(xml)) << xml;
}

// A row for each direction, and a deny of one.
TEST_F(CoreOneWayTest, two_rows_may_make_one_way_of_it) {
  start(row("both") + row("in", "deny"));
  EXPECT_FALSE(enters(kReply));
  EXPECT_TRUE(leaves(kAsk));
  EXPECT_TRUE(enters(kReply));
}

// Both are compared as the public side sees them: the answer names the alias, which stands for the node that
// asked.
TEST_F(CoreOneWayTest, a_chat_node_is_answered_under_its_alias) {
  start(row("out"));
  const std::string answer =
      "<iq from='partner.example' to='hall@chatroom1.example.com' id='q1' type='result'/>";
  EXPECT_FALSE(enters(answer));
  EXPECT_TRUE(
      leaves("<iq from='hall@conference-2.corp.example' to='partner.example' id='q1' type='get'><q "
             "xmlns='urn:x'/></iq>"));
  EXPECT_TRUE(enters(answer));
}

TEST_F(CoreOneWayTest, an_internal_room_is_read_by_those_who_joined_it) {
  start(row("in"));
  const std::string said =
      "<message from='hall@conference-2.corp.example/alice' to='bob@partner.example/phone' "
      "type='groupchat'><body>hello</body></message>";
  EXPECT_FALSE(leaves(said));
  EXPECT_TRUE(
      enters("<presence from='bob@partner.example/phone' to='hall@chatroom1.example.com/bob'>"
             "<x xmlns='http://jabber.org/protocol/muc'/></presence>"));
  EXPECT_TRUE(leaves(said));
}

TEST_F(CoreOneWayTest, a_policy_that_leaves_the_rule_leaves_the_memory) {
  start(row("out"));
  EXPECT_TRUE(leaves(kAsk));
  applies(row("out") + "[[allow]]\ndomain = \"other.example\"\n");
  EXPECT_TRUE(enters(kReply));
}

TEST_F(CoreOneWayTest, a_pair_that_was_open_both_ways_begins_with_an_empty_memory) {
  start(row("out"));
  EXPECT_TRUE(leaves(kAsk));
  applies(row("both"));
  EXPECT_TRUE(enters(kText));
  applies(row("out"));
  EXPECT_FALSE(enters(kReply));
}

TEST_F(CoreOneWayTest, the_other_direction_begins_with_an_empty_memory) {
  start(row("out"));
  EXPECT_TRUE(leaves(kAsk));
  applies(row("in"));
  EXPECT_TRUE(enters(kReply));
  EXPECT_FALSE(leaves(kAsk));
  applies(row("out"));
  EXPECT_FALSE(enters(kReply));
}

// Without a policy change.
TEST_F(CoreOneWayTest, a_row_that_expires_makes_one_way_of_it_and_the_memory_is_empty) {
  start(row("both") + row("in", "deny") + "expires = 2023-11-14\n");
  EXPECT_TRUE(leaves(kAsk));
  EXPECT_FALSE(enters(kText));
  now_.civil += 24h;
  EXPECT_TRUE(enters(kText));
  applies(row("out"));
  EXPECT_FALSE(enters(kReply));
}

TEST_F(CoreOneWayTest, answers_that_wait_outlive_a_policy_change_and_others_do_not) {
  for (const auto& [before, answers_stay] : {std::pair(row("in"), true), std::pair(row("both"), false)}) {
    SCOPED_TRACE(before);
    start(before);
    // Too much for the channel's first window: the rest waits on the core.
    const std::string large(limits::kChannelWindowInitialBytes, 'x');
    EXPECT_TRUE(enters(kTheyAsk));
    EXPECT_TRUE(
        leaves("<iq from='alice@example.com/desk' to='bob@partner.example/phone' id='q2' type='result'><q "
               "xmlns='urn:x'>" +
               large + "</q></iq>"));
    auto second = kTheyAsk;
    second.replace(second.find("q2"), 2, "q3");
    edge_sends(second);
    EXPECT_TRUE(edge_->settled.empty()) << "its answer waits";
    EXPECT_FALSE(
        leaves("<iq from='alice@example.com/desk' to='bob@partner.example/phone' id='q3' type='result'/>"));
    applies(row("in") + "[[allow]]\ndomain = \"other.example\"\n");
    // Two answers wait: the core's own error for the second request, as no internal server was reached, and
    // the result.
    EXPECT_EQ(arriving_when_settled(), answers_stay ? 2u : 0u);
    EXPECT_EQ(edge_->settled.size(), 1u);
  }
}

// A core that starts remembers no question: the rule decides until the asker asks again.
TEST_F(CoreOneWayTest, a_core_that_starts_knows_nothing) {
  start(row("out"));
  EXPECT_TRUE(leaves(kAsk));
  start(row("out"));
  EXPECT_FALSE(enters(kReply));
}

}  // namespace
}  // namespace sallyport::gate
