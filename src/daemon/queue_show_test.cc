#include "daemon/queue_show.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "daemon/table.h"
#include "net/spool_file.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

json::object object(std::string_view text) { return json::parse(text).as_object(); }

TEST(QueueFilter, names_a_message_or_a_domain) {
  const struct {
    const char* question;
    const char* refused;  // a part of the text; null: it is valid
    std::size_t count = limits::kQueueShown;
  } cases[] = {
      {R"({"number":7})", nullptr},
      {R"({"number":9223372036854775807,"count":1000})", nullptr, 1000},
      {R"({"domain":"partner.example","count":1})", nullptr, 1},
      {R"({"domain":"BÜCHER.example"})", nullptr},
      {"{}", "neither"},
      {R"({"count":5})", "neither"},
      {R"({"number":-1})", "`number`"},
      {R"({"number":"7"})", "`number`"},
      {R"({"number":1.5})", "`number`"},
      {R"({"domain":7})", "`domain`"},
      {R"({"domain":"not a domain"})", "`domain`"},
      {R"({"domain":""})", "`domain`"},
      {R"({"number":7,"count":0})", "`count`"},
      {R"({"number":7,"count":1001})", "`count`"},
      {R"({"number":7,"count":"all"})", "`count`"},
      {R"({"domain":"partner.example","older_than":3600})", nullptr},
      {R"({"domain":"partner.example","older_than":-1})", "`older_than`"},
      {R"({"domain":"partner.example","older_than":"1h"})", "`older_than`"},
  };
  for (const auto& one : cases) {
    const auto filter = queue_filter(object(one.question), UnixTime(0s));
    EXPECT_EQ(filter.has_value(), one.refused == nullptr) << one.question;
    if (filter) {
      EXPECT_EQ(filter->count, one.count) << one.question;
    } else {
      EXPECT_EQ(filter.error().code, Code::kControlRefused);
      EXPECT_NE(filter.error().text.find(one.refused), std::string::npos) << filter.error().text;
    }
  }
  EXPECT_EQ(queue_filter(object(R"({"domain":"BÜCHER.example"})"), UnixTime(0s))->remote->ascii(),
            "xn--bcher-kva.example");
}

class QueueShow : public testing::Test {
 protected:
  QueueShow() {
    char name[] = "/tmp/sallyport-test-XXXXXX";
    folder_ = ::mkdtemp(name);
    path_ = folder_ + "/spool.db";
  }
  ~QueueShow() override { std::filesystem::remove_all(folder_); }

  // Messages 1, 2, ... of one flow, accepted 10 s apart.
  void store(const std::vector<std::string>& stanzas) const {
    store::SpoolBatch batch;
    batch.flows.push_back({1,
                           {policy::Direction::kOut,
                            {*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse("partner.example")}}});
    for (const std::string& xml : stanzas) {
      const std::uint64_t number = batch.messages.size() + 1;
      batch.messages.push_back({number, 1, UnixTime(std::chrono::seconds(1'000 + 10 * number)), xml});
    }
    auto file = net::SpoolFile::open(path_);
    ASSERT_TRUE(file);
    ASSERT_TRUE((*file)->carry_out({&batch}).front().stored);
  }
  json::object shown(const net::SpoolFilter& filter, UnixTime now = UnixTime(2'000s)) const {
    return object(answer_queue_show(path_, filter, 1h, now));
  }

  std::string folder_;
  std::string path_;
};

TEST_F(QueueShow, shows_addresses_and_times_and_nothing_of_the_content) {
  store(
      {"<message from='a@example.com/x' to='b@partner.example' type='chat' id='m&amp;1'>"
       "<body>secret</body><subject>secret</subject></message>",
       "<message from='a@example.com' to='b@partner.example'/>"});
  net::SpoolFilter filter{20};
  filter.remote = *xmpp::Domain::parse("partner.example");
  const std::string answer = answer_queue_show(path_, filter, 1h, UnixTime(2'000s));
  EXPECT_EQ(answer.find("secret"), std::string::npos) << answer;
  const json::object parsed = object(answer);
  EXPECT_EQ(parsed.at("more"), false);
  EXPECT_EQ(json::serialize(list_at(parsed, "messages").at(0)),
            R"({"number":1,"direction":"out","local":"example.com","remote":"partner.example","bytes":134,)"
            R"("accepted":"1970-01-01T00:16:50Z","waited":990,"expires":"1970-01-01T01:16:50Z",)"
            R"("from":"a@example.com/x","to":"b@partner.example","type":"chat","id":"m&1"})");
  const json::object& second = list_at(parsed, "messages").at(1).as_object();
  EXPECT_EQ(field(second, "type"), "normal");
  EXPECT_FALSE(second.contains("id"));
}

TEST_F(QueueShow, a_stanza_that_cannot_be_read_has_an_error_and_no_content) {
  store({"<message from='a@example.com' to='b@partner.example'>secret"});
  const std::string answer = answer_queue_show(path_, {1, {}, 1}, 1h, UnixTime(0s));
  EXPECT_EQ(answer.find("secret"), std::string::npos) << answer;
  const json::object row = list_at(object(answer), "messages").at(0).as_object();
  EXPECT_NE(field(object_at(row, "error"), "code"), "-");
  EXPECT_FALSE(row.contains("from"));
  EXPECT_EQ(field(row, "waited"), "0") << "the clock was set back";
}

TEST_F(QueueShow, says_that_there_are_more) {
  store(std::vector<std::string>(5, "<message from='a@example.com' to='b@partner.example'/>"));
  net::SpoolFilter filter;
  filter.remote = *xmpp::Domain::parse("partner.example");
  const struct {
    std::size_t count;
    std::size_t rows;
    bool more;
  } cases[] = {{4, 4, true}, {5, 5, false}, {6, 5, false}};
  for (const auto& [count, rows, more] : cases) {
    filter.count = count;
    const json::object answer = shown(filter);
    EXPECT_EQ(list_at(answer, "messages").size(), rows);
    EXPECT_EQ(answer.at("more"), more) << count;
  }
  EXPECT_EQ(list_at(shown({20, {}, 3}), "messages").size(), 1u);
  EXPECT_TRUE(list_at(shown({20, {}, 6}), "messages").empty());
}

TEST_F(QueueShow, shows_only_messages_that_have_waited_so_long) {
  store(std::vector<std::string>(5, "<message from='a@example.com' to='b@partner.example'/>"));
  const UnixTime now(2'000s);
  const struct {
    std::int64_t older_than;
    std::size_t rows;
  } cases[] = {{950, 5}, {951, 4}, {980, 2}, {990, 1}, {991, 0}};
  for (const auto& [older_than, rows] : cases) {
    const json::object of_domain{{"domain", "partner.example"}, {"older_than", older_than}};
    EXPECT_EQ(list_at(shown(*queue_filter(of_domain, now), now), "messages").size(), rows) << older_than;
    const json::object first{{"number", 1}, {"older_than", older_than}};
    EXPECT_EQ(list_at(shown(*queue_filter(first, now), now), "messages").size(), rows > 0 ? 1u : 0u);
  }
}

TEST_F(QueueShow, a_spool_that_cannot_be_read_is_an_error) {
  EXPECT_EQ(field(object_at(shown({20, {}, 3}), "error"), "code"), "file.unreadable");
}

}  // namespace
}  // namespace sallyport::daemon
