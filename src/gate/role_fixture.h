// For tests only: what surrounds a role. Its log and random numbers, its sockets, the other end of its link,
// and the servers that open streams to it or accept those that it opens.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/limits.h"
#include "gate/event.h"
#include "gate/ping_acks.h"
#include "link/session.h"
#include "policy/rules.h"
#include "s2s/inbound.h"
#include "xmpp/xml_stream.h"

namespace sallyport::gate {

using namespace std::chrono_literals;
using xmpp::Pair;
using Lines = std::vector<std::string>;

// --- what servers write

inline xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }
inline policy::DomainPattern pattern(std::string_view text) { return *policy::DomainPattern::parse(text); }
inline dns::SocketAddress address(std::string_view ip) { return {*dns::Ip::parse(ip), 40'000}; }

inline std::string header(std::string_view from, std::string_view to) {
  return fmt::format(
      "<?xml version='1.0'?><stream:stream xmlns='jabber:server' "
      "xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' from='{}' to='{}' "
      "version='1.0'>",
      from, to);
}
inline const std::string kStartTls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
inline const std::string kAuth =
    "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>";
inline std::string db_result(std::string_view from, std::string_view to) {
  return fmt::format("<db:result from='{}' to='{}'>key</db:result>", from, to);
}
// What a role wrote, without its pings.
inline std::string without_pings(std::string written) {
  for (auto at = written.find("<iq type='get' from="); at != written.npos;
       at = written.find("<iq type='get' from=", at)) {
    constexpr std::string_view kEnd = "<ping xmlns='urn:xmpp:ping'/></iq>";
    const auto end = written.find(kEnd, at);
    if (end == written.npos) break;
    written.erase(at, end + kEnd.size() - at);
  }
  return written;
}
inline xmpp::Stanza stanza_of(const std::string& xml) {
  auto stanza = xmpp::StanzaReader().read(xml);
  EXPECT_TRUE(stanza) << xml;
  return *std::move(stanza);
}
// The facts of a handshake in which the peer's certificate has these names. None: it has shown no
// certificate.
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

// --- what a role is given

class Random37 : public Random {
 public:
  void fill(std::uint8_t* out, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) out[i] = next_ += 37;
  }

 private:
  std::uint8_t next_ = 0;
};

class KeptLog : public LogSink {
 public:
  void log(LogEvent event) override { events.push_back(std::move(event)); }
  // Each event as "NAME VALUE VALUE", with the values of these fields.
  Lines lines(std::initializer_list<std::string_view> fields) const {
    Lines lines;
    for (const LogEvent& event : events) {
      lines.push_back(event.name);
      for (const auto& [key, value] : event.fields)
        if (std::ranges::find(fields, key) != fields.end()) lines.back() += " " + value;
    }
    return lines;
  }
  // Whether one event has all the words.
  bool has(std::initializer_list<std::string_view> words) const {
    return std::ranges::any_of(events, [&](const LogEvent& event) {
      const std::string line = format_text(event, "");
      return std::ranges::all_of(words, [&](std::string_view word) { return line.find(word) != line.npos; });
    });
  }
  std::vector<LogEvent> events;
};

inline std::string take_all(Role& role, ConnId conn, Now now) {
  std::string all, bytes;
  while (role.take_output(conn, bytes, now)) all += std::exchange(bytes, {});
  return all;
}

// The sockets of a role. They take at once all that it writes.
struct Sockets {
  // Returns the bytes that they took.
  std::string flush(Role& role, ConnId conn, Now now) {
    std::string all = take_all(role, conn, now);
    if (!all.empty()) role.handle_written(conn, (written[conn] += all).size(), now);
    return all;
  }
  std::map<ConnId, std::string> written;
  std::set<ConnId> ended;  // by the role
  std::set<ConnId> held;
};

// Prepares a push as a driver does off the event loop.
inline void prepare_push(Role& edge, Prepare order, Now now) {
  auto decoded = config::decode_push(std::move(order.work));
  if (decoded) {
    edge.handle_prepared(
        order.id, config::PreparedPush{std::move(decoded->policy), std::make_shared<config::Credentials>()},
        now);
  } else {
    edge.handle_prepared(order.id, decoded.error(), now);
  }
}

// --- the nodes around a role

// The node at the other end of a link: its session alone. It applies each push at once; stanzas are settled
// and questions answered by the test.
struct LinkPeer {
  explicit LinkPeer(link::SessionConfig config) : session(std::move(config)) {}

  // As [[core]] or [[edge]] number `row` of the role.
  void connects(Role& role, ConnId on, std::size_t row, Now now) {
    conn = on;
    session.handle_connected(now.mono);
    role.handle_link(on, row, {}, now);
  }
  // Both ends learn that the connection is lost.
  void loses_link(Role& role, Now now) {
    const ConnId lost = *conn;
    closed(now);
    role.handle_disconnected(lost, {Code::kStreamLost, {}}, now);
  }
  // The role has closed the connection.
  void closed(Now now) {
    if (mute) return;
    conn.reset();
    session.handle_disconnected(now.mono);
    note_events();
  }
  // False where it had nothing to write.
  bool writes(Role& role, Now now) {
    std::string bytes;
    if (mute || !conn || !session.take_output(bytes, now.mono)) return false;
    role.handle_bytes(*conn, bytes, now);
    return true;
  }
  // The role has written on this connection.
  void reads(Role& role, ConnId on, Now now) {
    const std::string bytes = take_all(role, on, now);
    if (!mute) session.handle_bytes(bytes, now.mono);
  }
  // False where nothing has happened.
  bool note_events() {
    bool any = false;
    for (; auto event = session.poll(); any = true) {
      if (auto* pushed = std::get_if<link::Pushed>(&*event))
        session.push_done(pushed->generation, pushes.answer);
      if (auto* done = std::get_if<link::PushDone>(&*event)) pushes.done.push_back(std::move(*done));
      if (auto* ask = std::get_if<link::Asked>(&*event)) asked.push_back(std::move(*ask));
      if (auto* answer = std::get_if<link::Answered>(&*event)) answered.push_back(std::move(*answer));
      if (auto* outcome = std::get_if<link::Settled>(&*event)) settled.push_back(std::move(*outcome));
      if (auto* ping = std::get_if<link::PeerHeard>(&*event)) heard.push_back(std::move(*ping));
      if (auto* down = std::get_if<link::Down>(&*event)) downs.push_back(std::move(*down));
      if (auto* came = std::get_if<link::Received>(&*event)) {
        unsettled.push_back(came->receipt);
        received.push_back(std::move(*came));
      }
    }
    return any;
  }
  // `pair`, where it claims another one than the stanza's; stanzas are numbered from 1.
  void sends(xmpp::Stanza stanza, const Pair& pair, Now now) {
    session.send(pair, std::move(stanza), ++last_ticket, now.mono);
  }
  // The oldest stanza that it has not settled.
  void settles(link::Outcome outcome, Now now) { settles(0, std::move(outcome), now); }
  // The one behind so many older ones.
  void settles(std::size_t older, link::Outcome outcome, Now now) {
    ASSERT_LT(older, unsettled.size());
    session.settle(unsettled[older], std::move(outcome), now.mono);
    unsettled.erase(unsettled.begin() + static_cast<std::ptrdiff_t>(older));
  }
  // The role's settlements of stanzas since the last call: "1 delivered", "2 policy.denied: TEXT".
  Lines outcomes() {
    Lines lines;
    for (const auto& each : std::exchange(settled, {})) {
      const auto code = each.outcome ? code_row(each.outcome->code).name : "delivered";
      const std::string text = each.outcome ? each.outcome->text : "";
      lines.push_back(fmt::format("{} {}{}{}", each.ticket, code, text.empty() ? "" : ": ", text));
    }
    return lines;
  }

  link::LinkSession session;
  std::optional<ConnId> conn;
  bool mute = false;  // its machine lost power: it writes and closes nothing
  Ticket last_ticket = 0;
  std::vector<link::Received> received;
  std::deque<link::Receipt> unsettled;
  std::vector<link::Settled> settled;
  std::vector<link::Asked> asked;
  std::vector<link::Answered> answered;
  struct Pushes {
    Result<void> answer{};  // to those that come
    std::vector<link::PushDone> done{};
  } pushes{};
  std::vector<link::PeerHeard> heard;
  std::vector<link::Down> downs;
};

// The servers that open streams to a role: the test gives their bytes and the facts of their handshakes.
// `carry` carries out what follows from each.
class InitiatingServers {
 public:
  InitiatingServers(std::function<Role&()> role, const Now& now, const Sockets& sockets,
                    std::function<void()> carry)
      : role_(std::move(role)), now_(now), sockets_(sockets), carry_(std::move(carry)) {}

  ConnId connects(dns::SocketAddress from = address("198.51.100.7"), bool direct_tls = false) {
    const ConnId conn = std::exchange(next_, next_ + 2);
    role_().handle_accepted(conn, {from, {}, direct_tls}, now_);
    carry_();
    return conn;
  }
  // Returns what the role writes then.
  std::string says(ConnId conn, std::string_view bytes) {
    listens(conn);
    role_().handle_bytes(conn, bytes, now_);
    carry_();
    return hears(conn);
  }
  std::string secures(ConnId conn, Result<s2s::TlsFacts> facts) {
    listens(conn);
    role_().handle_tls(conn, std::move(facts), now_);
    carry_();
    return hears(conn);
  }
  // The bytes that the role has written since the server wrote last.
  std::string hears(ConnId conn) const {
    const auto said = sockets_.written.find(conn);
    const auto heard = heard_.find(conn);
    if (said == sockets_.written.end()) return {};
    return said->second.substr(heard == heard_.end() ? 0 : heard->second);
  }
  // Up to the features after TLS, which it returns.
  std::string opens(ConnId conn, std::string_view from, std::string_view to, std::vector<std::string> names) {
    says(conn, header(from, to));
    says(conn, kStartTls);
    auto facts = certificate(std::move(names));
    facts.own_certificate = to;
    secures(conn, std::move(facts));
    return says(conn, header(from, to));
  }
  // A new stream, on which `from` is proved by its certificate.
  ConnId proves(const std::string& from, const std::string& to,
                dns::SocketAddress at = address("198.51.100.7")) {
    const ConnId conn = connects(at);
    EXPECT_NE(opens(conn, from, to, {from}).find("EXTERNAL"), std::string::npos) << from;
    EXPECT_NE(says(conn, kAuth).find("<success"), std::string::npos) << from;
    says(conn, header(from, to));
    EXPECT_TRUE(role_().is_proved(conn)) << from;
    return conn;
  }
  // The stream of that server for the stanza's pair; a new one where it has none.
  ConnId stream_for(const xmpp::Stanza& stanza, dns::SocketAddress at = address("198.51.100.7")) {
    const std::string from(stanza.from_domain()), to(stanza.to_domain());
    ConnId& conn = streams_[{at.text(), from, to}];
    if (conn == 0) conn = proves(from, to, at);
    return conn;
  }
  // The role was restarted.
  void forget_streams() { streams_.clear(); }

 private:
  void listens(ConnId conn) {
    const auto said = sockets_.written.find(conn);
    heard_[conn] = said == sockets_.written.end() ? 0 : said->second.size();
  }

  std::function<Role&()> role_;
  const Now& now_;
  const Sockets& sockets_;
  std::function<void()> carry_;
  ConnId next_ = 1;
  std::map<ConnId, std::size_t> heard_;  // bytes that the role wrote before the server's last step
  std::map<std::tuple<std::string, std::string, std::string>, ConnId> streams_;
};

// The servers that a role dials: on each connection a real receiving machine, which serves every name and
// believes every certificate.
class ReceivingServers : private s2s::StreamPolicy {
 public:
  enum class Dials { kAccepted, kRefused, kUnanswered };

  ReceivingServers(Random& random, Dials first) : answer(first), random_(random) {}

  void handle_dial(Role& role, Dial dial, Now now) {
    const ConnId conn = dial.conn;
    dials.push_back(std::move(dial));
    if (answer == Dials::kRefused)
      role.handle_dial_failed(conn, {Code::kDialRefused, "198.51.100.7:5269"}, now);
    if (answer != Dials::kAccepted) return;
    machines_.emplace(conn, s2s::Inbound(*this, random_, false, now.mono));
    role.handle_connected(conn, {}, now);
  }
  // The role begins the handshake: it shows the certificate of the domain it speaks for, they that of the
  // name it asked for.
  void handle_tls(Role& role, const BeginTls& tls, Now now) {
    auto theirs = certificate({tls.own.ascii()});
    theirs.own_certificate = tls.server_name;
    machines_.at(tls.conn).handle_tls(theirs, now.mono);
    auto ours = certificate({tls.server_name});
    ours.own_certificate = tls.own.ascii();
    role.handle_tls(tls.conn, std::move(ours), now);
  }
  void handle_bytes(Role& role, ConnId conn, std::string_view bytes, Now now) {
    const auto machine = machines_.find(conn);
    if (machine == machines_.end()) return;
    machine->second.handle_bytes(bytes, now.mono);
    while (auto output = machine->second.poll())
      if (auto* came = std::get_if<s2s::StanzaReceived>(&*output)) {
        if (came->number) machine->second.acknowledge(*came->number);
        // They answer no ping.
        if (!came->stanza.is_request() || !ping_number(came->stanza.id()))
          received.push_back(std::move(came->stanza));
      }
    std::string reply;
    if (!machine->second.take_output(reply)) return;
    static constexpr std::string_view kOffer = "<sm xmlns='urn:xmpp:sm:3'/>";
    if (const auto at = reply.find(kOffer); !acknowledge && at != reply.npos) reply.erase(at, kOffer.size());
    role.handle_bytes(conn, reply, now);
  }

  // The role was restarted, and its numbers of connections begin anew.
  void forget_streams() { machines_.clear(); }

  Dials answer;
  bool acknowledge = false;  // whether they have stream management (XEP-0198)
  std::vector<Dial> dials;
  std::vector<xmpp::Stanza> received;

 private:
  Result<void> serves(const xmpp::Domain&) const override { return {}; }
  Result<void> admits(const Pair&) const override { return {}; }
  policy::PeerRules rules(const Pair&) const override { return {}; }
  policy::TlsRule minimum_tls(const xmpp::Domain&, const std::optional<xmpp::Domain>&) const override {
    return policy::TlsRule::kRequired;
  }

  Random& random_;
  std::map<ConnId, s2s::Inbound> machines_;
};

}  // namespace sallyport::gate
