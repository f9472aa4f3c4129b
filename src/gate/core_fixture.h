// For tests only: a core between an internal server and an edge. The edge is its end of the link, a session
// alone; the internal server is a real receiving machine for what the core sends, and a script for what it
// sends itself.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"
#include "config/policy_config.h"
#include "gate/core.h"
#include "gate/core_for_test.h"
#include "link/session.h"
#include "s2s/inbound.h"
#include "xmpp/xml_stream.h"

namespace sallyport::gate {

using namespace std::chrono_literals;
using xmpp::Pair;

// The policy of the internal server: it serves every name, and believes the core's certificate.
struct InternalPolicy : s2s::StreamPolicy {
  Result<void> serves(const xmpp::Domain&) const override { return {}; }
  Result<void> admits(const Pair&) const override { return {}; }
  policy::PeerRules rules(const Pair&) const override { return {}; }
  policy::TlsRule minimum_tls(const xmpp::Domain&, const std::optional<xmpp::Domain>&) const override {
    return policy::TlsRule::kRequired;
  }
};

class CoreFixture : public testing::Test {
 protected:
  using Lines = std::vector<std::string>;

  // --- the administrator
  void starts(const std::string& rows) {
    core_ = std::make_unique<Core>(CoreSetup{config_, prepared(rows), "secret", "1", "core"}, quiet_, quiet_,
                                   now_);
    exchange();
  }
  void link_comes_up() {
    edge_.emplace(link::SessionConfig{link::Role::kEdge, "vcse.example.com", "1", "edge"});
    edge_->handle_connected(now_.mono);
    core_->handle_link(link_, 0, {}, now_);
    exchange();
  }
  void passes(Duration time) {
    now_.mono += time;
    core_->handle_timeout(now_);
    exchange();
  }

  // --- the internal server
  // On the stream of the stanza's pair, which it opens and proves by its certificate where there is none.
  void internal_sends(const std::string& xml) {
    const auto stanza = read(xml);
    ConnId& conn = streams_[{stanza.to().domain(), stanza.from().domain()}];
    if (conn == 0) conn = opens(stanza.from().domain(), stanza.to().domain());
    core_->handle_bytes(conn, xml, now_);
    exchange();
  }
  // What has come for its users since it was asked last: "SENDER to RECIPIENT: BODY", or the condition of an
  // error and the text that explains it.
  Lines internal_receives() { return std::exchange(internal_, {}); }

  // --- the edge
  // A stanza of a remote domain. `pair`, where the edge claims another one than the stanza's.
  void edge_sends(const std::string& xml, std::optional<Pair> pair = std::nullopt) {
    auto stanza = read(xml);
    if (!pair) pair = Pair{stanza.to().domain(), stanza.from().domain()};
    edge_->send(*pair, std::move(stanza), ++ticket_, now_.mono);
    exchange();
  }
  Lines edge_receives() { return std::exchange(outside_, {}); }
  // The outcome of the oldest stanza that the edge has received and not settled.
  void edge_settles(link::Outcome outcome) {
    ASSERT_FALSE(receipts_.empty());
    edge_->settle(receipts_.front(), std::move(outcome), now_.mono);
    receipts_.erase(receipts_.begin());
    exchange();
  }
  // How the core has settled what the edge sent: "1 delivered", "2 policy.denied".
  Lines outcomes() { return std::exchange(outcomes_, {}); }

 private:
  struct Quiet : LogSink, Random {
    void log(LogEvent) override {}
    void fill(std::uint8_t* out, std::size_t size) override { std::fill_n(out, size, ++last); }
    std::uint8_t last = 0;
  };

  std::shared_ptr<const config::PreparedPolicy> prepared(const std::string& rows) {
    constexpr std::string_view kServed = R"([federation]
[[domain]]
name = "example.com"
servers = ["10.0.0.20:5269"]
[[chat_node]]
alias = "chatroom1.example.com"
node = "conference-2.corp.example"
servers = ["10.0.0.20:5269"]
)";
    auto policy = config::parse_policy(std::string(kServed) + rows, "policy.toml", config_);
    EXPECT_TRUE(policy.value) << (policy.errors.empty() ? "" : policy.errors.front().shown());
    config::PolicyUpdate update;
    update.policy = std::move(*policy.value);
    update.generation = 1;
    return config::PreparedPolicy::make(config_, std::move(update));
  }
  static s2s::TlsFacts certificate(const std::string& shown, const std::string& peer) {
    s2s::TlsFacts facts;
    facts.own_certificate = shown;
    facts.peer_certificate = true;
    facts.chain = {};
    facts.names.dns = {peer};
    return facts;
  }
  ConnId opens(const xmpp::Domain& from, const xmpp::Domain& to) {
    const ConnId conn = accepted_ += 2;
    const std::string header = fmt::format(
        "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' from='{}' "
        "to='{}' version='1.0'>",
        from.ascii(), to.ascii());
    core_->handle_accepted(conn, {}, now_);
    core_->handle_bytes(conn, header + "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", now_);
    core_->handle_tls(conn, certificate(to.ascii(), from.ascii()), now_);
    core_->handle_bytes(
        conn, header + "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>", now_);
    core_->handle_bytes(conn, header, now_);
    EXPECT_TRUE(core_->is_proved(conn));
    return conn;
  }
  xmpp::Stanza read(const std::string& xml) {
    auto stanza = reader_.read(xml);
    EXPECT_TRUE(stanza) << xml;
    return *std::move(stanza);
  }
  static std::string between(std::string_view text, std::string_view from, std::string_view to) {
    const auto begin = text.find(from);
    if (begin == text.npos) return {};
    const auto end = text.find(to, begin + from.size());
    return std::string(text.substr(begin + from.size(), end - begin - from.size()));
  }
  static std::string shown(const xmpp::Stanza& stanza) {
    std::string words = between(stanza.xml(), "<body>", "</body>");
    if (stanza.is_error()) {
      const std::string error = between(stanza.xml(), "<error", "</error>");
      words = between(error, "><", " ") + ", " + between(error, "xml:lang='en'>", "</text>");
    }
    return fmt::format("{} to {}: {}", stanza.from().text(), stanza.to().text(), words);
  }

