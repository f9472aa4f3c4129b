// A core between an internal server and an edge, under rules that let one side start.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/codes.h"
#include "base/limits.h"
#include "config/policy_config.h"
#include "gate/core.h"
#include "gate/core_for_test.h"
#include "link/session.h"
#include "xmpp/xml_stream.h"

namespace sallyport::gate {
namespace {

using namespace std::chrono_literals;

struct Quiet : LogSink, Random {
  void log(LogEvent) override {}
  void fill(std::uint8_t* out, std::size_t size) override { std::fill_n(out, size, ++last); }
  std::uint8_t last = 0;
};

constexpr std::string_view kServed = R"([federation]
[[domain]]
name = "example.com"
servers = ["10.0.0.20:5269"]
[[chat_node]]
alias = "chatroom1.example.com"
node = "conference-2.corp.example"
servers = ["10.0.0.20:5269"]
)";

// The edge's end of the link is a session alone, and the internal server says its part of a stream.
class CoreOneWayTest : public testing::Test {
 protected:
  CoreOneWayTest() : config_(core_for_test("server_ca = \"ca.crt\"\n")) {}
  static std::string row(std::string_view direction, std::string_view list = "allow") {
    return "[[" + std::string(list) + "]]\ndomain = \"partner.example\"\ndirection = \"" +
           std::string(direction) + "\"\n";
  }
  std::shared_ptr<const config::PreparedPolicy> prepared(const std::string& rows) {
    auto policy = config::parse_policy(std::string(kServed) + rows, "policy.toml", *config_);
    EXPECT_TRUE(policy.value) << (policy.errors.empty() ? "" : policy.errors.front().shown());
    config::PolicyUpdate update;
    update.policy = std::move(*policy.value);
    update.generation = ++generation_;
    return config::PreparedPolicy::make(*config_, std::move(update));
  }
  void start(const std::string& rows) {
    core_ = std::make_unique<Core>(CoreSetup{*config_, prepared(rows), "secret", "1", "core"}, quiet_, quiet_,
                                   now_);
    link_up();
  }
  void apply(const std::string& rows) {
    core_->apply(prepared(rows), now_);
    exchange();
  }
  void link_up() {
    received_.clear();
    edge_ = std::make_unique<link::Session>(
        link::SessionConfig{link::Role::kEdge, "vcse.example.com", "1", "edge"});
    exchange();
    core_->handle_link(link_, 0, {}, now_);
    edge_->handle_connected(now_.mono);
    exchange();
  }

