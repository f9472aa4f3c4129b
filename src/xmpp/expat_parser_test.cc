#include "xmpp/expat_parser.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <string>

namespace sallyport::xmpp {
namespace {

class Deaf : public XmlHandler {
  void handle_namespace(std::string_view, std::string_view) override {}
  void handle_start(QNameView, AttributesView) override {}
  void handle_end(QNameView) override {}
  void handle_text(std::string_view) override {}
};

// Names of elements, attributes and prefixes are keys of Expat's hash tables, and peers choose them. With
// this variable Expat prints the salt of each parser: "expat: Entropy: getrandom --> 0x... (8 bytes)".
TEST(ExpatParser, each_has_a_salt_of_its_own_for_its_tables) {
  ::setenv("EXPAT_ENTROPY_DEBUG", "1", 1);
  testing::internal::CaptureStderr();
  for (int i = 0; i < 3; ++i) {
    Deaf handler;
    ExpatParser parser(handler);
    EXPECT_TRUE(parser.parse("<a xmlns='u' b='c'/>"));
  }
  const std::string shown = testing::internal::GetCapturedStderr();
  ::unsetenv("EXPAT_ENTROPY_DEBUG");
  std::set<std::string> salts;
  for (auto at = shown.find("--> 0x"); at != std::string::npos; at = shown.find("--> 0x", at + 1))
    salts.insert(shown.substr(at + 6, 16));
  EXPECT_EQ(salts.size(), 3U) << shown;
  EXPECT_FALSE(salts.contains("0000000000000000"));
}

}  // namespace
}  // namespace sallyport::xmpp
