// The edge's end of the link: which core it serves, what that core pushes, what it is asked.
#include <fmt/format.h>

#include "gate/edge_impl.h"

namespace sallyport::gate {

void Edge::Impl::handle_link(ConnId conn, std::size_t peer, const dns::Endpoint& address, Now now) {
  if (link && core != peer && !core_is_dead) {
    refuse_link(conn, {Code::kLinkSecondCore, setup.config.cores[*core].name + " is linked"}, now);
    return;
  }
  if (link && core == peer && link->conn() && link->session().is_up()) return await_hello(conn, address, now);
  drop_newcomer();
  if (link && link->conn()) {  // another core, after silence, or a connection on which nobody has greeted
    outputs.push_back(Disconnect{*link->conn()});
    link->handle_disconnected(now);
    link_lost({Code::kLinkDead, "replaced by a new connection"}, now);
  }
  if (!link || core != peer) {
    if (link) forget(now);
    replaced.clear();
    clash.reset();
    link = &links.make(peer, {link::Role::kEdge, setup.config.name.ascii(), setup.version, setup.instance});
    core = peer;
    ++sessions;
  }
  core_is_dead = false;
  link->handle_link(conn, address, now);
}

// A core that cannot be served dials for ever.
void Edge::Impl::refuse_link(ConnId conn, Error error, Now now) {
  failures.log({LogLevel::kWarning, "link.refused", {}}, error, now);
  links.refuse(conn, {link::Role::kEdge, setup.config.name.ascii(), setup.version, setup.instance},
               std::move(error), now);
}

void Edge::Impl::close_link(Now now) {
  links.close(*core, now);
  serve(false);
}

// --- what the session tells

void Edge::Impl::on(link::Received&& received, Now now) {
  const auto ticket = outward.put({sessions, received.receipt});
  if (draining) {
    endpoint.emit_failure(ticket, {Code::kStreamShutdown, "this edge is being drained"},
                          std::move(received.stanza));
  } else if (awaits_policy(received.pair(), now)) {
    early.push_back({received.pair(), std::move(received.stanza), ticket});
  } else {
    endpoint.send(received.pair(), std::move(received.stanza), ticket, now);
  }
}

void Edge::Impl::on(link::Writable&& writable, Now now) { pump_inward(writable.pair, now); }

void Edge::Impl::on(link::Up&& up, Now now) {
  last_link_error.clear();
  view.core_answers(link->session().version() >= link::frame::kVersionAdmit);
  if (failures.is_news("link.up " + setup.config.cores[*core].name, now)) {
    log.log({LogLevel::kInfo,
             "link.up",
             {{"core", setup.config.cores[*core].name},
              {"peer", link->peer().text()},
              {"version", up.peer_version},
              {"resumed", up.resumed ? "yes" : "no"}}});
  }
  // A session that goes on has its policy; a new one gets it before anything is served.
  if (up.resumed && view.has_policy()) serve(true);
  if (!up.resumed) drop_early();
  for (auto& [pair, in] : inward_pairs) pump_inward(pair, now);
  send_admissions(now);
}

void Edge::Impl::on(link::Down&& down, Now now) { link_lost(down.error, now); }

void Edge::Impl::on(link::Dead&&, Now now) {
  core_is_dead = true;
  endpoint.close_all({Code::kStreamShutdown, "no core is linked"}, now);
}

void Edge::Impl::on(link::Forgotten&&, Now now) { forget(now); }

void Edge::Impl::on(link::Asked&& asked_for, Now now) {
  const auto* control = std::get_if<link::ControlAsk>(&asked_for.ask);
  if (control == nullptr) return;  // keys, verdicts and admissions are asked of cores
  link->session().answer(asked_for.id,
                         control->json == R"({"ask":"status"})"
                             ? link::Answer(status(now))
                             : link::Answer(Error{Code::kControlRefused, "not across the link"}));
}

void Edge::Impl::link_lost(const Error& error, Now now) {
  last_link_error = fmt::format("{}: {}", code_row(error.code).name, error.text);
  if (listening) {
    failures.clear();
    failures.log({LogLevel::kWarning, "link.down", {}}, error, now);
  }
  preparing.reset();
  serve(false);
}

// A minute without a link: nothing of the core's is kept (DESIGN invariant 2).
void Edge::Impl::forget(Now now) {
  log.log({LogLevel::kWarning, "link.forgotten", {{"core", core ? setup.config.cores[*core].name : ""}}});
  endpoint.close_all({Code::kStreamShutdown, "no core is linked"}, now);
  for (auto& [pair, in] : inward_pairs) refused += in.box.size();
  inward_pairs.clear();
  drop_early();
  admissions.clear();
  // What was on its way inward has no one to go to any more; sent anew later it might arrive twice.
  refused += link->session().abandon().size();
  outputs.push_back(Discard{view.use(nullptr)});
  outputs.push_back(UseCredentials{});
  core_is_dead = true;
}

void Edge::Impl::serve(bool on) {
  policy_in_use = on;
  listen(on);
}

void Edge::Impl::listen(bool on) {
  const bool want = on && !draining;
  if (listening == want) return;
  listening = want;
  listeners.want(want);
  outputs.push_back(Listen{want});
}

// Another push may come meanwhile, and takes its place.
void Edge::Impl::on(link::Pushed&& pushed, Now) {
  preparing = Preparing{++last_prepared, pushed.generation};
  outputs.push_back(
      Prepare{last_prepared,
              {SecretBytes(std::move(pushed.bytes)), setup.config.name, setup.config.cores[*core].domains}});
}

// The core judges by its new policy from the moment it pushes it: a pair that only the new one admits is not
// refused because the push is not in use yet.
bool Edge::Impl::awaits_policy(const Pair& pair, Now now) const {
  return !view.has_policy() || (preparing && !view.find(pair, now.civil));
}

void Edge::Impl::handle_prepared(std::uint64_t id, Result<config::PreparedPush> prepared, Now now) {
  if (!preparing || preparing->id != id) {
    if (prepared) {
      outputs.push_back(Discard{std::move(prepared->policy)});
      outputs.push_back(Discard{std::move(prepared->credentials)});
    }
    return;
  }
  const std::uint64_t generation = std::exchange(preparing, std::nullopt)->generation;
  if (!prepared) {
    failures.log({LogLevel::kError, "policy.refused", {{"generation", std::to_string(generation)}}},
                 prepared.error(), now);
    for (auto& each : std::exchange(early, {}))
      endpoint.emit_failure(each.ticket, prepared.error(), std::move(each.stanza));
    link->session().push_done(generation, prepared.error());
    return;
  }
  const config::PushedPolicy& policy = *prepared->policy;
  log.log(
      {LogLevel::kInfo,
       "policy.applied",
       {{"generation", std::to_string(policy.generation())}, {"sha256", to_hex(policy.policy_sha256())}}});
  outputs.push_back(UseCredentials{std::move(prepared->credentials)});
  outputs.push_back(Discard{view.use(std::move(prepared->policy))});
  // An answer that is still out is of the core's new policy: the core pushed that before it answered. What
  // the edge has not asked yet is asked anew for each pair that is still proved.
  admissions.drop_again();
  endpoint.judge_again(now);
  serve(true);
  link->session().push_done(generation, {});
  for (auto& each : std::exchange(early, {}))
    endpoint.send(each.pair, std::move(each.stanza), each.ticket, now);
}

// The session they came in is over: its core sends them anew, or has given them up.
void Edge::Impl::drop_early() {
  for (const auto& each : std::exchange(early, {})) outward.take(each.ticket);
}

void Edge::Impl::on(link::Answered&& answered, Now now) {
  if (handle_admission(answered, now)) return;
  auto node = asked.extract(answered.id);
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
