// For tests only: a core and an edge joined by their link in one process. The driver's part is done here:
// remote peers speak to the edge as bytes and facts about TLS, internal servers speak to the core by a
// script. All that the core writes on the link and all that the edge logs is kept.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "gate/core.h"
#include "gate/edge.h"
#include "link/session.h"

namespace sallyport::gate::joined {

using namespace std::chrono_literals;

inline xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }
inline policy::DomainPattern pattern(std::string_view text) { return *policy::DomainPattern::parse(text); }
inline route::HostPort host(std::string_view text) { return *route::HostPort::parse(text); }

class Random37 : public Random {
 public:
  void fill(std::uint8_t* out, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) out[i] = next_ += 37;
  }

 private:
  std::uint8_t next_ = 0;
};

class Lines : public LogSink {
 public:
  void log(LogEvent event) override { lines.push_back(format_text(event, "")); }
  // Whether one line has all the words.
  bool has(std::initializer_list<std::string_view> words) const {
    return std::ranges::any_of(lines, [&](const std::string& line) {
      return std::ranges::all_of(words, [&](std::string_view word) { return line.find(word) != line.npos; });
    });
  }
  std::vector<std::string> lines;
};

inline s2s::TlsFacts certificate(std::vector<std::string> names, std::string sni = {}) {
  s2s::TlsFacts facts;
  facts.version = "TLSv1.3";
  facts.own_certificate = "example.com";
  facts.server_name = std::move(sni);
  facts.peer_certificate = !names.empty();
  if (facts.peer_certificate) facts.chain = {};
  facts.names.dns = std::move(names);
  return facts;
}

inline std::string header(std::string_view from, std::string_view to) {
  return "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
         "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' from='" +
         std::string(from) + "' to='" + std::string(to) + "' version='1.0'>";
}
inline const std::string kStartTls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
inline const std::string kAuth =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
inline std::string db_result(std::string_view from, std::string_view to) {
  return "<db:result from='" + std::string(from) + "' to='" + std::string(to) + "'>key</db:result>";
}

// What is inside in these worlds.
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

class Gateway {
 public:
  // What an internal server does with a connection of the core. Given what the core wrote, or nothing when it
  // is dialled.
  using Server = std::function<void(Gateway&, ConnId, const std::string& said)>;

  explicit Gateway(config::CoreConfig config = core_config(),
                   config::PolicyUpdate update = open_policy(policy::Privacy::kOff))
      : config_(std::move(config)) {
    config::EdgeConfig edge_config{.name = domain("vcse.example.net")};
    edge_config.cores.push_back({.name = "core-1", .pins = {}, .domains = {}});
    edge = std::make_unique<Edge>(EdgeSetup{std::move(edge_config), "1", "edge"}, random_, edge_log, now);
    core = std::make_unique<Core>(CoreSetup{config_, config::PreparedPolicy::make(config_, std::move(update)),
                                            "the secret", "1", "core"},
                                  random_, core_log, now);
    run();
  }

  void apply(config::PolicyUpdate update) {
    core->apply(config::PreparedPolicy::make(config_, std::move(update)), now);
    run();
  }

