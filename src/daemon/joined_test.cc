#include "daemon/joined.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "daemon/table.h"
#include "s2s/header_hint.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

json::object object(std::string_view text) { return json::parse(text).as_object(); }

const std::string kFirst =
    R"({"role":"edge","listening":true,"policy":{"generation":3,"sha256":"x"},"links":[{"name":"a","state":"up"},{"name":"b","state":"down"}],)"
    R"("streams":{"in":1,"out":2},"stanzas":{"in":10},"waiting":{"bytes":5}})";
const std::string kSecond =
    R"({"role":"edge","listening":false,"policy":{"generation":2,"sha256":"y"},"links":[{"name":"a","state":"pushing"},{"name":"b","state":"down"}],)"
    R"("streams":{"in":3,"out":4},"stanzas":{"in":20},"waiting":{"bytes":6}})";

TEST(Joined, one_shard_answers_for_itself_byte_for_byte) {
  for (const char* ask : {"status", "connections", "explain", "policy show"}) {
    EXPECT_EQ(join_answers(ask, {"{ \"as\" : \"it is\" }"}, 1), "{ \"as\" : \"it is\" }") << ask;
  }
}

TEST(Joined, a_status_sums_what_is_counted_and_shows_each_link) {
  const json::object joined = object(join_answers("status", {kFirst, kSecond}, 2));
  EXPECT_EQ(json::serialize(joined.at("streams")), R"({"in":4,"out":6})");
  EXPECT_EQ(json::serialize(joined.at("stanzas")), R"({"in":30})");
  EXPECT_EQ(json::serialize(joined.at("shards")), R"({"count":2,"in_use":2})");
  EXPECT_EQ(json::serialize(joined.at("policy")), R"({"generation":2,"sha256":"y"})");
  EXPECT_EQ(joined.at("listening"), false);
  EXPECT_EQ(json::serialize(joined.at("links")),
            R"([{"name":"a","state":"up","shard":0},{"name":"a","state":"pushing","shard":1},)"
            R"({"name":"b","state":"down","shard":0},{"name":"b","state":"down","shard":1}])");
  const std::string shown = show_status(joined);
  EXPECT_NE(shown.find("shards      2 of 2 in use\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("SHARD"), std::string::npos) << shown;
}

TEST(Joined, a_shard_that_is_not_in_use_is_no_fault) {
  const json::object joined = object(join_answers("status", {kFirst, kSecond}, 1));
  EXPECT_EQ(joined.at("listening"), true);
  EXPECT_EQ(joined.at("links").as_array().size(), 2U);
  EXPECT_EQ(json::serialize(joined.at("policy")), R"({"generation":3,"sha256":"x"})");
  // The stanzas that it has carried are still counted.
  EXPECT_EQ(json::serialize(joined.at("stanzas")), R"({"in":30})");
}

TEST(Joined, an_edge_has_a_policy_when_each_of_its_shards_has_one) {
  const json::object joined = object(join_answers("status", {kFirst, R"({"policy":{},"links":[]})"}, 2));
  EXPECT_TRUE(joined.at("policy").as_object().empty());
}

TEST(Joined, connections_are_those_of_all_with_their_shard) {
  const std::string joined = join_answers(
      "connections",
      {R"({"connections":[{"local":"a"}]})", R"({"connections":[{"local":"b"},{"local":"c"}]})"}, 2);
  EXPECT_EQ(joined,
            R"({"connections":[{"local":"a","shard":0},{"local":"b","shard":1},{"local":"c","shard":1}]})");
  EXPECT_NE(show_connections(object(joined)).find("SHARD"), std::string::npos);
}

TEST(Joined, explain_is_of_the_shard_that_carries_the_pair_or_knows_of_a_failure) {
  const auto answer = [](std::string_view result, std::string_view steps) {
    return json::serialize(
        json::object{{"remote", "partner.example"}, {"result", result}, {"steps", json::parse(steps)}});
  };
  const std::size_t home = s2s::shard_of("partner.example", 2);
  const auto from = [&](const std::string& at_home, const std::string& elsewhere) {
    return join_answers("explain",
                        home == 0 ? std::vector{at_home, elsewhere} : std::vector{elsewhere, at_home}, 2);
  };
  EXPECT_EQ(from(answer("ok", R"([{"what":"home"}])"), answer("ok", R"([{"what":"other"}])")),
            answer("ok", R"([{"what":"home"}])"));
  EXPECT_EQ(from(answer("ok", "[1,2]"), answer("refused", "[1]")), answer("refused", "[1]"));
  EXPECT_EQ(from(answer("ok", "[1]"), answer("ok", "[1,2]")), answer("ok", "[1,2]"));
  EXPECT_EQ(join_answers("explain", {R"({"error":{}})", R"({"error":{}})"}, 2), R"({"error":{}})");
}

TEST(Joined, what_is_the_same_everywhere_is_answered_by_the_first) {
  EXPECT_EQ(join_answers("policy show", {"{\"a\":1}", "{\"a\":2}"}, 2), "{\"a\":1}");
}

}  // namespace
}  // namespace sallyport::daemon
