#include "daemon/queue_text.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>

#include "daemon/joined.h"
#include "daemon/table.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

json::object object(std::string_view text) { return json::parse(text).as_object(); }

constexpr UnixTime kNow{1'800'000'000s};  // 2027-01-15T08:00:00Z

constexpr std::string_view kFailing =
    R"("failing":{"code":"spool.unwritable","sentence":"The spool could not be written.",)"
    R"("text":"/s/spool.db: disk\nfull","remedy":"Make room."})";

const std::string kFlows =
    R"([{"direction":"out","local":"example.com","remote":"b.example","messages":2,"bytes":3072,"on_way":1,)"
    R"("ages":[1,0,1],"oldest":"2027-01-15T04:48:00Z"},)"
    R"({"direction":"out","local":"example.com","remote":"a.example","messages":12,"bytes":100,"on_way":0,)"
    R"("ages":[0,2,10],"oldest":"2027-01-13T03:00:00Z","next_attempt":"2027-01-15T08:01:30Z",)"
    R"("code":"link.down","last_error":"it's\u001b[2J down"},)"
    R"({"direction":"in","local":"example.com","remote":"b.example","messages":1,"bytes":5,"on_way":0,)"
    R"("ages":[1,0,0],"oldest":"2027-01-15T08:00:00Z","next_attempt":"2027-01-15T07:59:59Z"}])";
const std::string kList =
    R"({"queue":{"messages":15,"bytes":7017},"age_minutes":[5,10],"flows":)" + kFlows + "}";

TEST(QueueText, sizes_and_ages_are_short) {
  const std::pair<std::uint64_t, const char*> sizes[] = {{0, "0 B"},
                                                         {1023, "1023 B"},
                                                         {1024, "1.0 KiB"},
                                                         {10'188, "9.9 KiB"},
                                                         {10'189, "10 KiB"},
                                                         {1'048'063, "1023 KiB"},
                                                         {1'048'064, "1.0 MiB"},
                                                         {34ULL << 20, "34 MiB"},
                                                         {5ULL << 30, "5.0 GiB"},
                                                         {~0ULL, "16 EiB"}};
  for (const auto& [bytes, text] : sizes) EXPECT_EQ(bytes_text(bytes), text) << bytes;
  const std::pair<std::chrono::seconds, const char*> ages[] = {
      {-5s, "0s"},         {59s, "59s"},         {60s, "1m"},        {3599s, "59m"},
      {11'520s, "3h 12m"}, {86'399s, "23h 59m"}, {86'400s, "1d 0h"}, {187'200s, "2d 4h"}};
  for (const auto& [age, text] : ages) EXPECT_EQ(age_text(age), text) << age.count();
}

TEST(QueueText, the_list_begins_with_the_pair_that_has_most) {
  EXPECT_EQ(show_queue_list(object(kList), "", kNow),
            "DIR  LOCAL        REMOTE     MESSAGES  SIZE     OLDEST  ON THE WAY  NEXT ATTEMPT  LAST ERROR\n"
            "out  example.com  a.example  12        100 B    2d 5h   0           in 1m         link.down: "
            "it\\'s\\u001b[2J down\n"
            "out  example.com  b.example  2         3.0 KiB  3h 12m  1           -             -\n"
            "in   example.com  b.example  1         5 B      0s      0           now           -\n"
            "Total: 15 messages, 3.1 KiB\n");
}

TEST(QueueText, an_empty_queue_says_so_and_a_failing_one_too) {
  const std::string empty = R"({"queue":{"messages":0,"bytes":0},"flows":[]})";
  const std::string failing =
      R"({"queue":{"messages":0,"bytes":0,)" + std::string(kFailing) + R"(},"flows":[]})";
  EXPECT_EQ(show_queue_list(object(empty), "", kNow), "The queue is empty.\n");
  EXPECT_EQ(show_queue_list(object(failing), "", kNow),
            "The spool fails: The spool could not be written. /s/spool.db: disk\\u000afull "
            "[spool.unwritable]\n  Make room.\nThe queue is empty.\n");
  EXPECT_EQ(show_queue_list(object(R"({"queue":{"messages":3},"flows":[]})"), "c.example", kNow),
            "No message waits for c.example.\n");
  // Members that are absent, or of another type, are harmless.
  EXPECT_EQ(show_queue_list({}, "", kNow), "The queue is empty.\n");
  const std::string odd =
      show_queue_list(object(R"({"queue":7,"flows":[7,{"messages":"x","oldest":"yesterday"}]})"), "", kNow);
  EXPECT_NE(odd.find("Total: 0 messages"), std::string::npos) << odd;
}

TEST(QueueText, status_has_a_line_for_the_queue_of_a_core) {
  const std::string shown =
      show_status(object(R"({"queue":{"messages":1,"bytes":400,)" + std::string(kFailing) + "}}"));
  EXPECT_NE(shown.find("queue       1 message, 400 B\n            The spool fails: The spool could"),
            std::string::npos)
      << shown;
  EXPECT_NE(shown.find("\n              Make room.\n"), std::string::npos) << shown;
  EXPECT_EQ(show_status({}).find("queue"), std::string::npos) << "an edge has none";
}

TEST(QueueShape, is_printed_as_postfix_prints_it) {
  EXPECT_EQ(show_queue_shape(queue_shape(object(kList), "")),
            "           T 5 10 10+\n"
            "    TOTAL 15 2  2  11\n"
            "a.example 12 0  2  10\n"
            "b.example  3 2  0   1\n");
  EXPECT_EQ(show_queue_shape(queue_shape(object(kList), "in")),
            "          T 5 10 10+\n"
            "    TOTAL 1 1  0   0\n"
            "b.example 1 1  0   0\n");
  EXPECT_EQ(show_queue_shape(queue_shape(object(kList), "", "a.example")),
            "           T 5 10 10+\n"
            "    TOTAL 12 0  2  10\n"
            "a.example 12 0  2  10\n");
  EXPECT_EQ(show_queue_shape(queue_shape(object(R"({"age_minutes":[5,10],"flows":[]})"), "")),
            "      T 5 10 10+\n"
            "TOTAL 0 0  0   0\n");
  EXPECT_EQ(json::serialize(queue_shape(object(kList), "out")),
            R"({"age_minutes":[5,10],"total":{"messages":14,"ages":[1,2,11]},)"
            R"("domains":[{"messages":12,"ages":[0,2,10],"remote":"a.example"},)"
            R"({"messages":2,"ages":[1,0,1],"remote":"b.example"}]})");
}

TEST(QueueText, messages_are_shown_with_a_peers_text_escaped) {
  const std::string shown = show_queue_messages(
      object(
          R"({"messages":[{"number":7,"direction":"in","bytes":2048,"accepted":"2027-01-15T07:00:00Z",)"
          R"("waited":3600,"expires":"2027-01-16T07:00:00Z","from":"a@b.example/\u202e'","to":"c@example.com",)"
          R"("type":"x\ny","id":"1\u001b[2J"},)"
          R"({"number":8,"error":{"code":"xml.malformed","text":"the stored stanza is not valid"}}],"more":true})"),
      "for b.example");
  for (const char* part :
       {"7       in   2.0 KiB  2027-01-15T07:00:00Z  1h 0m   2027-01-16T07:00:00Z  x\\u000ay  "
        "a@b.example/\\u202e\\'  c@example.com  1\\u001b[2J\n",
        "the stored stanza is not valid [xml.malformed]\n", "There are more; --count"}) {
    EXPECT_NE(shown.find(part), std::string::npos) << part << "\nin\n" << shown;
  }
  EXPECT_EQ(show_queue_messages({}, "17"), "The queue has no message 17.\n");
}

TEST(QueueText, orders_say_what_they_did) {
  EXPECT_EQ(show_queue_retry(object(R"({"flows":0})")), "No message waits for its next attempt.\n");
  EXPECT_EQ(show_queue_retry(object(R"({"flows":1})")),
            "The messages of 1 pair of domains are tried again now.\n");
  EXPECT_EQ(show_queue_purge(object(R"({"messages":0})")), "No message was removed.\n");
  EXPECT_TRUE(show_queue_purge(object(R"({"messages":2})")).starts_with("2 messages "));
}

TEST(Joined, the_queue_is_that_of_all_shards) {
  const auto part = [](std::string_view remote, const std::string& more) {
    return R"({"queue":{"messages":1,"bytes":10)" + more + R"(},"age_minutes":[5],"flows":[{"remote":")" +
           std::string(remote) + R"("}]})";
  };
  const json::object list =
      object(join_answers("queue list", {part("a", ""), part("b", "," + std::string(kFailing))}, 2));
  EXPECT_EQ(json::serialize(list.at("flows")), R"([{"remote":"a"},{"remote":"b"}])");
  EXPECT_EQ(field(object_at(list, "queue"), "messages"), "2");
  EXPECT_EQ(field(object_at(object_at(list, "queue"), "failing"), "code"), "spool.unwritable");
  EXPECT_EQ(json::serialize(list.at("age_minutes")), "[5]");
  const json::object status = object(join_answers("status", {part("a", ""), part("b", "")}, 2));
  EXPECT_EQ(json::serialize(status.at("queue")), R"({"messages":2,"bytes":20})");
  EXPECT_FALSE(object(join_answers("status", {"{}", "{}"}, 2)).contains("queue"));
}

TEST(Joined, orders_for_the_queue_go_to_all_shards) {
  EXPECT_EQ(join_answers("queue retry", {R"({"flows":1})", R"({"flows":2})"}, 2), R"({"flows":3})");
  EXPECT_EQ(join_answers("queue purge", {R"({"messages":0})", R"({"messages":5})"}, 1), R"({"messages":5})");
  EXPECT_EQ(join_answers("queue purge", {R"({"messages":1})", R"({"error":{"code":"x"}})"}, 2),
            R"({"error":{"code":"x"}})");
  for (const char* ask : {"queue list", "queue retry", "queue purge"}) EXPECT_TRUE(is_joined(ask)) << ask;
  EXPECT_FALSE(is_joined("queue show"));
}

}  // namespace
}  // namespace sallyport::daemon
