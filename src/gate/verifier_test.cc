#include "gate/verifier.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/overloaded.h"

namespace sallyport::gate {
namespace {

using Told = std::vector<std::string>;

Pair pair(std::string_view remote) {
  return {*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse(remote)};
}

// Room for six questions, four of one address, three about one domain.
struct VerifierTest : ::testing::Test {
  // A key for `remote` is shown on the stream `asker`, which comes from `address`.
  void is_shown(ConnId asker, const std::string& remote, const std::string& address = "here") {
    verifier.ask({asker, pair(remote), fmt::format("id{}", asker), "key"}, {address, remote},
                 [this](const Pair&) -> Result<ConnId> {
                   if (nowhere) return Error{Code::kDialNoRoute, "nowhere"};
                   return last_conn += 2;
                 });
  }
  void answers(ConnId conn, ConnId asker, const std::string& remote, bool valid = true) {
    verifier.handle_answer(conn, pair(remote), fmt::format("id{}", asker), s2s::VerifyAnswer{valid, false});
  }
  Told told() {
    Told all;
    while (auto output = verifier.poll()) {
      all.push_back(std::visit(Overloaded{
                                   [](const Verifier::Ask& ask) {
                                     return fmt::format("ask on {} for {}", ask.conn, ask.question.asker);
                                   },
                                   [](const Verifier::Answer& answer) {
                                     return fmt::format("tell {}: {}", answer.question.asker,
                                                        answer.answer
                                                            ? answer.answer->valid ? "valid" : "invalid"
                                                            : code_row(answer.answer.error().code).name);
                                   },
                                   [](const Verifier::Close& close) {
                                     return fmt::format("{} {}", close.error ? "break" : "close", close.conn);
                                   },
                               },
                               *output));
    }
    return all;
  }

  Verifier verifier{{6, {4, 3}}};
  ConnId last_conn = 100;
  bool nowhere = false;
};

TEST_F(VerifierTest, a_question_has_a_stream_of_its_own_that_ends_with_its_answer) {
  is_shown(1, "a.example");
  EXPECT_EQ(told(), Told{"ask on 102 for 1"});
  ASSERT_EQ(verifier.questions(102).size(), 1u);
  EXPECT_EQ(verifier.questions(102)[0].key, "key");
  answers(102, 1, "a.example");
  EXPECT_EQ(told(), (Told{"tell 1: valid", "close 102"}));
  is_shown(3, "a.example");
  EXPECT_EQ(told(), Told{"ask on 104 for 3"});
}

TEST_F(VerifierTest, questions_about_one_pair_share_a_stream) {
  is_shown(1, "a.example");
  is_shown(3, "a.example");
  EXPECT_EQ(told(), (Told{"ask on 102 for 1", "ask on 102 for 3"}));
  answers(102, 3, "a.example", false);
  EXPECT_EQ(told(), Told{"tell 3: invalid"});
  answers(102, 1, "a.example");
  EXPECT_EQ(told(), (Told{"tell 1: valid", "close 102"}));
}

TEST_F(VerifierTest, the_end_of_a_stream_answers_all_that_was_asked_on_it) {
  is_shown(1, "a.example");
  is_shown(3, "a.example");
  told();
  verifier.handle_end(102, {Code::kDialTimeout, {}});
  EXPECT_EQ(told(), (Told{"tell 1: dialback.unreachable", "tell 3: dialback.unreachable"}));
  answers(102, 1, "a.example");
  EXPECT_EQ(told(), Told{}) << "once";
}

TEST_F(VerifierTest, a_domain_without_a_way_is_answered_at_once) {
  nowhere = true;
  is_shown(1, "a.example");
  EXPECT_EQ(told(), Told{"tell 1: dialback.unreachable"});
}

TEST_F(VerifierTest, one_address_has_its_share_of_the_questions) {
  for (ConnId asker = 1; asker <= 7; asker += 2) is_shown(asker, fmt::format("a{}.test", asker));
  told();
  is_shown(9, "a9.test");
  EXPECT_EQ(told(), Told{"tell 9: dialback.too-many"});
  is_shown(11, "b.test", "elsewhere");
  EXPECT_EQ(told(), Told{"ask on 110 for 11"});
}

TEST_F(VerifierTest, when_all_are_out_the_largest_source_loses_its_oldest_and_that_stream_ends) {
  for (ConnId asker = 1; asker <= 7; asker += 2) is_shown(asker, fmt::format("a{}.test", asker), "greedy");
  is_shown(9, "b.test", "modest");
  is_shown(11, "c.test", "modest");
  told();
  is_shown(13, "d.test", "new");
  EXPECT_EQ(told(), (Told{"break 102", "tell 1: dialback.too-many", "ask on 114 for 13"}));
  EXPECT_TRUE(verifier.questions(102).empty());
}

}  // namespace
}  // namespace sallyport::gate
