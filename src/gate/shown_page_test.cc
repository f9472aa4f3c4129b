// What an edge and a new core say to each other about presence that is shown.
#include "gate/shown_page.h"

#include <gtest/gtest.h>

namespace sallyport::gate {
namespace {

using policy::Direction;

TEST(ShownPage, arrives_as_it_was_written) {
  const ShownPage page{{{Direction::kOut, "alice@example.com/\"desk\"", "bob@far.example"},
                        {Direction::kIn, "bob@far.example/é", "alice@example.com"}},
                       18'446'744'073'709'551'615u,
                       true};
  const auto read = parse_shown(shown_answer(page));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->last, page.last);
  EXPECT_TRUE(read->more);
  ASSERT_EQ(read->shown.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(read->shown[i].direction, page.shown[i].direction);
    EXPECT_EQ(read->shown[i].from, page.shown[i].from);
    EXPECT_EQ(read->shown[i].to, page.shown[i].to);
  }
}

TEST(ShownPage, is_asked_for_by_number) {
  EXPECT_EQ(shown_after(shown_question(0)), 0u);
  EXPECT_EQ(shown_after(shown_question(7)), 7u);
  for (const char* other : {"", "[]", "{}", R"({"ask":"status"})", R"({"ask":"presence"})", R"({"after":1})",
                            R"({"ask":"presence","after":-1})", R"({"ask":"presence","after":"1"})",
                            R"({"ask":1,"after":1})", R"({"ask":"presence","after":1)"})
    EXPECT_FALSE(shown_after(other)) << other;
}

TEST(ShownPage, that_is_damaged_is_refused) {
  for (const char* answer :
       {"", "[]", "{}", R"({"shown":[],"last":1})", R"({"shown":{},"last":1,"more":false})",
        R"({"shown":[],"last":-1,"more":false})", R"({"shown":[],"last":1,"more":0})",
        R"({"shown":[["out","a@x.example"]],"last":1,"more":false})",
        R"({"shown":[["both","a@x.example","b@y.example"]],"last":1,"more":false})",
        R"({"shown":[["in","a@x.example",1]],"last":1,"more":false})",
        R"({"shown":[1],"last":1,"more":false})"})
    EXPECT_FALSE(parse_shown(answer)) << answer;
}

}  // namespace
}  // namespace sallyport::gate
