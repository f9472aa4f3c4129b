// For tests only: an edge between its cores and remote servers. A core is its end of the link, a session
// alone; remote servers are real receiving machines for what the edge sends, and scripts for what they send
// themselves.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"
#include "gate/edge.h"
#include "gate/role_fixture.h"
#include "link/frame.h"

namespace sallyport::gate {

// The s2s listeners of an edge.
struct Listeners {
  void carry_out(Edge& edge, Listen order, Now now) {
    open = order.on;
    if (!order.on) return;
    ++times;
    edge.handle_listening(result, now);
  }
  bool open = false;
  int times = 0;        // that they were to be opened
  Result<void> result;  // of opening them
};

// The driver's thread that prepares pushes and frees what they replace.
struct PushThread {
  void carry_out(Edge& edge, Prepare order, Now now) {
    if (at_once) return prepare_push(edge, std::move(order), now);
    waiting.push_back(std::move(order));
  }
  void prepare_next(Edge& edge, Now now) {
    ASSERT_FALSE(waiting.empty());
    Prepare order = std::move(waiting.front());
    waiting.pop_front();
    prepare_push(edge, std::move(order), now);
  }
  bool at_once = true;
  std::deque<Prepare> waiting;
  std::vector<std::shared_ptr<const void>> discarded;
  std::shared_ptr<const config::Credentials> credentials;  // in use
};

class EdgeFixture : public testing::Test {
 protected:
  static config::EdgeConfig edge_config() {
    config::EdgeConfig config{.name = domain("vcse.example.net")};
    config.cores.push_back({.name = "core-1", .pins = {}, .domains = {}});
    return config;
  }
  static LinkPeer core(const std::string& instance = "core",
                       std::uint16_t version = link::frame::kVersionHighest) {
    return LinkPeer({link::NodeRole::kCore, "core.example.org", "1", instance, version});
  }

  // --- the administrator
  // The edge and its core start, or start again; the link is not up.
  void starts(config::EdgeConfig config = edge_config()) {
    links_.clear();
    sockets_ = {};
    remote_.forget_streams();
    servers_.forget_streams();
    edge_ = std::make_unique<Edge>(EdgeSetup{std::move(config), "1", "edge"}, random_, log_, now_);
    core_ = core();
  }
  void passes(Duration time) {
    for (const Time end = now_.mono + time; now_.mono < end;) {
      now_.mono = std::min<Time>(end, now_.mono + 500ms);
      for (const auto& [conn, core] : std::map(links_))
        if (!core->mute) core->session.handle_timeout(now_.mono);
      edge_->handle_timeout(now_);
      exchange();
    }
  }
  bool status_has(std::string_view words) {
    return edge_->control(R"({"ask":"status"})", now_).find(words) != std::string::npos;
  }

  // --- the core, and others that dial the edge
  void dials(LinkPeer& core, std::size_t row = 0) {
    const ConnId conn = last_link_ += 2;
    links_[conn] = &core;
    core.connects(*edge_, conn, row, now_);
    exchange();
  }
  void loses_link(LinkPeer& core) {
    links_.erase(*core.conn);
    core.loses_link(*edge_, now_);
    exchange();
  }
  void link_comes_up() { dials(core_); }
  void link_is_lost() { loses_link(core_); }
  // Of a policy that serves example.com and allows these remote domains.
  static config::Push push(std::uint64_t generation, const std::vector<std::string>& allowed) {
    config::Push push;
    push.generation = generation;
    push.rules.local = {{domain("example.com"), false}};
    for (const auto& name : allowed) push.rules.lists.push_back({.domain = pattern(name), .allow = true});
    return push;
  }
  void core_pushes(const config::Push& push) { core_pushes(push.generation, push.encode()); }
  void core_pushes(std::uint64_t generation, std::string bytes) {
    core_.session.push(generation, std::make_shared<const SecretBytes>(std::move(bytes)));
    exchange();
  }
  void core_sends(const std::string& xml) {
    auto stanza = stanza_of(xml);
    const Pair pair{stanza.from().domain(), stanza.to().domain()};
    core_.sends(std::move(stanza), pair, now_);
    exchange();
  }
  // Stanzas that have come to the core since the last call: the kind, the addresses and who they were proved
  // to, then the stanza as it stands.
  Lines core_receives() {
    Lines lines;
    for (const auto& each : std::exchange(core_.received, {}))
      lines.push_back(fmt::format("{} from {} to {} by {} at {}: {}", xmpp::kind_name(each.stanza.kind()),
                                  each.stanza.from_text(), each.stanza.to_text(), each.provenance().method,
                                  each.provenance().peer_address, each.stanza.xml()));
    return lines;
  }
  // The edge's settlements of the core's stanzas since the last call: "1 delivered", "2 dial.refused".
  // Settlements wait for others before they are sent.
  Lines edge_settles() {
    now_.mono += limits::kSettleDelay;
    edge_->handle_timeout(now_);
    exchange();
    return core_.outcomes();
  }
  void core_answers(std::size_t question, link::Answer answer) {
    core_.session.answer(core_.asked.at(question).id, std::move(answer));
    exchange();
  }

