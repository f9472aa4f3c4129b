#include "base/keyed_hash.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "base/index.h"

namespace sallyport {
namespace {

// The placement of names in tables by a hash without a key, which an attacker can compute offline.
std::uint64_t without_key(std::string_view name) {
  return std::hash<std::string_view>{}(name)*0x9E3779B97F4A7C15ULL;
}

// Returns `count` names below one domain, chosen so that the upper `bits` bits of their place without a key
// are zero.
std::vector<std::string> chosen_names(std::size_t count, int bits) {
  std::vector<std::string> names;
  for (std::uint64_t i = 0; names.size() < count; ++i) {
    std::string name = "n" + std::to_string(i) + ".evil.example";
    if (without_key(name) >> (64 - bits) == 0) names.push_back(std::move(name));
  }
  return names;
}

std::vector<std::string> names_in_sequence(std::size_t count) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back("host" + std::to_string(i) + ".other.example");
  return names;
}

// Returns the greatest number of names that share one of 1,024 places.
template <typename Hash>
std::size_t most_in_one_place(const std::vector<std::string>& names, Hash hash) {
  std::array<std::size_t, 1024> places{};
  for (const std::string& name : names) ++places[hash(name) >> 54];
  return *std::ranges::max_element(places);
}

TEST(KeyedHash, names_that_collide_without_a_key_do_not_under_two_keys) {
  const auto names = chosen_names(100, 10);
  ASSERT_EQ(most_in_one_place(names, without_key), 100U);
  for (const HashKey& key : {HashKey{1, 2}, HashKey{0x0123456789abcdefULL, 0xfedcba9876543210ULL}}) {
    const auto keyed = [&key](const std::string& name) {
      return siphash<1, 3>(key, name) * 0x9E3779B97F4A7C15ULL;
    };
    EXPECT_LE(most_in_one_place(names, keyed), 5U);
  }
  const auto own = [](const std::string& name) { return keyed_hash(name); };
  EXPECT_LE(most_in_one_place(names, own), 5U);
}

struct Probes {
  double mean;
  std::size_t most;
};

template <typename Hash>
Probes probes_of(const std::vector<std::string>& names, Hash hash) {
  Index<const std::string> index;
  for (const std::string& name : names) index.insert(hash(name), name);
  Probes found{0, 0};
  for (const std::string& name : names) {
    const std::size_t probes = index.probes(hash(name));
    found.mean += static_cast<double>(probes) / static_cast<double>(names.size());
    found.most = std::max(found.most, probes);
  }
  return found;
}

// The same for a table of an Index's size, placed without a key: each name goes to the first free place at or
// after its own.
double mean_probes_without_key(const std::vector<std::string>& names) {
  const std::size_t size = 2 * names.size();
  std::vector<std::size_t> wanted(size);
  for (const std::string& name : names) ++wanted[without_key(name) >> (64 - std::countr_zero(size))];
  // `waiting` names passed this place without finding a free one; one of them takes it.
  std::uint64_t passed = 0;
  std::size_t waiting = 0;
  for (std::size_t at = 0; at < size; ++at) {
    waiting += wanted[at];
    if (waiting > 0) --waiting;
    passed += waiting;
  }
  return 1 + static_cast<double>(passed) / static_cast<double>(names.size());
}

TEST(KeyedHash, a_table_of_65536_chosen_names_is_searched_as_one_of_any_names) {
  const auto chosen = chosen_names(65'536, 4);
  const auto any = names_in_sequence(65'536);
  // Without a key the attack works: a search reads thousands of entries.
  EXPECT_GT(mean_probes_without_key(chosen), 10'000);
  EXPECT_LT(mean_probes_without_key(any), 2);

  const auto own = [](const std::string& name) { return keyed_hash(name); };
  const Probes of_any = probes_of(any, own);
  const Probes of_chosen = probes_of(chosen, own);
  EXPECT_LT(of_chosen.mean, 1.1 * of_any.mean);
  EXPECT_LT(of_chosen.mean, 6);
  EXPECT_LT(of_chosen.most, 200U);
}

TEST(KeyedHash, pairs_of_chosen_names_are_searched_as_any) {
  // Few local names and many remote ones, as at an edge, and a square, in which a sum of two hashes has as
  // many equal places as equal sums.
  for (const auto& [locals, remotes] : {std::pair<std::size_t, std::size_t>{2, 32'768}, {256, 256}}) {
    const auto local = names_in_sequence(locals);
    const auto remote = chosen_names(remotes, 4);
    std::vector<std::uint64_t> pairs;
    for (const auto& a : local)
      for (const auto& b : remote) pairs.push_back(keyed_hash(keyed_hash(a), keyed_hash(b)));
    std::vector<std::uint64_t> sorted = pairs;
    std::ranges::sort(sorted);
    EXPECT_EQ(std::ranges::adjacent_find(sorted), sorted.end());
    Index<const std::string> index;
    for (const auto pair : pairs) index.insert(pair, local[0]);
    double mean = 0;
    for (const auto pair : pairs)
      mean += static_cast<double>(index.probes(pair)) / static_cast<double>(pairs.size());
    EXPECT_LT(mean, 6) << locals;
  }
}

TEST(KeyedHash, the_order_of_a_pair_counts) {
  const auto a = keyed_hash("a.example");
  const auto b = keyed_hash("b.example");
  EXPECT_NE(keyed_hash(a, b), keyed_hash(b, a));
  EXPECT_NE(keyed_hash(a, a), keyed_hash(b, b));
}

// Numbers that peers may choose from a sequence: those with the same place without a key.
TEST(KeyedHash, chosen_numbers_are_searched_as_any) {
  std::vector<std::uint64_t> numbers;
  for (std::uint64_t i = 1; numbers.size() < 4096; ++i)
    if (i * 0x9E3779B97F4A7C15ULL >> 56 == 0) numbers.push_back(i);
  Index<const std::string> index;
  const std::string thing;
  for (const auto number : numbers) index.insert(number, thing);
  double mean = 0;
  for (const auto number : numbers)
    mean += static_cast<double>(index.probes(number)) / static_cast<double>(numbers.size());
  EXPECT_LT(mean, 6);
}

TEST(KeyedHash, a_text_is_found_by_what_it_says) {
  TextMap<int> map{{"one", 1}};
  EXPECT_EQ(map.find(std::string_view("one"))->second, 1);
  EXPECT_FALSE(map.contains("two"));
  TextViewSet set{"one"};
  EXPECT_TRUE(set.contains("one"));
}

// Each case runs in a process of its own, in which nothing has been hashed yet.
TEST(KeyedHashDeathTest, the_key_of_the_process_is_set_before_the_first_hash_or_not_at_all) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  constexpr HashKey kOther{3, 4};
  const auto set_first = [&] {
    const bool was_set = set_hash_key({1, 2}) && set_hash_key(kOther);
    const auto hash = keyed_hash("example.com");
    const HashKey derived{siphash<2, 4>(kOther, "text 0"), siphash<2, 4>(kOther, "text 1")};
    std::_Exit(was_set && hash == siphash<1, 3>(derived, "example.com") ? 17 : 1);
  };
  const auto hash_first = [&] {
    const auto before = keyed_hash("example.com");
    const bool refused = !set_hash_key(kOther);
    std::_Exit(refused && keyed_hash("example.com") == before ? 17 : 1);
  };
  // Hashing a number or a pair seals the key, too.
  const auto place_first = [&] {
    const auto before = keyed_hash(std::uint64_t{1});
    std::_Exit(!set_hash_key(kOther) && keyed_hash(std::uint64_t{1}) == before ? 17 : 1);
  };
  EXPECT_EXIT(set_first(), testing::ExitedWithCode(17), "");
  EXPECT_EXIT(hash_first(), testing::ExitedWithCode(17), "");
  EXPECT_EXIT(place_first(), testing::ExitedWithCode(17), "");
}

}  // namespace
}  // namespace sallyport
