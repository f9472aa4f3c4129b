// The question about a pair, between ends of different versions; and what a core sends of an error.
#include <gtest/gtest.h>

#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

TEST(LinkAdmit, is_a_question_of_version_2) {
  for (const std::uint16_t version : {1, 2}) {
    Link link;
    SessionConfig config = End::config(NodeRole::kCore, "1");
    config.version_highest = version;
    link.core.session = LinkSession(std::move(config));
    link.up();
    EXPECT_EQ(link.core.session.version(), version);
    EXPECT_EQ(link.edge.session.version(), version);
    const auto id = link.edge.session.ask(AdmitAsk{kPair});
    link.exchange();
    const auto asked = link.core.take<Asked>();
    if (version == 1) {
      EXPECT_TRUE(asked.empty());
      const auto answered = link.edge.take<Answered>();
      ASSERT_EQ(answered.size(), 1U);
      EXPECT_EQ(answered[0].answer.error().code, Code::kLinkVersion);
      continue;
    }
    ASSERT_EQ(asked.size(), 1U);
    const auto* ask = std::get_if<AdmitAsk>(&asked[0].ask);
    ASSERT_TRUE(ask);
    EXPECT_EQ(ask->pair, kPair);
    link.core.session.answer(asked[0].id, Error{Code::kPolicyInsideName, "text"});
    link.exchange();
    const auto answered = link.edge.take<Answered>();
    ASSERT_EQ(answered.size(), 1U);
    EXPECT_EQ(answered[0].id, id);
    EXPECT_EQ(answered[0].answer.error().code, Code::kPolicyInsideName);
  }
}

TEST(LinkAdmit, ends_the_link_in_a_session_of_version_1) {
  Link link;
  SessionConfig config = End::config(NodeRole::kEdge, "1");
  config.version_highest = 1;
  link.edge.session = LinkSession(std::move(config));
  link.up();
  std::string bytes;
  frame::append(bytes, frame::Ask{1, frame::Question::kAdmit, "a", "b", "", "", ""});
  link.core.session.handle_bytes(bytes, link.now);
  EXPECT_TRUE(link.core.session.wants_close());
}

// The owner may put any text into an error.
TEST(LinkTexts, a_core_tells_codes_and_an_edge_tells_texts) {
  const std::string text = "10.0.0.20:5269: refused";
  Link link;
  link.up();
  link.send_out("a", 1);
  link.send_in("b", 2);
  const auto key = link.edge.session.ask(KeyAsk{kPair, "s"});
  const auto control = link.core.session.ask(ControlAsk{"{}"});
  link.exchange();
  const Error error{Code::kDialInside, text};
  for (const auto& r : link.core.take<Received>()) link.core.session.settle(r.receipt, error, link.now);
  for (const auto& r : link.edge.take<Received>()) link.edge.session.settle(r.receipt, error, link.now);
  for (const auto& a : link.core.take<Asked>()) link.core.session.answer(a.id, error);
  for (const auto& a : link.edge.take<Asked>()) link.edge.session.answer(a.id, error);
  link.pass(limits::kSettleDelay);
  const auto to_edge = link.edge.take<Settled>();
  const auto to_core = link.core.take<Settled>();
  ASSERT_TRUE(to_edge.size() == 1 && to_core.size() == 1);
  EXPECT_EQ(*to_edge[0].outcome, (Error{Code::kDialInside, {}}));
  EXPECT_EQ(*to_core[0].outcome, error);
  const auto edge_heard = link.edge.take<Answered>();
  const auto core_heard = link.core.take<Answered>();
  ASSERT_TRUE(edge_heard.size() == 1 && core_heard.size() == 1);
  EXPECT_EQ(edge_heard[0].id, key);
  EXPECT_EQ(core_heard[0].id, control);
  EXPECT_EQ(edge_heard[0].answer.error(), (Error{Code::kDialInside, {}}));
  EXPECT_EQ(core_heard[0].answer.error(), error);
  link.core.session.refuse(error);
  link.exchange();
  EXPECT_EQ(link.sent_by_core.find(text), std::string::npos);
}

}  // namespace
}  // namespace sallyport::link
