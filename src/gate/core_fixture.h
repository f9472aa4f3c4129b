// For tests only: a core between internal servers and an edge. The edge is its end of the link, a session
// alone; the internal servers are real receiving machines for what the core sends, and scripts for what they
// send themselves.
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
#include "gate/role_fixture.h"
#include "store/memory_spool_for_test.h"

namespace sallyport::gate {

class CoreFixture : public testing::Test {
 protected:
  // --- the administrator
  // The core starts, or starts again, with these rows of policy.toml and these lines of its [federation].
  void starts(const std::string& rows, const std::string& federation = {}) {
    edge_.reset();
    others_.edge.reset();
    others_.dialled.clear();
    sockets_ = {};
    internal_.forget_streams();
    servers_.forget_streams();
    CoreSetup setup{config_, prepared(rows, federation), "secret", "1", "core"};
    if (storage_.disk) setup.spool = storage_.disk->contents();
    core_ = std::make_unique<Core>(std::move(setup), random_, log_, now_);
    exchange();
  }
  void applies(const std::string& rows, const std::string& federation = {}) {
    core_->apply(prepared(rows, federation), now_);
    exchange();
  }
  void link_comes_up() {
    edge_connects();
    exchange();
  }
  void passes(Duration time) {
    now_.mono += time;
    core_->handle_timeout(now_);
    exchange();
  }

  // --- the internal servers
  // On the stream of the stanza's pair, which the server opens and proves by its certificate if there is
  // none.
  void internal_sends(const std::string& xml, dns::SocketAddress server = {}) {
    internal_.says(internal_.stream_for(stanza_of(xml), server), xml);
    exchange();
  }
  // Stanzas that have come for their users since the last call: "SENDER to RECIPIENT: BODY", or the condition
  // of an error and the text that explains it.
  Lines internal_receives() {
    Lines lines;
    for (const auto& stanza : std::exchange(servers_.received, {})) lines.push_back(shown(stanza));
    return lines;
  }

  // --- the edge
  // The core dials it, now or later. Returns the connection, which nobody has answered yet.
  ConnId core_dials_edge(std::size_t row = 0) {
    for (int i = 0; i < 10; ++i) {
      carry();
      if (const auto conn = others_.dialled.extract(row)) return conn.mapped();
      now_.mono = *core_->poll_timeout();
      core_->handle_timeout(now_);
    }
    ADD_FAILURE() << "the core does not dial its edge";
    return 0;
  }
  void edge_connects() {
    const ConnId conn = core_dials_edge();
    edge_.emplace(link::SessionConfig{link::NodeRole::kEdge, "vcse.example.com", "1", "edge"});
    edge_->connects(*core_, conn, 0, now_);
  }
  // The second row of [[edge]], where the configuration has one.
  void other_edge_comes_up() {
    const ConnId conn = core_dials_edge(1);
    others_.edge.emplace(link::SessionConfig{link::NodeRole::kEdge, "vcse2.example.com", "1", "other-edge"});
    others_.edge->connects(*core_, conn, 1, now_);
    exchange();
  }
  // A stanza of a remote domain. `pair`, where the edge claims another one than the stanza's.
  void edge_sends(const std::string& xml, std::optional<Pair> pair = std::nullopt) {
    auto stanza = stanza_of(xml);
    if (!pair) pair = Pair{stanza.to().domain(), stanza.from().domain()};
    edge_->sends(std::move(stanza), *pair, now_);
    exchange();
  }
  // As internal_receives.
  Lines edge_receives() {
    Lines lines;
    for (const auto& each : std::exchange(edge_->received, {})) lines.push_back(shown(each.stanza));
    return lines;
  }
  // The outcome of the oldest stanza that the edge has received and not settled.
  void edge_settles(link::Outcome outcome) {
    edge_->settles(std::move(outcome), now_);
    exchange();
  }
  // The core's settlements of the edge's stanzas: "1 delivered", "2 policy.denied".
  Lines outcomes() { return edge_->outcomes(); }

