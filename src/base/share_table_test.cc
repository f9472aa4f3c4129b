#include "base/share_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sallyport {
namespace {

using Table = ShareTable<std::string, int>;

struct ShareTableTest : testing::Test {
  // Row `n` of an address in a group.
  void put(const std::string& group, const std::string& address, int n) {
    table.put(group, sha256(group + address), key(n)) = n;
  }
  static Digest256 key(int n) { return sha256(std::to_string(n)); }
  bool has(int n) {
    const int* found = table.find(key(n));
    return found != nullptr && *found == n;
  }

  Table table{{.per_address = 3, .per_group = 5, .in_all = 9}};
};

TEST_F(ShareTableTest, a_row_is_found_until_it_is_erased) {
  put("g", "a", 1);
  EXPECT_TRUE(has(1));
  EXPECT_FALSE(has(2));
  table.erase(key(1));
  table.erase(key(1));
  EXPECT_FALSE(has(1));
  EXPECT_TRUE(table.empty());
}

TEST_F(ShareTableTest, a_row_that_is_put_again_is_the_same_row) {
  put("g", "a", 1);
  EXPECT_EQ(table.put("g", sha256("ga"), key(1)), 1);
  EXPECT_EQ(table.size(), 1u);
}

TEST_F(ShareTableTest, an_address_at_its_bound_loses_its_own_oldest_row) {
  put("g", "other", 9);
  for (int n = 1; n <= 3; ++n) put("g", "a", n);
  EXPECT_EQ(table.size(), 4u);
  put("g", "a", 4);
  EXPECT_EQ(table.size(), 4u);
  EXPECT_FALSE(has(1));
  for (const int n : {2, 3, 4, 9}) EXPECT_TRUE(has(n)) << n;
}

TEST_F(ShareTableTest, what_was_used_is_not_the_oldest) {
  for (int n = 1; n <= 3; ++n) put("g", "a", n);
  EXPECT_TRUE(has(1));
  put("g", "a", 4);
  EXPECT_TRUE(has(1));
  EXPECT_FALSE(has(2));
}

TEST_F(ShareTableTest, a_group_at_its_bound_loses_its_own_oldest_row) {
  put("other", "a", 9);
  for (int n = 1; n <= 5; ++n) put("g", "a" + std::to_string(n), n);
  EXPECT_EQ(table.size(), 6u);
  put("g", "a6", 6);
  EXPECT_EQ(table.size(), 6u);
  EXPECT_FALSE(has(1));
  for (const int n : {2, 3, 4, 5, 6, 9}) EXPECT_TRUE(has(n)) << n;
}

TEST_F(ShareTableTest, a_full_table_takes_from_its_largest_group) {
  for (int n = 1; n <= 5; ++n) put("large", "a" + std::to_string(n), n);
  for (int n = 6; n <= 9; ++n) put("small", "a" + std::to_string(n), n);
  EXPECT_EQ(table.size(), 9u);
  put("new", "a", 10);
  EXPECT_EQ(table.size(), 9u);
  EXPECT_FALSE(has(1));
  for (int n = 2; n <= 10; ++n) EXPECT_TRUE(has(n)) << n;
  // Both have four rows now: one of the two loses a row, never the third.
  put("new", "b", 11);
  put("new", "c", 12);
  EXPECT_TRUE(has(10));
  EXPECT_TRUE(has(11));
  EXPECT_TRUE(has(12));
}

TEST_F(ShareTableTest, groups_are_kept_or_forgotten_whole) {
  for (int n = 1; n <= 4; ++n) put(n % 2 == 0 ? "even" : "odd", "a", n);
  table.retain([](const std::string& group) { return group == "even"; });
  EXPECT_EQ(table.size(), 2u);
  EXPECT_FALSE(has(1) || has(3));
  EXPECT_TRUE(has(2) && has(4));
}

// Compares with the promised bounds over many random steps; also meant for AddressSanitizer.
TEST_F(ShareTableTest, no_bound_is_ever_exceeded) {
  std::uint32_t seed = 1;
  const auto below = [&seed](std::uint32_t n) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
  };
  std::map<int, std::pair<std::string, std::string>> owners;
  for (int step = 1; step <= 5000; ++step) {
    const std::string group = "g" + std::to_string(below(4));
    const std::string address = "a" + std::to_string(below(4));
    switch (below(8)) {
      case 0:
        table.erase(key(static_cast<int>(below(static_cast<std::uint32_t>(step)))));
        break;
      case 1:
        if (below(20) == 0) table.retain([&](const std::string& each) { return each != group; });
        break;
      default:
        put(group, address, step);
        owners[step] = {group, address};
        ASSERT_TRUE(has(step));
    }
    if (step % 50 != 0) continue;
    std::map<std::string, std::size_t> of_group;
    std::map<std::pair<std::string, std::string>, std::size_t> of_address;
    std::size_t all = 0;
    for (const auto& [n, owner] : owners) {
      if (!has(n)) continue;
      ++all;
      ASSERT_LE(++of_group[owner.first], 5u);
      ASSERT_LE(++of_address[owner], 3u);
    }
    ASSERT_EQ(all, table.size());
    ASSERT_LE(all, 9u);
  }
}

}  // namespace
}  // namespace sallyport
