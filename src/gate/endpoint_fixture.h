// For tests only: an endpoint whose peer is a script, up to a stream on which stanzas can be sent.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "gate/endpoint.h"

namespace sallyport::gate {

// Everybody is admitted and found; a peer's address proves it.
class OpenPolicy : public PolicyView, public Random, public LogSink {
 public:
  Result<void> serves(const xmpp::Domain&) const override { return {}; }
  Result<void> admits(const Pair&, UnixTime) const override { return {}; }
  policy::PeerRules rules(const Pair&) const override {
    policy::PeerRules rules;
    rules.address_proves = true;
    rules.confirm = confirm;
    rules.on_doubt = on_doubt;
    return rules;
  }
  policy::TlsRule minimum_tls(const xmpp::Domain&, const std::optional<xmpp::Domain>&) const override {
    return policy::TlsRule::kRequired;
  }
  Result<DialPlan> find(const Pair&, UnixTime) const override { return DialPlan{}; }
  bool is_internal() const override { return internal; }
  Duration patience() const override { return lifetime_memory; }
  void fill(std::uint8_t* out, std::size_t size) override { std::fill_n(out, size, ++last_fill); }
  void log(LogEvent event) override { events.push_back(std::move(event)); }

  std::vector<LogEvent> events;
  bool internal = false;
  Duration lifetime_memory = limits::kLifetimeMemory;
  std::uint8_t last_fill = 6;
  policy::Confirm confirm = policy::Confirm::kNone;
  policy::OnDoubt on_doubt = policy::OnDoubt::kResend;
};

// The server of far.example, as the endpoint's last dial finds it.
class ScriptedServer {
 public:
  ScriptedServer(Endpoint& endpoint, const Now& now) : endpoint_(endpoint), now_(now) {}

  void says(const std::string& bytes) { endpoint_.handle_bytes(conn_, bytes, now_); }
  // Accepts the connection by Direct TLS and negotiates until it is ready; `limits` stands in the last
  // features, `own` is the domain whose stream it is.
  void accepts(ConnId conn, const std::string& own, const std::string& limits) {
    conn_ = conn;
    written_ = 0;
    endpoint_.handle_connected(conn_, {{}, true, "test"}, now_);
    s2s::TlsFacts facts;
    facts.own_certificate = own;
    endpoint_.handle_tls(conn_, facts, now_);
    says(kHeader + features("<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"
                            "<mechanism>EXTERNAL</mechanism></mechanisms>"));
    says("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    says(kHeader + features(limits));
  }
  // The driver takes all that the endpoint wrote, and the socket does not.
  std::string waits_in_driver() {
    std::string bytes, all;
    while (endpoint_.take_output(conn_, bytes)) all += std::exchange(bytes, {});
    written_ += all.size();
    return all;
  }
  // The socket takes it, too; returns what the server can read by that.
  std::string reads() {
    std::string all = waits_in_driver();
    endpoint_.handle_written(conn_, written_, now_);
    return all;
  }
  void loses_connection() { endpoint_.handle_disconnected(conn_, {Code::kStreamLost, {}}, now_); }

  bool is_cut_off = false;  // the driver drops what it has not written

 private:
  static std::string features(const std::string& what) {
    return "<stream:features>" + what + "</stream:features>";
  }
  inline static const std::string kHeader =
      "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='i' "
      "from='far.example' to='example.com' version='1.0'>";

  Endpoint& endpoint_;
  const Now& now_;
  ConnId conn_ = 0;
  std::uint64_t written_ = 0;
};

struct EndpointFixture : ::testing::Test {
  // --- what a role does
  static xmpp::Stanza message(const std::string& id, std::size_t body = 10) {
    return stanza_of(xmpp::StanzaKind::kMessage, "chat", id, body);
  }
  static xmpp::Stanza stanza_of(xmpp::StanzaKind kind, const std::string& type, const std::string& id,
                                std::size_t body = 10) {
    return {kind,
            *xmpp::Jid::parse("a@example.com"),
            *xmpp::Jid::parse("b@far.example"),
            id,
            type,
            {},
            "<message id='" + id + "'><body>" + std::string(body, 'x') + "</body></message>"};
  }
  void sends(xmpp::Stanza stanza) { endpoint.send(pair, std::move(stanza), ++last_ticket, now); }
  void passes(Duration time) {
    now.mono += time;
    endpoint.handle_timeout(now);
  }

  // --- what the peer and the driver do
  // Every dial since the last call.
  std::vector<ConnId> dials() {
    drain();
    return std::exchange(dialled, {});
  }
  void says(const std::string& bytes) {
    server.says(bytes);
    drain();
  }
  // The stream that was dialled last becomes ready; `limits` stands in its last features.
  void accepts(const std::string& limits = {}, const std::string& own = "example.com") {
    drain();
    ASSERT_FALSE(dialled.empty());
    server.accepts(std::exchange(dialled, {}).back(), own, limits);
    drain();
  }
  std::string reads() {
    drain();
    std::string all = server.reads();
    drain();
    return all;
  }
  void loses_connection() {
    server.loses_connection();
    drain();
  }
  void ends_stream_with(const std::string& condition) {
    says("<stream:error><" + condition +
         " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>");
  }

  // --- what the role hears
  void drain() {
    while (auto output = endpoint.poll()) {
      if (auto* handed = std::get_if<StanzaDelivered>(&*output)) delivered.push_back(handed->ticket);
      if (auto* failed = std::get_if<StanzaReturned>(&*output)) {
        told.push_back(std::to_string(failed->ticket) + " " + std::string(code_row(failed->error.code).name));
        texts.push_back(failed->error.text);
      }
      if (auto* answer = std::get_if<AnswerSettled>(&*output))
        acknowledgeable.push_back(answer->receipt.number);
      if (auto* pass = std::get_if<Output>(&*output)) {
        if (auto* dial = std::get_if<Dial>(pass)) dialled.push_back(dial->conn);
        if (auto* gone = std::get_if<Disconnect>(pass)) server.is_cut_off = gone->at_once;
      }
    }
  }

  OpenPolicy policy;
  ConnIds ids;
  Endpoint endpoint{{"world", policy, ids, policy, policy}};
  Now now{Time{std::chrono::seconds(1)}, {}};
  const Pair pair{*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse("far.example")};
  Ticket last_ticket = 0;
  ScriptedServer server{endpoint, now};
  std::vector<ConnId> dialled;
  std::vector<Ticket> delivered;
  std::vector<std::uint32_t> acknowledgeable;  // the numbers of the stanzas that may be acknowledged
  std::vector<std::string> told;
  std::vector<std::string> texts;
};

}  // namespace sallyport::gate
