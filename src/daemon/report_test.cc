#include "daemon/report.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>

namespace sallyport::daemon {
namespace {

// Only the first error of a process counts, so each case is a process of its own; the answer is the last line
// of its standard error.
[[noreturn]] void answers(Exit exit, void (*command)()) {
  command();
  std::fputs(error_json(exit).c_str(), stderr);
  std::exit(static_cast<int>(exit));
}

TEST(ReportDeathTest, a_command_that_ends_without_an_answer_has_its_first_error_as_json) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(answers(Exit::kFailed,
                      [] {
                        failed({Code::kControlRefused, "why"});
                      }),
              ::testing::ExitedWithCode(1),
              R"(\{"error":\{"code":"control.refused",.*"text":"why","remedy":)");
  EXPECT_EXIT(answers(Exit::kFailed,
                      [] {
                        failed({Code::kFileUnreadable, "why"}, "Do that.");
                      }),
              ::testing::ExitedWithCode(1), R"("code":"file.unreadable",.*"text":"why","remedy":"Do that.")");
  EXPECT_EXIT(answers(Exit::kNoDaemon, [] { complain("no control socket", Code::kControlAbsent); }),
              ::testing::ExitedWithCode(4), R"("code":"control.absent",.*"text":"no control socket")");
  EXPECT_EXIT(answers(Exit::kUsage, [] { complain("several daemons run here"); }),
              ::testing::ExitedWithCode(2), R"("code":"",.*"text":"several daemons run here")");
  EXPECT_NE(usage_json("x\n").find(R"("text":"x")"), std::string::npos);
  EXPECT_EXIT(answers(Exit::kConfiguration,
                      [] {
                        report({{Code::kConfigKey, "core.toml", 3, 1, "unknown key"},
                                {Code::kConfigSyntax, "core.toml", 4, 1, "another"}},
                               {}, false);
                      }),
              ::testing::ExitedWithCode(3), R"("code":"config.key",.*"text":"core.toml:3:1: unknown key)");
}

TEST(ReportDeathTest, an_answer_that_was_printed_is_the_only_one) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(answers(Exit::kFailed,
                      [] {
                        print("{}\n");
                        complain("once more, for people");
                        std::fputs("behind: ", stderr);
                      }),
              ::testing::ExitedWithCode(1), "behind: $");
}

}  // namespace
}  // namespace sallyport::daemon
