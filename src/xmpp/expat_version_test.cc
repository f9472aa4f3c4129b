#include "xmpp/expat_version.h"

#include <gtest/gtest.h>

namespace sallyport::xmpp {
namespace {

TEST(ExpatVersion, what_lacks_the_fixes_is_refused) {
  const struct {
    ExpatFacts facts;
    bool good;
    const char* which;
  } cases[] = {
      {{2, 4, 9, false, false}, false, "too old"},
      {{2, 5, 0, false, false}, false, "2.5.0 as upstream released it"},
      {{2, 5, 0, true, false}, false, "Debian's 2.5.0-1+deb12u2 to deb12u4"},
      {{2, 5, 0, false, true}, false, "none that is known"},
      {{2, 5, 0, true, true}, true, "Debian's 2.5.0-1+deb12u5"},
      {{2, 6, 0, true, false}, true, "the first release with deferral"},
      {{2, 7, 1, true, false}, true, "Debian 13"},
      {{2, 7, 3, true, true}, true, "the newest"},
      {{3, 0, 0, true, true}, true, "the next"},
      {{1, 95, 8, false, false}, false, "ancient"},
  };
  for (const auto& one : cases) {
    const Result<void> validated = check_expat(one.facts);
    EXPECT_EQ(validated.has_value(), one.good) << one.which;
    if (!validated) {
      EXPECT_EQ(validated.error().code, Code::kLibraryOutdated) << one.which;
    }
  }
}

TEST(ExpatVersion, the_refusal_names_the_installed_and_the_needed_version) {
  const std::string text = check_expat({2, 5, 0, true, false}).error().text;
  EXPECT_NE(text.find("libexpat 2.5.0 is installed"), std::string::npos) << text;
  EXPECT_NE(text.find("2.5.0-1+deb12u5"), std::string::npos) << text;
}

// Fails on a build machine that lacks the packages of script/install.
TEST(ExpatVersion, the_library_here_may_be_used) {
  const ExpatFacts facts = expat_facts();
  EXPECT_GE(facts.major, 2);
  EXPECT_TRUE(facts.defers_reparsing);
  EXPECT_TRUE(check_expat(facts)) << check_expat(facts).error().text;
}

}  // namespace
}  // namespace sallyport::xmpp
