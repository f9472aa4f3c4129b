#include "gate/endpoint.h"

#include <gtest/gtest.h>

#include <set>

namespace sallyport::gate {
namespace {

class Nobody : public PolicyView, public Random, public LogSink {
 public:
  Result<void> serves(const xmpp::Domain&) const override { return {}; }
  Result<void> admits(const Pair& pair, UnixTime) const override {
    return admitted ? Result<void>() : Result<void>(Error{Code::kPolicyNotListed, pair.remote.ascii()});
  }
  // The address of far.example proves it, under the first policy.
  policy::PeerRules rules(const Pair& pair) const override {
    policy::PeerRules rules;
    rules.address_proves = admitted && pair.remote.ascii() == "far.example";
    return rules;
  }
  policy::TlsRule minimum_tls(const xmpp::Domain&, const std::optional<xmpp::Domain>&) const override {
    return policy::TlsRule::kRequired;
  }
  Result<DialPlan> find(const Pair&, UnixTime) const override {
    if (found && admitted) return DialPlan{};
    return Error{Code::kDialNoRoute, "nowhere"};
  }
  void fill(std::uint8_t* out, std::size_t size) override { std::fill_n(out, size, std::uint8_t{7}); }
  void log(LogEvent event) override { events.push_back(std::move(event)); }
  std::vector<LogEvent> events;
  bool admitted = true;
  bool found = false;
};

struct EndpointTest : ::testing::Test {
  std::vector<bool> holds() {
    std::vector<bool> said;
    while (auto output = endpoint.poll())
      if (auto* pass = std::get_if<Output>(&*output))
        if (auto* hold = std::get_if<Hold>(pass)) said.push_back(hold->on);
    return said;
  }

