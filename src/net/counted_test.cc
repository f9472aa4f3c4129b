#include "net/counted.h"

#include <gtest/gtest.h>

namespace sallyport::net {
namespace {

dns::Ip ip(const char* text) { return *dns::Ip::parse(text); }

TEST(Counted, an_ipv6_network_of_64_bits_is_one_address_and_a_v4_one_is_itself) {
  struct Row {
    const char* first;
    const char* second;
    bool is_same;
  };
  const Row rows[] = {
      {"192.0.2.1", "192.0.2.1", true},          {"192.0.2.1", "192.0.2.2", false},
      {"2001:db8::1", "2001:db8::ffff:1", true}, {"2001:db8::1", "2001:db8:0:1::1", false},
      {"::ffff:192.0.2.1", "192.0.2.1", true},
  };
  for (const Row& row : rows) {
    Counted counted(10, 1);
    EXPECT_NE(counted.add(ip(row.first), {0, 1}).ticket, 0U);
    EXPECT_EQ(counted.add(ip(row.second), {0, 3}).ticket == 0, row.is_same) << row.first << " " << row.second;
  }
}

TEST(Counted, a_place_is_free_again_when_it_is_removed_and_only_once) {
  Counted counted(2, 2);
  const auto first = counted.add(ip("192.0.2.1"), {0, 1}).ticket;
  counted.add(ip("192.0.2.1"), {0, 3});
  EXPECT_EQ(counted.add(ip("192.0.2.1"), {0, 5}).ticket, 0U);
  counted.remove(first);
  counted.remove(first);
  EXPECT_EQ(counted.held(), 1U);
  EXPECT_NE(counted.add(ip("192.0.2.1"), {0, 5}).ticket, 0U);
}

TEST(Counted, the_loser_is_told_where_it_is_now) {
  Counted counted(2, 2);
  const auto moved = counted.add(ip("192.0.2.1"), {0, 1}).ticket;
  counted.add(ip("192.0.2.1"), {0, 3});
  EXPECT_TRUE(counted.move(moved, {1, 7}));
  const auto admitted = counted.add(ip("192.0.2.2"), {0, 5});
  EXPECT_EQ(admitted.loser, (Counted::Where{1, 7}));
  EXPECT_NE(admitted.ticket, 0U);
  EXPECT_FALSE(counted.move(moved, {0, 9}));
}

TEST(Counted, what_this_node_dials_counts_for_no_address_but_takes_a_place) {
  Counted counted(2, 2);
  counted.add_own({0, 2});
  counted.add_own({0, 4});
  counted.add_own({0, 6});
  EXPECT_EQ(counted.add(ip("192.0.2.1"), {0, 1}).ticket, 0U);
}

}  // namespace
}  // namespace sallyport::net
