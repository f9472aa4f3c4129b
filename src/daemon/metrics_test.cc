#include "daemon/metrics.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

json::object status(std::string_view text) { return json::parse(text).as_object(); }
bool is_ready(const json::object& status) { return why_not_ready(status).empty(); }
std::string open_metrics(std::string_view text) {
  return metrics_text(status(text), MetricsFormat::kOpenMetrics);
}

constexpr std::string_view kUp =
    R"({"role":"edge","name":"vcse.example.com","version":"0.1.0","listening":true,
  "links":[{"name":"core-1","state":"up"}],"policy":{"generation":3},"streams":{"in":1,"out":2,"negotiating":4},
  "stanzas":{"in":5,"out":6,"refused":7,"sent_again":11,"uncertain":8,"fell_back":12},"waiting":{"stanzas":9,"bytes":10}})";

TEST(Metrics, are_the_figures_of_the_status) {
  const std::string text = metrics_text(status(kUp), MetricsFormat::kOpenMetrics);
  for (const char* line :
       {"sallyport_build_info{role=\"edge\",name=\"vcse.example.com\",version=\"0.1.0\"} 1\n",
        "sallyport_link_up{link=\"core-1\"} 1\n", "sallyport_policy_generation 3\n",
        "sallyport_streams{state=\"out\"} 2\n", "sallyport_stanzas_total{what=\"refused\"} 7\n",
        "sallyport_stanzas_total{what=\"sent_again\"} 11\n",
        "sallyport_stanzas_total{what=\"uncertain\"} 8\n", "sallyport_stanzas_total{what=\"fell_back\"} 12\n",
        "sallyport_waiting_bytes 10\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
  EXPECT_TRUE(text.ends_with("# EOF\n"));
}

TEST(Metrics, tell_of_each_shard_where_there_are_several) {
  const std::string text = open_metrics((
      R"({"shards":{"count":4,"in_use":2},"links":[{"name":"a","state":"up","shard":0},{"name":"a","state":"down","shard":1}]})"));
  for (const char* line : {"sallyport_link_up{link=\"a\",shard=\"0\"} 1\n",
                           "sallyport_link_up{link=\"a\",shard=\"1\"} 0\n", "sallyport_shards_in_use 2\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
}

TEST(Metrics, tell_of_the_queue_of_a_core) {
  const std::string edge = open_metrics(kUp);
  for (const char* name : {"sallyport_queue_", "sallyport_spool_"})
    EXPECT_EQ(edge.find(name), std::string::npos) << name;
  const std::string core = open_metrics(R"({"queue":{"messages":3,"bytes":900}})");
  for (const char* line : {"# TYPE sallyport_queue_messages gauge\n", "sallyport_queue_messages 3\n",
                           "sallyport_queue_bytes 900\n", "sallyport_spool_failing 0\n"}) {
    EXPECT_NE(core.find(line), std::string::npos) << line << "in\n" << core;
  }
  const std::string failing = open_metrics(R"({"queue":{"failing":{"code":"spool.unwritable"}}})");
  EXPECT_NE(failing.find("sallyport_spool_failing 1\n"), std::string::npos) << failing;
}

TEST(Metrics, a_link_that_drains_is_up) {
  const std::pair<const char*, int> cases[] = {{"up", 1}, {"draining", 1}, {"pushing", 0}, {"down", 0}};
  for (const auto& [state, up] : cases) {
    const std::string text = metrics_text(
        {{"links", json::array{json::object{{"name", "a"}, {"state", state}}}}}, MetricsFormat::kText);
    EXPECT_NE(text.find("sallyport_link_up{link=\"a\"} " + std::to_string(up)), std::string::npos) << state;
  }
}

TEST(Metrics, labels_cannot_break_out) {
  const std::string text = open_metrics((R"({"links":[{"name":"a\"} 1\nb\\","state":"down"}]})"));
  EXPECT_NE(text.find("sallyport_link_up{link=\"a\\\"} 1\\nb\\\\\"} 0\n"), std::string::npos) << text;
}

TEST(Ready, is_a_node_that_is_linked_and_listens) {
  EXPECT_TRUE(is_ready(status(kUp)));
  EXPECT_TRUE(is_ready(status(R"({"links":[{"state":"down"},{"state":"up"}]})")));
  EXPECT_FALSE(is_ready(status(R"({"links":[{"state":"up"}],"listening":false})")));
  EXPECT_FALSE(is_ready(status(R"({"links":[{"state":"pushing"}]})")));
  EXPECT_FALSE(is_ready(status("{}")));
  // Each shard needs a link, to any edge.
  EXPECT_FALSE(is_ready(status(R"({"links":[{"shard":0,"state":"up"},{"shard":1,"state":"down"}]})")));
  EXPECT_TRUE(is_ready(
      status(R"({"links":[{"shard":0,"state":"up"},{"shard":1,"state":"down"},{"shard":1,"state":"up"}]})")));
}

TEST(Http, answers_three_paths_and_nothing_else) {
  const struct {
    const char* request;
    const char* begins;
  } cases[] = {{"GET /livez HTTP/1.1\r\n\r\n", "HTTP/1.1 200"},
               {"GET /readyz HTTP/1.0\r\n\r\n", "HTTP/1.1 200"},
               {"GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 200"},
               {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 404"},
               {"GET /metrics/../x HTTP/1.1\r\n\r\n", "HTTP/1.1 404"},
               {"POST /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 405"},
               {"GET /livez\r\n\r\n", "HTTP/1.1 400"},
               {"\r\n\r\n", "HTTP/1.1 400"},
               {"<stream:stream to='x'>\r\n\r\n", "HTTP/1.1 400"}};
  for (const auto& one : cases) {
    EXPECT_TRUE(http_response(one.request, status(kUp)).starts_with(one.begins)) << one.request;
  }
  for (const char* request : {"GET /readyz HTTP/1.1\r\n\r\n", "GET /metrics HTTP/1.1\r\n\r\n"}) {
    EXPECT_TRUE(wants_status(request)) << request;
  }
  for (const char* request : {"GET /livez HTTP/1.1\r\n\r\n", "POST /metrics HTTP/1.1\r\n\r\n", "x"}) {
    EXPECT_FALSE(wants_status(request)) << request;
  }
  EXPECT_TRUE(http_response("GET /readyz HTTP/1.1\r\n\r\n", status("{}")).starts_with("HTTP/1.1 503"));
  EXPECT_NE(http_response("HEAD /livez HTTP/1.1\r\n\r\n", status(kUp)).find("\r\nAllow: GET\r\n"),
            std::string::npos);
}

TEST(Metrics, of_the_older_text_format_name_families_as_their_samples) {
  const std::string text = metrics_text(status(kUp), MetricsFormat::kText);
  for (const char* line :
       {"# TYPE sallyport_build_info gauge\n", "# TYPE sallyport_stanzas_total counter\n",
        "# HELP sallyport_stanzas_total ", "sallyport_stanzas_total{what=\"refused\"} 7\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
  EXPECT_EQ(text.find("# EOF"), std::string::npos);
  EXPECT_EQ(text.find(" info\n"), std::string::npos);
  const std::string open = open_metrics(kUp);
  for (const char* line : {"# TYPE sallyport_build info\n", "# TYPE sallyport_stanzas counter\n"}) {
    EXPECT_NE(open.find(line), std::string::npos) << line << "in\n" << open;
  }
}

TEST(Http, speaks_openmetrics_to_those_alone_who_ask_for_it) {
  const std::pair<const char*, bool> cases[] = {
      {"", false},
      {"Accept: */*\r\n", false},
      {"Accept: text/plain;version=0.0.4\r\n", false},
      {"Accept: application/openmetrics-text\r\n", true},
      {"accept:application/openmetrics-text; version=1.0.0\r\n", true},
      {"Host: a\r\nACCEPT: text/html, Application/OpenMetrics-Text;version=1.0.0;q=0.5\r\n", true},
      // As Prometheus 2 sends it.
      {"Accept: "
       "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n",
       true},
      {"Accept: application/openmetrics-text;q=0.3, text/plain;q=0.4\r\n", false},
      {"Accept: application/openmetrics-text;q=0\r\n", false},
      {"Accept: application/openmetrics-text;q=0.000\r\n", false},
      {"Accept: application/openmetrics-text;q=x\r\n", false},
      {"Accept: text/plain\r\nAccept: application/openmetrics-text\r\n", true},
      {"X-Accept: application/openmetrics-text\r\n", false},
  };
  for (const auto& [header, open] : cases) {
    const std::string got =
        http_response("GET /metrics HTTP/1.1\r\n" + std::string(header) + "\r\n", status(kUp));
    EXPECT_EQ(got.find("Content-Type: application/openmetrics-text; version=1.0.0") != std::string::npos,
              open)
        << header;
    EXPECT_EQ(got.find("Content-Type: text/plain; version=0.0.4") != std::string::npos, !open) << header;
    EXPECT_EQ(got.ends_with("# EOF\n"), open) << header;
  }
}

TEST(Ready, says_why_not) {
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "no link"},
      {R"({"links":[{"state":"up"}],"draining":true,"listening":false})", "draining"},
      {R"({"links":[{"state":"up"}],"listening":false})", "not listening"},
      {R"({"links":[{"state":"up"}],"listening":false,"listen_error":"net.address-in-use: listening on 192.0.2.1:5269"})",
       "not listening: net.address-in-use: listening on 192.0.2.1:5269"},
      {R"({"links":[{"state":"up"}],"policy":{"serves":0}})", "the policy serves no domain"},
      {R"({"links":[{"state":"up"}],"policy":{"serves":1}})", ""},
  };
  for (const auto& [text, why] : cases) EXPECT_EQ(why_not_ready(status(text)), why) << text;
  const std::string drained =
      http_response("GET /readyz HTTP/1.1\r\n\r\n", status(R"({"draining":true,"links":[{"state":"up"}]})"));
  EXPECT_TRUE(drained.starts_with("HTTP/1.1 503")) << drained;
  EXPECT_TRUE(drained.ends_with("\r\n\r\ndraining\n")) << drained;
}

}  // namespace
}  // namespace sallyport::daemon
