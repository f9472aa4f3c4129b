// What a core shows of a pair that it sends to an edge: `connections`, face "link".
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <memory>

#include "base/limits.h"
#include "config/policy_config.h"
#include "gate/core.h"
#include "gate/core_for_test.h"
#include "link/session.h"

namespace sallyport::gate {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

struct Quiet : LogSink, Random {
  void log(LogEvent) override {}
  void fill(std::uint8_t* out, std::size_t size) override { std::fill_n(out, size, std::uint8_t{7}); }
};

// A core with one edge that is linked, and the server of example.com inside.
struct CoreConnections : testing::Test {
  CoreConnections() {
    const auto config = core_for_test();
    config::PolicyUpdate update;
    update.generation = 1;
    update.policy = *config::parse_policy(
                         "[federation]\nenabled = true\nprivacy = \"off\"\n"
                         "[[domain]]\nname = \"example.com\"\nservers = [\"10.0.0.20:5269\"]\n",
                         "policy.toml", config)
                         .value;
    core = std::make_unique<Core>(
        CoreSetup{config, config::PreparedPolicy::make(config, update), "secret", "1", "i"}, quiet, quiet,
        now);
    link_up();
    prove_internal();
  }

  void link_up() {
    while (auto output = core->poll())
      if (const auto* dial = std::get_if<DialLink>(&*output)) link = dial->conn;
    edge.handle_connected(now.mono);
    core->handle_link(link, 0, {}, now);
    exchange();
  }
  void prove_internal() {
    const std::string header =
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
        "from='example.com' to='far.example' version='1.0'>";
    s2s::TlsFacts facts;
    facts.peer_certificate = true;
    facts.chain = {};
    facts.names.dns = {"example.com"};
    core->handle_accepted(1, {}, now);
    internal_says(header);
    internal_says("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    core->handle_tls(1, facts, now);
    internal_says(header);
    internal_says("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    internal_says(header);
  }
  void internal_says(const std::string& bytes) {
    core->handle_bytes(1, bytes, now);
    exchange();
  }
  void exchange() {
    for (bool any = true; any;) {
      any = false;
      std::string bytes;
      if (edge.take_output(bytes, now.mono)) {
        any = true;
        core->handle_bytes(link, bytes, now);
      }
      while (core->poll()) any = true;
      for (bytes.clear(); core->take_output(link, bytes, now); bytes.clear()) {
        any = true;
        edge.handle_bytes(bytes, now.mono);
      }
      while (auto event = edge.poll()) {
        if (const auto* pushed = std::get_if<link::Pushed>(&*event)) edge.push_done(pushed->generation, {});
        if (auto* received = std::get_if<link::Received>(&*event)) last = std::move(*received);
      }
    }
  }
  void settles(link::Outcome outcome) {
    edge.settle(last->receipt, std::move(outcome), now.mono);
    now.mono += limits::kSettleDelay;
    edge.handle_timeout(now.mono);
    exchange();
  }
  json::object row() {
    const auto answer = json::parse(core->control(R"({"ask":"connections"})", now));
    for (const auto& each : answer.at("connections").as_array())
      if (each.at("face") == "link") return each.as_object();
    ADD_FAILURE() << answer;
    return {};
  }

  Quiet quiet;
  Now now{Time{1s}, UnixTime{1'700'000'000s}};
  std::unique_ptr<Core> core;
  link::Session edge{{link::Role::kEdge, "vcse.example.com", "1", "edge"}};
  ConnId link = 0;
  std::optional<link::Received> last;
};

TEST_F(CoreConnections, a_pair_on_the_link_has_since_and_bytes_and_its_error_goes_when_it_works_again) {
  const std::string message = "<message from='a@example.com' to='b@far.example'><body>hi</body></message>";
  internal_says(message);
  ASSERT_TRUE(last);
  now.civil += 60s;
  const auto size = last->stanza.xml().size();
  EXPECT_EQ(row().at("since"), "2023-11-14T22:13:20Z");
  EXPECT_EQ(row().at("bytes"), size);
  EXPECT_EQ(row().at("stanzas"), 1);
  settles(Error{Code::kDialRefused, "nobody"});
  EXPECT_EQ(row().at("last_error"), "dial.refused: nobody");
  internal_says(message);
  EXPECT_EQ(row().at("bytes"), 2 * size);
  EXPECT_EQ(row().at("since"), "2023-11-14T22:13:20Z");
  EXPECT_EQ(row().at("last_error"), "dial.refused: nobody");
  settles(std::nullopt);
  EXPECT_EQ(row().at("last_error"), "");
  EXPECT_EQ(row().at("local"), "example.com");
  EXPECT_EQ(row().at("remote"), "far.example");
}

}  // namespace
}  // namespace sallyport::gate
