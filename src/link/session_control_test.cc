// Questions and pushes: everything on the link besides stanzas.
#include <gtest/gtest.h>

#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

// --- questions

TEST(LinkAsk, is_answered_or_refused) {
  Link link;
  link.up();
  const auto key = link.edge.session.ask(KeyAsk{kPair, "stream-1"});
  const auto verdict = link.edge.session.ask(VerdictAsk{kPair, "stream-2", "0f0f"});
  const auto control = link.core.session.ask(ControlAsk{"{\"ask\":1}"});
  link.exchange();
  const auto asked = link.core.take<Asked>();
  ASSERT_EQ(asked.size(), 2U);
  const auto* k = std::get_if<KeyAsk>(&asked[0].ask);
  const auto* v = std::get_if<VerdictAsk>(&asked[1].ask);
  ASSERT_TRUE(k && v);
  EXPECT_EQ(k->pair, kPair);
  EXPECT_EQ(k->stream_id, "stream-1");
  EXPECT_EQ(v->key, "0f0f");
  link.core.session.answer(asked[1].id, Error{Code::kPolicyDenied, "no"});
  link.core.session.answer(asked[0].id, std::string("abcd"));
  link.core.session.answer(asked[0].id, std::string("twice"));
  link.core.session.answer(4711, std::string("nobody asked"));
  const auto control_asked = link.edge.take<Asked>();
  ASSERT_EQ(control_asked.size(), 1U);
  EXPECT_EQ(std::get<ControlAsk>(control_asked[0].ask).json, "{\"ask\":1}");
  link.edge.session.answer(control_asked[0].id, std::string("{}"));
  link.exchange();
  const auto answered = link.edge.take<Answered>();
  ASSERT_EQ(answered.size(), 2U);
  EXPECT_EQ(answered[0].id, verdict);
  EXPECT_EQ(answered[0].answer.error(), (Error{Code::kPolicyDenied, {}}));
  EXPECT_EQ(answered[1].id, key);
  EXPECT_EQ(*answered[1].answer, "abcd");
  EXPECT_EQ(link.core.take<Answered>()[0].id, control);
}

TEST(LinkAsk, a_question_dies_with_its_connection_and_its_late_answer_goes_to_nobody) {
  Link link;
  EXPECT_EQ(link.edge.session.ask(KeyAsk{kPair, "s"}), 1U);
  EXPECT_EQ(link.edge.take<Answered>()[0].answer.error().code, Code::kLinkDown);
  link.up();
  const auto lost = link.edge.session.ask(KeyAsk{kPair, "s"});
  link.exchange();
  const auto asked = link.core.take<Asked>();
  ASSERT_EQ(asked.size(), 1U);
  link.cut();
  const auto answered = link.edge.take<Answered>();
  ASSERT_EQ(answered.size(), 1U);
  EXPECT_EQ(answered[0].id, lost);
  EXPECT_EQ(answered[0].answer.error().code, Code::kLinkDown);
  // The next edge process counts from 1 again.
  link.edge = End(NodeRole::kEdge, "2");
  link.connect();
  link.exchange();
  link.edge.session.ask(KeyAsk{kPair, "other"});
  link.edge.session.ask(KeyAsk{kPair, "other"});
  link.exchange();
  link.core.session.answer(asked[0].id, std::string("of the old one"));
  link.exchange();
  EXPECT_TRUE(link.edge.take<Answered>().empty());
  EXPECT_TRUE(link.edge.session.is_up());
}

TEST(LinkAsk, above_the_limit_is_answered_at_once) {
  Link link;
  link.up();
  for (std::size_t i = 0; i < limits::kLinkAsksMax; ++i) link.edge.session.ask(KeyAsk{kPair, "s"});
  link.exchange();
  EXPECT_TRUE(link.edge.take<Answered>().empty());
  link.edge.session.ask(KeyAsk{kPair, "s"});
  EXPECT_EQ(link.edge.take<Answered>()[0].answer.error().code, Code::kLinkBusy);
  EXPECT_TRUE(link.core.session.is_up());
}

TEST(LinkAsk, what_no_frame_takes_is_refused_here) {
  const std::string at(limits::kLinkTextBytesMax, 's');
  const std::string json(limits::kLinkAnswerBytesMax, 'j');
  const struct {
    Ask ask;
    bool good;
  } kCases[] = {
      {KeyAsk{kPair, at}, true},         {KeyAsk{kPair, at + "s"}, false},
      {VerdictAsk{kPair, at, at}, true}, {VerdictAsk{kPair, "s", at + "s"}, false},
      {ControlAsk{json}, true},          {ControlAsk{json + "j"}, false},
  };
  for (const auto& c : kCases) {
    Link link;
    link.up();
    link.edge.session.ask(c.ask);
    link.exchange();
    EXPECT_EQ(link.core.take<Asked>().size(), c.good ? 1U : 0U);
    EXPECT_EQ(link.edge.take<Answered>().size(), c.good ? 0U : 1U);
    EXPECT_TRUE(link.core.session.is_up());
  }
}

TEST(LinkAsk, an_answer_that_no_frame_takes_becomes_a_refusal) {
  for (const bool above : {false, true}) {
    Link link;
    link.up();
    link.core.session.ask(ControlAsk{"{}"});
    link.exchange();
    link.edge.session.answer(link.edge.take<Asked>()[0].id,
                             std::string(limits::kLinkAnswerBytesMax + above, 'x'));
    link.exchange();
    EXPECT_EQ(link.core.take<Answered>()[0].answer.has_value(), !above);
  }
}

// --- pushes