  // --- the remote servers
  // On the stream of the stanza's pair, which the server opens and proves by its certificate if there is
  // none. Returns what the edge writes there then.
  std::string remote_sends(const std::string& xml) {
    return remote_.says(remote_.stream_for(stanza_of(xml)), xml);
  }
  // Of each stream that the edge has opened, in their order: what it wrote after the negotiation, without
  // pings.
  Lines remote_receives() {
    Lines lines;
    for (const Dial& dial : servers_.dials) {
      const std::string written = without_pings(sockets_.written[dial.conn]);
      const auto begin = written.rfind("<stream:stream ");
      lines.push_back(begin == written.npos ? "" : written.substr(written.find('>', begin) + 1));
    }
    return lines;
  }
  // The domains whose servers the edge has dialled, without those of static routes.
  Lines dialled() const {
    Lines names;
    for (const Dial& dial : servers_.dials) names.push_back(dial.plan.dns ? dial.plan.dns->ascii() : "");
    return names;
  }

  // Until there is nothing more to write at this time.
  void exchange() {
    for (bool any = true; any;) {
      any = false;
      for (const auto& [conn, core] : std::map(links_)) any = core->writes(*edge_, now_) || any;
      for (; auto output = edge_->poll(); any = true) carry_out(std::move(*output));
      for (const auto& [conn, core] : std::map(links_)) core->note_events();
    }
  }

  KeptLog log_;
  Random37 random_;
  Now now_{Time{1s}, UnixTime{1'700'000'000s}};
  std::unique_ptr<Edge> edge_;
  LinkPeer core_ = core();
  std::map<ConnId, LinkPeer*> links_;  // connections that a core has opened and nobody has closed
  ConnId last_link_ = 1'000'001;
  Sockets sockets_;
  InitiatingServers remote_{[this]() -> Role& { return *edge_; }, now_, sockets_, [this] { exchange(); }};
  ReceivingServers servers_{random_, ReceivingServers::Dials::kUnanswered};
  Listeners listeners_;
  PushThread pushes_;

 private:
  void carry_out(Output output) {
    if (const auto* flush = std::get_if<Flush>(&output)) {
      if (const auto link = links_.find(flush->conn); link != links_.end())
        return link->second->reads(*edge_, flush->conn, now_);
      servers_.handle_bytes(*edge_, flush->conn, sockets_.flush(*edge_, flush->conn, now_), now_);
    } else if (const auto* hold = std::get_if<Hold>(&output)) {
      hold->on ? void(sockets_.held.insert(hold->conn)) : void(sockets_.held.erase(hold->conn));
    } else if (const auto* closed = std::get_if<Disconnect>(&output)) {
      sockets_.ended.insert(closed->conn);
      auto link = links_.extract(closed->conn);
      if (link && link.mapped()->conn == closed->conn) link.mapped()->closed(now_);
    } else if (auto* dial = std::get_if<Dial>(&output)) {
      servers_.handle_dial(*edge_, std::move(*dial), now_);
    } else if (const auto* tls = std::get_if<BeginTls>(&output)) {
      if (!tls->accepting) servers_.handle_tls(*edge_, *tls, now_);
    } else if (const auto* listen = std::get_if<Listen>(&output)) {
      listeners_.carry_out(*edge_, *listen, now_);
    } else if (auto* prepare = std::get_if<Prepare>(&output)) {
      pushes_.carry_out(*edge_, std::move(*prepare), now_);
    } else if (auto* use = std::get_if<UseCredentials>(&output)) {
      pushes_.credentials = std::move(use->credentials);
    } else if (auto* discard = std::get_if<Discard>(&output)) {
      if (discard->value) pushes_.discarded.push_back(std::move(discard->value));
    }
  }
};

}  // namespace sallyport::gate
