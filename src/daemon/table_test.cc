#include "daemon/table.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

json::object parsed(std::string_view text) { return json::parse(text).as_object(); }

TEST(Table, columns_are_as_wide_as_their_widest_cell) {
  EXPECT_EQ(aligned({"A", "LONG"}, {{"wide cell", "x"}, {"y", ""}}), "A          LONG\nwide cell  x\ny\n");
}

TEST(Table, characters_count_not_bytes) {
  EXPECT_EQ(aligned({"A", "B"}, {{"bücher", "1"}, {"bucher", "2"}}), "A       B\nbücher  1\nbucher  2\n");
}

TEST(Table, without_rows_is_nothing) { EXPECT_EQ(aligned({"A"}, {}), ""); }

TEST(Table, what_a_peer_chose_cannot_move_the_cursor) {
  const std::string out = aligned({"A"}, {{"x\x1b[2Jy\nz"}});
  EXPECT_EQ(out.find('\x1b'), std::string::npos);
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2);
}

TEST(Field, is_text_whatever_it_is) {
  const json::object object =
      parsed(R"({"s":"x","n":7,"t":true,"f":false,"l":["a",1],"e":[],"z":null,"q":""})");
  const std::pair<const char*, const char*> cases[] = {{"s", "x"},  {"n", "7"},    {"t", "yes"},
                                                       {"f", "no"}, {"l", "a, 1"}, {"e", "-"},
                                                       {"z", "-"},  {"q", "-"},    {"absent", "-"}};
  for (const auto& [name, text] : cases) EXPECT_EQ(field(object, name), text) << name;
}

TEST(Show, status_names_links_and_policy) {
  const std::string out = show_status(parsed(R"({"role":"core","name":"core.corp.example","version":"0.1.0",
    "since":"2026-11-22T20:00:00Z","policy":{"generation":3,"sha256":"0123456789abcdef0123","enabled":true,
    "privacy":"allow-list"},"links":[{"name":"vcse.example.com","state":"up","address":"192.0.2.10:7400",
    "since":"2026-11-22T20:00:01Z","last_error":null}],"streams":{"in":1,"out":2,"negotiating":0},
    "stanzas":{"in":4,"out":5,"refused":0,"uncertain":0,"fell_back":3},"waiting":{"stanzas":0,"bytes":0}})"));
  for (const char* part : {"core core.corp.example (sallyport 0.1.0)", "generation 3", "allow-list",
                           "0123456789abcdef\n", "1 in, 2 out, 0 negotiating", "0 uncertain, 3 fell_back",
                           "vcse.example.com  up     192.0.2.10:7400"}) {
    EXPECT_NE(out.find(part), std::string::npos) << part << "\nin\n" << out;
  }
}

TEST(Show, answers_without_their_members_are_shown_all_the_same) {
  const json::object empty;
  EXPECT_NE(show_status(empty).find("No link."), std::string::npos);
  EXPECT_EQ(show_connections(empty), "No connections.\n");
  EXPECT_EQ(show_explain(empty), "\n-\n");
  EXPECT_EQ(show_policy(empty), "There is no policy yet.\n");
  EXPECT_NE(show_policy_test(empty).find("because: -"), std::string::npos);
  EXPECT_NE(show_error(empty).find("[-]"), std::string::npos);
  // Members of the wrong type are harmless, too.
  const json::object wrong = parsed(R"({"links":7,"policy":[],"steps":{"a":1},"connections":["x",null]})");
  EXPECT_NE(show_status(wrong).find("none yet"), std::string::npos);
  EXPECT_EQ(show_connections(wrong), "No connections.\n");
  EXPECT_EQ(show_explain(wrong), "\n-\n");
}

TEST(Show, policy_changes_have_their_sign_and_come_whole) {
  const std::string list(600, 'x');
  const std::string out = show_policy_diff(parsed(R"({"changed":true,"generation":3,"sha256":"ab","changes":[
    {"table":"federation","row":"privacy","was":"allow-list","becomes":"off"},
    {"table":"allow","row":"a.example","becomes":"direction = both"},
    {"table":"deny","row":"b.example","was":"comment = \u202e\n)" +
                                                  list + R"("}],"warnings":["w"]})"));
  EXPECT_EQ(out,
            "~ [federation] privacy: allow-list -> off\n+ [[allow]] a.example: direction = both\n"
            "- [[deny]] b.example: comment = \\u202e\\u000a" +
                list + "\nwarning: w\nIn force: generation 3, sha256 ab\n");
}

TEST(Show, policies_without_a_difference_say_so) {
  EXPECT_TRUE(show_policy_diff(parsed(R"({"changed":false,"changes":[]})")).starts_with("No difference.\n"));
  EXPECT_TRUE(show_policy_diff(parsed(R"({"changed":true,"changes":[]})"))
                  .starts_with("The rows are the same; the text differs.\n"));
  EXPECT_EQ(show_policy_diff(parsed(R"({"errors":["policy.toml:3:1: no"]})")),
            "error: policy.toml:3:1: no\n");
}

TEST(Show, explain_marks_the_step_that_fails) {
  const std::string out =
      show_explain(parsed(R"({"steps":[{"what":"local domain","ok":true,"detail":"example.com"},
    {"what":"policy","ok":false,"detail":"no row matches","code":"policy.not-allowed"}],"result":"refused"})"));
  EXPECT_NE(out.find("ok  local domain"), std::string::npos);
  EXPECT_NE(out.find("NO  policy"), std::string::npos);
  EXPECT_NE(out.find("[policy.not-allowed]"), std::string::npos);
  EXPECT_TRUE(out.ends_with("\nrefused\n"));
}

TEST(Tables, own_quotes_stay_and_those_of_a_peer_are_escaped) {
  const json::object error{{"code", "tls.untrusted"},
                           {"sentence", "The peer's certificate (SRV target \".\")."},
                           {"text", "it's \"x\""},
                           {"remedy", "Don't."}};
  EXPECT_EQ(show_error(error),
            "The peer's certificate (SRV target \".\"). it\\'s \\\"x\\\" [tls.untrusted]\n  Don't.\n");
  const json::object status{
      {"links", json::array{json::object{{"name", "core-1"}, {"state", "down"}, {"last_error", "it's"}}}}};
  EXPECT_NE(show_status(status).find("it\\'s"), std::string::npos) << show_status(status);
}

TEST(Tables, what_stands_in_the_policy_is_the_administrators_own) {
  const std::string policy =
      show_policy(json::object{{"lists", json::array{json::object{{"comment", "it's \"x\""}}}}});
  EXPECT_NE(policy.find("comment=it's \"x\""), std::string::npos) << policy;
  EXPECT_EQ(show_policy_change(json::object{{"table", "allow"}, {"row", "a.example"}, {"becomes", "it's"}}),
            "+ [[allow]] a.example: it's\n");
}

TEST(Tables, status_shows_a_link_that_drains) {
  const std::string shown =
      show_status(json::object{{"links", json::array{json::object{{"name", "a"}, {"state", "draining"}}}}});
  EXPECT_NE(shown.find("a     draining"), std::string::npos) << shown;
}

TEST(Tables, status_shows_the_state_and_why_a_listener_is_not_open) {
  const std::string shown = show_status(json::object{
      {"state", "draining"}, {"listening", false}, {"listen_error", "net.address-in-use: 192.0.2.1:5269"}});
  EXPECT_NE(shown.find("state       draining\n"), std::string::npos) << shown;
  EXPECT_NE(shown.find("listening   no\n            net.address-in-use: 192.0.2.1:5269\n"), std::string::npos)
      << shown;
}

}  // namespace
}  // namespace sallyport::daemon
