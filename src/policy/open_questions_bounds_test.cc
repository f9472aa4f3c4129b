// OpenQuestions at its bounds; share_table_test.cc tests eviction in general.
#include <gtest/gtest.h>

#include <string>

#include "policy/open_questions.h"

namespace sallyport::policy {
namespace {

using namespace std::chrono_literals;
using policy::Direction;

constexpr const char* kLocal = "example.com";
constexpr const char* kRemote = "partner.example";

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }

struct OpenQuestionsBoundsTest : testing::Test {
  static xmpp::Stanza stanza(xmpp::StanzaKind kind, std::string_view from, std::string_view to,
                             std::string_view id, std::string_view type) {
    return {kind, *xmpp::Jid::parse(from), *xmpp::Jid::parse(to), id, type, {}, "<x/>"};
  }
  void ask(const OneWay& way, const std::string& user, std::size_t id) {
    const auto& local = way.pair.local.ascii();
    const auto& remote = way.pair.remote.ascii();
    questions.note(way, stanza(xmpp::StanzaKind::kIq, user + "@" + local, remote, std::to_string(id), "get"),
                   now);
  }
  bool answer(const OneWay& way, const std::string& user, std::size_t id) {
    const auto& local = way.pair.local.ascii();
    const auto& remote = way.pair.remote.ascii();
    return questions.is_answered_by(
        stanza(xmpp::StanzaKind::kIq, remote, user + "@" + local, std::to_string(id), "result"), now);
  }
  static OneWay way_to(const std::string& remote, Direction start = Direction::kOut) {
    return {{domain(kLocal), domain(remote)}, start};
  }
  void subscribe(const OneWay& way, const std::string& user, std::size_t contact) {
    questions.note(way,
                   stanza(xmpp::StanzaKind::kPresence, user + "@" + way.pair.local.ascii(),
                          "c" + std::to_string(contact) + "@" + way.pair.remote.ascii(), {}, "probe"),
                   now);
  }
  bool sees(const OneWay& way, const std::string& user, std::size_t contact) {
    return questions.is_answered_by(
        stanza(xmpp::StanzaKind::kPresence, "c" + std::to_string(contact) + "@" + way.pair.remote.ascii(),
               user + "@" + way.pair.local.ascii(), {}, {}),
        now);
  }

