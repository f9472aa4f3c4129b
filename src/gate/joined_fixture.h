// For tests only: a core and an edge joined by their link in one process. The driver's part is done here:
// remote peers speak to the edge as bytes and facts about TLS, internal servers speak to the core by a
// script. All that the core writes on the link and all that the edge logs is kept.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gate/core.h"
#include "gate/edge.h"
#include "gate/role_fixture.h"

namespace sallyport::gate::joined {

inline route::HostPort host(std::string_view text) { return *route::HostPort::parse(text); }

// The internal side of these gateways.
inline config::CoreConfig core_config() {
  config::CoreConfig config{.name = domain("core.hidden.example")};
  config.edges.push_back(
      {.name = domain("vcse.example.net"), .address = host("192.0.2.10:7400"), .pins = {}});
  config.internal_names = {pattern("corp.example"), pattern("*.corp.example"),
                           pattern("b\u00fccher.example")};
  return config;
}
inline config::PolicyUpdate open_policy(policy::Privacy privacy) {
  config::PolicyUpdate update;
  auto& rules = update.policy.rules;
  rules.privacy = privacy;
  rules.local = {{domain("example.com"), false}, {domain("rooms.example.com"), true}};
  rules.lists = {{.domain = pattern("partner.example"), .allow = true},
                 {.domain = pattern("*.example"), .allow = true},
                 {.domain = pattern("*.hidden.example"), .allow = true},
                 {.domain = pattern("*.example.com"), .allow = true},
                 {.domain = pattern("*.example.net"), .allow = true},
                 {.domain = pattern("inner.corp.example"), .allow = false}};
  rules.peers = {{.domain = pattern("dns.example"), .authenticate = policy::Authenticate::kDialback},
                 {.domain = pattern("peer.corp.example"), .authenticate = policy::Authenticate::kDialback}};
  update.policy.served = {{.name = domain("example.com"),
                           .internal_name = domain("example.com"),
                           .servers = {host("10.9.8.7:5269")}},
                          {.name = domain("rooms.example.com"),
                           .internal_name = domain("node-2.hidden.example"),
                           .servers = {host("10.9.8.7:5269")},
                           .is_alias = true}};
  update.certificates.emplace_back();
  update.certificates[0].names = {"example.com"};
  update.certificates[0].key = "secret";
  update.generation = 1;
  return update;
}

class Gateway;

// The internal servers: one script for all of them, and what the core did with them.
struct InternalSide {
  // Given what the core wrote on a connection, or nothing when it dials one.
  using Server = std::function<void(Gateway&, ConnId, const std::string& said)>;
  Server server;
  std::vector<Dial> dials;
  Sockets sockets;
};

// The link's connection: what each node wrote on it, and what of that has not come to the other one.
class Wire {
 public:
  void connect(ConnId at_core) {
    core_end_ = at_core;
    is_up_ = true;
  }
  // Of the core's connections.
  bool is(ConnId conn) const { return is_up_ && conn == core_end_; }
  void core_writes(Core& core, Now now) {
    const std::string bytes = take_all(core, core_end_, now);
    said_by_core += bytes;
    to_edge_ += bytes;
  }
  void edge_writes(Edge& edge, Now now) {
    const std::string bytes = take_all(edge, kEdgeEnd, now);
    said_by_edge += bytes;
    to_core_ += bytes;
  }
  // False where nothing was under way.
  bool carry(Core& core, Edge& edge, Now now) {
    if (to_edge_.empty() && to_core_.empty()) return false;
    if (!to_edge_.empty()) edge.handle_bytes(kEdgeEnd, std::exchange(to_edge_, {}), now);
    if (!to_core_.empty()) core.handle_bytes(core_end_, std::exchange(to_core_, {}), now);
    return true;
  }

  static constexpr ConnId kEdgeEnd = 1'000'001;
  std::string said_by_core;
  std::string said_by_edge;

