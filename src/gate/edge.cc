#include "gate/edge.h"

#include <fmt/format.h>
#include <boost/json.hpp>

#include "gate/control.h"
#include "gate/edge_impl.h"
#include "gate/reply.h"

namespace sallyport::gate {

namespace json = boost::json;

Edge::Edge(EdgeSetup setup, Random& random, LogSink& log, Now now)
    : impl_(std::make_unique<Impl>(std::move(setup), random, log, now)) {}
Edge::~Edge() = default;

Edge::Impl::Impl(EdgeSetup setup_in, Random& random, LogSink& log_in, Now now)
    : setup(std::move(setup_in)),
      log(log_in),
      endpoint({"world", policy.view, ids, random, log_in, setup.config.limits}),
      served{LinkSet(setup.config.cores.size(), outputs), RepeatedLog(log_in)},
      accepting{.state = Listening(log_in)},
      inward{.outboxes = Outboxes({.total = setup.config.limits.waiting_bytes,
                                   .per_peer = limits::waiting_share(setup.config.limits.waiting_bytes),
                                   .per_feed = setup.config.limits.waiting_bytes},
                                  remote_peer)},
      report{.since = now.civil} {}

// --- inputs

void Edge::handle_accepted(ConnId conn, const Accepted& accepted, Now now) {
  if (!impl_->accepting.wanted || impl_->accepting.draining) {
    impl_->outputs.push_back(Disconnect{conn});
    return;
  }
  impl_->endpoint.handle_accepted(conn, accepted, now);
  impl_->turn(now);
}

void Edge::handle_connected(ConnId conn, const Connected& connected, Now now) {
  impl_->endpoint.handle_connected(conn, connected, now);
  impl_->turn(now);
}

void Edge::handle_dial_failed(ConnId conn, Error error, Now now) {
  impl_->endpoint.handle_dial_failed(conn, error, now);
  impl_->turn(now);
}

void Edge::handle_link(ConnId conn, std::size_t peer, const dns::SocketAddress& address, Now now) {
  impl_->handle_link(conn, peer, address, now);
  impl_->turn(now);
}

// The edge cannot tell which [[core]] row it should have been. While no core is linked, it is the likely
// reason for that, so `status` shows it.
void Edge::handle_link_refused(const dns::SocketAddress& address, const Error& error, Now) {
  if (impl_->served.link && impl_->served.link->conn()) return;
  impl_->served.last_error =
      fmt::format("{}: {} (from {})", code_row(error.code).name, error.text, address.text());
}

void Edge::handle_bytes(ConnId conn, std::string_view bytes, Now now) {
  if (impl_->served.link && impl_->served.link->carries(conn)) {
    impl_->served.link->session().handle_bytes(bytes, now.mono);
  } else if (impl_->served.takeover.newcomer && impl_->served.takeover.newcomer->conn == conn) {
    impl_->handle_newcomer(bytes, now);
  } else {
    impl_->endpoint.handle_bytes(conn, bytes, now);
  }
  impl_->turn(now);
}

void Edge::handle_tls(ConnId conn, Result<s2s::TlsFacts> facts, Now now) {
  impl_->endpoint.handle_tls(conn, facts, now);
  impl_->turn(now);
}

void Edge::handle_written(ConnId conn, std::uint64_t bytes_total, Now now) {
  impl_->endpoint.handle_written(conn, bytes_total, now);
  impl_->turn(now);
}

void Edge::handle_disconnected(ConnId conn, Error error, Now now) {
  if (impl_->served.link && impl_->served.link->carries(conn)) {
    impl_->served.link->handle_disconnected(now);
    impl_->link_lost(error, now);
  } else if (impl_->served.takeover.newcomer && impl_->served.takeover.newcomer->conn == conn) {
    impl_->served.takeover.newcomer.reset();
  } else {
    impl_->endpoint.handle_disconnected(conn, error, now);
  }
  impl_->turn(now);
}

void Edge::handle_prepared(std::uint64_t id, Result<config::PreparedPush> prepared, Now now) {
  impl_->handle_prepared(id, std::move(prepared), now);
  impl_->turn(now);
}

void Edge::handle_listening(Result<void> opened, Now now) {
  impl_->accepting.state.handle(opened, now);
  impl_->turn(now);
}

void Edge::handle_timeout(Now now) {
  if (impl_->accepting.state.handle_timeout(now.mono)) impl_->outputs.push_back(Listen{true});
  impl_->served.links.handle_timeout(now);
  if (impl_->served.takeover.newcomer && impl_->served.takeover.newcomer->deadline <= now.mono)
    impl_->drop_newcomer();
  impl_->expire_admissions(now);
  impl_->endpoint.handle_timeout(now);
  impl_->turn(now);
}

std::optional<Time> Edge::poll_timeout() const {
  auto next = impl_->endpoint.poll_timeout();
  const auto no_later_than = [&next](std::optional<Time> other) {
    if (other && (!next || *other < *next)) next = other;
  };
  no_later_than(impl_->served.links.poll_timeout());
  no_later_than(impl_->accepting.state.poll_timeout());
  no_later_than(impl_->inward.behind.poll_timeout());
  if (impl_->served.takeover.newcomer) no_later_than(impl_->served.takeover.newcomer->deadline);
  return next;
}

std::optional<Output> Edge::poll() {
  if (impl_->outputs.empty()) return std::nullopt;
  auto output = std::move(impl_->outputs.front());
  impl_->outputs.pop_front();
  return output;
}

bool Edge::take_output(ConnId conn, std::string& out, Now) {
  if (const auto taken = impl_->served.links.take_output(conn, out)) return *taken;
  return impl_->endpoint.take_output(conn, out);
}

void Edge::drain(Now now) {
  impl_->accepting.draining = true;
  impl_->listen(false);
  if (impl_->served.link) impl_->served.link->session().drain();
  impl_->endpoint.drain_all({Code::kStreamShutdown, {}}, now);
  impl_->turn(now);
}

// Stanzas for the core are waited for, too: where their servers cannot send them again, they would be lost
// with the process.
bool Edge::is_drained() const {
  const Impl& edge = *impl_;
  if (!edge.accepting.draining || !edge.endpoint.is_empty() || edge.owed.size() > 0) return false;
  if (edge.served.link) {
    const auto& session = edge.served.link->session();
    if (session.unsettled() > 0 || (session.is_up() && session.owes_settlements())) return false;
  }
  return edge.inward.behind.pairs.empty() &&
         std::ranges::all_of(edge.inward.map, [](const auto& each) { return each.second.box.empty(); });
}

bool Edge::is_proved(ConnId conn) const { return impl_->endpoint.is_proved(conn); }

std::shared_ptr<const config::PushedPolicy> Edge::policy() const { return impl_->policy.view.shared(); }

// --- stanzas

void Edge::Impl::turn(Now now) {
  for (bool any = true; any;) {
    any = false;
    while (auto output = endpoint.poll()) {
      std::visit([&](auto&& each) { on(std::move(each), now); }, std::move(*output));
      any = true;
    }
    while (auto told = served.links.poll()) {
      std::visit([&](auto&& event) { on(std::move(event), now); }, std::move(told->event));
      any = true;
    }
    if (served.links.flush(now)) {
      serve(false);
      any = true;
    }
    if (pump_behind(now)) any = true;
  }
}

void Edge::Impl::on(Output&& output, Now) { outputs.push_back(std::move(output)); }

void Edge::Impl::on(On<s2s::StanzaRejected>&& rejected, Now now) {
  ++report.refused;
  if (auto answer = answer_bad(rejected.event.stanza, SenderSide::kPublic))
    endpoint.send(rejected.event.proof.pair(), std::move(*answer), 0, now);
}

void Edge::Impl::on(StanzaDelivered&& delivered, Now now) { settle(delivered.ticket, std::nullopt, now); }

void Edge::Impl::on(StanzaReturned&& returned, Now now) {
  ++report.refused;
  settle(returned.ticket, std::move(returned.error), now);
}

void Edge::Impl::on(On<s2s::PairReady>&& ready, Now) { open_window(ready.event.proof.pair()); }

// Its server takes stanzas: the core may have more of them on their way.
void Edge::Impl::open_window(const Pair& pair) {
  if (served.link) served.link->session().grant(pair, limits::kChannelWindowMaxBytes);
}

void Edge::Impl::on(On<s2s::NeedKey>&& need, Now now) {
  auto& [pair, stream_id] = need.event;
  if (!served.link || !served.link->session().is_up()) {
    endpoint.handle_key(need.conn, pair, stream_id, Error{Code::kLinkDown, {}}, now);
    return;
  }
  const auto id = served.link->session().ask(link::KeyAsk{pair, stream_id});
  questions.asked.emplace(id, Asked{need.conn, std::move(pair), std::move(stream_id), false});
}

// Outcomes for a session that has been replaced are dropped.
void Edge::Impl::settle(Ticket ticket, link::Outcome outcome, Now now) {
  const auto to = owed.take(ticket);
  if (to && to->session == served.sessions)
    served.link->session().settle(to->receipt, std::move(outcome), now.mono);
}

void Edge::Impl::on(On<s2s::StanzaReceived>&& received, Now now) {
  auto& [conn, event] = received;
  if (answers_presence_probe(event.stanza)) {
    if (event.number) endpoint.acknowledge({conn, *event.number}, now);
    return;
  }
  inward.sweep(inward.map, [](const Inward& each) { return each.is_idle(); });
  auto& [pair, in] = inward.map.get(event.proof.pair());
  if (event.stanza.kind() == xmpp::StanzaKind::kPresence)
    served.presence.shown.note(pair, policy::Direction::kIn, event.stanza);
  if (reads_older(in) && in.behind.older != conn) return wait_behind(pair, in, std::move(received), now);
  if (in.provenance_of != conn) {
    in.provenance_of = conn;
    in.provenance = provenance_of(conn, event.proof);
  }
  const Ticket ticket = event.number ? inward.receipts.put({conn, *event.number}) : 0;
  if (in.box.empty() && served.link && served.link->session().can_send(pair, event.stanza.xml().size())) {
    served.link->session().send(pair, std::move(event.stanza), ticket, now.mono, in.provenance);
    return;
  }
  Queued queued{std::move(event.stanza), ticket};
  const bool has_room = inward.outboxes.push(pair, in.box, queued);
  answer_lost(now);
  if (!has_room) return refuse_inward(pair, queued, Code::kDeliveryQueueFull, now);
  if (!served.is_dead && in.held.insert(conn).second) endpoint.hold(conn, true);
}

void Edge::Impl::release(Inward& in) {
  for (const ConnId conn : in.held) endpoint.hold(conn, false);
  in.held.clear();
}

void Edge::Impl::acknowledge(Ticket ticket, Now now) {
  if (const auto receipt = inward.receipts.take(ticket)) endpoint.acknowledge(*receipt, now);
}

bool Edge::Impl::is_with_its_server(Ticket ticket) {
  const StreamReceipt* found = inward.receipts.get(ticket);
  if (found == nullptr || endpoint.is_open(found->conn)) return false;
  inward.receipts.take(ticket);
  return true;
}

void Edge::Impl::pump_inward(const Pair& pair, Now now) {
  auto* found = inward.map.find(pair);
  if (found == nullptr || !served.link) return;
  Inward& in = found->second;
  while (!in.box.empty() && served.link->session().can_send(pair, in.box.front().stanza.xml().size())) {
    Queued queued = inward.outboxes.pop(in.box);
    if (is_with_its_server(queued.ticket)) continue;
    served.link->session().send(pair, std::move(queued.stanza), queued.ticket, now.mono, in.provenance);
  }
  if (!in.box.empty()) return;
  // It was not read for a while, and has as long as any other from now on.
  if (in.held.contains(in.behind.older)) in.behind.until = now.mono + limits::kCloseTimeout;
  release(in);
}

// --- the control socket

std::string Edge::control(std::string_view text, Now now) {
  auto question = ControlQuestion::parse(text);
  if (!question) return refusal(question.error());
  if (question->ask == "status") return impl_->status(now);
  if (question->ask == "connections")
    return json::serialize(json::object{{"connections", connection_rows(impl_->endpoint, "world", false)}});
  if (question->ask == "policy show") {
    if (!impl_->policy.view.has_policy()) return refusal({Code::kLinkDown, "no core has pushed a policy"});
    auto object = rules_object(impl_->policy.view.policy().rules().set());
    object["generation"] = impl_->policy.view.policy().generation();
    object["sha256"] = to_hex(impl_->policy.view.policy().policy_sha256());
    return json::serialize(object);
  }
  if (question->ask == "admission") return impl_->admission(*question, now);
  if (question->ask == "drain") {
    drain(now);
    return json::serialize(json::object{{"draining", true}});
  }
  if (question->ask == "explain" || question->ask == "policy test" || question->ask.starts_with("queue "))
    return json::serialize(core_only_object(question->ask));
  return refusal({Code::kControlRefused, "an edge does not answer `" + question->ask + "`"});
}

// Stanzas that wait for a stream outward; and inward for credit, or for their settlement.
json::object Edge::Impl::waiting() const {
  std::size_t stanzas = endpoint.waiting();
  std::size_t bytes = endpoint.waiting_bytes();
  for (const auto& [pair, in] : inward.map) {
    stanzas += in.box.size() + in.behind.box.size();
    bytes += in.box.bytes() + in.behind.box.bytes();
  }
  if (served.link) {
    stanzas += served.link->session().unsettled();
    bytes += served.link->session().unsettled_bytes();
  }
  return {{"stanzas", stanzas}, {"bytes", bytes}};
}

std::string Edge::Impl::status(Now now) const {
  json::object policy_row;
  if (policy.view.has_policy()) {
    const auto& in_force = policy.view.policy();
    policy_row = {{"generation", in_force.generation()},
                  {"sha256", to_hex(in_force.policy_sha256())},
                  {"enabled", in_force.rules().set().enabled},
                  {"privacy", policy::privacy_name(in_force.rules().set().privacy)},
                  {"serves", in_force.rules().set().local.size()}};
  }
  json::array link_rows;
  for (std::size_t i = 0; i < setup.config.cores.size(); ++i) {
    json::object row{{"name", setup.config.cores[i].name}};
    const bool mine = served.link && served.core == i && served.link->conn();
    row["state"] = !mine ? "down" : policy.in_use ? "up" : "pushing";
    if (mine) row["address"] = served.link->peer().text(), row["since"] = rfc3339(served.link->since());
    if (!served.last_error.empty()) row["last_error"] = served.last_error;
    if (served.core == i && served.takeover.clash &&
        now.mono < served.takeover.clash->at + limits::kSameIdentityShown)
      row["last_error"] = served.takeover.clash->text;
    link_rows.push_back(std::move(row));
  }
  const auto census = endpoint.census();
  const auto& counters = endpoint.counters();
  json::object answer{
      {"role", "edge"},
      {"name", setup.config.name.ascii()},
      {"version", setup.version},
      {"instance", setup.instance},
      {"since", rfc3339(report.since)},
      {"state", accepting.draining ? "draining" : "serving"},
      {"listening", accepting.state.is_open()},
      {"draining", accepting.draining},
      {"policy", std::move(policy_row)},
      {"links", std::move(link_rows)},
      {"streams", json::object{{"in", census.in}, {"out", census.out}, {"negotiating", census.negotiating}}},
      {"stanzas", json::object{{"in", counters.stanzas_in},
                               {"out", counters.stanzas_out},
                               {"refused", report.refused},
                               {"sent_again", report.sent_again + counters.sent_again},
                               {"uncertain", report.uncertain + counters.uncertain},
                               {"fell_back", counters.fell_back}}},
      {"waiting", waiting()}};
  if (const auto& error = accepting.state.error())
    answer["listen_error"] = fmt::format("{}: {}", code_row(error->code).name, error->text);
  return json::serialize(answer);
}

}  // namespace sallyport::gate
