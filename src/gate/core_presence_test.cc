// What a core says of presence when a server is lost, and when it is back.
#include "base/presence_limits.h"
#include "gate/core_fixture.h"
#include "gate/shown_page.h"

namespace sallyport::gate {
namespace {

const Error kDown{Code::kDialRefused, "nobody listens"};

struct CorePresence : CoreFixture {
  CorePresence() {
    servers_.acknowledge = true;
    starts("[[allow]]\ndomain = \"partner.example\"\n");
    link_comes_up();
  }
  static std::string presence(const std::string& from, const std::string& to, const std::string& more = {}) {
    return fmt::format("<presence from='{}' to='{}'{}/>", from, to, more);
  }
  // Bob's phone is shown to Alice, and Alice's desk to Bob; Alice is in a room of Bob's.
  void are_shown() {
    edge_sends(presence("bob@partner.example/phone", "alice@example.com"));
    edge_sends(presence("room@partner.example/eve", "alice@example.com/desk"));
    internal_sends(presence("alice@example.com/desk", "bob@partner.example"));
    edge_settles(std::nullopt);
    internal();
    edge_receives();
  }
  // "FROM to TO type" of what the internal server, or the edge, has received.
  Lines internal() { return kinds(std::exchange(servers_.received, {})); }
  Lines edge() {
    Lines lines;
    for (const auto& each : std::exchange(edge_->received, {})) lines.push_back(kind(each.stanza));
    return lines;
  }
  static std::string kind(const xmpp::Stanza& stanza) {
    const bool is_ping = stanza.xml().find("urn:xmpp:ping") != std::string_view::npos;
    return fmt::format("{} to {} {}", stanza.from_text(), stanza.to_text(), is_ping ? "ping" : stanza.type());
  }
  template <typename Stanzas>
  static Lines kinds(const Stanzas& stanzas) {
    Lines lines;
    for (const auto& stanza : stanzas) lines.push_back(kind(stanza));
    return lines;
  }
  void waits(Duration time) {
    const Time until = now_.mono + time;
    while (now_.mono < until) passes(std::min<Duration>(1s, until - now_.mono));
  }
};

const Lines kTakenBack = {"bob@partner.example/phone to alice@example.com unavailable",
                          "room@partner.example/eve to alice@example.com/desk unavailable"};

TEST_F(CorePresence, of_a_peer_that_a_question_does_not_reach_is_taken_back_once) {
  are_shown();
  internal_sends(
      "<message from='alice@example.com' to='bob@partner.example' id='1'><body>x</body></message>");
  edge_settles(kDown);
  EXPECT_EQ(edge(),
            (Lines{"alice@example.com to bob@partner.example ", "example.com to partner.example ping"}));
  internal();
  edge_settles(kDown);
  EXPECT_EQ(internal(), kTakenBack);
  waits(2 * limits::kPeerSilence);
  EXPECT_EQ(internal(), Lines{});
  EXPECT_EQ(edge(), Lines{});
}

TEST_F(CorePresence, of_a_peer_is_taken_back_also_while_a_message_waits_for_it_at_the_edge) {
  are_shown();
  internal_sends(
      "<message from='alice@example.com' to='bob@partner.example' id='1'><body>x</body></message>");
  waits(limits::kPeerSilence + 10s);
  EXPECT_EQ(edge(),
            (Lines{"alice@example.com to bob@partner.example ", "example.com to partner.example ping"}));
  internal();
  edge_->settles(1, kDown, now_);
  passes(limits::kSettleAheadDelay);
  EXPECT_EQ(internal(), kTakenBack);
}

TEST_F(CorePresence, of_a_peer_that_the_question_reaches_stays_and_its_answer_is_for_nobody) {
  are_shown();
  waits(limits::kPeerSilence + 10s);
  ASSERT_EQ(edge_->received.size(), 1u);
  const std::string id(edge_->received[0].stanza.id());
  EXPECT_EQ(edge(), Lines{"example.com to partner.example ping"});
  edge_settles(std::nullopt);
  edge_sends("<iq from='partner.example' to='example.com' type='result' id='" + id + "'/>");
  const Lines got = internal();
  EXPECT_EQ(std::ranges::count(got, "partner.example to example.com result"), 0);
  for (const auto& line : got) EXPECT_NE(line, kTakenBack[0]);
}

TEST_F(CorePresence, of_a_peer_that_is_back_is_asked_for_and_rooms_are_not) {
  are_shown();
  waits(limits::kPeerSilence + 10s);
  edge_settles(kDown);
  internal();
  edge();
  edge_sends("<message from='bob@partner.example' to='alice@example.com' id='1'><body>x</body></message>");
  EXPECT_EQ(edge(), Lines{"alice@example.com to bob@partner.example probe"});
}

TEST_F(CorePresence, of_a_peer_stays_where_an_edge_died_with_the_question_and_it_is_asked_again) {
  are_shown();
  waits(limits::kPeerSilence + 10s);
  EXPECT_EQ(edge(), Lines{"example.com to partner.example ping"});
  internal();
  core_->handle_disconnected(*edge_->conn, {Code::kLinkDown, {}}, now_);
  link_comes_up();
  EXPECT_EQ(edge(), Lines{"example.com to partner.example ping"});
  EXPECT_EQ(internal(), Lines{});
}

TEST_F(CorePresence, of_an_internal_server_that_is_gone_is_taken_back_outside) {
  are_shown();
  servers_.forget_streams();
  servers_.answer = ReceivingServers::Dials::kRefused;
  edge_sends("<message from='bob@partner.example' to='alice@example.com' id='1'><body>x</body></message>");
  waits(limits::kPeerSilence + 20s);
  const Lines got = edge();
  EXPECT_EQ(std::ranges::count(got, "alice@example.com/desk to bob@partner.example unavailable"), 1);
}

TEST_F(CorePresence, of_all_peers_is_taken_back_when_no_edge_is_linked) {
  are_shown();
  edge_->loses_link(*core_, now_);
  waits(limits::kLinkDeadAfter + 1s);
  Lines got = internal();
  std::erase_if(got, [](const auto& line) { return line.ends_with("ping"); });
  EXPECT_EQ(got, kTakenBack);
}

TEST_F(CorePresence, of_a_pair_that_a_new_policy_ends_is_taken_back) {
  are_shown();
  applies("");
  EXPECT_EQ(internal(), kTakenBack);
}

TEST_F(CorePresence, of_a_peer_that_only_itself_may_start_is_taken_back_too) {
  starts("[[allow]]\ndomain = \"partner.example\"\ndirection = \"in\"\n");
  link_comes_up();
  edge_sends(presence("bob@partner.example/phone", "alice@example.com"));
  internal();
  waits(limits::kPeerSilence + 10s);
  EXPECT_EQ(edge(), Lines{"example.com to partner.example ping"});
  edge_settles(kDown);
  EXPECT_EQ(internal(), Lines{kTakenBack[0]});
  edge_sends("<message from='bob@partner.example' to='alice@example.com' id='1'><body>x</body></message>");
  EXPECT_EQ(edge(), Lines{}) << "a probe would be a start";
}

TEST_F(CorePresence, of_a_peer_that_may_not_start_stays_when_it_answers) {
  starts("[[allow]]\ndomain = \"partner.example\"\ndirection = \"out\"\n");
  link_comes_up();
  internal_sends(presence("alice@example.com/desk", "partner.example/room"));
  edge_settles(std::nullopt);
  edge_sends(presence("partner.example/room", "alice@example.com/desk"));
  edge();
  waits(limits::kPeerSilence + 10s);
  ASSERT_EQ(edge_->received.size(), 1u);
  const std::string id(edge_->received[0].stanza.id());
  EXPECT_EQ(edge(), Lines{"example.com to partner.example ping"});
  edge_settles(std::nullopt);
  log_.events.clear();
  edge_sends("<iq from='partner.example' to='example.com' type='result' id='" + id + "'/>");
  for (const auto& event : log_.events) EXPECT_NE(event.name, "stanza.refused");
}

TEST_F(CorePresence, where_nothing_is_shown_nobody_is_asked) {
  internal_sends(
      "<message from='alice@example.com' to='bob@partner.example' id='1'><body>x</body></message>");
  edge_settles(kDown);
  waits(2 * limits::kPeerSilence);
  EXPECT_EQ(edge(), Lines{"alice@example.com to bob@partner.example "});
}

// --- a new process, of which the edge knows what is shown

struct CorePresenceLearnt : CorePresence {
  // The edge's answer to the core's last question for what is shown.
  void edge_tells(const ShownPage& page) {
    edge_->session.answer(edge_->asked.back().id, shown_answer(page));
    exchange();
  }
  std::string last_question() {
    const auto* ask = std::get_if<link::ControlAsk>(&edge_->asked.back().ask);
    return ask == nullptr ? "" : ask->json;
  }
  void edge_is_lost() {
    edge_->loses_link(*core_, now_);
    waits(limits::kLinkDeadAfter + 1s);
  }
  Lines taken_back() {
    Lines got = internal();
    std::erase_if(got, [](const auto& line) { return line.ends_with("ping"); });
    return got;
  }
  const ShownPresence phone{policy::Direction::kIn, "bob@partner.example/phone", "alice@example.com"};
  const ShownPresence eve{policy::Direction::kIn, "room@partner.example/eve", "alice@example.com/desk"};
};

TEST_F(CorePresenceLearnt, is_taken_back_like_what_it_has_seen_itself) {
  EXPECT_EQ(last_question(), shown_question(0));
  edge_tells({{phone}, 7, true});
  EXPECT_EQ(last_question(), shown_question(7));
  edge_tells({{eve}, 9, false});
  EXPECT_EQ(edge_->asked.size(), 2u);
  EXPECT_EQ(taken_back(), Lines{});
  edge_is_lost();
  EXPECT_EQ(taken_back(), kTakenBack);
}

TEST_F(CorePresenceLearnt, of_a_silent_peer_is_asked_for) {
  edge_tells({{phone}, 1, false});
  waits(limits::kPeerSilence + 10s);
  EXPECT_EQ(edge(), Lines{"example.com to partner.example ping"});
  edge_settles(kDown);
  EXPECT_EQ(taken_back(), Lines{kTakenBack[0]});
}

TEST_F(CorePresenceLearnt, is_asked_for_again_where_the_link_was_lost_before_the_answer) {
  edge_->loses_link(*core_, now_);
  link_comes_up();
  EXPECT_EQ(last_question(), shown_question(0));
  edge_tells({{phone}, 1, false});
  edge_is_lost();
  EXPECT_EQ(taken_back(), Lines{kTakenBack[0]});
}

TEST_F(CorePresenceLearnt, of_who_may_not_be_heard_is_not_believed) {
  using policy::Direction;
  edge_tells({{{Direction::kIn, "eve@stranger.example/x", "alice@example.com"},
               {Direction::kIn, "bob@partner.example/x", "alice@elsewhere.example"},
               {Direction::kIn, "alice@example.com/x", "bob@partner.example"},
               {Direction::kOut, "bob@partner.example/x", "alice@example.com"},
               {Direction::kIn, "@", "alice@example.com"},
               {Direction::kIn, "bob@partner.example/x", ""}},
              9,
              false});
  edge_is_lost();
  EXPECT_EQ(taken_back(), Lines{});
}

TEST_F(CorePresenceLearnt, is_no_more_than_an_edge_remembers) {
  const std::vector page(1'000, phone);
  std::uint64_t told = 0;
  while (edge_->asked.size() > told && told < 1'000) edge_tells({page, ++told, true});
  EXPECT_EQ(told, limits::kShownPresencesMax / page.size() + 1);
}

TEST_F(CorePresenceLearnt, ends_with_an_answer_that_is_none) {
  for (const auto& answer :
       {link::Answer(Error{Code::kControlRefused, "an older edge"}), link::Answer(std::string("{}")),
        link::Answer(shown_answer({{phone}, 0, true}))}) {
    const std::size_t questions = edge_->asked.size();
    edge_->session.answer(edge_->asked.back().id, answer);
    exchange();
    EXPECT_EQ(edge_->asked.size(), questions);
    starts("[[allow]]\ndomain = \"partner.example\"\n");
    link_comes_up();
  }
}

}  // namespace
}  // namespace sallyport::gate
