// The edge's end of the link: the core that it serves, the core's pushes, and the questions to it.
#include <fmt/format.h>

#include "gate/edge_impl.h"

namespace sallyport::gate {

void Edge::Impl::handle_link(ConnId conn, std::size_t peer, const dns::SocketAddress& address, Now now) {
  if (served.link && served.core != peer && !served.is_dead) {
    refuse_link(conn, {Code::kLinkSecondCore, setup.config.cores[*served.core].name + " is linked"}, now);
    return;
  }
  if (served.link && served.core == peer && served.link->conn() && served.link->session().is_up())
    return await_hello(conn, address, now);
  drop_newcomer();
  // Another core after a long silence, or a connection without a HELLO.
  if (served.link && served.link->conn()) {
    outputs.push_back(Disconnect{*served.link->conn()});
    served.link->handle_disconnected(now);
    link_lost({Code::kLinkDead, "replaced by a new connection"}, now);
  }
  if (!served.link || served.core != peer) {
    if (served.link) forget(now);
    served.takeover.replaced.clear();
    served.takeover.clash.reset();
    served.link = &served.links.make(peer, session_config());
    served.core = peer;
    ++served.sessions;
  }
  served.is_dead = false;
  served.link->handle_link(conn, address, now);
}

link::SessionConfig Edge::Impl::session_config() const {
  return {.role = link::NodeRole::kEdge,
          .name = setup.config.name.ascii(),
          .version = setup.version,
          .instance = setup.instance,
          .may_repeat = [](const Pair&, const xmpp::Stanza& stanza, Ticket) { return !stanza.is_request(); }};
}

// A core that cannot be served goes on dialling, so that not every refusal is logged.
void Edge::Impl::refuse_link(ConnId conn, Error error, Now now) {
  served.failures.log({LogLevel::kWarning, "link.refused", {}}, error, now);
  served.links.refuse(conn, session_config(), std::move(error), now);
}

void Edge::Impl::close_link(Now now) {
  served.links.close(*served.core, now);
  serve(false);
}

// --- events of the session

void Edge::Impl::on(link::Received&& received, Now now) {
  // The core is another process, or the channel was idle, and the stream is there still.
  if (received.is_first_of_channel() && endpoint.is_ready(received.pair())) open_window(received.pair());
  const auto ticket = owed.put({served.sessions, received.receipt});
  if (answers_presence_probe(received.stanza)) return settle(ticket, std::nullopt, now);
  if (accepting.draining) {
    endpoint.emit_failure(ticket, {Code::kStreamShutdown, "this edge is being drained"},
                          std::move(received.stanza));
  } else if (awaits_policy(received.pair(), now)) {
    policy.early.push_back({received.pair(), std::move(received.stanza), ticket, received.attempt});
  } else {
    if (received.stanza.kind() == xmpp::StanzaKind::kPresence)
      served.presence.shown.note(received.pair(), policy::Direction::kOut, received.stanza);
    endpoint.send(received.pair(), std::move(received.stanza), ticket, now, received.attempt);
  }
}

void Edge::Impl::on(link::Writable&& writable, Now now) { pump_inward(writable.pair, now); }

void Edge::Impl::on(link::Up&& up, Now now) {
  served.last_error.clear();
  report.sent_again += up.sent_again;
  policy.view.core_answers(served.link->session().version() >= link::frame::kVersionAdmit);
  if (served.failures.is_news("link.up " + setup.config.cores[*served.core].name, now)) {
    log.log({LogLevel::kInfo,
             "link.up",
             {{"core", setup.config.cores[*served.core].name},
              {"peer", served.link->peer().text()},
              {"version", up.peer_version},
              {"resumed", up.resumed ? "yes" : "no"}}});
  }
  // A session that goes on has its policy; a new one gets it before anything is served.
  if (up.resumed && policy.view.has_policy()) {
    serve(true);
    regain_core(now);
  }
  if (!up.resumed) drop_early();
  const std::string& instance = served.link->session().peer_instance();
  if (std::exchange(served.instance, instance) != instance) endpoint.begin_attempts_anew();
  // Another process of the core has not heard of it.
  if (!up.resumed && accepting.draining) served.link->session().drain();
  for (auto& [pair, in] : inward.map) pump_inward(pair, now);
  send_admissions(now);
}

void Edge::Impl::on(link::PeerHeard&& heard, Now now) {
  if (heard.ping == 0) return endpoint.handle_way_back(heard.pair, now);
  endpoint.handle_ping_answer(heard.pair, heard.ping, now);
}

// The core before may have delivered it.
void Edge::Impl::on(link::NotRepeated&& doubtful, Now now) {
  ++report.uncertain;
  refuse_inward(doubtful.pair, {.stanza = std::move(doubtful.stanza), .ticket = doubtful.ticket},
                Code::kDeliveryUncertain, now);
}

void Edge::Impl::on(link::Down&& down, Now now) { link_lost(down.error, now); }

void Edge::Impl::on(link::Dead&&, Now now) {
  served.is_dead = true;
  lose_core(now);
  // What peers have written by now may cross yet, until it would be forgotten. It is read at once, so that
  // they can end their streams: it fits into what may wait here.
  for (auto& [pair, in] : inward.map) release(in);
  note_closing();
  endpoint.close_all({Code::kLinkDown, {}}, now, limits::kLinkSessionKept - limits::kLinkDeadAfter);
}

void Edge::Impl::on(link::Forgotten&&, Now now) { forget(now); }

void Edge::Impl::on(link::Asked&& asked_for, Now now) {
  const auto answer = [&](const auto& ask) { return answer_to(ask, now); };
  served.link->session().answer(asked_for.id, std::visit(answer, asked_for.ask));
}

// A core may only ask for the status, and for what is shown.
link::Answer Edge::Impl::answer_to(const link::ControlAsk& ask, Now now) const {
  if (const auto after = shown_after(ask.json)) return shown_answer(served.presence.shown.page(*after));
  if (ask.json != R"({"ask":"status"})") return not_for_edges();
  return status(now);
}

void Edge::Impl::link_lost(const Error& error, Now now) {
  served.last_error = fmt::format("{}: {}", code_row(error.code).name, error.text);
  if (accepting.wanted) {
    served.failures.clear();
    served.failures.log({LogLevel::kWarning, "link.down", {}}, error, now);
  }
  policy.preparing.reset();
  serve(false);
}

// A minute without a link: nothing of the core's is kept (DESIGN invariant 2).
void Edge::Impl::forget(Now now) {
  log.log({LogLevel::kWarning,
           "link.forgotten",
           {{"core", served.core ? setup.config.cores[*served.core].name : ""}}});
  endpoint.close_all({Code::kLinkDown, {}}, now);
  for (auto& [pair, in] : inward.map) report.refused += in.box.size() + in.behind.box.size();
  inward.behind.pairs.clear();
  inward.map.clear();
  drop_early();
  questions.admissions.clear();
  // Stanzas on their way inward have no receiver any more; sent again later, they might arrive twice.
  report.refused += served.link->session().abandon().size();
  inward.receipts = {};
  outputs.push_back(Discard{policy.view.use(nullptr)});
  outputs.push_back(UseCredentials{});
  served.is_dead = true;
}

void Edge::Impl::serve(bool on) {
  policy.in_use = on;
  listen(on);
}

void Edge::Impl::listen(bool on) {
  const bool want = on && !accepting.draining;
  if (accepting.wanted == want) return;
  accepting.wanted = want;
  accepting.state.want(want);
  outputs.push_back(Listen{want});
}

// Another push may come meanwhile, and takes its place.
void Edge::Impl::on(link::Pushed&& pushed, Now) {
  policy.preparing = Policy::Preparing{++policy.last_prepared, pushed.generation};
  policy.awaited = true;
  outputs.push_back(Prepare{
      policy.last_prepared,
      {SecretBytes(std::move(pushed.bytes)), setup.config.name, setup.config.cores[*served.core].domains}});
}

// A core applies its new policy from the moment it pushes it: a pair that only the new one admits must not be
// refused because the push is not in use here yet.
bool Edge::Impl::awaits_policy(const Pair& pair, Now now) const {
  return !policy.view.has_policy() || (policy.awaited && !policy.view.find(pair, now.civil));
}

void Edge::Impl::handle_prepared(std::uint64_t id, Result<config::PreparedPush> prepared, Now now) {
  if (!policy.preparing || policy.preparing->id != id) {
    if (prepared) {
      outputs.push_back(Discard{std::move(prepared->policy)});
      outputs.push_back(Discard{std::move(prepared->credentials)});
    }
    return;
  }
  const std::uint64_t generation = std::exchange(policy.preparing, std::nullopt)->generation;
  policy.awaited = false;
  if (!prepared) {
    served.failures.log({LogLevel::kError, "policy.refused", {{"generation", std::to_string(generation)}}},
                        prepared.error(), now);
    for (auto& each : std::exchange(policy.early, {}))
      endpoint.emit_failure(each.ticket, prepared.error(), std::move(each.stanza));
    served.link->session().push_done(generation, prepared.error());
    return;
  }
  const config::PushedPolicy& pushed = *prepared->policy;
  log.log(
      {LogLevel::kInfo,
       "policy.applied",
       {{"generation", std::to_string(pushed.generation())}, {"sha256", to_hex(pushed.policy_sha256())}}});
  outputs.push_back(UseCredentials{std::move(prepared->credentials)});
  outputs.push_back(Discard{policy.view.use(std::move(prepared->policy))});
  // An answer that is still out is of the core's new policy: the core pushed that before it answered.
  // Questions that the edge has not sent yet are asked anew, for each pair that is still proved.
  questions.admissions.drop_again();
  endpoint.check_again(now);
  serve(true);
  served.link->session().push_done(generation, {});
  for (auto& each : std::exchange(policy.early, {}))
    endpoint.send(each.pair, std::move(each.stanza), each.ticket, now, each.attempt);
  regain_core(now);
}

// Their session is over: its core sends them again, or has abandoned them.
void Edge::Impl::drop_early() {
  policy.awaited = false;
  for (const auto& each : std::exchange(policy.early, {})) owed.take(each.ticket);
}

void Edge::Impl::on(link::Answered&& answered, Now now) {
  if (handle_admission(answered, now)) return;
  auto node = questions.asked.extract(answered.id);
  if (node.empty()) return;
  const Asked& question = node.mapped();
  if (!question.verdict) {
    endpoint.handle_key(question.conn, question.pair, question.stream_id, std::move(answered.answer), now);
    return;
  }
  Result<bool> valid =
      answered.answer ? Result<bool>(*answered.answer == "valid") : Result<bool>(answered.answer.error());
  endpoint.handle_key_checked(question.conn, question.pair, question.stream_id, std::move(valid), now);
}

}  // namespace sallyport::gate