  OpenQuestions questions;
  Time now{1s};
};

TEST_F(OpenQuestionsBoundsTest, questions_of_one_address_at_the_bound_and_one_past_it) {
  const auto way = way_to(kRemote);
  ask(way, "bob", 0);
  for (std::size_t n = 1; n <= limits::kQuestionsPerAddressMax; ++n) ask(way, "alice", n);
  EXPECT_EQ(questions.size(), limits::kQuestionsPerAddressMax + 1);
  ask(way, "alice", 0);
  EXPECT_EQ(questions.size(), limits::kQuestionsPerAddressMax + 1);
  EXPECT_FALSE(answer(way, "alice", 1));
  EXPECT_TRUE(answer(way, "alice", 2));
  EXPECT_TRUE(answer(way, "alice", 0));
  EXPECT_TRUE(answer(way, "bob", 0));
}

TEST_F(OpenQuestionsBoundsTest, questions_of_one_pair_at_the_bound_and_one_past_it) {
  const auto way = way_to(kRemote);
  const auto other = way_to("other.example");
  ask(other, "alice", 0);
  for (std::size_t n = 0; n < limits::kQuestionsPerPairMax; ++n) ask(way, "u" + std::to_string(n), 1);
  EXPECT_EQ(questions.size(), limits::kQuestionsPerPairMax + 1);
  ask(way, "alice", 1);
  EXPECT_EQ(questions.size(), limits::kQuestionsPerPairMax + 1);
  EXPECT_FALSE(answer(way, "u0", 1));
  EXPECT_TRUE(answer(way, "u1", 1));
  EXPECT_TRUE(answer(way, "alice", 1));
  EXPECT_TRUE(answer(other, "alice", 0));
}

TEST_F(OpenQuestionsBoundsTest, questions_in_all_at_the_bound_and_one_past_it) {
  const auto modest = way_to(kRemote);
  ask(modest, "alice", 0);
  std::size_t left = limits::kQuestionsMax - 1;
  for (std::size_t pair = 0; left > 0; ++pair)
    for (std::size_t n = 0; n < limits::kQuestionsPerPairMax && left > 0; ++n, --left)
      ask(way_to("r" + std::to_string(pair) + ".example"), "u" + std::to_string(n), 1);
  EXPECT_EQ(questions.size(), limits::kQuestionsMax);
  // The pair with the fewest rows is served, now and later.
  ask(modest, "bob", 0);
  EXPECT_EQ(questions.size(), limits::kQuestionsMax);
  EXPECT_TRUE(answer(modest, "alice", 0));
  EXPECT_TRUE(answer(modest, "bob", 0));
}

TEST_F(OpenQuestionsBoundsTest, presences_of_one_address_at_the_bound_and_one_past_it) {
  const auto way = way_to(kRemote);
  subscribe(way, "bob", 0);
  for (std::size_t n = 1; n <= limits::kPresencesPerAddressMax; ++n) subscribe(way, "alice", n);
  EXPECT_EQ(questions.size(), limits::kPresencesPerAddressMax + 1);
  EXPECT_TRUE(sees(way, "alice", 1));  // this use makes it the newest
  subscribe(way, "alice", 0);
  EXPECT_EQ(questions.size(), limits::kPresencesPerAddressMax + 1);
  EXPECT_TRUE(sees(way, "alice", 1));
  EXPECT_FALSE(sees(way, "alice", 2));
  EXPECT_TRUE(sees(way, "alice", 0));
  EXPECT_TRUE(sees(way, "bob", 0));
}

TEST_F(OpenQuestionsBoundsTest, presences_of_one_pair_and_in_all_at_the_bounds_and_one_past_them) {
  const auto modest = way_to(kRemote);
  const auto large = way_to("r0.example");
  subscribe(modest, "alice", 0);
  for (std::size_t n = 0; n < limits::kPresencesPerPairMax; ++n) subscribe(large, "u" + std::to_string(n), 1);
  EXPECT_EQ(questions.size(), limits::kPresencesPerPairMax + 1);
  subscribe(large, "last", 1);
  EXPECT_EQ(questions.size(), limits::kPresencesPerPairMax + 1);
  EXPECT_FALSE(sees(large, "u0", 1));
  std::size_t left = limits::kPresencesMax - questions.size();
  for (std::size_t pair = 1; left > 0; ++pair)
    for (std::size_t n = 0; n < limits::kPresencesPerPairMax && left > 0; ++n, --left)
      subscribe(way_to("r" + std::to_string(pair) + ".example"), "u" + std::to_string(n), 1);
  EXPECT_EQ(questions.size(), limits::kPresencesMax);
  subscribe(modest, "bob", 0);
  EXPECT_EQ(questions.size(), limits::kPresencesMax);
  EXPECT_TRUE(sees(modest, "alice", 0));
  EXPECT_TRUE(sees(modest, "bob", 0));
}

TEST_F(OpenQuestionsBoundsTest, a_pair_is_forgotten_whole_and_in_one_direction) {
  const auto out = way_to(kRemote);
  const auto in = way_to(kRemote, Direction::kIn);
  ask(out, "alice", 1);
  subscribe(out, "alice", 1);
  questions.note(in, stanza(xmpp::StanzaKind::kIq, "partner.example", "alice@example.com", "2", "get"), now);
  questions.retain([&](const OneWay& way) { return way == in; });
  EXPECT_EQ(questions.size(), 1u);
  EXPECT_FALSE(answer(out, "alice", 1));
  EXPECT_FALSE(sees(out, "alice", 1));
  EXPECT_TRUE(questions.is_answered_by(
      stanza(xmpp::StanzaKind::kIq, "alice@example.com", "partner.example", "2", "result"), now));
  EXPECT_TRUE(questions.empty());
}

}  // namespace
}  // namespace sallyport::policy