std::shared_ptr<const SecretBytes> secret(std::string bytes) {
  return std::make_shared<const SecretBytes>(std::move(bytes));
}

std::string large(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 7 + i / 251);
  return text;
}

// Time for all parts of the largest push.
constexpr Duration kPushTime = limits::kPushTurnEvery * (limits::kPushBytesMax / limits::kPushTurnBytes + 1);

TEST(LinkPush, arrives_whole_and_is_confirmed) {
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, limits::kPushChunkBytes, limits::kPushChunkBytes + 1,
        limits::kPushTurnBytes, 3 * limits::kPushTurnBytes + 5}) {
    Link link;
    link.up();
    link.core.session.push(4, secret(large(bytes)));
    link.pass(kPushTime);
    const auto pushed = link.edge.take<Pushed>();
    ASSERT_EQ(pushed.size(), 1U) << bytes;
    EXPECT_EQ(pushed[0].generation, 4U);
    EXPECT_EQ(pushed[0].bytes, large(bytes));
    EXPECT_TRUE(link.core.take<PushDone>().empty());
    link.edge.session.push_done(4, {});
    link.exchange();
    const auto done = link.core.take<PushDone>();
    ASSERT_EQ(done.size(), 1U);
    EXPECT_EQ(done[0].generation, 4U);
    EXPECT_TRUE(done[0].result);
  }
}

TEST(LinkPush, a_refusal_comes_back_with_its_reason) {
  Link link;
  link.up();
  link.core.session.push(4, secret("x"));
  link.exchange();
  link.edge.session.push_done(4, Error{Code::kLinkDomain, "example.org"});
  link.exchange();
  EXPECT_EQ(link.core.take<PushDone>()[0].result.error(), (Error{Code::kLinkDomain, "example.org"}));
}

TEST(LinkPush, larger_than_the_limit_is_refused_at_home) {
  Link link;
  link.up();
  link.core.session.push(1, secret(std::string(limits::kPushBytesMax + 1, 'x')));
  EXPECT_EQ(link.core.take<PushDone>()[0].result.error().code, Code::kLinkPushTooLarge);
  link.exchange();
  EXPECT_TRUE(link.edge.take<Pushed>().empty());
}

TEST(LinkPush, at_the_limit_goes) {
  Link link;
  link.up();
  link.core.session.push(1, secret(std::string(limits::kPushBytesMax, 'x')));
  link.pass(kPushTime);
  EXPECT_EQ(link.edge.take<Pushed>()[0].bytes.size(), limits::kPushBytesMax);
}

TEST(LinkPush, a_turn_is_due_when_the_one_before_is_over_for_a_moment) {
  Link link;
  link.up();
  link.core.session.push(1, secret(large(2 * limits::kPushTurnBytes)));
  std::string turn;
  ASSERT_TRUE(link.core.session.take_output(turn, link.now));
  EXPECT_FALSE(link.core.session.take_output(turn, link.now));
  EXPECT_EQ(link.core.session.poll_timeout(), link.now + limits::kPushTurnEvery);
  link.now += limits::kPushTurnEvery;
  ASSERT_TRUE(link.core.session.take_output(turn, link.now));
  EXPECT_GT(turn.size(), 2 * limits::kPushTurnBytes);
  EXPECT_NE(link.core.session.poll_timeout(), link.now + limits::kPushTurnEvery);
}

TEST(LinkPush, stanzas_go_between_its_turns) {
  Link link;
  link.up();
  link.core.session.push(1, secret(large(10 * limits::kPushTurnBytes)));
  std::string turn;
  ASSERT_TRUE(link.core.session.take_output(turn, link.now));
  EXPECT_LT(turn.size(), limits::kPushTurnBytes + 1000);
  link.send_out("a", 1);
  link.now += limits::kPushTurnEvery;
  std::string next;
  ASSERT_TRUE(link.core.session.take_output(next, link.now));
  EXPECT_EQ(frames_in(next)[frame::Type::kStanza], 1);
  EXPECT_GT(frames_in(next)[frame::Type::kPushChunk], 0);
}

TEST(LinkPush, begins_again_after_a_cut_until_it_is_done) {
  Link link;
  link.core.session.push(4, secret(large(100'000)));  // before there is a connection
  link.up();
  EXPECT_EQ(link.edge.take<Pushed>().size(), 1U);
  link.cut();
  link.edge.session.push_done(4, {});  // lost
  link.connect();
  link.exchange();
  EXPECT_EQ(link.edge.take<Pushed>().size(), 1U);
  link.edge.session.push_done(4, {});
  link.exchange();
  EXPECT_EQ(link.core.take<PushDone>().size(), 1U);
  link.cut();
  link.connect();
  link.exchange();
  EXPECT_TRUE(link.edge.take<Pushed>().empty());
}

TEST(LinkPush, a_newer_one_replaces_it_and_only_the_newer_is_confirmed) {
  Link link;
  link.up();
  link.core.session.push(4, secret(large(2 * limits::kPushTurnBytes)));
  std::string turn;
  ASSERT_TRUE(link.core.session.take_output(turn, link.now));
  link.edge.session.handle_bytes(turn, link.now);
  link.core.session.push(5, secret("new"));
  link.edge.session.push_done(4, {});
  link.exchange();
  const auto pushed = link.edge.take<Pushed>();
  ASSERT_EQ(pushed.size(), 1U);
  EXPECT_EQ(pushed[0].generation, 5U);
  EXPECT_TRUE(link.core.take<PushDone>().empty());
  link.edge.session.push_done(5, {});
  link.exchange();
  EXPECT_EQ(link.core.take<PushDone>().size(), 1U);
}

}  // namespace
}  // namespace sallyport::link
