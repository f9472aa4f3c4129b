#include "daemon/metrics.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

json::object status(std::string_view text) { return json::parse(text).as_object(); }

constexpr std::string_view kUp =
    R"({"role":"edge","name":"vcse.example.com","version":"0.1.0","listening":true,
  "links":[{"name":"core-1","state":"up"}],"policy":{"generation":3},"streams":{"in":1,"out":2,"negotiating":4},
  "stanzas":{"in":5,"out":6,"refused":7,"uncertain":8},"waiting":{"stanzas":9,"bytes":10}})";

TEST(Metrics, are_the_figures_of_the_status) {
  const std::string text = metrics_text(status(kUp));
  for (const char* line :
       {"sallyport_build_info{role=\"edge\",name=\"vcse.example.com\",version=\"0.1.0\"} 1\n",
        "sallyport_link_up{link=\"core-1\"} 1\n", "sallyport_policy_generation 3\n",
        "sallyport_streams{state=\"out\"} 2\n", "sallyport_stanzas_total{what=\"refused\"} 7\n",
        "sallyport_waiting_bytes 10\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
  EXPECT_TRUE(text.ends_with("# EOF\n"));
}

TEST(Metrics, tell_of_each_shard_where_there_are_several) {
  const std::string text = metrics_text(status(
      R"({"shards":{"count":4,"in_use":2},"links":[{"name":"a","state":"up","shard":0},{"name":"a","state":"down","shard":1}]})"));
  for (const char* line : {"sallyport_link_up{link=\"a\",shard=\"0\"} 1\n",
                           "sallyport_link_up{link=\"a\",shard=\"1\"} 0\n", "sallyport_shards_in_use 2\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
}

TEST(Metrics, labels_cannot_break_out) {
  const std::string text = metrics_text(status(R"({"links":[{"name":"a\"} 1\nb\\","state":"down"}]})"));
  EXPECT_NE(text.find("sallyport_link_up{link=\"a\\\"} 1\\nb\\\\\"} 0\n"), std::string::npos) << text;
}

TEST(Ready, is_a_door_that_is_linked_and_listens) {
  EXPECT_TRUE(is_ready(status(kUp)));
  EXPECT_TRUE(is_ready(status(R"({"links":[{"state":"down"},{"state":"up"}]})")));
  EXPECT_FALSE(is_ready(status(R"({"links":[{"state":"up"}],"listening":false})")));
  EXPECT_FALSE(is_ready(status(R"({"links":[{"state":"pushing"}]})")));
  EXPECT_FALSE(is_ready(status("{}")));
  // Each shard needs a link, to whichever edge.
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
}

}  // namespace
}  // namespace sallyport::daemon