  // Until there is nothing more to write, settlements included, which wait for others (limits::kSettleDelay).
  void exchange() {
    carry();
    now_.mono += limits::kSettleDelay;
    core_->handle_timeout(now_);
    for (auto* edge : {&edge_, &others_.edge})
      if (*edge) (*edge)->session.handle_timeout(now_.mono);
    carry();
  }
  // The same without any time.
  void carry() {
    for (bool any = true; any;) {
      any = false;
      for (auto* edge : {&edge_, &others_.edge}) any = (*edge && (*edge)->writes(*core_, now_)) || any;
      for (; auto output = core_->poll(); any = true) carry_out(std::move(*output));
      for (auto* edge : {&edge_, &others_.edge}) any = (*edge && (*edge)->note_events()) || any;
    }
  }

  config::CoreConfig config_ = core_for_test("server_ca = \"ca.crt\"\n");
  KeptLog log_;
  Random37 random_;
  Now now_{Time{1s}, UnixTime{1'700'000'000s}};
  std::unique_ptr<Core> core_;
  std::optional<LinkPeer> edge_;  // since the link came up
  struct Others {
    std::optional<LinkPeer> edge{};           // the second one, as edge_
    std::map<std::size_t, ConnId> dialled{};  // to edges, by their rows, and not answered
  } others_;
  Sockets sockets_;
  InitiatingServers internal_{[this]() -> Role& { return *core_; }, now_, sockets_, [this] { carry(); }};
  ReceivingServers servers_{random_, ReceivingServers::Dials::kAccepted};
  // The core's spool, where it has one. While the disk is slow, the batch given last is not answered.
  struct Storage {
    std::optional<store::MemorySpool> disk{};
    bool is_slow = false;
    std::vector<std::shared_ptr<const void>> discarded{};
  } storage_;

 private:
  std::shared_ptr<const config::PreparedPolicy> prepared(const std::string& rows,
                                                         const std::string& federation) {
    constexpr std::string_view kServed = R"(
[[domain]]
name = "example.com"
servers = ["10.0.0.20:5269"]
[[chat_node]]
alias = "chatroom1.example.com"
node = "conference-2.corp.example"
servers = ["10.0.0.20:5269"]
)";
    auto policy = config::parse_policy("[federation]\n" + federation + std::string(kServed) + rows,
                                       "policy.toml", config_);
    EXPECT_TRUE(policy.value) << (policy.errors.empty() ? "" : policy.errors.front().shown());
    config::PolicyUpdate update;
    update.policy = std::move(*policy.value);
    update.generation = ++generation_;
    return config::PreparedPolicy::make(config_, std::move(update));
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
  void carry_out(Output output) {
    if (const auto* link = std::get_if<DialLink>(&output)) {
      others_.dialled[link->edge] = link->conn;
    } else if (auto* dial = std::get_if<Dial>(&output)) {
      servers_.handle_dial(*core_, std::move(*dial), now_);
    } else if (const auto* tls = std::get_if<BeginTls>(&output)) {
      if (!tls->accepting) servers_.handle_tls(*core_, *tls, now_);
    } else if (auto* discard = std::get_if<Discard>(&output)) {
      storage_.discarded.push_back(std::move(discard->value));
    } else if (const auto* work = std::get_if<SpoolWork>(&output)) {
      if (!storage_.is_slow) core_->handle_spooled(storage_.disk->carry_out(*work->batch), now_);
    } else if (const auto* closed = std::get_if<Disconnect>(&output)) {
      sockets_.ended.insert(closed->conn);
      for (auto* edge : {&edge_, &others_.edge})
        if (*edge && (*edge)->conn == closed->conn) (*edge)->closed(now_);
    } else if (const auto* flush = std::get_if<Flush>(&output)) {
      for (auto* edge : {&edge_, &others_.edge})
        if (*edge && (*edge)->conn == flush->conn) return (*edge)->reads(*core_, flush->conn, now_);
      servers_.handle_bytes(*core_, flush->conn, sockets_.flush(*core_, flush->conn, now_), now_);
    }
  }

  std::uint64_t generation_ = 0;
};

}  // namespace sallyport::gate