  // --- the public side
  ConnId remote_connects(bool direct_tls = false) {
    const ConnId conn = last_accepted_ += 2;
    Accepted accepted;
    accepted.peer = {*dns::Ip::parse("198.51.100.7"), 40'000};
    accepted.direct_tls = direct_tls;
    edge->handle_accepted(conn, accepted, now);
    run();
    return conn;
  }
  // What the edge writes then.
  std::string remote_says(ConnId conn, std::string_view bytes) {
    public_written[conn].clear();
    edge->handle_bytes(conn, bytes, now);
    run();
    return public_written[conn];
  }
  std::string remote_secured(ConnId conn, s2s::TlsFacts facts) {
    public_written[conn].clear();
    edge->handle_tls(conn, std::move(facts), now);
    run();
    return public_written[conn];
  }
  // Up to the features after TLS, which come back.
  std::string remote_opens(ConnId conn, std::string_view from, std::string_view to,
                           std::vector<std::string> names) {
    remote_says(conn, header(from, to));
    remote_says(conn, kStartTls);
    remote_secured(conn, certificate(std::move(names)));
    return remote_says(conn, header(from, to));
  }
  // A stream on which `from` is proved by its certificate.
  ConnId remote_proved(const std::string& from, const std::string& to) {
    const ConnId conn = remote_connects();
    EXPECT_NE(remote_opens(conn, from, to, {from}).find("EXTERNAL"), std::string::npos) << from;
    EXPECT_NE(remote_says(conn, kAuth).find("<success"), std::string::npos) << from;
    remote_says(conn, header(from, to));
    return conn;
  }

  // --- the internal side
  void internal_server_says(ConnId conn, std::string_view bytes) { core->handle_bytes(conn, bytes, now); }

  // --- all
  void pass(Duration duration) {
    const Time end = now.mono + duration;
    while (true) {
      std::optional<Time> next = core->poll_timeout();
      if (const auto other = edge->poll_timeout(); other && (!next || *other < *next)) next = other;
      if (!next || *next > end) break;
      move_to(std::max(now.mono, *next));
    }
    move_to(end);
  }
  void run() {
    for (bool any = true; any;) {
      any = false;
      while (auto output = core->poll()) obey_core(*std::move(output)), any = true;
      while (auto output = edge->poll()) obey_edge(*std::move(output)), any = true;
      while (!to_edge_.empty() && link_up) {
        any = true;
        edge->handle_bytes(kEdgeLink, std::exchange(to_edge_, {}), now);
        while (auto output = edge->poll()) obey_edge(*std::move(output));
      }
      while (!to_core_.empty() && link_up) {
        any = true;
        core->handle_bytes(core_link_, std::exchange(to_core_, {}), now);
      }
    }
  }
  void cut_link() {
    link_up = false;
    to_edge_.clear();
    to_core_.clear();
    core->handle_disconnected(core_link_, {Code::kStreamLost, {}}, now);
    edge->handle_disconnected(kEdgeLink, {Code::kStreamLost, {}}, now);
    run();
  }

  Now now{Time{1h}, UnixTime{1'700'000'000s}};
  Lines core_log;
  Lines edge_log;
  std::string said_by_core;  // on the link
  std::string said_by_edge;
  std::vector<Dial> public_dials;
  std::vector<Dial> internal_dials;
  std::map<ConnId, std::string> public_written;
  Server server;
  bool link_up = false;
  bool may_link = true;
  std::unique_ptr<Edge> edge;
  std::unique_ptr<Core> core;

 private:
  static constexpr ConnId kEdgeLink = 1'000'001;

  void move_to(Time time) {
    now.mono = time;
    core->handle_timeout(now);
    run();
    edge->handle_timeout(now);
    run();
  }
  void obey_core(Output output) {
    std::string bytes;
    if (const auto* dial = std::get_if<DialLink>(&output)) {
      if (!may_link) return core->handle_dial_failed(dial->conn, {Code::kDialRefused, {}}, now);
      core_link_ = dial->conn;
      link_up = true;
      edge->handle_link(kEdgeLink, 0, {*dns::Ip::parse("203.0.113.99"), 30'000}, now);
      core->handle_link(core_link_, 0, {*dns::Ip::parse("192.0.2.10"), 7400}, now);
    } else if (const auto* flush = std::get_if<Flush>(&output)) {
      if (!core->take_output(flush->conn, bytes, now)) return;
      if (flush->conn == core_link_) {
        said_by_core += bytes;
        to_edge_ += bytes;
        return;
      }
      core->handle_written(flush->conn, internal_totals_[flush->conn] += bytes.size(), now);
      if (server) server(*this, flush->conn, bytes);
    } else if (auto* inward = std::get_if<Dial>(&output)) {
      const ConnId conn = inward->conn;
      internal_dials.push_back(std::move(*inward));
      if (server) server(*this, conn, {});
    }
  }
  void obey_edge(Output output) {
    std::string bytes;
    if (const auto* flush = std::get_if<Flush>(&output)) {
      if (!edge->take_output(flush->conn, bytes, now)) return;
      if (flush->conn == kEdgeLink) {
        said_by_edge += bytes;
        to_core_ += bytes;
        return;
      }
      public_written[flush->conn] += bytes;
      edge->handle_written(flush->conn, public_totals_[flush->conn] += bytes.size(), now);
    } else if (auto* dial = std::get_if<Dial>(&output)) {
      public_dials.push_back(std::move(*dial));
    } else if (auto* prepare = std::get_if<Prepare>(&output)) {
      auto decoded = config::decode_push(std::move(prepare->work));
      ASSERT_TRUE(decoded);
      edge->handle_prepared(
          prepare->id,
          config::PreparedPush{std::move(decoded->policy), std::make_shared<config::Credentials>()}, now);
    }
  }

  config::CoreConfig config_;
  Random37 random_;
  ConnId core_link_ = 0;
  ConnId last_accepted_ = 1;
  std::string to_edge_;
  std::string to_core_;
  std::map<ConnId, std::uint64_t> internal_totals_;
  std::map<ConnId, std::uint64_t> public_totals_;
};

}  // namespace sallyport::gate::joined