  // From inside, on a stream of its own. Whether it came to the edge.
  bool leaves(const std::string& xml) {
    sent_out_ = 0;
    const auto stanza = read(xml);
    const std::string header =
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='" +
        stanza.from().domain().unicode() + "' to='" + stanza.to().domain().unicode() + "' version='1.0'>";
    const ConnId conn = accepted_ += 2;
    core_->handle_accepted(conn, {}, now_);
    core_->handle_bytes(conn, header, now_);
    core_->handle_bytes(conn, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", now_);
    s2s::TlsFacts facts;
    facts.peer_certificate = true;
    facts.own_certificate = stanza.to().domain().ascii();
    facts.chain = {};
    facts.names.dns = {stanza.from().domain().ascii()};
    core_->handle_tls(conn, std::move(facts), now_);
    core_->handle_bytes(conn, header, now_);
    core_->handle_bytes(conn, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
                        now_);
    core_->handle_bytes(conn, header, now_);
    core_->handle_bytes(conn, xml, now_);
    EXPECT_TRUE(core_->is_proved(conn));
    exchange();
    return sent_out_ == 1;
  }
  // From outside. Whether the core takes it towards an internal server, which cannot be reached here, so that
  // each stanza is settled before the next; if it does not, policy must be the reason.
  bool enters(const std::string& xml) {
    outcome_.reset();
    const std::size_t before = received_.size();
    auto stanza = read(xml);
    const xmpp::Pair pair{stanza.to().domain(), stanza.from().domain()};
    edge_->send(pair, std::move(stanza), ++ticket_, now_.mono);
    exchange();
    // The error that answers a request takes no room on the channel afterwards.
    for (; received_.size() > before; received_.pop_back())
      edge_->settle(received_.back(), std::nullopt, now_.mono);
    exchange();
    EXPECT_TRUE(outcome_) << "not settled";
    if (!outcome_) return false;
    if (outcome_->code == Code::kDialInside) return true;
    EXPECT_TRUE(code_row(outcome_->code).name.starts_with("policy.")) << code_row(outcome_->code).name;
    return false;
  }

  // The edge has delivered all that it received. How many stanzas come then.
  std::size_t arriving_when_settled() {
    sent_out_ = 0;
    for (const auto& receipt : std::exchange(received_, {})) edge_->settle(receipt, std::nullopt, now_.mono);
    exchange();
    return sent_out_;
  }

  Now now_{Time{1s}, UnixTime{1'700'000'000s}};

 private:
  xmpp::Stanza read(const std::string& xml) {
    auto stanza = reader_.read(xml);
    EXPECT_TRUE(stanza) << xml;
    return *std::move(stanza);
  }
  // Until nothing is left to be said, settlements included, which wait for company (limits::kSettleDelay).
  void exchange() {
    carry();
    now_.mono += limits::kSettleDelay;
    core_->handle_timeout(now_);
    edge_->handle_timeout(now_.mono);
    carry();
  }
  void carry() {
    std::string bytes;
    for (bool any = true; any;) {
      any = false;
      if (edge_->take_output(bytes, now_.mono)) {
        any = true;
        core_->handle_bytes(link_, std::exchange(bytes, {}), now_);
      }
      while (auto output = core_->poll()) {
        any = true;
        if (auto* dial = std::get_if<DialLink>(&*output)) link_ = dial->conn;
        if (auto* dial = std::get_if<Dial>(&*output))
          core_->handle_dial_failed(dial->conn, {Code::kDialRefused, {}}, now_);
        auto* flush = std::get_if<Flush>(&*output);
        if (flush == nullptr) continue;
        while (core_->take_output(flush->conn, bytes, now_)) {
          if (flush->conn == link_) edge_->handle_bytes(bytes, now_.mono);
          bytes.clear();
        }
      }
      while (auto event = edge_->poll()) {
        any = true;
        if (auto* pushed = std::get_if<link::Pushed>(&*event)) edge_->push_done(pushed->generation, {});
        if (auto* received = std::get_if<link::Received>(&*event)) {
          received_.push_back(received->receipt);
          ++sent_out_;
        }
        if (auto* settled = std::get_if<link::Settled>(&*event)) outcome_ = settled->outcome;
      }
    }
  }

  std::optional<config::CoreConfig> config_;
  Quiet quiet_;
  xmpp::StanzaReader reader_;
  std::unique_ptr<Core> core_;
  std::unique_ptr<link::Session> edge_;
  ConnId link_ = 0;
  ConnId accepted_ = 1;
  std::uint64_t generation_ = 0;
  std::uint64_t ticket_ = 0;
  std::size_t sent_out_ = 0;
  std::vector<link::Receipt> received_;
  std::optional<Error> outcome_;
};

const std::string kAsk =
    "<iq from='alice@example.com/desk' to='bob@partner.example/phone' id='q1' type='get'><q "
    "xmlns='urn:x'/></iq>";
const std::string kReply =
    "<iq from='bob@partner.example/phone' to='alice@example.com/desk' id='q1' type='result'/>";
const std::string kTheyAsk =
    "<iq from='bob@partner.example/phone' to='alice@example.com/desk' id='q2' type='get'><q "
    "xmlns='urn:x'/></iq>";
const std::string kWeReply =
    "<iq from='alice@example.com/desk' to='bob@partner.example/phone' id='q2' type='result'/>";
const std::string kText =
    "<presence from='bob@partner.example' to='alice@example.com'><status>text</status></presence>";
const std::string kErrorText =
    "<message from='bob@partner.example' to='alice@example.com' type='error'><body>text</body></message>";

TEST_F(CoreOneWayTest, outward_only_an_answer_enters_and_nothing_else) {
  start(row("out"));
  EXPECT_FALSE(enters(kTheyAsk));
  EXPECT_FALSE(enters(kText));
  EXPECT_FALSE(enters(kErrorText));
  EXPECT_FALSE(enters(kReply));
  EXPECT_TRUE(leaves(kAsk));
  EXPECT_TRUE(enters(kReply));
  EXPECT_FALSE(enters(kReply));
  EXPECT_TRUE(leaves("<presence from='alice@example.com' to='bob@partner.example' type='probe'/>"));
  EXPECT_TRUE(enters(kText));
}

TEST_F(CoreOneWayTest, inward_only_an_answer_leaves_and_nothing_else) {
  start(row("in"));
  EXPECT_FALSE(leaves(kAsk));
  EXPECT_FALSE(leaves(kWeReply));
  EXPECT_TRUE(enters(kTheyAsk));
  EXPECT_TRUE(leaves(kWeReply));
  EXPECT_FALSE(leaves(kWeReply));
}

TEST_F(CoreOneWayTest, both_ways_nothing_is_asked_for) {
  start(row("both"));
  for (const auto& xml : {kReply, kText, kErrorText, kTheyAsk}) EXPECT_TRUE(enters(xml)) << xml;
  for (const auto& xml : {kAsk, kWeReply}) EXPECT_TRUE(leaves(xml)) << xml;
}

// A row for each direction, and a deny of one.
TEST_F(CoreOneWayTest, two_rows_may_make_one_way_of_it) {
  start(row("both") + row("in", "deny"));
  EXPECT_FALSE(enters(kReply));
  EXPECT_TRUE(leaves(kAsk));
  EXPECT_TRUE(enters(kReply));
}

// Both are compared as they are outside: the answer names the alias, which stands for the node that asked.
TEST_F(CoreOneWayTest, a_chat_node_is_answered_under_its_alias) {
  start(row("out"));
  const std::string answer =
      "<iq from='partner.example' to='hall@chatroom1.example.com' id='q1' type='result'/>";
  EXPECT_FALSE(enters(answer));
  EXPECT_TRUE(
      leaves("<iq from='hall@conference-2.corp.example' to='partner.example' id='q1' type='get'><q "
             "xmlns='urn:x'/></iq>"));
  EXPECT_TRUE(enters(answer));
}

TEST_F(CoreOneWayTest, an_internal_room_is_read_by_those_who_joined_it) {
  start(row("in"));
  const std::string said =
      "<message from='hall@conference-2.corp.example/alice' to='bob@partner.example/phone' "
      "type='groupchat'><body>hello</body></message>";
  EXPECT_FALSE(leaves(said));
  EXPECT_TRUE(
      enters("<presence from='bob@partner.example/phone' to='hall@chatroom1.example.com/bob'>"
             "<x xmlns='http://jabber.org/protocol/muc'/></presence>"));
  EXPECT_TRUE(leaves(said));
}

TEST_F(CoreOneWayTest, a_policy_that_leaves_the_rule_leaves_the_memory) {
  start(row("out"));
  EXPECT_TRUE(leaves(kAsk));
  apply(row("out") + "[[allow]]\ndomain = \"other.example\"\n");
  EXPECT_TRUE(enters(kReply));
}

TEST_F(CoreOneWayTest, a_pair_that_was_open_both_ways_begins_with_an_empty_memory) {
  start(row("out"));
  EXPECT_TRUE(leaves(kAsk));
  apply(row("both"));
  EXPECT_TRUE(enters(kText));
  apply(row("out"));
  EXPECT_FALSE(enters(kReply));
}

TEST_F(CoreOneWayTest, the_other_direction_begins_with_an_empty_memory) {
  start(row("out"));
  EXPECT_TRUE(leaves(kAsk));
  apply(row("in"));
  EXPECT_TRUE(enters(kReply));
  EXPECT_FALSE(leaves(kAsk));
  apply(row("out"));
  EXPECT_FALSE(enters(kReply));
}

// Without a policy change.
TEST_F(CoreOneWayTest, a_row_that_expires_makes_one_way_of_it_and_the_memory_is_empty) {
  start(row("both") + row("in", "deny") + "expires = 2023-11-14\n");
  EXPECT_TRUE(leaves(kAsk));
  EXPECT_FALSE(enters(kText));
  now_.civil += 24h;
  EXPECT_TRUE(enters(kText));
  apply(row("out"));
  EXPECT_FALSE(enters(kReply));
}

TEST_F(CoreOneWayTest, answers_that_wait_outlive_a_policy_change_and_others_do_not) {
  for (const auto& [before, answers_stay] : {std::pair(row("in"), true), std::pair(row("both"), false)}) {
    SCOPED_TRACE(before);
    start(before);
    // Too much for the channel's first window: the rest waits on the core.
    const std::string large(limits::kChannelWindowInitialBytes, 'x');
    EXPECT_TRUE(enters(kTheyAsk));
    EXPECT_TRUE(
        leaves("<iq from='alice@example.com/desk' to='bob@partner.example/phone' id='q2' type='result'><q "
               "xmlns='urn:x'>" +
               large + "</q></iq>"));
    auto second = kTheyAsk;
    second.replace(second.find("q2"), 2, "q3");
    EXPECT_TRUE(enters(second));
    EXPECT_FALSE(
        leaves("<iq from='alice@example.com/desk' to='bob@partner.example/phone' id='q3' type='result'/>"));
    apply(row("in") + "[[allow]]\ndomain = \"other.example\"\n");
    // Two answers wait: the core's own error for the second request, as no internal server was reached, and
    // the result.
    EXPECT_EQ(arriving_when_settled(), answers_stay ? 2u : 0u);
  }
}

// Nothing is remembered by a core that starts: the rule decides until the asker asks again.
TEST_F(CoreOneWayTest, a_core_that_starts_knows_nothing) {
  start(row("out"));
  EXPECT_TRUE(leaves(kAsk));
  start(row("out"));
  EXPECT_FALSE(enters(kReply));
}

}  // namespace
}  // namespace sallyport::gate
