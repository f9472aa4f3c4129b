// The core's ends of the links: dialling, pushing, and the questions that only a core answers.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "gate/core_impl.h"
#include "s2s/dialback.h"

namespace sallyport::gate {

bool Core::Impl::any_ready() const { return std::ranges::any_of(links.state, &Link::ready); }

void Core::Impl::dial(std::size_t edge, Now) {
  links.state[edge].dialling = ids.next();
  outputs.push_back(DialLink{*links.state[edge].dialling, edge});
}

// Back-off doubles, with a quarter of chance in it, so that edges are not dialled in step.
void Core::Impl::schedule(Link& link, bool final, Now now) {
  using namespace std::chrono;
  link.backoff = link.backoff.count() == 0 ? Duration(limits::kLinkReconnectMin)
                                           : std::min<Duration>(link.backoff * 2, limits::kLinkReconnectMax);
  if (final) link.backoff = limits::kLinkReconnectMax;
  const auto jitter = links.random.below(static_cast<std::uint64_t>(link.backoff.count()) / 4 + 1);
  link.next_dial = now.mono + link.backoff + Duration(jitter);
}

// Where no edge accepts this shard of the core, stanzas of internal servers have no way out: their streams
// are ended, and the servers connect again, to a shard that has an edge.
void Core::Impl::not_linked(std::size_t edge, const Error& error, Now now) {
  const bool unwanted = error.code == Code::kLinkShard;
  link_down(edge, error, unwanted, now);
  if (std::exchange(links.state[edge].unwanted, unwanted) || !unwanted) return;
  if (std::ranges::all_of(links.state, &Link::unwanted)) endpoint.close_all({Code::kStreamReset, {}}, now);
}

void Core::Impl::link_down(std::size_t edge, const Error& error, bool final, Now now) {
  Link& link = links.state[edge];
  // A session reports as kLinkDown the loss of a connection that was reported with its reason before.
  if (!link.ready && !link.last_error.empty() && error.code == Code::kLinkDown) return;
  if (std::exchange(link.ready, false)) link.failures.clear();
  link.failures.log({LogLevel::kWarning, "link.down", {{"edge", setup.config.edges[edge].name.ascii()}}},
                    error, now);
  link.last_error = fmt::format("{}: {}", code_row(error.code).name, error.text);
  if (!link.give_up && !link.dead) link.give_up = now.mono + limits::kLinkSessionKept;
  if (!link.dialling && link.next_dial <= now.mono) schedule(link, final, now);
}

void Core::Impl::on(std::size_t, link::Writable&& writable, Now now) {
  if (auto* found = outward.map.find(writable.pair)) pump(found->first, found->second, now);
}

void Core::Impl::on(std::size_t edge, link::Up&& up, Now now) {
  Link& link = links.state[edge];
  link.backoff = {};
  link.dead = false;
  if (!up.resumed) {
    link.draining = false;
    for (auto& [ticket, owed] : outward.owed) owed.moot = owed.moot || owed.arriving.is_of(edge);
  }
  if (!up.resumed) link.shown = {.after = 0};
  report.sent_again += up.sent_again;
  link.give_up.reset();
  if (link.failures.is_news("link.up", now)) {
    log.log({LogLevel::kInfo,
             "link.up",
             {{"edge", setup.config.edges[edge].name.ascii()},
              {"peer", links.ends.at(edge).peer().text()},
              {"version", up.peer_version},
              {"resumed", up.resumed ? "yes" : "no"}}});
  }
  if (up.resumed && link.pushed_generation == policy.in_force->update().generation) {
    set_ready(edge, now);
  } else {
    push(edge);
  }
}

void Core::Impl::on(std::size_t edge, link::PushDone&& done, Now now) {
  if (done.generation != policy.in_force->update().generation) return;  // a newer one is on its way
  Link& link = links.state[edge];
  if (!done.result) {
    link.failures.log({LogLevel::kError, "policy.refused", {{"edge", setup.config.edges[edge].name.ascii()}}},
                      done.result.error(), now);
    links.ends.at(edge).session().refuse(done.result.error());
    link.ready = false;
    link.refuses = true;
    pump_all(now);
    return;
  }
  link.pushed_generation = done.generation;
  set_ready(edge, now);
}

void Core::Impl::on(std::size_t edge, link::Down&& down, Now now) {
  link_down(edge, down.error, down.final, now);
}

void Core::Impl::on(std::size_t edge, link::Dead&&, Now now) {
  links.state[edge].dead = true;
  any_ready() ? move_away(edge, now) : lose_all_remote(now);
}

// Its pairs move to other edges once nothing of them is on its way.
void Core::Impl::on(std::size_t edge, link::PeerDrains&&, Now now) {
  if (std::exchange(links.state[edge].draining, true)) return;
  log.log({LogLevel::kInfo, "link.draining", {{"edge", setup.config.edges[edge].name.ascii()}}});
  pump_all(now);
}

// The process before may have sent it. What may be repeated is back because others of its pair are, too, or
// because one in front of it was refused: the new process does not know that, and would let it overtake.
void Core::Impl::on(std::size_t edge, link::NotRepeated&& doubtful, Now now) {
  PairEntry* entry = note_settled(doubtful.ticket);
  if (entry == nullptr) return;
  const Pair pair = entry->first;
  PairState& out = entry->second;
  Queued queued{
      .stanza = std::move(doubtful.stanza), .ticket = out.own(doubtful.ticket), .attempt = doubtful.attempt};
  if (may_repeat(pair, queued.stanza)) {
    ++report.sent_again;
    if (const Error* why = refused_with(queued.ticket)) {
      answer_queued(queued, Error(*why), setup.config.edges[edge].name.ascii(), now);
    } else {
      hand_back(out, std::move(queued), doubtful.order, true, now);
    }
  } else {
    ++report.uncertain;
    answer_queued(queued, {Code::kDeliveryUncertain, {}}, setup.config.edges[edge].name.ascii(), now);
  }
  send_taken_back(pair, now);
}

void Core::Impl::push(std::size_t edge) {
  links.ends.at(edge).session().push(policy.in_force->update().generation, policy.in_force->policy()->push());
}

void Core::Impl::set_ready(std::size_t edge, Now now) {
  links.state[edge].ready = true;
  links.state[edge].refuses = false;
  links.state[edge].last_error.clear();
  ask_shown(edge);
  for (std::size_t i = 0; i < links.state.size(); ++i)
    if (i != edge && links.state[i].dead) move_away(i, now);
  pump_all(now);
  durable.queue.wake_all(policy::Direction::kOut, now);
}

// Whether a stanza that an edge may have sent may be sent again: a request could have its effect twice.
bool Core::Impl::may_repeat(const Pair& pair, const xmpp::Stanza& stanza) const {
  if (stanza.is_request()) return false;
  return stanza.kind() != xmpp::StanzaKind::kMessage ||
         policy.in_force->rules().peer(pair.remote).on_doubt == policy::OnDoubt::kResend;
}

// The link is declared lost and another one is ready: its pairs move there, in order, before the stanzas that
// waited behind them.
void Core::Impl::move_away(std::size_t edge, Now now) {
  for (auto& each : links.ends.at(edge).session().abandon()) {
    note_settled(each.ticket);
    auto& [pair, out] = outward.map.get(each.pair);
    Queued queued{.stanza = std::move(each.stanza), .ticket = out.own(each.ticket), .attempt = each.attempt};
    if (each.sent && !may_repeat(pair, queued.stanza)) {
      ++report.uncertain;
      answer_queued(queued, {Code::kDeliveryUncertain, {}}, setup.config.edges[edge].name.ascii(), now);
      continue;
    }
    hand_back(out, std::move(queued), each.order, each.sent, now);
    if (each.sent) ++report.sent_again;
  }
  links.state[edge].give_up.reset();
  for (auto& [pair, out] : outward.map) {
    if (out.edge == edge) out.edge.reset();
    if (out.unsettled == 0) put_handed_back(pair, out);
    pump(pair, out, now);
  }
}

// A minute without the link: the edge has forgotten the session too, and its stanzas are answered.
void Core::Impl::give_up(std::size_t edge, Now now) {
  links.state[edge].give_up.reset();
  for (auto& entry : links.ends.at(edge).session().abandon()) {
    note_settled(entry.ticket);
    if (entry.sent) ++report.uncertain;
    // The edge may have brought it to its peer; but what is on disk is sent again in any case.
    const bool is_in_doubt = entry.sent && entry.attempt == 0;
    answer_queued({.stanza = std::move(entry.stanza), .ticket = entry.ticket},
                  {is_in_doubt ? Code::kDeliveryUncertain : Code::kLinkDown, {}}, setup.config.name.ascii(),
                  now);
  }
  for (auto& [pair, out] : outward.map)
    if (out.unsettled == 0) put_handed_back(pair, out);
}

std::string Core::Impl::internal_key(const Pair& pair, const std::string& stream_id) const {
  return s2s::dialback_key(policy.internal_secret, pair, stream_id);
}

void Core::Impl::on(std::size_t edge, link::Asked&& asked, Now now) {
  const auto answer = [&](const auto& ask) { return answer_to(ask, now); };
  links.ends.at(edge).session().answer(asked.id, std::visit(answer, asked.ask));
}

// The secret never leaves the core (DESIGN invariant 2): an edge gets a key for a pair that policy allows.
link::Answer Core::Impl::answer_to(const link::KeyAsk& ask, Now now) {
  if (auto may = policy.in_force->rules().may_answer(ask.pair, now.civil); !may) return may.error();
  return s2s::dialback_key(setup.dialback_secret, ask.pair, ask.stream_id);
}

// For any local domain: refusing the verdict would only hide that the domain is ours.
link::Answer Core::Impl::answer_to(const link::VerdictAsk& ask, Now) {
  if (auto local = policy.in_force->rules().is_local(ask.pair.local); !local) return local.error();
  const auto ours = s2s::dialback_key(setup.dialback_secret, ask.pair, ask.stream_id);
  return std::string(equal_constant_time(ours, ask.key) ? "valid" : "invalid");
}

// Evaluated as an edge evaluates it, but with the internal names.
link::Answer Core::Impl::answer_to(const link::AdmitAsk& ask, Now now) {
  const auto& rules = policy.in_force->rules();
  const auto start = rules.decide(ask.pair, policy::Direction::kIn, now.civil);
  if (start.result || rules.may_answer(ask.pair, now.civil)) return std::string("admitted");
  return start.result.error();
}

link::Answer Core::Impl::answer_to(const link::ControlAsk&, Now) {
  return Error{Code::kControlRefused, "a core answers no questions of an edge"};
}

}  // namespace sallyport::gate
