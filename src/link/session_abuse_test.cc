// One session against any frames: docs/link-protocol.md "States", and limits at the bound and one past it.
#include <gtest/gtest.h>

#include "link/session_abuse_fixture.h"

namespace sallyport::link {
namespace {

using namespace std::string_literals;
using frame::Frame;

TEST(LinkStates, what_each_frame_does_before_and_after_the_greeting) {
  const std::string good = "good";
  const std::string bad = "link.frame";
  const struct {
    const char* name;
    Frame f;
    std::string core_greeting, core_up, edge_greeting, edge_up;
  } kRows[] = {
      {"HELLO", frame::Hello{1, 1, 0, "c", "1", "i", "", 0, 0}, bad, bad, good, bad},
      {"WELCOME", frame::Welcome{1, "e", "1", "i", 1, false, 0}, good, bad, bad, bad},
      {"REFUSE", frame::Refuse{{"stream.shutdown", ""}}, "", "", "", ""},
      {"PING", frame::Ping{1}, bad, good, bad, good},
      {"PONG", frame::Pong{1}, bad, bad, bad, bad},
      {"ACK", frame::Ack{0}, bad, good, bad, good},
      {"ACK ahead", frame::Ack{1}, bad, bad, bad, bad},
      {"DRAIN", frame::Drain{}, bad, good, bad, good},
      {"HEARD", frame::Heard{1, "a", "b"}, bad, bad, bad, good},
      {"HEARD of no domain", frame::Heard{1, "a", "b c"}, bad, bad, bad, bad},
      {"OPEN", open_frame(1), bad, good, bad, good},
      {"OPEN out of turn", open_frame(2), bad, bad, bad, bad},
      {"OPEN zero", open_frame(0), bad, bad, bad, bad},
      {"OPEN of no domain", frame::Open{1, "a b", "c", "", ""}, bad, bad, bad, bad},
      {"CLOSE", frame::Close{1}, bad, bad, bad, bad},
      {"STANZA", good_stanza(NodeRole::kCore), bad, bad, bad, bad},
      {"VOID", frame::Void{1}, bad, bad, bad, bad},
      {"SETTLE", frame::Settle{{{1, 1, {}}}}, bad, bad, bad, bad},
      {"SETTLE_AHEAD", frame::SettleAhead{1, 1, 1, {}}, bad, bad, bad, bad},
      {"WINDOW", frame::Window{1, 70'000}, bad, bad, bad, bad},
      {"WINDOW zero", frame::Window{0, 70'000}, bad, bad, bad, bad},
      {"ASK KEY", frame::Ask{1, frame::Question::kKey, "a", "b", "s", "", ""}, bad, good, bad, bad},
      {"ASK VERDICT", frame::Ask{1, frame::Question::kVerdict, "a", "b", "s", "k", ""}, bad, good, bad, bad},
      {"ASK KEY of no domain", frame::Ask{1, frame::Question::kKey, "", "b", "s", "", ""}, bad, bad, bad,
       bad},
      {"ASK ADMIT", frame::Ask{1, frame::Question::kAdmit, "a", "b", "", "", ""}, bad, good, bad, bad},
      {"ASK ADMIT of no domain", frame::Ask{1, frame::Question::kAdmit, "a", "b c", "", "", ""}, bad, bad,
       bad, bad},
      {"ASK CONTROL", frame::Ask{1, frame::Question::kControl, "", "", "", "", "{}"}, bad, good, bad, good},
      {"ANSWER", frame::Answer{1, {"", "x"}}, bad, bad, bad, bad},
      {"PUSH", frame::Push{1, 10}, bad, bad, bad, good},
      {"PUSH_CHUNK", frame::PushChunk{"x"}, bad, bad, bad, bad},
      {"PUSH_DONE", frame::PushDone{1, {}}, bad, good, bad, bad},
  };
  for (const auto& row : kRows) {
    for (const NodeRole role : kRoles) {
      for (const bool up : {false, true}) {
        Abused peer(role);
        if (up) peer.greet();
        peer.say(row.f);
        const std::string& expected = role == NodeRole::kCore ? (up ? row.core_up : row.core_greeting)
                                                              : (up ? row.edge_up : row.edge_greeting);
        const std::string got = peer.good() ? "good" : peer.refusal();
        EXPECT_EQ(got, expected) << row.name << (up ? " to an up " : " to a greeting ") << role_name(role);
      }
    }
  }
}

TEST(LinkStates, after_a_refusal_nothing_is_read_and_nothing_more_is_said) {
  for (const NodeRole role : kRoles) {
    Abused peer(role);
    peer.greet();
    peer.say(frame::Pong{99});
    EXPECT_EQ(peer.refusal(), "link.frame");
    peer.say(open_frame(1));
    peer.say(good_stanza(role));
    peer.say(frame::Ping{1});
    EXPECT_TRUE(peer.heard().empty());
    EXPECT_TRUE(peer.end.take<Received>().empty());
    EXPECT_FALSE(peer.end.session.is_up());
    peer.end.session.handle_disconnected(peer.now);
    const auto down = peer.end.take<Down>();
    ASSERT_EQ(down.size(), 1U);
    EXPECT_EQ(down[0].error.code, Code::kLinkFrame);
    EXPECT_FALSE(down[0].final);
    EXPECT_FALSE(peer.end.session.wants_close());
  }
}

TEST(LinkStates, garbage_is_refused_at_its_first_byte_that_shows) {
  for (const NodeRole role : kRoles) {
    for (const std::string& bytes :
         {"\xFF\0\0\0"s, "GET / HTTP/1.1\r\n"s, "<?xml version='1.0'?>"s, "\x01\x00\x10\x01"s}) {
      Abused peer(role);
      peer.end.session.handle_bytes(bytes, peer.now);
      EXPECT_EQ(peer.refusal(), "link.frame") << bytes;
    }
  }
}

TEST(LinkChannels, a_dialogue_that_breaks_a_rule_ends_the_link) {
  struct Case {
    const char* name;
    std::vector<Frame> frames;
    bool good;
  };
  const std::string big(limits::kChannelWindowInitialBytes - 2 * limits::kStanzaOverheadBytes - kXml.size(),
                        'x');
  const std::string above = big + "x";
  const std::string alone = above + big;  // a frame is a view
  for (const NodeRole role : kRoles) {
    const Frame plain = good_stanza(role);
    const Case kCases[] = {
        {"open, again with new provenance",
         {open_frame(1), frame::Open{1, "example.com", "partner.example", "dialback", "x"}},
         true},
        {"open again with another pair", {open_frame(1), open_frame(1, "other.example")}, false},
        {"the pair under a second number", {open_frame(1), open_frame(2)}, false},
        {"the pair in other letters under a second number",
         {open_frame(1), open_frame(2, "PARTNER.example.")},
         false},
        {"two pairs", {open_frame(1), open_frame(2, "other.example")}, true},
        {"a number left out", {open_frame(1), open_frame(3, "other.example")}, false},
        {"closed, and the pair opened again", {open_frame(1), frame::Close{1}, open_frame(2)}, true},
        {"closed, and the number used again", {open_frame(1), frame::Close{1}, open_frame(1)}, false},
        {"closed twice", {open_frame(1), frame::Close{1}, frame::Close{1}}, false},
        {"closed with a stanza unsettled", {open_frame(1), plain, frame::Close{1}}, false},
        {"stanza on a closed channel", {open_frame(1), frame::Close{1}, plain}, false},
        {"window full", {open_frame(1), plain, good_stanza(role, 1, big)}, true},
        {"window full by one too much", {open_frame(1), plain, good_stanza(role, 1, above)}, false},
        {"one too large for the window, alone", {open_frame(1), good_stanza(role, 1, alone)}, true},
        {"one too large for the window, not alone",
         {open_frame(1), good_stanza(role, 1, alone), plain},
         false},
        {"void costs nothing",
         {open_frame(1), good_stanza(role, 1, alone), frame::Void{1}, frame::Void{1}},
         true},
    };
    for (const Case& c : kCases) {
      Abused peer(role);
      peer.greet();
      for (const Frame& f : c.frames) {
        EXPECT_TRUE(peer.good()) << c.name << ": refused too early";
        peer.say(f);
      }
      EXPECT_EQ(peer.good(), c.good) << c.name << " to " << role_name(role);
      if (!c.good) {
        EXPECT_EQ(peer.refusal(), "link.frame") << c.name;
      }
    }
  }
}

TEST(LinkChannels, as_many_as_the_limit_and_not_one_more) {
  Abused peer(NodeRole::kCore);
  peer.greet();
  for (std::size_t i = 1; i <= limits::kChannelsMax; ++i)
    peer.say(open_frame(i, "r" + std::to_string(i) + ".example"));
  EXPECT_TRUE(peer.good());
  peer.say(frame::Close{5});
  peer.say(open_frame(limits::kChannelsMax + 1, "a.example"));
  EXPECT_TRUE(peer.good());
  peer.say(open_frame(limits::kChannelsMax + 2, "b.example"));
  EXPECT_EQ(peer.refusal(), "link.frame");
}

TEST(LinkChannels, the_links_credit_is_the_bound_of_all_channels_together) {
  for (const bool one_more : {false, true}) {
    Abused peer(NodeRole::kEdge);
    peer.greet();
    const std::string xml(limits::kCanonicalBytesMax - limits::kStanzaOverheadBytes, 'x');  // 1 MiB of credit
    const auto full = limits::kLinkCreditBytes / limits::kCanonicalBytesMax;
    for (std::size_t i = 1; i <= full + one_more; ++i) {
      const std::string remote = "r" + std::to_string(i) + ".example";
      const std::string to = "bob@" + remote;
      EXPECT_TRUE(peer.good()) << i;
      peer.say(open_frame(i, remote));
      frame::Stanza s = good_stanza(NodeRole::kEdge, i, i <= full ? xml : kXml);
      s.to = to;
      peer.say(s);
    }
    EXPECT_EQ(peer.good(), !one_more);
  }
}

TEST(LinkChannels, a_stanza_that_names_other_domains_is_settled_as_refused_and_never_seen) {
  const struct {
    const char* name;
    std::string_view from, to;
  } kCases[] = {
      {"from another remote", "bob@other.example", "alice@example.com"},
      {"to another local", "bob@partner.example", "alice@example.org"},
      {"the wrong way round", "alice@example.com", "bob@partner.example"},
      {"from below the remote", "bob@x.partner.example", "alice@example.com"},
      {"from no address", "bob@@", "alice@example.com"},
      {"to no address", "bob@partner.example", ""},
  };
  for (const auto& c : kCases) {
    Abused peer(NodeRole::kCore);
    peer.greet();
    peer.say(open_frame(1));
    frame::Stanza s = good_stanza(NodeRole::kCore);
    s.from = c.from;
    s.to = c.to;
    peer.say(s);
    peer.say(good_stanza(NodeRole::kCore));
    EXPECT_TRUE(peer.good()) << c.name;
    EXPECT_EQ(peer.end.take<Received>().size(), 1U) << c.name;
    peer.now += limits::kSettleDelay;
    EXPECT_EQ(peer.heard()[frame::Type::kSettle], 1) << c.name;
    EXPECT_NE(peer.last_heard.find("jid.invalid"), std::string::npos) << c.name;
  }
}

TEST(LinkSettle, more_than_was_acknowledged_ends_the_link) {
  const struct {
    const char* name;
    std::vector<Frame> frames;
    bool good;
  } kCases[] = {
      {"without ACK", {frame::Settle{{{1, 1, {}}}}}, false},
      {"ACK of OPEN only", {frame::Ack{1}, frame::Settle{{{1, 1, {}}}}}, false},
      {"what was acknowledged", {frame::Ack{3}, frame::Settle{{{1, 2, {}}}}}, true},
      {"more than was acknowledged", {frame::Ack{3}, frame::Settle{{{1, 3, {}}}}}, false},
      {"a count that would wrap", {frame::Ack{4}, frame::Settle{{{1, 1, {}}, {1, ~0ULL, {}}}}}, false},
      {"all", {frame::Ack{4}, frame::Settle{{{1, 1, {}}, {1, 2, {"dns.no-name", ""}}}}}, true},
      {"all, and one more", {frame::Ack{4}, frame::Settle{{{1, 3, {}}}}, frame::Settle{{{1, 1, {}}}}}, false},
      {"ACK again", {frame::Ack{4}, frame::Ack{4}}, true},
      {"ACK backwards", {frame::Ack{4}, frame::Ack{3}}, false},
      {"another channel", {frame::Ack{4}, frame::Settle{{{2, 1, {}}}}}, false},
      {"window raised, and again the same", {frame::Window{1, 1 << 20}, frame::Window{1, 1 << 20}}, true},
      {"window lowered", {frame::Window{1, 65'535}}, false},
      {"window above the limit", {frame::Window{1, (1 << 20) + 1}}, false},
      {"window of a channel never opened", {frame::Window{2, 1 << 20}}, false},
  };
  for (const auto& c : kCases) {
    Abused peer(NodeRole::kCore);
    peer.greet();
    for (Ticket t = 0; t < 3; ++t) peer.end.session.send(kPair, stanza(kPair, "s"), t, peer.now);
    EXPECT_EQ(peer.heard()[frame::Type::kStanza], 3);
    for (const Frame& f : c.frames) {
      EXPECT_TRUE(peer.good()) << c.name << ": refused too early";
      peer.say(f);
    }
    EXPECT_EQ(peer.good(), c.good) << c.name;
  }
}

TEST(LinkSettle, a_code_of_a_newer_program_keeps_its_name) {
  Abused peer(NodeRole::kCore);
  peer.greet();
  peer.end.session.send(kPair, stanza(kPair, "s"), 1, peer.now);
  peer.heard();
  peer.say(frame::Ack{2});
  peer.say(frame::Settle{{{1, 1, {"moon.eclipsed", "wait"}}}});
  const auto settled = peer.end.take<Settled>();
  ASSERT_EQ(settled.size(), 1U);
  EXPECT_EQ(settled[0].outcome, (Outcome(Error{Code::kInternal, "moon.eclipsed: wait"})));
}

TEST(LinkAsk, as_many_unanswered_as_the_limit_and_not_one_more) {
  for (const NodeRole role : kRoles) {
    Abused peer(role);
    peer.greet();
    const auto ask = [](std::uint64_t id) {
      return frame::Ask{id, frame::Question::kControl, "", "", "", "", "{}"};
    };
    for (std::uint64_t id = 1; id <= limits::kLinkAsksMax; ++id) peer.say(ask(id));
    EXPECT_TRUE(peer.good());
    const auto asked = peer.end.take<Asked>();
    ASSERT_EQ(asked.size(), limits::kLinkAsksMax);
    peer.end.session.answer(asked[7].id, std::string("{}"));
    EXPECT_EQ(peer.heard()[frame::Type::kAnswer], 1);
    peer.say(ask(5000));
    EXPECT_TRUE(peer.good());
    peer.say(ask(5001));
    EXPECT_EQ(peer.refusal(), "link.frame");
  }
}

TEST(LinkAsk, a_number_in_use_is_refused) {
  Abused peer(NodeRole::kEdge);
  peer.greet();
  const frame::Ask ask{1, frame::Question::kControl, "", "", "", "", "{}"};
  peer.say(ask);
  peer.say(ask);
  EXPECT_EQ(peer.refusal(), "link.frame");
}

TEST(LinkPush, only_what_was_announced_is_taken) {
  const struct {
    const char* name;
    std::vector<Frame> frames;
    bool good;
    std::size_t pushed;
  } kCases[] = {
      {"whole in two", {frame::Push{1, 4}, frame::PushChunk{"ab"}, frame::PushChunk{"cd"}}, true, 1},
      {"not whole", {frame::Push{1, 4}, frame::PushChunk{"abc"}}, true, 0},
      {"one byte too many", {frame::Push{1, 4}, frame::PushChunk{"abcde"}}, false, 0},
      {"empty", {frame::Push{1, 0}}, true, 1},
      {"a byte after the end", {frame::Push{1, 1}, frame::PushChunk{"a"}, frame::PushChunk{"b"}}, false, 1},
      {"replaced",
       {frame::Push{1, 4}, frame::PushChunk{"abc"}, frame::Push{2, 1}, frame::PushChunk{"x"}},
       true,
       1},
  };
  for (const auto& c : kCases) {
    Abused peer(NodeRole::kEdge);
    peer.greet();
    for (const Frame& f : c.frames) peer.say(f);
    EXPECT_EQ(peer.good(), c.good) << c.name;
    EXPECT_EQ(peer.end.take<Pushed>().size(), c.pushed) << c.name;
  }
}

TEST(LinkGreeting, a_welcome_that_does_not_fit_the_hello_is_refused) {
  const struct {
    const char* name;
    frame::Welcome welcome;
    std::string code;
  } kCases[] = {
      {"version above", {frame::kVersionHighest + 1, "e", "1", "edge-1", 1, false, 0}, "link.version"},
      {"version zero", {0, "e", "1", "edge-1", 1, false, 0}, "link.version"},
      {"resumes nothing", {1, "e", "1", "edge-1", 1, true, 0}, "link.frame"},
      {"new with a position", {1, "e", "1", "edge-1", 1, false, 3}, "link.frame"},
  };
  for (const auto& c : kCases) {
    Abused peer(NodeRole::kCore);
    peer.say(c.welcome);
    EXPECT_EQ(peer.refusal(), c.code) << c.name;
  }
}

TEST(LinkGreeting, a_welcome_that_resumes_another_session_is_refused_and_the_session_forgotten) {
  const struct {
    const char* name;
    frame::Welcome welcome;
  } kCases[] = {
      {"session", {1, "e", "1", "edge-1", 2, true, 1}},
      {"instance", {1, "e", "1", "edge-2", 1, true, 1}},
      {"position ahead", {1, "e", "1", "edge-1", 1, true, 3}},
      {"position behind", {1, "e", "1", "edge-1", 1, true, 0}},
  };
  for (const auto& c : kCases) {
    Abused peer(NodeRole::kCore);
    peer.greet();
    peer.end.session.send(kPair, stanza(kPair, "s"), 1, peer.now);
    peer.heard();
    peer.say(frame::Ack{1});
    peer.end.session.handle_disconnected(peer.now);
    peer.end.session.handle_connected(peer.now);
    peer.heard();
    EXPECT_NE(peer.last_heard.find("edge-1"), std::string::npos) << "offers to resume";
    peer.say(c.welcome);
    EXPECT_EQ(peer.refusal(), "link.frame") << c.name;
    peer.end.session.handle_disconnected(peer.now);
    peer.end.session.handle_connected(peer.now);
    peer.heard();
    EXPECT_EQ(peer.last_heard.find("edge-1"), std::string::npos) << c.name;
  }
}

TEST(LinkGreeting, versions_are_negotiated_by_the_edge) {
  const struct {
    std::uint16_t lowest, highest;
    bool good;
  } kCases[] = {{1, 1, true},
                {1, 99, true},
                {0, 1, true},
                {frame::kVersionHighest, 99, true},
                {frame::kVersionHighest + 1, 99, false},
                {0, 0, false}};
  for (const auto& c : kCases) {
    Abused peer(NodeRole::kEdge);
    peer.say(frame::Hello{c.lowest, c.highest, 0, "c", "1", "core-1", "", 0, 0});
    EXPECT_EQ(peer.end.session.is_up(), c.good) << c.lowest << " to " << c.highest;
    if (!c.good) {
      EXPECT_EQ(peer.refusal(), "link.version");
    }
  }
}

TEST(LinkGreeting, two_edges_do_not_link) {
  Abused peer(NodeRole::kEdge);
  peer.say(frame::Hello{1, 1, 1, "e", "1", "edge-2", "", 0, 0});
  EXPECT_EQ(peer.refusal(), "link.frame");
}

}  // namespace
}  // namespace sallyport::link
