#include "base/index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

namespace sallyport {
namespace {

TEST(Index, finds_what_was_put_and_nothing_else) {
  Index<const std::string> index;
  const auto any = [](const std::string&) { return true; };
  EXPECT_EQ(index.find(1, any), nullptr);
  const std::string one = "one";
  const std::string other = "other";
  index.insert(1, one);
  index.insert(1, other);  // the same number
  EXPECT_EQ(index.find(1, [](const std::string& s) { return s == "other"; }), &other);
  EXPECT_EQ(index.find(1, [](const std::string& s) { return s == "third"; }), nullptr);
  EXPECT_EQ(index.find(2, any), nullptr);
  index.erase(1, one);
  EXPECT_EQ(index.find(1, any), &other);
  index.clear();
  EXPECT_EQ(index.find(1, any), nullptr);
}

// Compares with a plain map: chains wrap round, grow and lose entries in the middle.
TEST(IndexedMap, does_what_a_plain_map_does) {
  struct Row {
    const char* name;
    std::uint64_t factor;  // of the keys
    std::uint64_t keys;
  };
  for (const Row& row : {Row{"few keys", 1, 8}, Row{"in sequence", 1, 500}, Row{"odd ones", 2, 500},
                         Row{"far apart", 1ULL << 40, 300}}) {
    SCOPED_TRACE(row.name);
    std::mt19937_64 random(7);
    IndexedMap<std::uint64_t, std::uint64_t> map;
    std::map<std::uint64_t, std::uint64_t> plain;
    for (int step = 0; step < 20'000; ++step) {
      const std::uint64_t key = random() % row.keys * row.factor;
      switch (random() % 4) {
        case 0:
        case 1:
          map[key] = plain[key] = random();
          break;
        case 2:
          EXPECT_EQ(map.erase(key), plain.erase(key) != 0);
          break;
        default:
          const auto* found = map.find(key);
          ASSERT_EQ(found != nullptr, plain.contains(key));
          if (found != nullptr) {
            EXPECT_EQ(found->second, plain[key]);
          }
      }
      ASSERT_EQ(map.size(), plain.size());
    }
    erase_if(map, [](const auto& entry) { return entry.second % 2 == 0; });
    std::erase_if(plain, [](const auto& entry) { return entry.second % 2 == 0; });
    for (std::uint64_t key = 0; key < row.keys; ++key)
      EXPECT_EQ(map.find(key * row.factor) != nullptr, plain.contains(key * row.factor));
    EXPECT_EQ((std::map<std::uint64_t, std::uint64_t>(map.begin(), map.end())), plain);
  }
}

TEST(IndexedMap, entries_stay_where_they_are) {
  IndexedMap<std::string, int> map;
  auto& first = map.get("first", 1);
  for (int i = 0; i < 1000; ++i) map[std::to_string(i)] = i;
  EXPECT_EQ(&first, map.find("first"));
  IndexedMap<std::string, int> moved = std::move(map);
  EXPECT_EQ(&first, moved.find("first"));
  EXPECT_EQ(map.find("first"), nullptr);
  EXPECT_EQ(moved.take("first"), 1);
  EXPECT_EQ(moved.find("first"), nullptr);
  EXPECT_EQ(moved.size(), 1000U);
}

}  // namespace
}  // namespace sallyport
