#include "base/nearest.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace sallyport {
namespace {

TEST(Nearest, is_the_word_that_was_meant_and_no_word_that_is_far_from_it) {
  constexpr std::array<std::string_view, 6> kKnown{"name",    "s2s",           "traversal",
                                                   "control", "control_group", "metrics"};
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"nmae", "name"},
      {"nam", "name"},
      {"s2", "s2s"},
      {"travarsel", "traversal"},
      {"controlgroup", "control_group"},
      {"metric", "metrics"},
      {"frobnicate", ""},
      {"x", ""},
      {"", ""},
      {"zzzzzzzzz", ""},
  };
  for (const auto& [word, meant] : cases) EXPECT_EQ(nearest(word, kKnown).value_or(""), meant) << word;
}

TEST(Nearest, of_nothing_is_nothing) { EXPECT_FALSE(nearest("name", {})); }

TEST(Nearest, of_a_long_word_looks_at_its_beginning_alone) {
  constexpr std::array<std::string_view, 1> kKnown{"name"};
  EXPECT_FALSE(nearest(std::string(1'000'000, 'n'), kKnown));
}

}  // namespace
}  // namespace sallyport