 private:
  bool is_up_ = false;
  ConnId core_end_ = 0;
  std::string to_edge_;
  std::string to_core_;
};

class Gateway {
 public:
  explicit Gateway(config::CoreConfig config = core_config(),
                   config::PolicyUpdate update = open_policy(policy::Privacy::kOff))
      : config_(std::move(config)) {
    config::EdgeConfig edge_config{.name = domain("vcse.example.net")};
    edge_config.cores.push_back({.name = "core-1", .pins = {}, .domains = {}});
    edge = std::make_unique<Edge>(EdgeSetup{std::move(edge_config), "1", "edge"}, random_, edge_log, now);
    core = std::make_unique<Core>(CoreSetup{config_, config::PreparedPolicy::make(config_, std::move(update)),
                                            "the secret", "1", "core"},
                                  random_, core_log, now);
    exchange();
  }

  void apply(config::PolicyUpdate update) {
    core->apply(config::PreparedPolicy::make(config_, std::move(update)), now);
    exchange();
  }
  void internal_server_says(ConnId conn, std::string_view bytes) { core->handle_bytes(conn, bytes, now); }

  void passes(Duration duration) {
    const Time end = now.mono + duration;
    while (true) {
      std::optional<Time> next = core->poll_timeout();
      if (const auto other = edge->poll_timeout(); other && (!next || *other < *next)) next = other;
      if (!next || *next > end) break;
      move_to(std::max(now.mono, *next));
    }
    move_to(end);
  }
  // Until there is nothing more to write at this time.
  void exchange() {
    for (bool any = true; any;) {
      any = false;
      for (; auto output = core->poll(); any = true) carry_out_for_core(std::move(*output));
      for (; auto output = edge->poll(); any = true) carry_out_for_edge(std::move(*output));
      if (link.carry(*core, *edge, now)) any = true;
    }
  }

  Now now{Time{1h}, UnixTime{1'700'000'000s}};
  KeptLog core_log;
  KeptLog edge_log;
  Wire link;
  InternalSide internal;
  Sockets public_sockets;
  std::vector<Dial> public_dials;
  InitiatingServers remote{[this]() -> Role& { return *edge; }, now, public_sockets, [this] { exchange(); }};
  std::unique_ptr<Edge> edge;
  std::unique_ptr<Core> core;

 private:
  void move_to(Time time) {
    now.mono = time;
    core->handle_timeout(now);
    exchange();
    edge->handle_timeout(now);
    exchange();
  }
  void carry_out_for_core(Output output) {
    if (const auto* link_dial = std::get_if<DialLink>(&output)) {
      link.connect(link_dial->conn);
      edge->handle_link(Wire::kEdgeEnd, 0, {*dns::Ip::parse("203.0.113.99"), 30'000}, now);
      core->handle_link(link_dial->conn, 0, {*dns::Ip::parse("192.0.2.10"), 7400}, now);
    } else if (const auto* flush = std::get_if<Flush>(&output)) {
      if (link.is(flush->conn)) return link.core_writes(*core, now);
      const std::string bytes = internal.sockets.flush(*core, flush->conn, now);
      if (!bytes.empty() && internal.server) internal.server(*this, flush->conn, bytes);
    } else if (auto* dial = std::get_if<Dial>(&output)) {
      const ConnId conn = dial->conn;
      internal.dials.push_back(std::move(*dial));
      if (internal.server) internal.server(*this, conn, {});
    }
  }
  void carry_out_for_edge(Output output) {
    if (const auto* flush = std::get_if<Flush>(&output)) {
      if (flush->conn == Wire::kEdgeEnd) return link.edge_writes(*edge, now);
      public_sockets.flush(*edge, flush->conn, now);
    } else if (auto* dial = std::get_if<Dial>(&output)) {
      public_dials.push_back(std::move(*dial));
    } else if (auto* prepare = std::get_if<Prepare>(&output)) {
      prepare_push(*edge, std::move(*prepare), now);
    }
  }

  config::CoreConfig config_;
  Random37 random_;
};

}  // namespace sallyport::gate::joined