  static std::string header(const std::string& from) {
    return "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='i' "
           "from='" +
           from + "' to='example.com' version='1.0'>";
  }
  static s2s::TlsFacts facts_of(const std::string& name) {
    s2s::TlsFacts facts;
    facts.peer_certificate = true;
    facts.chain = {};
    facts.names.dns = {name};
    return facts;
  }
  static std::string name_of(ConnId conn) { return "far" + std::to_string(conn) + ".example"; }
  // A stream on which `name_of(conn)` is proved.
  void prove(ConnId conn) {
    const auto says = [&](const std::string& bytes) { endpoint.handle_bytes(conn, bytes, now); };
    endpoint.handle_accepted(conn, {}, now);
    says(header(name_of(conn)));
    says("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    endpoint.handle_tls(conn, facts_of(name_of(conn)), now);
    says(header(name_of(conn)));
    says("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
    says(header(name_of(conn)));
  }
  std::set<std::string> proved() const {
    std::set<std::string> names;
    for (const auto& row : endpoint.connections())
      if (row.proved) names.insert(row.pair->remote.ascii());
    return names;
  }
  std::size_t arrived() {
    std::size_t count = 0;
    while (auto output = endpoint.poll())
      count += std::holds_alternative<On<s2s::StanzaReceived>>(*output) ? 1 : 0;
    return count;
  }

  Nobody nobody;
  ConnIds ids;
  Endpoint endpoint{{"world", nobody, ids, nobody, nobody}};
  Now now{Time{std::chrono::seconds(1)}, {}};
};

TEST_F(EndpointTest, a_stream_held_for_two_pairs_is_read_again_when_both_let_go) {
  endpoint.handle_accepted(1, {}, now);
  endpoint.hold(1, true);
  endpoint.hold(1, true);
  EXPECT_EQ(holds(), std::vector<bool>{true});
  endpoint.hold(1, false);
  EXPECT_EQ(holds(), std::vector<bool>{});
  endpoint.hold(1, false);
  EXPECT_EQ(holds(), std::vector<bool>{false});
}

TEST_F(EndpointTest, letting_go_of_what_was_not_held_says_nothing) {
  endpoint.handle_accepted(1, {}, now);
  endpoint.hold(1, false);
  endpoint.hold(1, true);
  EXPECT_EQ(holds(), std::vector<bool>{true});
}

// RFC 6120 4.9.3.3 is for a stream; one user's bad name is no reason to end what many share.
TEST_F(EndpointTest, a_stanza_that_cannot_be_moved_is_told_in_the_log_and_the_stream_goes_on) {
  const std::string header =
      "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
      "from='far.example' to='example.com' version='1.0'>";
  const auto says = [&](const std::string& bytes) { endpoint.handle_bytes(1, bytes, now); };
  s2s::TlsFacts facts;
  facts.peer_certificate = true;
  facts.chain = {};
  facts.names.dns = {"far.example"};
  endpoint.handle_accepted(1, {}, now);
  says(header);
  says("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
  endpoint.handle_tls(1, facts, now);
  says(header);
  says("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
  says(header);
  ASSERT_TRUE(endpoint.is_proved(1));
  while (endpoint.poll()) {
  }
  nobody.events.clear();
  says(
      "<message id='1' from='u v@far.example' to='a@example.com'/>"
      "<message id='2' type='error' from='u@far.example' to='@example.com'/>"
      "<message id='3' from='u@far.example' to='a@example.com'/>");
  std::vector<std::string> told;
  while (auto output = endpoint.poll()) {
    if (const auto* bad = std::get_if<On<s2s::StanzaRejected>>(&*output))
      told.push_back("bad " + bad->event.stanza.id);
    if (const auto* good = std::get_if<On<s2s::StanzaReceived>>(&*output))
      told.push_back("good " + std::string(good->event.stanza.id()));
  }
  EXPECT_EQ(told, (std::vector<std::string>{"bad 1", "bad 2", "good 3"}));
  ASSERT_EQ(nobody.events.size(), 2u);
  EXPECT_EQ(
      format_text(nobody.events[0], ""),
      " info stanza.refused face=world direction=in local=example.com remote=far.example peer=[::]:0 id=1 "
      "code=stanza.from-invalid text=\"localpart: U+0020 is not allowed\"");
  EXPECT_EQ(nobody.events[1].name, "answer.lost");
}

TEST_F(EndpointTest, a_stanza_that_cannot_be_sent_is_given_back_and_an_answer_is_told_in_the_log) {
  const Pair pair{*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse("far.example")};
  const xmpp::Stanza stanza{xmpp::StanzaKind::kMessage,
                            xmpp::Jid::of(pair.local),
                            xmpp::Jid::of(pair.remote),
                            "a1",
                            "error",
                            {},
                            "<message/>"};
  endpoint.send(pair, stanza, 5, now);
  endpoint.send(pair, stanza, 0, now);
  const auto given_back = endpoint.poll();
  ASSERT_TRUE(given_back && std::holds_alternative<StanzaReturned>(*given_back));
  EXPECT_EQ(std::get<StanzaReturned>(*given_back).ticket, 5u);
  EXPECT_FALSE(endpoint.poll());
  ASSERT_EQ(nobody.events.size(), 1u);
  EXPECT_EQ(nobody.events[0].name, "answer.lost");
}

TEST_F(EndpointTest, a_new_policy_checks_so_many_streams_in_a_turn_and_all_of_them_in_the_end) {
  constexpr std::size_t kStreams = 2 * limits::kCheckedPerTurn + 1;
  for (ConnId conn = 1; conn <= kStreams; ++conn) prove(conn);
  ASSERT_EQ(proved().size(), kStreams);
  nobody.admitted = false;
  endpoint.check_again(now);
  EXPECT_EQ(proved().size(), kStreams - limits::kCheckedPerTurn);
  for (const std::size_t left : {std::size_t{1}, std::size_t{0}}) {
    ASSERT_EQ(endpoint.poll_timeout(), now.mono);
    endpoint.handle_timeout(now);
    EXPECT_EQ(proved().size(), left);
  }
  EXPECT_NE(endpoint.poll_timeout(), now.mono);
}

TEST_F(EndpointTest, a_stream_that_was_not_checked_again_yet_is_before_anything_is_read_from_it) {
  for (ConnId conn = 1; conn <= limits::kCheckedPerTurn + 1; ++conn) prove(conn);
  nobody.admitted = false;
  endpoint.check_again(now);
  const auto left = proved();
  ASSERT_EQ(left.size(), 1u);
  ConnId conn = 1;
  while (name_of(conn) != *left.begin()) ++conn;
  arrived();
  endpoint.handle_bytes(conn, "<message from='a@" + name_of(conn) + "' to='b@example.com'/>", now);
  EXPECT_EQ(arrived(), 0u);
  EXPECT_TRUE(proved().empty());
}

TEST_F(EndpointTest, a_stream_that_was_not_checked_again_yet_is_before_anything_is_written_to_it) {
  const Pair pair{*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse("far.example")};
  const xmpp::Stanza stanza{xmpp::StanzaKind::kMessage,
                            xmpp::Jid::of(pair.local),
                            xmpp::Jid::of(pair.remote),
                            "1",
                            "chat",
                            {},
                            "<message/>"};
  for (ConnId conn = 1; conn <= 4 * limits::kCheckedPerTurn; conn += 2) prove(conn);
  nobody.found = true;
  endpoint.send(pair, stanza, 1, now);
  constexpr ConnId kOut = 2;
  const auto says = [&](const std::string& bytes) { endpoint.handle_bytes(kOut, bytes, now); };
  const auto features = [](const std::string& what) {
    return "<stream:features>" + what + "</stream:features>";
  };
  endpoint.handle_connected(kOut, {{}, true, "test"}, now);
  s2s::TlsFacts unknown;
  unknown.own_certificate = "example.com";
  endpoint.handle_tls(kOut, unknown, now);
  says(header("far.example") + features("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
                                        "<mechanism>EXTERNAL</mechanism></mechanisms>"));
  says("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
  says(header("far.example") + features(""));
  ASSERT_TRUE(proved().contains("far.example"));
  ASSERT_EQ(endpoint.counters().stanzas_out, 1u);

  nobody.admitted = false;
  endpoint.check_again(now);
  ASSERT_TRUE(proved().contains("far.example")) << "it had its turn first: of no use to this test";
  endpoint.send(pair, stanza, 2, now);
  EXPECT_EQ(endpoint.counters().stanzas_out, 1u);
  EXPECT_FALSE(proved().contains("far.example"));
}

}  // namespace
}  // namespace sallyport::gate
