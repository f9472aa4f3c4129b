// `connections` of a core shows the pairs that are on the link (face "link").
#include "gate/core_fixture.h"

#include <boost/json.hpp>

namespace sallyport::gate {
namespace {

namespace json = boost::json;

struct CoreConnections : CoreFixture {
  CoreConnections() {
    starts("", "privacy = \"off\"");
    link_comes_up();
  }
  json::object row() {
    const auto answer = json::parse(core_->control(R"({"ask":"connections"})", now_));
    for (const auto& each : answer.at("connections").as_array())
      if (each.at("face") == "link") return each.as_object();
    ADD_FAILURE() << answer;
    return {};
  }
};

TEST_F(CoreConnections, a_pair_on_the_link_has_since_and_bytes_and_its_error_goes_when_it_works_again) {
  const std::string message = "<message from='a@example.com' to='b@far.example'><body>hi</body></message>";
  internal_sends(message);
  ASSERT_EQ(edge_->received.size(), 1u);
  now_.civil += 60s;
  const auto size = edge_->received.front().stanza.xml().size();
  EXPECT_EQ(row().at("since"), "2023-11-14T22:13:20Z");
  EXPECT_EQ(row().at("bytes"), size);
  EXPECT_EQ(row().at("stanzas"), 1);
  edge_settles(Error{Code::kDialRefused, "nobody"});
  EXPECT_EQ(row().at("last_error"), "dial.refused: nobody");
  internal_sends(message);
  EXPECT_EQ(row().at("bytes"), 2 * size);
  EXPECT_EQ(row().at("since"), "2023-11-14T22:13:20Z");
  EXPECT_EQ(row().at("last_error"), "dial.refused: nobody");
  edge_settles(std::nullopt);
  EXPECT_EQ(row().at("last_error"), "");
  EXPECT_EQ(row().at("local"), "example.com");
  EXPECT_EQ(row().at("remote"), "far.example");
}

}  // namespace
}  // namespace sallyport::gate
