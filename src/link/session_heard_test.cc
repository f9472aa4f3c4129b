// What version 5 of the protocol adds: the core tells an edge of servers that were heard at another one.
#include <gtest/gtest.h>

#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

struct Told : Link {
  explicit Told(std::uint16_t version = frame::kVersionHighest) {
    core.session = LinkSession(End::config(NodeRole::kCore, "1", version));
    up();
  }
  std::vector<PeerHeard> core_tells(std::uint64_t ping) {
    core.session.heard(kPair, ping);
    exchange();
    return edge.take<PeerHeard>();
  }
};

TEST(LinkHeard, the_edge_is_told_of_the_pair_and_the_ping) {
  Told link;
  const auto told = link.core_tells(7);
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].pair, kPair);
  EXPECT_EQ(told[0].ping, 7U);
}

TEST(LinkHeard, an_edge_of_an_earlier_version_is_told_nothing) {
  Told link(frame::kVersionHeard - 1);
  EXPECT_TRUE(link.core_tells(7).empty());
  EXPECT_TRUE(link.edge.session.is_up());
  std::string bytes;
  frame::append(bytes, frame::Heard{7, "example.com", "partner.example"});
  link.edge.session.handle_bytes(bytes, link.now);
  EXPECT_TRUE(link.edge.session.wants_close());
}

TEST(LinkHeard, nothing_of_it_is_kept_without_a_connection) {
  Told link;
  link.cut();
  EXPECT_TRUE(link.core_tells(7).empty());
  link.up();
  link.exchange();
  EXPECT_TRUE(link.edge.take<PeerHeard>().empty());
}

TEST(LinkHeard, the_owner_hears_of_a_channel_that_is_opened_and_of_each_new_provenance) {
  Link link;
  link.up();
  const auto opened = [&](const Provenance& provenance) {
    link.edge.session.send(kPair, stanza({kPair.remote, kPair.local}, "a"), 1, link.now, provenance);
    link.exchange();
    return link.core.take<Opened>().size();
  };
  EXPECT_EQ(opened({"external", "198.51.100.7:1"}), 1U);
  EXPECT_EQ(opened({"external", "198.51.100.7:1"}), 0U);
  EXPECT_EQ(opened({"external", "198.51.100.7:2"}), 1U);
}

}  // namespace
}  // namespace sallyport::link
