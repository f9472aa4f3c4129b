#include "gate/admission_queue.h"

#include <gtest/gtest.h>

#include <string>

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

xmpp::Pair pair_with(const std::string& remote) {
  return {*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse(remote + ".example")};
}
AdmissionSource from(int n) { return admission_source(*dns::Ip::parse("198.51.100." + std::to_string(n))); }
const Now kNow{Time{1h}, UnixTime{}};

class AdmissionQueueTest : public testing::Test {
 protected:
  std::size_t send_all() {
    std::size_t sent = 0;
    for (; const auto pair = queue_.next(); ++sent) {
      queue_.sent(*pair, ++last_id_, kNow.mono);
      order_.push_back(pair->remote.ascii());
    }
    return sent;
  }
  AdmissionQueue queue_;
  std::uint64_t last_id_ = 0;
  std::vector<std::string> order_;
};

TEST_F(AdmissionQueueTest, one_question_for_all_who_want_to_know) {
  for (ConnId conn = 1; conn <= 3; ++conn) EXPECT_FALSE(queue_.ask(pair_with("a"), conn, from(1)));
  EXPECT_EQ(send_all(), 1u);
  EXPECT_FALSE(queue_.ask(pair_with("a"), 4, from(2)));
  EXPECT_EQ(send_all(), 0u);
  const auto done = queue_.answered(1);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->streams, (std::vector<ConnId>{1, 2, 3, 4}));
  EXPECT_EQ(done->source, from(1));
  EXPECT_FALSE(done->proved);
  EXPECT_EQ(queue_.waiting(), 0u);
  EXPECT_FALSE(queue_.answered(1));
}

TEST_F(AdmissionQueueTest, sources_take_turns) {
  for (int i = 0; i < 4; ++i) queue_.ask(pair_with("a" + std::to_string(i)), 1, from(1));
  queue_.ask(pair_with("b"), 2, from(2));
  queue_.ask(pair_with("c"), 3, from(3));
  send_all();
  EXPECT_EQ(order_, (std::vector<std::string>{"a0.example", "b.example", "c.example", "a1.example",
                                              "a2.example", "a3.example"}));
}

TEST_F(AdmissionQueueTest, no_more_are_on_the_link_than_the_limit) {
  for (std::size_t i = 0; i <= limits::kAdmissionQuestionsMax; ++i)
    EXPECT_FALSE(queue_.ask(pair_with("a" + std::to_string(i)), 1, from(static_cast<int>(i % 8))));
  EXPECT_EQ(send_all(), limits::kAdmissionQuestionsMax);
  ASSERT_TRUE(queue_.answered(7));
  EXPECT_EQ(send_all(), 1u);
}

TEST_F(AdmissionQueueTest, a_source_has_a_share) {
  for (std::size_t i = 0; i < limits::kAdmissionAskersPerSourceMax; ++i)
    EXPECT_FALSE(queue_.ask(pair_with("a" + std::to_string(i)), i, from(1)));
  const auto refused = queue_.ask(pair_with("z"), 77, from(1));
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->conn, 77u);
  EXPECT_FALSE(queue_.ask(pair_with("z"), 78, from(2)));
}

TEST_F(AdmissionQueueTest, when_it_is_full_the_source_with_the_most_loses_its_newest) {
  int source = 0;
  std::size_t left = limits::kAdmissionAskersMax;
  while (left > 0) {
    ++source;
    for (std::size_t i = 0; i < limits::kAdmissionAskersPerSourceMax && left > 0; ++i, --left)
      EXPECT_FALSE(queue_.ask(pair_with("a" + std::to_string(left)), left, from(source)));
  }
  EXPECT_EQ(queue_.waiting(), limits::kAdmissionAskersMax);
  const auto dropped = queue_.ask(pair_with("z"), 5'000, from(200));
  ASSERT_TRUE(dropped);
  EXPECT_NE(dropped->conn, 5'000u);
  EXPECT_EQ(queue_.waiting(), limits::kAdmissionAskersMax);
  // The source that holds the most gets no more.
  EXPECT_EQ(queue_.ask(pair_with("y"), 5'001, from(2))->conn, 5'001u);
  while (send_all() > 0)
    for (std::uint64_t id = 1; id <= last_id_; ++id) queue_.answered(id);
  EXPECT_EQ(queue_.waiting(), 0u);
  EXPECT_EQ(std::ranges::count(order_, dropped->pair.remote.ascii()), 0);
  EXPECT_EQ(std::ranges::count(order_, "z.example"), 1);
}

TEST_F(AdmissionQueueTest, what_the_edge_itself_wants_to_know_is_asked_and_may_be_dropped) {
  queue_.ask_again(pair_with("a"));
  queue_.ask_again(pair_with("b"));
  queue_.ask(pair_with("b"), 1, from(1));
  queue_.drop_again();
  EXPECT_EQ(send_all(), 1u);
  auto done = queue_.answered(1);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->pair, pair_with("b"));
  EXPECT_FALSE(done->proved);
  queue_.ask_again(pair_with("c"));
  send_all();
  queue_.drop_again();  // it is out: its answer still counts
  done = queue_.answered(2);
  ASSERT_TRUE(done);
  EXPECT_TRUE(done->proved);
}

TEST_F(AdmissionQueueTest, a_question_that_is_not_answered_ends) {
  queue_.ask(pair_with("a"), 1, from(1));
  send_all();
  EXPECT_FALSE(queue_.expired(kNow.mono + limits::kDialbackTimeout - 1ms));
  const auto done = queue_.expired(kNow.mono + limits::kDialbackTimeout);
  ASSERT_TRUE(done);
  EXPECT_EQ(done->streams, std::vector<ConnId>{1});
  EXPECT_FALSE(queue_.answered(1)) << "too late";
  queue_.ask(pair_with("a"), 2, from(1));
  EXPECT_EQ(send_all(), 1u);
  queue_.clear();
  EXPECT_FALSE(queue_.answered(2));
  EXPECT_EQ(queue_.waiting(), 0u);
}

}  // namespace
}  // namespace sallyport::gate
