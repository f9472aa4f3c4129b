// Internal names and addresses stay on the core (DESIGN invariant 2): while everything fails that can fail on
// the internal side, no byte of the link and no line of the edge's log has an internal address, an internal
// name or the name of a chat node.
#include <gtest/gtest.h>

#include "gate/joined_fixture.h"

namespace sallyport::gate::joined {
namespace {

// Of core_config(), open_policy() and the texts of the failures below.
constexpr std::string_view kSecrets[] = {"10.9.8.",       "corp.example", "core.hidden", "node-2",
                                         "xn--bcher-kva", "b\u00fccher",  "int-server",  "the secret"};

const std::string kServerHeader =
    "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
    "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' id='1' "
    "from='example.com' to='partner.example' version='1.0'>";
const std::string kExternal =
    "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism>"
    "</mechanisms></stream:features>";
const std::string kDialback =
    "<stream:features><dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback></stream:features>";

// The ways in which an internal server fails.
enum class How {
  kDelivers,
  kRefused,
  kTimeout,
  kHandshake,
  kUntrusted,
  kNoTls,
  kStreamError,
  kSaslFailure,
  kDialbackInvalid,
  kDialbackError,
  kCloses,
  kLost,
  kSilent,
};

class InternalServer {
 public:
  explicit InternalServer(How how) : how_(how) {}
  void operator()(Gateway& gateway, ConnId conn, const std::string& said) {
    const auto has = [&said](std::string_view words) { return said.find(words) != said.npos; };
    if (said.empty()) return dialled(gateway, conn);
    if (how_ == How::kSilent) return;
    if (has("<stream:stream")) return greeted(gateway, conn);
    if (has("<starttls")) {
      gateway.internal_server_says(conn, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
      states_[conn].secured = true;
      if (how_ == How::kHandshake)
        return gateway.core->handle_tls(conn, Error{Code::kTlsHandshake, "int-server at 10.9.8.7:5269: no"},
                                        gateway.now);
      s2s::TlsFacts facts = certificate({"example.com", "int-server.corp.example"});
      facts.own_certificate = "partner.example";  // minted for the pair
      if (how_ == How::kUntrusted)
        facts.chain = Error{Code::kTlsUntrusted, "issuer CN=int-server.corp.example"};
      return gateway.core->handle_tls(conn, std::move(facts), gateway.now);
    }
    if (has("<auth")) {
      if (how_ == How::kSaslFailure)
        return gateway.internal_server_says(
            conn,
            "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>"
            "<text>int-server.corp.example says no</text></failure>");
      states_[conn].authenticated = true;
      return gateway.internal_server_says(conn, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    }
    if (has("<db:result")) return gateway.internal_server_says(conn, dialback_answer());
  }

 private:
  void dialled(Gateway& gateway, ConnId conn) {
    if (how_ == How::kRefused)
      return gateway.core->handle_dial_failed(
          conn,
          {Code::kDialRefused, "10.9.8.7:5269: Connection refused; int-server.corp.example: no address"},
          gateway.now);
    if (how_ == How::kTimeout)
      return gateway.core->handle_dial_failed(conn, {Code::kDialTimeout, "10.9.8.7:5269: timed out"},
                                              gateway.now);
    Connected connected;
    connected.peer = {*dns::Ip::parse("10.9.8.7"), 5269};
    connected.how = "10.9.8.7:5269";
    states_[conn] = {};
    gateway.core->handle_connected(conn, connected, gateway.now);
  }
  void greeted(Gateway& gateway, ConnId conn) {
    if (how_ == How::kCloses) return gateway.internal_server_says(conn, kServerHeader + "</stream:stream>");
    if (how_ == How::kLost)
      return gateway.core->handle_disconnected(conn, {Code::kStreamLost, "10.9.8.7:5269: reset"},
                                               gateway.now);
    if (how_ == How::kStreamError)
      return gateway.internal_server_says(
          conn, kServerHeader +
                    "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
                    "<text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>ask int-server.corp.example</text>"
                    "</stream:error></stream:stream>");
    std::string features = "<stream:features/>";
    const bool dialback = how_ == How::kDialbackInvalid || how_ == How::kDialbackError;
    if (!states_[conn].secured && how_ != How::kNoTls)
      features =
          "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
          "</stream:features>";
    else if (states_[conn].secured && !states_[conn].authenticated)
      features = dialback ? kDialback : kExternal;
    gateway.internal_server_says(conn, kServerHeader + features);
  }
  std::string dialback_answer() const {
    if (how_ == How::kDialbackInvalid)
      return "<db:result from='example.com' to='partner.example' type='invalid'/>";
    return "<db:result from='example.com' to='partner.example' type='error'><error type='cancel'>"
           "<internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
           "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>int-server.corp.example at 10.9.8.7</text>"
           "</error></db:result>";
  }

  struct State {
    bool secured = false;
    bool authenticated = false;
  };
  How how_;
  std::map<ConnId, State> states_;
};

void expect_no_secret(const Gateway& gateway, const std::string& where) {
  for (const auto secret : kSecrets) {
    EXPECT_EQ(gateway.link.said_by_core.find(secret), std::string::npos)
        << where << ": the link carries " << secret;
    for (const auto& event : gateway.edge_log.events) {
      const std::string line = format_text(event, "");
      EXPECT_EQ(line.find(secret), std::string::npos) << where << ": " << line;
    }
    for (const auto& [conn, bytes] : gateway.public_sockets.written)
      EXPECT_EQ(bytes.find(secret), std::string::npos) << where << ": a peer is sent " << secret;
  }
}
// To a domain as a peer sees it.
std::string message(std::string_view to, std::string_view id) {
  return "<message from='u@partner.example' to='" + std::string(to) + "' id='" + std::string(id) +
         "'><body>hello</body></message>";
}

TEST(LinkSecrets, every_failure_of_an_internal_server_crosses_as_a_code) {
  struct Row {
    How how;
    std::string_view name;
    std::string_view code;  // in the settlement; empty: any, since several attempts fail in several ways
  };
  const Row rows[] = {
      {How::kDelivers, "delivers", ""},
      {How::kRefused, "refused", "dial.inside"},
      {How::kTimeout, "timeout", "dial.inside"},
      {How::kHandshake, "handshake", "tls.handshake"},
      {How::kUntrusted, "untrusted", ""},
      {How::kNoTls, "no TLS", ""},
      {How::kStreamError, "stream error", "stream.error-by-peer"},
      {How::kSaslFailure, "SASL", ""},
      {How::kDialbackInvalid, "dialback invalid", ""},
      {How::kDialbackError, "dialback error", ""},
      {How::kCloses, "closes", ""},
      {How::kLost, "lost", ""},
      {How::kSilent, "silent", ""},
  };
  for (const auto& row : rows) {
    config::CoreConfig config = core_config();
    config.server_ca = "servers-ca.crt";
    Gateway gateway(config);
    gateway.internal.server = InternalServer(row.how);
    const ConnId conn = gateway.remote.proves("partner.example", "example.com");
    gateway.remote.says(conn, message("v@example.com", "m1"));
    gateway.remote.says(conn, message("room@rooms.example.com", "m2"));
    gateway.passes(limits::kDeliveryTimeout + 1s);
    EXPECT_FALSE(gateway.internal.dials.empty()) << row.name;
    EXPECT_NE(gateway.link.said_by_core.find(row.code), std::string::npos) << row.name;
    // Something failed on the internal side, and the core logs it.
    EXPECT_EQ(gateway.core_log.has({"stanza.refused", "local=example.com"}), row.how != How::kDelivers)
        << row.name;
    expect_no_secret(gateway, std::string(row.name));
    gateway.core->drain(gateway.now);
    gateway.exchange();
    gateway.passes(1s);
    expect_no_secret(gateway, std::string(row.name) + ", drained");
    // The test can fail: the core knows the address, and logs it.
    if (row.how == How::kRefused) {
      EXPECT_TRUE(gateway.core_log.has({"10.9.8.7:5269"}));
    }
  }
}

TEST(LinkSecrets, what_waits_while_the_core_is_drained_crosses_as_a_code) {
  Gateway gateway;
  gateway.internal.server = InternalServer(How::kSilent);
  const ConnId conn = gateway.remote.proves("partner.example", "example.com");
  gateway.remote.says(conn, message("v@example.com", "m1"));
  gateway.core->drain(gateway.now);
  gateway.exchange();
  gateway.passes(1s);
  EXPECT_NE(gateway.link.said_by_core.find("stream.shutdown"), std::string::npos);
  expect_no_secret(gateway, "drain");
}

TEST(LinkSecrets, a_claim_of_an_internal_name_is_refused_without_a_word_more) {
  Gateway gateway;
  for (const auto* name : {"other.example", "partner.example"}) {
    const ConnId conn = gateway.remote.connects();
    gateway.remote.opens(conn, name, "example.com", {});
    gateway.remote.says(conn, db_result(name, "example.com"));
  }
  gateway.passes(limits::kDialbackTimeout);
  expect_no_secret(gateway, "claims");
}

// An edge that lies: a session alone speaks to the core.
TEST(LinkSecrets, an_edge_that_lies_learns_nothing_but_codes) {
  KeptLog log;
  Random37 random;
  Now now{Time{1h}, UnixTime{1'700'000'000s}};
  Core core(CoreSetup{core_config(),
                      config::PreparedPolicy::make(core_config(), open_policy(policy::Privacy::kOff)),
                      "the secret", "1", "core"},
            random, log, now);
  link::LinkSession edge(link::SessionConfig{link::NodeRole::kEdge, "vcse.example.net", "1", "edge"});
  ConnId conn = 0;
  std::string said;
  std::vector<std::string> outcomes;
  const auto exchange = [&] {
    for (bool any = true; any;) {
      any = false;
      while (auto output = core.poll()) {
        any = true;
        if (const auto* dial = std::get_if<DialLink>(&*output)) {
          conn = dial->conn;
          edge.handle_connected(now.mono);
          core.handle_link(conn, 0, {}, now);
        } else if (const auto* flush = std::get_if<Flush>(&*output)) {
          std::string bytes;
          if (!core.take_output(flush->conn, bytes, now)) continue;
          said += bytes;
          edge.handle_bytes(bytes, now.mono);
        } else if (const auto* inside = std::get_if<Dial>(&*output)) {
          core.handle_dial_failed(inside->conn, {Code::kDialRefused, "10.9.8.7:5269: refused"}, now);
        }
      }
      std::string bytes;
      if (edge.take_output(bytes, now.mono)) any = true, core.handle_bytes(conn, bytes, now);
      while (auto event = edge.poll()) {
        if (const auto* pushed = std::get_if<link::Pushed>(&*event)) edge.push_done(pushed->generation, {});
        if (const auto* settled = std::get_if<link::Settled>(&*event))
          outcomes.emplace_back(settled->outcome ? code_row(settled->outcome->code).name : "delivered");
        if (const auto* answered = std::get_if<link::Answered>(&*event))
          outcomes.emplace_back(answered->answer ? "answered" : code_row(answered->answer.error().code).name);
      }
    }
  };
  exchange();
  const auto tell = [&](std::string_view local, std::string_view remote, std::string_view from) {
    const xmpp::Pair pair{domain(local), domain(remote)};
    const std::string xml = "<message from='" + std::string(from) + "' to='v@" + std::string(local) +
                            "' id='1'><body>x</body></message>";
    edge.send(pair,
              {xmpp::StanzaKind::kMessage,
               *xmpp::Jid::parse(std::string(from)),
               *xmpp::Jid::parse("v@" + std::string(local)),
               "1",
               "",
               {},
               xml},
              1, now.mono);
    exchange();
    now.mono += limits::kSettleDelay;
    core.handle_timeout(now);
    exchange();
  };
  tell("node-2.hidden.example", "partner.example", "u@partner.example");
  tell("nobody.example", "partner.example", "u@partner.example");
  tell("example.com", "core.hidden.example", "u@core.hidden.example");
  tell("example.com", "partner.example", "u@partner.example");
  const xmpp::Pair inside{domain("example.com"), domain("im.corp.example")};
  edge.ask(link::KeyAsk{inside, "s"});
  edge.ask(link::AdmitAsk{inside});
  edge.ask(link::AdmitAsk{{domain("node-2.hidden.example"), domain("partner.example")}});
  edge.ask(link::AdmitAsk{{domain("example.com"), domain("below.example.com")}});
  edge.ask(link::VerdictAsk{{domain("node-2.hidden.example"), domain("partner.example")}, "s", "k"});
  edge.ask(link::AdmitAsk{{domain("example.com"), domain("partner.example")}});
  exchange();
  EXPECT_EQ(outcomes, (std::vector<std::string>{"policy.node-name", "policy.not-local", "policy.inside-name",
                                                "dial.inside", "policy.inside-name", "policy.inside-name",
                                                "policy.not-local", "policy.below-local", "policy.not-local",
                                                "answered"}));
  for (const auto secret : kSecrets) EXPECT_EQ(said.find(secret), std::string::npos) << secret;
}

}  // namespace
}  // namespace sallyport::gate::joined
