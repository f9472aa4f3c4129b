// For tests: the sessions of a core and an edge, joined in memory, with verbs for events.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/limits.h"
#include "link/frame.h"
#include "link/session.h"

namespace sallyport::link {

using namespace std::chrono_literals;

inline xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }
inline xmpp::Pair pair(std::string_view local, std::string_view remote) {
  return {domain(local), domain(remote)};
}
inline const xmpp::Pair kPair = pair("example.com", "partner.example");

// Makes a stanza from the local domain if `outward`, else from the remote domain. `bytes`: the size of `xml`.
inline xmpp::Stanza stanza(const xmpp::Pair& p, std::string id, bool outward = true, std::size_t bytes = 0) {
  static const auto kAlice = *xmpp::Jid::parse("alice@example.com");
  static const auto kBob = *xmpp::Jid::parse("bob@example.com/x");
  const xmpp::Jid local = kAlice.in(p.local);
  const xmpp::Jid remote = kBob.in(p.remote);
  std::string xml = "<message id='" + id + "'/>";
  if (xml.size() < bytes) xml.resize(bytes, ' ');
  return {xmpp::StanzaKind::kMessage,
          outward ? local : remote,
          outward ? remote : local,
          std::move(id),
          "chat",
          "en",
          std::move(xml)};
}

// One end: a session and its events.
struct End {
  explicit End(NodeRole role, std::string instance = "1", std::uint16_t version = frame::kVersionHighest)
      : session(config(role, std::move(instance), version)) {}
  static SessionConfig config(NodeRole role, std::string instance,
                              std::uint16_t version = frame::kVersionHighest) {
    const bool core = role == NodeRole::kCore;
    return {.role = role,
            .name = core ? "core-1" : "vcse.example.com",
            .version = core ? "0.1.0" : "0.1.1",
            .instance = (core ? "core-" : "edge-") + std::move(instance),
            .version_highest = version};
  }

  // Takes all events out; returns those of one kind, keeps the others for later.
  template <typename E>
  std::vector<E> take() {
    collect();
    std::vector<E> found;
    std::vector<Event> others;
    for (Event& event : events) {
      if (auto* e = std::get_if<E>(&event))
        found.push_back(std::move(*e));
      else
        others.push_back(std::move(event));
    }
    events = std::move(others);
    return found;
  }
  void collect() {
    while (auto event = session.poll()) events.push_back(*std::move(event));
  }

  LinkSession session;
  std::vector<Event> events;
  std::string out;  // in transit to the other end
};

// Counts the frames in a byte stream that begins and ends between frames.
inline std::map<frame::Type, int> frames_in(std::string_view bytes) {
  std::map<frame::Type, int> count;
  frame::Reader reader;
  while (const auto raw = reader.next(bytes, limits::kFrameBytesMax)) {
    EXPECT_TRUE(*raw) << raw->error().text;
    if (!*raw) break;
    EXPECT_TRUE(frame::decode(**raw));
    ++count[(*raw)->type];
  }
  EXPECT_TRUE(bytes.empty());
  return count;
}

struct Link {
  End core{NodeRole::kCore};
  End edge{NodeRole::kEdge};
  Time now{1h};
  std::string sent_by_core;  // all bytes that it ever sent
  std::string sent_by_edge;

  void connect() {
    core.session.handle_connected(now);
    edge.session.handle_connected(now);
  }
  // Everything in transit is lost.
  void cut() {
    core.out.clear();
    edge.out.clear();
    core.session.handle_disconnected(now);
    edge.session.handle_disconnected(now);
  }
  // Fetches the output of each end.
  bool fetch() { return fetch(core, sent_by_core) | fetch(edge, sent_by_edge); }
  bool fetch(End& end, std::string& sent) {
    std::string bytes;
    bool any = false;
    while (end.session.take_output(bytes, now)) {
      any = true;
      sent += bytes;
      end.out += bytes;
      bytes.clear();
    }
    return any;
  }
  // Delivers everything in transit.
  void deliver() {
    const std::string to_edge = std::exchange(core.out, {});
    const std::string to_core = std::exchange(edge.out, {});
    edge.session.handle_bytes(to_edge, now);
    core.session.handle_bytes(to_core, now);
  }
  // Exchanges bytes until neither end has output at this time.
  void exchange() {
    while (fetch()) deliver();
  }
  // Lets time pass, timer by timer.
  void pass(Duration duration) {
    const Time end = now + duration;
    for (;;) {
      const auto next = next_timeout();
      if (!next || *next > end) break;
      now = std::max(now, *next);
      core.session.handle_timeout(now);
      edge.session.handle_timeout(now);
      exchange();
    }
    now = end;
    core.session.handle_timeout(now);
    edge.session.handle_timeout(now);
    exchange();
  }
  std::optional<Time> next_timeout() const {
    const auto a = core.session.poll_timeout();
    const auto b = edge.session.poll_timeout();
    if (!a || !b) return a ? a : b;
    return std::min(*a, *b);
  }
  void up() {
    connect();
    exchange();
    ASSERT_TRUE(core.session.is_up() && edge.session.is_up());
    core.take<Up>();
    edge.take<Up>();
  }
  void forget_sent() {
    sent_by_core.clear();
    sent_by_edge.clear();
  }

  void send_out(std::string id, Ticket ticket, const xmpp::Pair& p = kPair) {
    core.session.send(p, stanza(p, std::move(id)), ticket, now);
  }
  void send_in(std::string id, Ticket ticket, const Provenance& how = {}, const xmpp::Pair& p = kPair) {
    edge.session.send(p, stanza(p, std::move(id), false), ticket, now, how);
  }
};

// Returns the ids of received stanzas, in order.
inline std::vector<std::string> ids(const std::vector<Received>& received) {
  std::vector<std::string> result;
  for (const Received& r : received) result.emplace_back(r.stanza.id());
  return result;
}
// Returns "7:" for delivered, "7:dns.no-name" for refused, in order.
inline std::vector<std::string> outcomes(const std::vector<Settled>& settled) {
  std::vector<std::string> result;
  for (const Settled& s : settled) {
    for (std::uint64_t i = 0; i < s.count; ++i)
      result.push_back(std::to_string(s.ticket) + ":" +
                       (s.outcome ? std::string(code_row(s.outcome->code).name) : ""));
  }
  return result;
}
using Strings = std::vector<std::string>;

}  // namespace sallyport::link