  // Until there is nothing more to write, settlements included, which wait for others (limits::kSettleDelay).
  void exchange() {
    carry();
    now_.mono += limits::kSettleDelay;
    core_->handle_timeout(now_);
    if (edge_) edge_->handle_timeout(now_.mono);
    carry();
  }
  void carry() {
    for (bool any = true; any;) {
      any = false;
      std::string bytes;
      if (edge_ && edge_->take_output(bytes, now_.mono)) {
        any = true;
        core_->handle_bytes(link_, bytes, now_);
      }
      while (auto output = core_->poll()) {
        any = true;
        carries_out(std::move(*output));
      }
      while (auto event = edge_ ? edge_->poll() : std::nullopt) {
        any = true;
        happens(std::move(*event));
      }
    }
  }
  void carries_out(Output output) {
    if (const auto* dial = std::get_if<DialLink>(&output)) link_ = dial->conn;
    if (const auto* dial = std::get_if<Dial>(&output)) {
      servers_[dial->conn] = std::make_unique<s2s::Inbound>(policy_, quiet_, false, now_.mono);
      core_->handle_connected(dial->conn, {}, now_);
    }
    if (const auto* tls = std::get_if<BeginTls>(&output); tls != nullptr && !tls->accepting)
      core_->handle_tls(tls->conn, certificate(tls->own.ascii(), tls->server_name), now_);
    const auto* flush = std::get_if<Flush>(&output);
    if (flush == nullptr) return;
    for (std::string bytes; core_->take_output(flush->conn, bytes, now_); bytes.clear()) {
      if (flush->conn == link_) {
        if (edge_) edge_->handle_bytes(bytes, now_.mono);
      } else if (servers_.contains(flush->conn)) {
        core_->handle_written(flush->conn, written_[flush->conn] += bytes.size(), now_);
        internal_reads(flush->conn, bytes);
      }
    }
  }
  void internal_reads(ConnId conn, const std::string& bytes) {
    s2s::Inbound& server = *servers_[conn];
    server.handle_bytes(bytes, now_.mono);
    while (auto output = server.poll()) {
      if (const auto* received = std::get_if<s2s::StanzaReceived>(&*output)) {
        internal_.push_back(shown(received->stanza));
        if (received->number) server.acknowledge(*received->number);
      }
      if (const auto* tls = std::get_if<s2s::StartTls>(&*output)) {
        answers(conn);
        server.handle_tls(certificate(tls->own.ascii(), "partner.example"), now_.mono);
      }
    }
    answers(conn);
  }
  void answers(ConnId conn) {
    std::string bytes;
    if (servers_[conn]->take_output(bytes)) core_->handle_bytes(conn, bytes, now_);
  }
  void happens(link::Event event) {
    if (auto* pushed = std::get_if<link::Pushed>(&event)) edge_->push_done(pushed->generation, {});
    if (auto* received = std::get_if<link::Received>(&event)) {
      outside_.push_back(shown(received->stanza));
      receipts_.push_back(received->receipt);
    }
    if (auto* settled = std::get_if<link::Settled>(&event))
      outcomes_.push_back(fmt::format(
          "{} {}", settled->ticket, settled->outcome ? code_row(settled->outcome->code).name : "delivered"));
  }

  config::CoreConfig config_ = core_for_test("server_ca = \"ca.crt\"\n");
  Quiet quiet_;
  InternalPolicy policy_;
  Now now_{Time{1s}, UnixTime{1'700'000'000s}};
  std::unique_ptr<Core> core_;
  std::optional<link::Session> edge_;
  xmpp::StanzaReader reader_;
  ConnId link_ = 0;
  ConnId accepted_ = 1;
  Ticket ticket_ = 0;
  std::map<Pair, ConnId> streams_;
  std::map<ConnId, std::unique_ptr<s2s::Inbound>> servers_;
  std::map<ConnId, std::uint64_t> written_;
  std::vector<link::Receipt> receipts_;
  Lines internal_;
  Lines outside_;
  Lines outcomes_;
};

}  // namespace sallyport::gate
