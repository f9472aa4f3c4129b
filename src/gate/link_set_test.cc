#include "gate/link_set.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;
using Told = std::vector<std::string>;

// Two edges as a core sees them.
struct LinkSetTest : ::testing::Test {
  static link::SessionConfig config() { return {link::NodeRole::kCore, "core", "1", "instance"}; }
  LinkEnd& linked(std::size_t node, ConnId conn) {
    LinkEnd& end = links.make(node, config());
    end.handle_link(conn, {}, now);
    return end;
  }
  Told told() {
    Told all;
    for (; !outputs.empty(); outputs.pop_front()) {
      if (const auto* flush = std::get_if<Flush>(&outputs.front()))
        all.push_back(fmt::format("flush {}", flush->conn));
      if (const auto* gone = std::get_if<Disconnect>(&outputs.front()))
        all.push_back(fmt::format("disconnect {}", gone->conn));
    }
    return all;
  }

  std::deque<Output> outputs;
  LinkSet links{2, outputs};
  Now now{Time{1h}, {}};
};

TEST_F(LinkSetTest, a_connection_belongs_to_the_node_whose_link_it_carries) {
  linked(1, 20);
  EXPECT_EQ(links.node_of(20), 1u);
  EXPECT_EQ(links.node_of(22), std::nullopt);
  std::string bytes;
  EXPECT_EQ(links.take_output(22, bytes), std::nullopt) << "it is somebody else's";
}

TEST_F(LinkSetTest, what_a_session_writes_is_flushed_once_until_it_is_taken) {
  linked(0, 20);
  EXPECT_FALSE(links.flush(now));
  EXPECT_FALSE(links.flush(now));
  EXPECT_EQ(told(), Told{"flush 20"});
  std::string bytes;
  EXPECT_EQ(links.take_output(20, bytes), true);
  EXPECT_FALSE(bytes.empty());
}

TEST_F(LinkSetTest, a_connection_is_closed_behind_its_final_bytes) {
  linked(0, 20).session().refuse({Code::kLinkDomain, {}});
  EXPECT_TRUE(links.flush(now));
  const auto all = told();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.back(), "disconnect 20");
  EXPECT_FALSE(links.at(0).conn());
  std::string bytes;
  EXPECT_EQ(links.take_output(20, bytes), true) << "the other node learns why";
  bytes.clear();
  EXPECT_EQ(links.take_output(20, bytes), std::nullopt);
}

TEST_F(LinkSetTest, a_connection_that_becomes_nobodys_link_is_told_why) {
  links.refuse(30, config(), {Code::kLinkSecondCore, {}}, now);
  EXPECT_EQ(told(), (Told{"flush 30", "disconnect 30"}));
  std::string bytes;
  EXPECT_EQ(links.take_output(30, bytes), true);
}

TEST_F(LinkSetTest, nodes_that_were_never_linked_have_no_events_and_no_timers) {
  EXPECT_FALSE(links.poll());
  EXPECT_FALSE(links.flush(now));
  EXPECT_EQ(links.poll_timeout(), std::nullopt);
}

}  // namespace
}  // namespace sallyport::gate
