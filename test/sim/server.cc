#include "server.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/overloaded.h"
#include "s2s/dialback.h"

namespace sallyport::sim {

Server::Server(ServerConfig config, Users& users, Chance& chance, LogSink& log, const Chance& lies)
    : config_(std::move(config)),
      users_(users),
      chance_(chance),
      lies_(lies),
      endpoint_({config_.name, *this, ids_, chance, log}) {}
Server::~Server() = default;

void Server::send(const Pair& pair, Stanza stanza, Now now) {
  if (config_.multiplexes) {
    send_shared(pair, std::move(stanza), now);
  } else {
    endpoint_.send(pair, std::move(stanza), 1, now);
  }
  turn(now);
}

// --- what its streams ask

Result<void> Server::serves(const Domain& local) const {
  // Towards the world the attacker serves everybody's domains.
  if (config_.hostile || std::ranges::find(config_.domains, local) != config_.domains.end()) return {};
  return {Code::kStreamHostUnknown, local.ascii()};
}

policy::PeerRules Server::rules(const Pair&) const {
  policy::PeerRules rules;
  rules.authenticate = config_.authenticate;
  rules.use_external = config_.use_external;
  if (!config_.asks) rules.confirm = policy::Confirm::kNone;
  return rules;
}

Result<gate::DialPlan> Server::find(const Pair& pair, UnixTime) const {
  gate::DialPlan plan;
  if (config_.next_hop) {
    plan.steps.push_back({*config_.next_hop, true});
  } else {
    plan.dns = pair.remote;
  }
  return plan;
}

std::string Server::key(const Pair& pair, const std::string& stream_id) const {
  return s2s::dialback_key("secret of " + config_.name, pair, stream_id);
}

// --- the driver's inputs

void Server::handle_accepted(ConnId conn, const gate::Accepted& accepted, Now now) {
  endpoint_.handle_accepted(conn, accepted, now);
  turn(now);
}

void Server::handle_connected(ConnId conn, const gate::Connected& connected, Now now) {
  if (Shared* mine = shared(conn)) {
    const Pair first{mine->queues.begin()->first};
    mine->machine.emplace(policy_, first, true, connected.direct_tls, now.mono);
    mine->machine->handle_connected(now.mono);
    for (const auto& [pair, queue] : mine->queues) mine->machine->add_pair(pair, now.mono);
    after(*mine, now);
  } else {
    endpoint_.handle_connected(conn, connected, now);
  }
  turn(now);
}

void Server::handle_dial_failed(ConnId conn, Error error, Now now) {
  if (Shared* mine = shared(conn)) {
    end_shared(*mine, error, true);
    shared_.erase(conn);
  } else {
    endpoint_.handle_dial_failed(conn, error, now);
  }
  turn(now);
}

void Server::handle_bytes(ConnId conn, std::string_view bytes, Now now) {
  if (Shared* mine = shared(conn)) {
    mine->machine->handle_bytes(bytes, now.mono);
    after(*mine, now);
  } else {
    endpoint_.handle_bytes(conn, bytes, now);
  }
  turn(now);
}

void Server::handle_tls(ConnId conn, Result<s2s::TlsFacts> facts, Now now) {
  Shared* mine = shared(conn);
  if (mine == nullptr) {
    endpoint_.handle_tls(conn, facts, now);
  } else if (facts) {
    mine->machine->handle_tls(*facts, now.mono);
    after(*mine, now);
  } else {
    outputs_.push_back(gate::Disconnect{conn});
    end_shared(*mine, facts.error(), true);
    shared_.erase(conn);
  }
  turn(now);
}

void Server::handle_written(ConnId conn, std::uint64_t bytes_total, Now now) {
  if (Shared* mine = shared(conn)) {
    mine->written = bytes_total;
    while (!mine->in_flight.empty() && mine->in_flight.front().first <= bytes_total)
      mine->in_flight.pop_front();
  } else {
    endpoint_.handle_written(conn, bytes_total, now);
  }
  turn(now);
}

void Server::handle_disconnected(ConnId conn, Error error, Now now) {
  if (Shared* mine = shared(conn)) {
    end_shared(*mine, error, true);
    shared_.erase(conn);
  } else {
    endpoint_.handle_disconnected(conn, error, now);
  }
  turn(now);
}

void Server::handle_timeout(Now now) {
  endpoint_.handle_timeout(now);
  while (!late_.empty() && late_.begin()->first <= now.mono) {
    auto [pair, answer] = std::move(late_.extract(late_.begin()).mapped());
    if (config_.multiplexes) {
      send_shared(pair, std::move(answer), now);
    } else {
      endpoint_.send(pair, std::move(answer), 0, now);
    }
  }
  std::vector<ConnId> conns;
  for (const auto& [conn, mine] : shared_) conns.push_back(conn);
  for (const ConnId conn : conns) {
    Shared* mine = shared(conn);
    if (mine == nullptr || !mine->machine) continue;
    mine->machine->handle_timeout(now.mono);
    after(*mine, now);
  }
  turn(now);
}

std::optional<Time> Server::poll_timeout() const {
  auto next = endpoint_.poll_timeout();
  if (!late_.empty() && (!next || late_.begin()->first < *next)) next = late_.begin()->first;
  for (const auto& [conn, mine] : shared_) {
    const auto at = mine->machine ? mine->machine->poll_timeout() : std::nullopt;
    if (at && (!next || *at < *next)) next = at;
  }
  return next;
}

std::optional<gate::Output> Server::poll() {
  if (outputs_.empty()) return std::nullopt;
  auto output = std::move(outputs_.front());
  outputs_.pop_front();
  return output;
}

bool Server::take_output(ConnId conn, std::string& out, Now) {
  if (const auto it = last_words_.find(conn); it != last_words_.end()) {
    out = std::move(it->second);
    last_words_.erase(it);
    return !out.empty();
  }
  if (Shared* mine = shared(conn)) {
    if (mine->buffer.empty()) return false;
    mine->taken += mine->buffer.size();
    std::swap(out, mine->buffer);
    return true;
  }
  const bool any = endpoint_.take_output(conn, out);
  static constexpr std::string_view kOffer = "<sm xmlns='urn:xmpp:sm:3'/>";
  if (const auto at = out.find(kOffer); !config_.acknowledges && any && at != out.npos)
    out.erase(at, kOffer.size());
  if (config_.acks != ServerConfig::Acks::kTrue && any) lie(out);
  if (config_.hostile && any && chance_.one_in(12)) out += attack();
  return any;
}

// --- one turn

void Server::turn(Now now) {
  while (auto output = endpoint_.poll()) handle(std::move(*output), now);
}

void Server::handle(gate::EndpointOutput output, Now now) {
  using gate::On;
  std::visit(
      Overloaded{
          [&](gate::Output&& pass) { outputs_.push_back(std::move(pass)); },
          [&](On<s2s::NeedKey>&& need) {
            const auto& [pair, stream_id] = need.event;
            endpoint_.handle_key(need.conn, pair, stream_id, key(pair, stream_id), now);
          },
          [&](On<s2s::CheckKey>&& check) {
            const auto& [pair, stream_id, shown] = check.event;
            // The attacker calls every key valid, for any domain.
            const bool valid = config_.hostile || shown == key(pair, stream_id);
            endpoint_.handle_key_checked(check.conn, pair, stream_id, valid, now);
          },
          [](On<s2s::AskAdmission>&&) {},
          [&](On<s2s::StanzaReceived>&& received) {
            const auto& [proof, stanza, count] = received.event;
            if (!take_ping(proof.pair(), stanza, now)) users_.arrived(config_, proof.pair(), stanza);
            if (const auto number = received.event.number)
              endpoint_.acknowledge({received.conn, *number}, now);
          },
          [](On<s2s::StanzaRejected>&&) {}, [](On<s2s::PairReady>&&) {}, [](gate::StanzaDelivered&&) {},
          [&](gate::StanzaReturned&& returned) { users_.failed(config_, returned.stanza, returned.error); },
          [](gate::AnswerSettled&&) {},  // a server here acknowledges before it answers
      },
      std::move(output));
}

bool Server::take_ping(const Pair& pair, const Stanza& stanza, Now now) {
  if (!gate::ping_number(stanza.id())) return false;
  using Pings = ServerConfig::Pings;
  if (!stanza.is_request() || config_.pings == Pings::kNever) return true;
  const bool fails = config_.pings == Pings::kErrors;
  auto answer =
      reader_.read(fmt::format("<iq type='{}' from='{}' to='{}' id='{}'>{}</iq>", fails ? "error" : "result",
                               pair.local.ascii(), pair.remote.ascii(), stanza.id(),
                               fails ? "<error type='cancel'><service-unavailable "
                                       "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
                                     : ""));
  using namespace std::chrono_literals;
  const int times = config_.pings == Pings::kTwice ? 2 : 1;
  for (int i = 0; i < times; ++i) {
    Time at = now.mono;
    if (config_.pings == Pings::kLate) at += chance_.between(0us, 15'000'000us);
    if (config_.pings == Pings::kTooLate) at += chance_.between(5'000'001us, 45'000'000us);
    late_.emplace(at, std::pair{pair, *answer});
  }
  return true;
}

// --- shared streams

Server::Shared* Server::shared(ConnId conn) {
  const auto it = shared_.find(conn);
  return it == shared_.end() ? nullptr : it->second.get();
}

void Server::send_shared(const Pair& pair, Stanza stanza, Now now) {
  Shared* mine = nullptr;
  for (auto& [conn, each] : shared_)
    if (each->remote == pair.remote && !(each->machine && each->machine->phase() == s2s::Phase::kClosing))
      mine = each.get();
  if (mine == nullptr) {
    auto plan = find(pair, now.civil);
    const ConnId conn = ids_.next();
    shared_[conn] = std::make_unique<Shared>(Shared{.remote = pair.remote, .conn = conn});
    mine = shared_[conn].get();
    outputs_.push_back(gate::Dial{conn, *plan});
  }
  const bool is_new = !mine->queues.contains(pair);
  mine->queues[pair].push_back(std::move(stanza));
  if (!mine->machine) return;
  if (is_new || !mine->ready.contains(pair)) mine->machine->add_pair(pair, now.mono);
  after(*mine, now);
}

void Server::after(Shared& mine, Now now) {
  const ConnId conn = mine.conn;
  write_ready(mine, now);
  while (auto output = mine.machine->poll()) {
    handle(mine, std::move(*output), now);
    if (mine.is_over) break;
  }
  if (!mine.is_over) write_ready(mine, now);
  mine.machine->take_output(mine.buffer);
  if (!mine.is_over) {
    if (!mine.buffer.empty()) outputs_.push_back(gate::Flush{conn});
    return;
  }
  last_words_[conn] = std::move(mine.buffer);
  outputs_.push_back(gate::Disconnect{conn});
  shared_.erase(conn);
}

void Server::handle(Shared& mine, s2s::OutboundOutput output, Now now) {
  if (auto* start = std::get_if<s2s::StartTls>(&output)) {
    mine.machine->take_output(mine.buffer);
    outputs_.push_back(gate::Flush{mine.conn});
    outputs_.push_back(gate::BeginTls{mine.conn, false, start->own,
                                      start->server_name ? start->server_name->ascii() : "", start->direct});
  } else if (auto* need = std::get_if<s2s::NeedKey>(&output)) {
    mine.machine->handle_key(need->pair, need->stream_id, key(need->pair, need->stream_id), now.mono);
  } else if (auto* ready = std::get_if<s2s::PairReady>(&output)) {
    mine.ready.emplace(ready->proof.pair(), ready->proof);
    write_ready(mine, now);
  } else if (auto* failed = std::get_if<s2s::PairFailed>(&output)) {
    mine.ready.erase(failed->pair);
    for (auto& stanza : std::exchange(mine.queues[failed->pair], {}))
      users_.failed(config_, stanza, failed->error);
  } else if (auto* closed = std::get_if<s2s::Closed>(&output)) {
    mine.machine->take_output(mine.buffer);
    end_shared(mine, closed->error.value_or(Error{Code::kStreamClosedByPeer, {}}), false);
  }
}

void Server::write_ready(Shared& mine, Now now) {
  for (auto& [pair, proof] : mine.ready) {
    auto& queue = mine.queues[pair];
    while (!queue.empty() && mine.machine->send(proof, queue.front(), now.mono)) {
      mine.machine->take_output(mine.buffer);
      mine.in_flight.emplace_back(mine.taken + mine.buffer.size(), std::move(queue.front()));
      queue.pop_front();
    }
  }
}

// What did not reach the socket was not sent; its users are told, and the server does not try again.
void Server::end_shared(Shared& mine, const Error& error, bool is_broken) {
  mine.is_over = true;
  bool cut_back = false;
  for (auto& [end, stanza] : mine.in_flight) {
    if (end <= (is_broken ? mine.written : mine.taken)) continue;  // with the driver, which writes it still
    cut_back = true;
    users_.failed(config_, stanza, error);
  }
  if (cut_back) mine.buffer.clear();
  mine.in_flight.clear();
  for (auto& [pair, queue] : mine.queues)
    for (auto& stanza : std::exchange(queue, {})) users_.failed(config_, stanza, error);
}

// --- the attacker

std::string Server::attack() {
  static const char* const kVictims[] = {"ext.example", "dial.example", "example.com", "corp.example",
                                         "blocked.example"};
  const std::string victim = kVictims[chance_.up_to(4)];
  const std::string forged =
      fmt::format("<message from='mallory@{}' to='alice@example.com'><body>forged</body></message>", victim);
  switch (chance_.up_to(7)) {
    case 0:
      return forged;
    case 1:
      return fmt::format("<db:result from='{}' to='example.com'>00ff00ff</db:result>{}", victim, forged);
    case 2:
      return fmt::format("<db:result from='{}' to='example.com' type='valid'/>{}", victim, forged);
    case 3:
      return fmt::format("<db:verify from='{}' to='example.com' id='1' type='valid'/>{}", victim, forged);
    case 4:
      return "<message from='mallory@evil.example' "
             "to='room@conference-2.corp.example'><body>forged</body></message>";
    case 5:
      return "</stream:stream>" + forged;
    case 6:
      return "<!DOCTYPE x [<!ENTITY y 'z'>]>" + forged;
    default:
      return fmt::format("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:stream>{}", forged);
  }
}

}  // namespace sallyport::sim
