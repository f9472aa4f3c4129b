#include "base/shares.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>

namespace sallyport {
namespace {

using One = Shares<int>;
using Two = Shares<int, 2>;

// A budget of one kind with parts by number.
struct Budget {
  One shares{{.total = 8, .share = {4}}};
  std::map<int, One::Part> parts;
  int last = 0;

  One::Place place(const std::string& key, std::uint64_t amount = 1) { return shares.place({key}, amount); }
  int hold(const std::string& key, std::uint64_t amount = 1) {
    ++last;
    parts.emplace(last, shares.hold({key}, last, amount));
    return last;
  }
};

TEST(Shares, a_source_gets_its_share_and_not_one_more) {
  for (const std::uint64_t held : {0u, 1u, 3u, 4u}) {
    Budget budget;
    if (held > 0) budget.hold("a", held);
    for (std::uint64_t amount = 1; amount <= 5; ++amount) {
      const auto place = budget.place("a", amount);
      EXPECT_EQ(place.room, held + amount <= 4 ? One::Room::kFree : One::Room::kShareSpent)
          << held << "+" << amount;
      EXPECT_EQ(place.loser, nullptr);
    }
    EXPECT_EQ(budget.shares.held_by(0, "a"), held);
  }
}

TEST(Shares, when_the_total_is_spent_the_largest_loses_its_oldest_part_to_who_holds_less) {
  struct Row {
    std::map<std::string, int> held;  // parts of one each, in this order
    std::string newcomer;
    One::Room room;
    int loser;
  };
  const Row rows[] = {
      {{{"a", 4}, {"b", 3}}, "c", One::Room::kFree, 0},
      {{{"a", 4}, {"b", 4}}, "c", One::Room::kYields, 1},  // of two equals: the one with the oldest part
      {{{"a", 3}, {"b", 4}, {"c", 1}}, "d", One::Room::kYields, 4},
      {{{"a", 3}, {"b", 4}, {"c", 1}}, "c", One::Room::kYields, 4},
      {{{"a", 3}, {"b", 4}, {"c", 1}}, "a", One::Room::kYields, 4},
      {{{"a", 3}, {"b", 4}, {"c", 1}}, "b", One::Room::kShareSpent, 0},
      {{{"a", 3}, {"b", 3}, {"c", 2}}, "a", One::Room::kFull, 0},
      {{{"a", 3}, {"b", 3}, {"c", 2}}, "b", One::Room::kFull, 0},
      {{{"a", 3}, {"b", 3}, {"c", 2}}, "c", One::Room::kYields, 1},
      {{{"a", 2}, {"b", 2}, {"c", 2}, {"d", 2}}, "d", One::Room::kFull, 0},
  };
  for (const Row& row : rows) {
    Budget budget;
    for (const auto& [key, count] : row.held)
      for (int i = 0; i < count; ++i) budget.hold(key);
    const auto place = budget.place(row.newcomer);
    EXPECT_EQ(place.room, row.room) << &row - rows;
    EXPECT_EQ(place.loser == nullptr ? 0 : *place.loser, row.loser) << &row - rows;
  }
}

TEST(Shares, of_many_sources_with_one_part_each_the_oldest_part_goes) {
  constexpr int kMany = 1'000;
  One shares{{.total = kMany, .share = {10}}};
  std::map<int, One::Part> parts;
  for (int i = 0; i < kMany; ++i) parts.emplace(i, shares.hold({std::to_string(i)}, i));
  for (int i = 0; i < kMany; ++i) {
    const auto place = shares.place({"new" + std::to_string(i)});
    ASSERT_EQ(place.room, One::Room::kYields);
    ASSERT_EQ(*place.loser, i);
    parts.erase(i);
    parts.emplace(kMany + i, shares.hold({"new" + std::to_string(i)}, kMany + i));
  }
  EXPECT_EQ(shares.sources(), static_cast<std::size_t>(kMany));
  // A source that already holds one holds no less than they do.
  EXPECT_EQ(shares.place({"new0"}).room, One::Room::kFull);
}

TEST(Shares, what_is_released_is_free_once_however_often_it_is_released) {
  Budget budget;
  const int first = budget.hold("a", 2);
  const int second = budget.hold("a", 2);
  budget.parts[first].reset();
  EXPECT_EQ(budget.shares.held_by(0, "a"), 2u);
  budget.parts[first].reset();
  EXPECT_EQ(budget.shares.held_by(0, "a"), 2u);
  budget.shares.remove(budget.parts[second], 5);
  budget.shares.remove(budget.parts[second], 1);
  EXPECT_EQ(budget.shares.held(), 0u);
  EXPECT_EQ(budget.shares.oldest_of_largest(), nullptr);
  // Its owner may continue with it; then it is a young part.
  budget.hold("a");
  budget.shares.add(budget.parts[second], 3);
  EXPECT_EQ(budget.shares.held_by(0, "a"), 4u);
  EXPECT_EQ(*budget.shares.oldest_of_largest(), budget.last);
  budget.parts.clear();
  EXPECT_EQ(budget.shares.sources(), 0u);
}

TEST(Shares, a_source_is_forgotten_with_its_last_part) {
  One shares{{.total = 8, .share = {4}}};
  for (int i = 0; i < 10'000; ++i) {
    const auto part = shares.hold({std::to_string(i)}, i);
    ASSERT_EQ(shares.sources(), 1u);
  }
  EXPECT_EQ(shares.sources(), 0u);
}

TEST(Shares, a_part_that_moves_stays_counted_once) {
  One shares{{.total = 8, .share = {4}}};
  One::Part a = shares.hold({"a"}, 1, 2);
  One::Part b = std::move(a);
  EXPECT_EQ(shares.held(), 2u);
  b = shares.hold({"b"}, 2, 3);
  EXPECT_EQ(shares.held(), 3u);
  EXPECT_EQ(shares.held_by(0, "a"), 0u);
}

TEST(Shares, more_than_the_share_or_the_total_never_finds_room) {
  One shares{{.total = 8, .share = {100}}};
  EXPECT_EQ(shares.place({"a"}, 101).room, One::Room::kShareSpent);
  EXPECT_EQ(shares.place({"a"}, 9).room, One::Room::kFull);
  const auto part = shares.hold({"b"}, 1, 8);
  EXPECT_EQ(shares.place({"a"}, 9).room, One::Room::kFull);
  EXPECT_EQ(shares.place({"a"}, 8).room, One::Room::kYields);
}

TEST(Shares, a_part_without_a_source_counts_in_the_total_only) {
  One shares{{.total = 2, .share = {1}}};
  const auto first = shares.hold({""}, 1);
  EXPECT_EQ(shares.place({""}).room, One::Room::kFree);
  const auto second = shares.hold({""}, 2);
  EXPECT_EQ(shares.place({"a"}).room, One::Room::kFull);
  EXPECT_EQ(shares.sources(), 0u);
}

// --- two kinds: here an address and a domain

TEST(Shares, a_source_that_is_large_in_one_kind_does_not_pass_as_small_in_the_other) {
  Two shares{{.total = 8, .share = {6, 6}}};
  std::vector<Two::Part> parts;
  for (int i = 0; i < 6; ++i) parts.push_back(shares.hold({"flood", std::to_string(i)}, i));
  parts.push_back(shares.hold({"x", "x"}, 6));
  parts.push_back(shares.hold({"y", "y"}, 7));
  EXPECT_EQ(shares.place({"flood", "new"}).room, Two::Room::kShareSpent);
  const auto place = shares.place({"z", "z"});
  EXPECT_EQ(place.room, Two::Room::kYields);
  EXPECT_EQ(*place.loser, 0);
  parts.erase(parts.begin());
  parts.push_back(shares.hold({"z", "z"}, 8));
  // Five of eight: within the share, and still the largest.
  EXPECT_EQ(shares.place({"flood", "new"}).room, Two::Room::kFull);
}

TEST(Shares, one_source_does_not_spend_the_share_of_another_in_its_name) {
  Two shares{{.total = 100, .share = {4, 4}}};
  std::map<int, Two::Part> parts;
  parts.emplace(0, shares.hold({"honest", "victim"}, 0));
  for (int i = 1; i <= 3; ++i) parts.emplace(i, shares.hold({"flood", "victim"}, i));
  EXPECT_EQ(shares.place({"flood", "victim"}).room, Two::Room::kShareSpent);
  auto place = shares.place({"victim's", "victim"});
  ASSERT_EQ(place.room, Two::Room::kYields);
  EXPECT_EQ(*place.loser, 1);
  parts.erase(1);
  EXPECT_EQ(shares.place({"victim's", "victim"}).room, Two::Room::kFree);
}

// --- budgets whose parts cannot be taken back

TEST(Shares, however_many_sources_fill_a_budget_evenly_one_more_finds_room) {
  constexpr std::uint64_t kTotal = 64'000;
  constexpr std::uint64_t kShare = kTotal / 4;
  for (const std::size_t sources : {1u, 3u, 4u, 16u, 63u}) {
    std::vector<std::uint64_t> held(sources, 0);
    std::uint64_t all = 0;
    for (bool any = true; any;) {
      any = false;
      for (auto& each : held) {
        if (!has_even_room(each, 1, kShare, kTotal - all)) continue;
        ++each, ++all;
        any = true;
      }
    }
    for (const auto each : held) EXPECT_LE(each, kShare);
    EXPECT_GE(kTotal - all, kTotal / (sources + 1) - sources) << sources;
    EXPECT_GE(all, std::min(kTotal * sources / (sources + 1) - sources, kShare * sources)) << sources;
    EXPECT_TRUE(has_even_room(0, kTotal - all, kShare, kTotal - all));
    EXPECT_FALSE(has_even_room(0, kTotal - all + 1, kShare, kTotal - all));
  }
}

// --- sources

TEST(Shares, a_domain_counts_for_its_last_two_labels) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"example.com", "example.com"},
      {"a.example.com", "example.com"},
      {"a.b.c.example.com", "example.com"},
      {"localhost", "localhost"},
      {"", ""},
      {".com", ".com"},
      {"a..com", ".com"},
  };
  for (const auto& [domain, parent] : rows) EXPECT_EQ(parent_of_domain(domain), parent) << domain;
}

TEST(Shares, an_address_counts_for_itself_or_its_64_bit_network) {
  const auto v4 = [](std::uint8_t last) {
    return source_of_address({0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last});
  };
  const auto v6 = [](std::uint8_t network, std::uint8_t host) {
    return source_of_address({0x20, 1, 0xd, 0xb8, 0, 0, 0, network, 0, 0, 0, 0, 0, 0, 0, host});
  };
  EXPECT_EQ(v4(1), v4(1));
  EXPECT_NE(v4(1), v4(2));
  EXPECT_EQ(v6(1, 1), v6(1, 2));
  EXPECT_NE(v6(1, 1), v6(2, 1));
  EXPECT_NE(v4(1), source_of_address({}));
}

}  // namespace
}  // namespace sallyport
