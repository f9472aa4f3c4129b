#include "base/codes.h"

#include <gtest/gtest.h>

#include <set>

namespace sallyport {
namespace {

TEST(Codes, every_row_is_found_by_its_code_and_by_its_name) {
  std::set<std::string_view> names;
  std::size_t index = 0;
  for (const auto& row : code_table()) {
    EXPECT_EQ(static_cast<std::size_t>(row.code), index++);
    EXPECT_EQ(&code_row(row.code), &row);
    EXPECT_EQ(code_named(row.name), row.code);
    EXPECT_TRUE(names.insert(row.name).second) << row.name << " twice";
  }
  EXPECT_FALSE(code_named("no.such-code"));
}

TEST(Codes, every_row_says_what_happened_and_what_to_do) {
  for (const auto& row : code_table()) {
    EXPECT_NE(row.name.find('.'), std::string_view::npos) << row.name;
    EXPECT_TRUE(row.sentence.ends_with('.')) << row.name;
    EXPECT_TRUE(row.remedy.ends_with('.')) << row.name;
  }
}

}  // namespace
}  // namespace sallyport
