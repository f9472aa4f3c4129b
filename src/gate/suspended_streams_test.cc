#include "gate/suspended_streams.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;
using Answers = std::vector<std::string>;

struct SuspendedStreamsTest : ::testing::Test {
  // A stream on which so many stanzas came, of which the first `handled` are taken care of, breaks.
  void breaks(ConnId conn, std::uint32_t received, std::uint32_t handled,
              const std::string& peer = "a.example") {
    s2s::Inbound::Suspended session{"id" + std::to_string(conn), {}};
    for (std::uint32_t i = 0; i < received; ++i) session.count.receive();
    for (std::uint32_t i = 1; i <= handled; ++i) session.count.handle(i);
    streams.open(session.id, conn);
    streams.suspend(conn, std::move(session),
                    {*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse(peer)}, peer, now);
  }
  Answers answers() {
    Answers lines;
    while (auto answer = streams.poll())
      lines.push_back(fmt::format("{} {} {} {}", answer->to, answer->id,
                                  answer->resumes ? "goes on" : "is over", answer->count.handled()));
    return lines;
  }
  void passes(Duration time) {
    now += time;
    streams.handle_timeout(now);
  }

  SuspendedStreams streams;
  Time now{1h};
};

TEST_F(SuspendedStreamsTest, a_session_goes_on_at_once_where_all_that_came_is_taken_care_of) {
  breaks(1, 3, 3);
  ASSERT_EQ(streams.find("id1"), 1u);
  streams.await(1, 2, now);
  EXPECT_EQ(answers(), Answers{"2 id1 goes on 3"});
  EXPECT_FALSE(streams.has(1));
  EXPECT_EQ(streams.poll_timeout(), std::nullopt);
}

TEST_F(SuspendedStreamsTest, it_waits_for_what_is_on_its_way) {
  breaks(1, 3, 1);
  streams.await(1, 2, now);
  streams.handle(1, 3);
  EXPECT_EQ(answers(), Answers{});
  streams.handle(1, 2);
  EXPECT_EQ(answers(), Answers{"2 id1 goes on 3"});
}

TEST_F(SuspendedStreamsTest, it_does_not_wait_for_ever) {
  breaks(1, 3, 1);
  streams.await(1, 2, now);
  passes(limits::kResumeAnswerDelay);
  EXPECT_EQ(answers(), Answers{"2 id1 is over 1"});
  EXPECT_EQ(streams.find("id1"), std::nullopt);
}

TEST_F(SuspendedStreamsTest, what_is_taken_care_of_before_anyone_resumes_counts) {
  breaks(1, 2, 0);
  streams.handle(1, 1);
  streams.handle(1, 2);
  streams.handle(7, 1);
  streams.await(1, 2, now);
  EXPECT_EQ(answers(), Answers{"2 id1 goes on 2"});
}

TEST_F(SuspendedStreamsTest, a_session_that_nobody_resumes_is_forgotten) {
  breaks(1, 0, 0);
  passes(limits::kResumeTime - 1us);
  EXPECT_TRUE(streams.has(1));
  passes(1us);
  EXPECT_FALSE(streams.has(1));
  EXPECT_EQ(streams.find("id1"), std::nullopt);
  EXPECT_EQ(answers(), Answers{});
}

TEST_F(SuspendedStreamsTest, a_peer_has_its_share_and_not_one_more) {
  const std::size_t share = limits::peer_share(limits::kSuspendedMax);
  for (std::size_t i = 1; i <= share; ++i) breaks(i, 1, 0);
  breaks(share + 1, 1, 0);
  EXPECT_TRUE(streams.has(share));
  EXPECT_FALSE(streams.has(share + 1));
  EXPECT_EQ(streams.find(fmt::format("id{}", share + 1)), std::nullopt);
  breaks(share + 2, 1, 0, "b.example");
  EXPECT_TRUE(streams.has(share + 2));
}

TEST_F(SuspendedStreamsTest, when_all_places_are_taken_the_peer_with_most_loses_its_oldest) {
  ConnId conn = 0;
  const std::size_t share = limits::peer_share(limits::kSuspendedMax);
  for (std::size_t i = 0; i < share; ++i) breaks(++conn, 1, 0);
  while (conn < limits::kSuspendedMax) {
    ++conn;
    breaks(conn, 1, 0, fmt::format("peer{}.example", conn));
  }
  streams.await(1, 99'999, now);
  breaks(++conn, 1, 0, "b.example");
  EXPECT_TRUE(streams.has(conn));
  EXPECT_FALSE(streams.has(1));
  EXPECT_TRUE(streams.has(2));
  EXPECT_EQ(answers(), Answers{"99999 id1 is over 0"}) << "who waits for it is told";
}

TEST_F(SuspendedStreamsTest, when_all_end_nobody_is_told_any_more) {
  breaks(1, 1, 0);
  streams.await(1, 2, now);
  streams.clear();
  EXPECT_EQ(answers(), Answers{});
  EXPECT_FALSE(streams.has(1));
}

}  // namespace
}  // namespace sallyport::gate
