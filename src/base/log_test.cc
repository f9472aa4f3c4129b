#include "base/log.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace sallyport {
namespace {

TEST(Shown, what_could_deceive_a_reader_is_escaped) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {"", ""},
      {"partner.example", "partner.example"},
      {"Grüße, 日本 🎉", "Grüße, 日本 🎉"},
      {"a.example\nlevel=info msg=ok", R"(a.example\u000alevel=info msg=ok)"},
      {"\x1b[2J", R"(\u001b[2J)"},
      {"\x7f", R"(\u007f)"},
      {"\xc2\x85", R"(\u0085)"},
      {R"(say "hi" \ it's)", R"(say \"hi\" \\ it\'s)"},
      {"\xe2\x80\xae"
       "evil",
       R"(\u202eevil)"},
      {"\xe2\x81\xa6", R"(\u2066)"},
      {"\xd8\x9c", R"(\u061c)"},
      {"\xe2\x80\xa8", R"(\u2028)"},
      {"\xef\xbf\xbe", R"(\ufffe)"},
      {"\xff", R"(\xff)"},
      {"\xc0\xae", R"(\xc0\xae)"},                  // overlong
      {"\xed\xa0\x80", R"(\xed\xa0\x80)"},          // a surrogate
      {"\xf4\x90\x80\x80", R"(\xf4\x90\x80\x80)"},  // past U+10FFFF
      {"\xe2\x80", R"(\xe2\x80)"},                  // cut
      {std::string_view("a\0b", 3), R"(a\u0000b)"},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(shown(text), expected);
}

TEST(Shown, a_string_is_cut_one_byte_past_the_limit_on_a_character_boundary) {
  const std::string full(limits::kShownBytesMax, 'x');
  EXPECT_EQ(shown(full), full);
  EXPECT_EQ(shown(full + "x"), full + "…");
  // A character that would cross the limit is left out as a whole.
  const std::string almost(limits::kShownBytesMax - 1, 'x');
  EXPECT_EQ(shown(almost + "é"), almost + "…");
  EXPECT_EQ(shown(almost.substr(1) + "é"), almost.substr(1) + "é");
}

LogEvent event() {
  return {LogLevel::kWarning,
          "stream.end",
          {{"peer", "a.example"}, {"text", "two words"}, {"id", ""}, {"from", "x\nlevel=error"}}};
}

TEST(Log, a_text_line_quotes_only_what_needs_it) {
  EXPECT_EQ(format_text(event(), "2026-01-02T03:04:05Z"),
            R"(2026-01-02T03:04:05Z warning stream.end peer=a.example text="two words" id="" )"
            R"(from="x\u000alevel=error")");
}

TEST(Log, a_json_line_holds_the_shown_text) {
  EXPECT_EQ(format_json(event(), "2026-01-02T03:04:05Z"),
            R"({"time":"2026-01-02T03:04:05Z","level":"warning","event":"stream.end","peer":"a.example",)"
            R"("text":"two words","id":"","from":"x\\u000alevel=error"})");
}

TEST(Log, a_quote_cannot_end_a_json_string) {
  EXPECT_EQ(format_json({LogLevel::kInfo, "e", {{"k", R"(a","level":"error)"}}}, "t"),
            R"({"time":"t","level":"info","event":"e","k":"a\",\"level\":\"error"})");
}

TEST(Log, an_apostrophe_ends_no_value_and_stays_as_it_is) {
  const LogEvent own{LogLevel::kInfo, "e", {{"why", R"(the peer's "certificate" \)"}}};
  EXPECT_EQ(format_text(own, "t"), R"(t info e why="the peer's \"certificate\" \\")");
  EXPECT_EQ(format_json(own, "t"),
            R"({"time":"t","level":"info","event":"e","why":"the peer's \"certificate\" \\"})");
}

TEST(Legible, keeps_quotes_and_escapes_what_could_deceive_a_reader) {
  EXPECT_EQ(legible(R"(the peer's "key" \)"), R"(the peer's "key" \)");
  EXPECT_EQ(legible("a\nb\xe2\x80\xae\x1b[2J\xff"), R"(a\u000ab\u202e\u001b[2J\xff)");
  EXPECT_EQ(legible(std::string(limits::kShownBytesMax + 1, '\'')),
            std::string(limits::kShownBytesMax, '\'') + "…");
}

}  // namespace
}  // namespace sallyport
