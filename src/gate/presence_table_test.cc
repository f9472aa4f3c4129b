// What is shown across a pair, and taken back when the way is lost.
#include "gate/presence_table.h"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/log.h"
#include "gate/role_fixture.h"

namespace sallyport::gate {
namespace {

using policy::Direction;

struct PresenceTableTest : ::testing::Test {
  const Pair pair{domain("example.com"), domain("far.example")};
  PresenceTable table;

  static xmpp::Stanza presence(const std::string& from, const std::string& to, const std::string& type = {}) {
    xmpp::StanzaReader reader;
    const std::string attribute = type.empty() ? "" : " type='" + type + "'";
    return *reader.read(
        fmt::format("<presence from='{}' to='{}'{}><priority>1</priority></presence>", from, to, attribute));
  }
  void in(const std::string& from, const std::string& to, const std::string& type = {}) {
    table.note(pair, Direction::kIn, presence(from, to, type));
  }
  void out(const std::string& from, const std::string& to, const std::string& type = {}) {
    table.note(pair, Direction::kOut, presence(from, to, type));
  }
  Lines ends(Direction direction) {
    Lines lines;
    for (const auto& stanza : table.end(pair, direction)) lines.emplace_back(stanza.xml());
    return lines;
  }
};

TEST_F(PresenceTableTest, what_was_shown_is_taken_back_in_order_and_once) {
  in("bob@far.example/phone", "alice@example.com");
  in("room@far.example/nick&apos;s", "alice@example.com/desk");
  in("bob@far.example/phone", "alice@example.com");
  out("alice@example.com/desk", "bob@far.example");
  EXPECT_EQ(
      ends(Direction::kIn),
      (Lines{
          "<presence from='bob@far.example/phone' to='alice@example.com' type='unavailable'/>",
          "<presence from='room@far.example/nick&apos;s' to='alice@example.com/desk' type='unavailable'/>"}));
  EXPECT_EQ(ends(Direction::kIn), Lines{});
  EXPECT_EQ(table.size(), 1u);
  EXPECT_TRUE(table.has(pair, Direction::kOut));
}

TEST_F(PresenceTableTest, what_was_taken_back_by_its_own_server_or_refused_is_not_taken_back_again) {
  in("bob@far.example/phone", "alice@example.com");
  in("bob@far.example/phone", "alice@example.com", "unavailable");
  out("alice@example.com/desk", "room@far.example/nick");
  in("room@far.example/nick", "alice@example.com/desk", "error");
  EXPECT_EQ(ends(Direction::kIn), Lines{});
  EXPECT_EQ(ends(Direction::kOut), Lines{});
  EXPECT_EQ(table.size(), 0u);
}

TEST_F(PresenceTableTest, subscriptions_and_probes_show_nobody) {
  for (const char* type : {"subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"})
    in("bob@far.example", "alice@example.com", type);
  EXPECT_EQ(table.size(), 0u);
}

TEST_F(PresenceTableTest, a_pair_above_its_bound_keeps_the_latest) {
  table = PresenceTable({.per_pair = 2, .total = 10});
  for (const char* phone : {"1", "2", "3"}) in(fmt::format("bob@far.example/{}", phone), "alice@example.com");
  EXPECT_EQ(table.size(), 2u);
  const Lines ended = ends(Direction::kIn);
  ASSERT_EQ(ended.size(), 2u);
  EXPECT_NE(ended[0].find("/2'"), std::string::npos);
}

TEST_F(PresenceTableTest, a_full_table_takes_no_other_pair) {
  table = PresenceTable({.per_pair = 10, .total = 2});
  in("bob@far.example/1", "alice@example.com");
  in("bob@far.example/2", "alice@example.com");
  const Pair other{domain("example.com"), domain("near.example")};
  table.note(other, Direction::kIn, presence("eve@near.example/1", "alice@example.com"));
  EXPECT_EQ(table.size(), 2u);
  EXPECT_FALSE(table.has(other, Direction::kIn));
}

TEST_F(PresenceTableTest, what_is_repeated_is_no_news_until_it_was_taken_back) {
  const auto shows = [&](const std::string& type = {}) {
    return table.note(pair, Direction::kIn, presence("bob@far.example/a", "alice@example.com", type));
  };
  EXPECT_TRUE(shows());
  EXPECT_FALSE(shows());
  EXPECT_FALSE(shows("unavailable"));
  EXPECT_TRUE(shows());
  EXPECT_FALSE(shows());
  EXPECT_EQ(ends(Direction::kIn).size(), 1u);
  EXPECT_TRUE(shows());
  EXPECT_EQ(ends(Direction::kIn).size(), 1u);
}

TEST_F(PresenceTableTest, is_told_page_by_page_in_the_order_in_which_it_was_shown) {
  const std::string long_name(1000, 'r');
  const std::size_t many = limits::kShownPageBytesMax / 1000 + 10;
  for (std::size_t i = 0; i < many; ++i)
    (i % 2 == 0) ? in(fmt::format("bob@far.example/{}{}", long_name, i), "alice@example.com")
                 : out(fmt::format("alice@example.com/{}{}", long_name, i), "bob@far.example");
  in(fmt::format("bob@far.example/{}{}", long_name, 2), "alice@example.com", "unavailable");
  Lines told;
  std::uint64_t last = 0;
  std::size_t pages = 0;
  for (bool more = true; more; ++pages) {
    const auto page = table.page(last);
    for (const auto& each : page.shown) {
      EXPECT_EQ(each.direction, each.from.starts_with("bob") ? Direction::kIn : Direction::kOut);
      told.push_back(each.from.substr(each.from.rfind('r') + 1));
    }
    last = page.last;
    more = page.more;
  }
  Lines all;
  for (std::size_t i = 0; i < many; ++i)
    if (i != 2) all.push_back(std::to_string(i));
  EXPECT_EQ(told, all);
  EXPECT_EQ(pages, 2u);
  EXPECT_TRUE(table.page(last).shown.empty());
}

}  // namespace
}  // namespace sallyport::gate
