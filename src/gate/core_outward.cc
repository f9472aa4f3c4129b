// From internal servers to the edges: stanzas are translated, checked against policy, queued for their pair,
// sent as credit allows, and bounced when they are refused.
#include <ranges>

#include <fmt/format.h>

#include "gate/core_impl.h"
#include "gate/reply.h"

namespace sallyport::gate {

Core::Impl::Decided& Core::Impl::up_to_date(Decided& decided, Now now) {
  if (!policy.period.contains(now.civil)) {
    policy.period = policy.in_force->rules().period(now.civil);
    ++policy.verdicts;
    forget_questions(now);
  }
  if (decided.verdicts != policy.verdicts)
    decided = {.verdicts = policy.verdicts, .internal = std::nullopt, .durable = std::nullopt};
  return decided;
}

void Core::Impl::on(On<s2s::StanzaReceived>&& received, Now now) {
  const Pair& proved = received.event.proof.pair();
  const xmpp::Domain& remote = proved.local;
  const xmpp::Domain& internal_name = proved.remote;
  const auto alias = policy.in_force->aliases().alias_of(internal_name, remote);
  const Pair pair{alias ? *alias : internal_name, remote};
  const xmpp::Domain& local = pair.local;
  xmpp::Stanza& stanza = received.event.stanza;
  const auto number = received.event.number;
  const auto receipt = [&] {
    return number ? std::optional(StreamReceipt{received.conn, *number}) : std::nullopt;
  };
  if (takes_answer(stanza)) {
    presence.internal.heard(local, now.mono);
    if (number) endpoint.acknowledge({received.conn, *number}, now);
    return;
  }
  if (auto mapped = policy.in_force->outward(stanza, remote); !mapped) {
    // It grew beyond the limit under the node's other name. There is no outward form to be answered by the
    // usual way, so the answer carries the internal names.
    ++report.refused;
    const auto& row = code_row(mapped.error().code);
    log.log({LogLevel::kWarning,
             "stanza.refused",
             {{"local", local.ascii()},
              {"remote", remote.ascii()},
              {"id", std::string(stanza.id())},
              {"code", std::string(row.name)}}});
    return endpoint.answer(proved, xmpp::bounce(stanza, "policy-violation", row.sentence), receipt(), now);
  }
  PairEntry& entry = state_of(pair);
  if (auto may = may_pass(entry, stanza, policy::Direction::kOut, now); !may) {
    entry.second.last_error = std::string(code_row(may.error().code).name);
    return answer_internal(stanza, may.error(), setup.config.name.ascii(), now, receipt());
  }
  presence.internal.heard(local, now.mono);
  note_presence(pair, policy::Direction::kOut, stanza, now);
  if (is_durable(entry, stanza, now))
    return keep_outward(entry, std::move(stanza), {received.conn, number}, now);
  enqueue(entry, std::move(stanza), Source{received.conn, number}, now);
}

Duration Core::Impl::patience_for(const xmpp::Stanza& stanza) const {
  return stanza.kind() == xmpp::StanzaKind::kMessage ? Duration(setup.config.delivery.lifetime_memory)
                                                     : Duration(limits::kDeliveryTimeout);
}

void Core::Impl::enqueue(PairEntry& entry, xmpp::Stanza stanza, std::optional<Source> from, Now now) {
  const Time deadline = now.mono + patience_for(stanza);
  Queued queued{std::move(stanza), 0, deadline};
  if (from && from->number)
    queued.ticket = outward.tickets.put({&entry, StreamReceipt{from->conn, *from->number}});
  place(entry, std::move(queued), from ? std::optional(from->conn) : std::nullopt, now);
}

void Core::Impl::enqueue_answer(PairEntry& entry, xmpp::Stanza answer, const Owed& owed, Now now) {
  const Time deadline = now.mono + patience_for(answer);
  Queued queued{.stanza = std::move(answer),
                .ticket = outward.tickets.put({.pair = &entry}),
                .deadline = deadline,
                .owes = true};
  outward.owed.emplace(queued.ticket, owed);
  place(entry, std::move(queued), std::nullopt, now);
}

void Core::Impl::place(PairEntry& entry, Queued&& queued, std::optional<ConnId> from, Now now) {
  auto& [key, out] = entry;
  const std::size_t size = queued.stanza.xml().size();
  if (out.box.bytes() + size > setup.config.limits.pair_queue_bytes ||
      out.box.size() >= limits::kPairQueueStanzasMax) {
    return answer_queued(queued, {Code::kDeliveryQueueFull, {}}, setup.config.name.ascii(), now);
  }
  if (out.box.empty() && has_way(key, out, size)) return send(key, out, std::move(queued), now);
  const bool has_room = outward.outboxes.push(key, out.box, queued, from ? endpoint.peer_source(*from) : "");
  answer_lost(now);
  if (!has_room)
    return answer_queued(queued, {Code::kDeliveryQueueFull, "too much waits"}, setup.config.name.ascii(),
                         now);
  pump(key, out, now);
  if (from && out.box.bytes() > limits::kPairQueueHoldBytes && out.held.insert(*from).second)
    endpoint.hold(*from, true);
}

// Rendezvous: each edge gets a number for the pair, the highest linked one carries it, so that a pair moves
// only when its edge goes.
std::optional<std::size_t> Core::Impl::choose_edge(const Pair& pair) const {
  std::optional<std::size_t> best;
  Digest256 best_weight{};
  for (std::size_t i = 0; i < links.state.size(); ++i) {
    if (!links.state[i].ready || links.state[i].draining) continue;
    if (links.state.size() == 1) return i;
    const auto weight = sha256(
        fmt::format("{} {} {}", setup.config.edges[i].name.ascii(), pair.local.ascii(), pair.remote.ascii()));
    if (!best || weight > best_weight) best = i, best_weight = weight;
  }
  return best;
}

// A pair leaves an edge that is being drained, or refuses the policy, once nothing of it is on its way there,
// and then goes on with what the edge has handed back.
bool Core::Impl::has_way(const Pair& pair, PairState& out, std::size_t size) {
  if (!out.handed_back.empty()) return false;
  if (out.edge && links.state[*out.edge].is_to_be_left()) {
    if (out.unsettled > 0) return false;
    out.edge.reset();
  }
  if (!out.edge) out.edge = choose_edge(pair);
  if (!out.edge || !links.state[*out.edge].ready) return false;
  return links.ends.at(*out.edge).session().can_send(pair, size);
}

void Core::Impl::send(const Pair& pair, PairState& out, Queued&& queued, Now now) {
  if (out.ticket == 0) out.ticket = outward.tickets.put({outward.map.find(pair)});
  if (out.stanzas++ == 0) out.since = now.civil;
  out.bytes_sent += queued.stanza.xml().size();
  ++report.out;
  ++out.unsettled;
  ++outward.unsettled;
  if (queued.owes) settle_beside(queued, *out.edge, now);
  const Ticket ticket = queued.ticket == 0 ? out.ticket : queued.ticket;
  links.ends.at(*out.edge).session().send(pair, std::move(queued.stanza), ticket, now.mono, {},
                                          queued.attempt);
}

void Core::Impl::pump(const Pair& pair, PairState& out, Now now) {
  if (out.box.empty()) return;
  while (!out.box.empty() && has_way(pair, out, out.box.front().stanza.xml().size())) {
    Queued queued = outward.outboxes.pop(out.box);
    if (is_with_its_server(queued.ticket) || (queued.owes && drop_moot(queued.ticket))) continue;
    if (const Error* why = refused_with(queued.ticket)) {
      answer_queued(queued, Error(*why), setup.config.name.ascii(), now);
      continue;
    }
    send(pair, out, std::move(queued), now);
  }
  release(out);
}

void Core::Impl::pump_all(Now now) {
  for (auto& [pair, out] : outward.map) pump(pair, out, now);
}

// Servers that were stopped because much waited for the pair are read again when half of that is gone.
void Core::Impl::release(PairState& out) {
  if (out.box.bytes() > limits::kPairQueueHoldBytes / 2) return;
  for (const ConnId conn : out.held) endpoint.hold(conn, false);
  out.held.clear();
}

void Core::Impl::answer_lost(Now now) {
  while (auto lost = outward.outboxes.poll()) {
    PairState& out = outward.map.find(*lost->pair)->second;
    Error error{Code::kDeliveryQueueFull, "it gave way to another peer"};
    if (lost->expired) {
      error =
          any_ready() ? Error{Code::kDeliveryTimeout, "no credit from the edge"} : Error{Code::kLinkDown, {}};
      out.last_error = std::string(code_row(error.code).name);
    }
    answer_queued(lost->queued, error, setup.config.name.ascii(), now);
    release(out);
  }
}

Core::Impl::PairEntry& Core::Impl::state_of(const Pair& pair) {
  if (auto* found = outward.map.find(pair)) return *found;
  outward.sweep(outward.map, [this](const PairState& out) {
    const bool idle = out.box.is_idle() && out.held.empty() && out.handed_back.empty() && out.unsettled == 0;
    if (idle) outward.tickets.take(out.ticket);
    return idle;
  });
  return outward.map.get(pair);
}

Core::Impl::PairEntry* Core::Impl::note_settled(Ticket ticket, std::uint64_t count) {
  const OutwardPairs::Ticketed* found = outward.tickets.get(ticket);
  if (found == nullptr) return nullptr;
  found->pair->second.unsettled -= count;
  outward.unsettled -= count;
  return found->pair;
}

void Core::Impl::acknowledge(Ticket ticket, Now now) {
  const OutwardPairs::Ticketed* found = outward.tickets.get(ticket);
  if (found == nullptr) return;
  if (found->receipt) return endpoint.acknowledge(*outward.tickets.take(ticket)->receipt, now);
  settle_owed(ticket, std::nullopt, now);
}

void Core::Impl::settle_owed(Ticket ticket, const std::optional<Error>& lost, Now now) {
  if (outward.owed.empty()) return;
  const auto owed = outward.owed.extract(ticket);
  if (owed.empty()) return;
  outward.tickets.take(ticket);
  const Owed& answer = owed.mapped();
  if (answer.arriving.message == 0) return settle(answer.arriving, answer.code, now);
  const bool in_doubt = lost && answer.in_doubt;
  durable.queue.handle_answered(answer.arriving.message,
                                in_doubt ? std::optional<Error>({Code::kDeliveryUncertain, {}}) : lost, now);
}

std::optional<StreamReceipt> Core::Impl::take_receipt(Ticket ticket) {
  const OutwardPairs::Ticketed* found = outward.tickets.get(ticket);
  if (found == nullptr || !found->receipt) return std::nullopt;
  return outward.tickets.take(ticket)->receipt;
}

bool Core::Impl::drop_moot(Ticket ticket) {
  const auto found = outward.owed.find(ticket);
  if (found == outward.owed.end() || !found->second.moot) return false;
  outward.owed.erase(found);
  outward.tickets.take(ticket);
  return true;
}

void Core::Impl::settle_beside(Queued& answer, std::size_t edge, Now now) {
  const auto found = outward.owed.find(answer.ticket);
  if (found == outward.owed.end() || !found->second.arriving.is_of(edge)) return;
  acknowledge(std::exchange(answer.ticket, 0), now);
}

bool Core::Impl::is_with_its_server(Ticket ticket) {
  const OutwardPairs::Ticketed* found = outward.tickets.get(ticket);
  if (found == nullptr || !found->receipt || endpoint.is_open(found->receipt->conn)) return false;
  outward.tickets.take(ticket);
  return true;
}

void Core::Impl::answer_queued(const Queued& queued, const Error& error, const std::string& leg, Now now) {
  const Pair pair{queued.stanza.from().domain(), queued.stanza.to().domain()};
  if (error.code == Code::kDeliveryUncertain && ask_again(queued.ticket, pair, now)) return;
  if (settle_question(queued.ticket, pair, true, now)) return;
  const Kept kept = settle_durable(queued.ticket, error, now);
  if (kept.is_tried_again || (kept.message == 0 && is_with_its_server(queued.ticket))) return;
  answer_sender(kept, queued.ticket, queued.stanza, error, leg, now);
}

void Core::Impl::answer_sender(const Kept& kept, Ticket ticket, const xmpp::Stanza& stanza,
                               const Error& error, const std::string& leg, Now now) {
  if (kept.message != 0)
    return answer_internal(stanza, DurableQueue::answer_to(error), leg, now,
                           StreamReceipt{0, 0, kept.message});
  const auto receipt = take_receipt(ticket);
  answer_internal(stanza, error, leg, now, receipt);
  if (!receipt) settle_owed(ticket, error, now);
}

void Core::Impl::on(std::size_t edge, link::Settled&& settled, Now now) {
  PairEntry* entry = note_settled(settled.ticket, settled.count);
  if (entry == nullptr) return;
  std::optional<Pair> leaving;
  if (links.state[edge].is_to_be_left() || !entry->second.handed_back.empty()) leaving = entry->first;
  if (!take_back(edge, *entry, settled, now) &&
      !settle_question(settled.ticket, entry->first, settled.outcome.has_value(), now))
    conclude(edge, *entry, settled, now);
  if (leaving) send_taken_back(*leaving, now);
}

// Whatever was settled last, a question of the core included.
void Core::Impl::send_taken_back(const Pair& of, Now now) {
  PairEntry* entry = outward.map.find(of);
  if (entry == nullptr) return;
  auto& [pair, out] = *entry;
  if (out.unsettled == 0) put_handed_back(pair, out);
  pump(pair, out, now);
}

void Core::Impl::conclude(std::size_t edge, PairEntry& entry, link::Settled& settled, Now now) {
  const Kept kept = settle_durable(settled.ticket, settled.outcome, now);
  auto& [pair, out] = entry;
  if (!settled.outcome) {
    if (kept.message == 0) acknowledge(settled.ticket, now);
    if (!out.last_error.empty()) out.last_error.clear();
    durable.queue.wake(policy::Direction::kOut, pair.remote, now);
    heard_remote(pair, now);
  } else {
    const Error& error = *settled.outcome;
    out.last_error = fmt::format("{}: {}", code_row(error.code).name, error.text);
    ++out.refused;
    if (!kept.is_tried_again)
      answer_sender(kept, settled.ticket, *settled.stanza, error, setup.config.edges[edge].name.ascii(), now);
    if (!is_permanent(error.code)) missed_remote(pair, now);
  }
}

bool Core::Impl::take_back(std::size_t edge, PairEntry& entry, link::Settled& settled, Now now) {
  const bool drains = links.state[edge].draining && settled.outcome &&
                      settled.outcome->code == Code::kStreamShutdown && settled.stanza;
  const OutwardPairs::Ticketed* found = outward.tickets.get(settled.ticket);
  if (!drains || (found != nullptr && found->message != 0)) return false;
  auto& [pair, out] = entry;
  Queued queued{.stanza = *std::move(settled.stanza), .ticket = out.own(settled.ticket)};
  hand_back(out, std::move(queued), settled.order, false, now);
  return true;
}

// A message of the spool goes back there where this takes long.
void Core::Impl::hand_back(PairState& out, Queued&& queued, std::uint64_t order, bool was_sent, Now now) {
  const bool is_kept = queued.attempt != 0;
  queued.deadline = now.mono + (is_kept ? limits::kDeliveryTimeout : patience_for(queued.stanza));
  if (const auto owed = outward.owed.find(queued.ticket); owed != outward.owed.end()) {
    queued.owes = true;
    owed->second.in_doubt = owed->second.in_doubt || was_sent;
  }
  out.handed_back.emplace(order, std::move(queued));
}

void Core::Impl::put_handed_back(const Pair& pair, PairState& out) {
  for (auto& [order, queued] : std::views::reverse(out.handed_back))
    outward.outboxes.put_front(pair, out.box, std::move(queued));
  out.handed_back.clear();
}

// RFC 6120 8.3: one error, which names the leg that failed.
void Core::Impl::answer_internal(const xmpp::Stanza& stanza, const Error& error, const std::string& leg,
                                 Now now, const std::optional<StreamReceipt>& owed) {
  ++report.refused;
  const auto& row = code_row(error.code);
  // An error is not answered (RFC 6120 8.3.1): that it did not arrive stands here only.
  log.log({LogLevel::kInfo,
           stanza.is_error() ? "answer.lost" : "stanza.refused",
           {{"local", std::string(stanza.from_domain())},
            {"remote", std::string(stanza.to_domain())},
            {"id", std::string(stanza.id())},
            {"code", std::string(row.name)},
            {"leg", leg},
            {"text", error.text}}});
  const std::string text =
      fmt::format("{} -> {}: {}{}{}{} [{}]", leg, stanza.to().domain().unicode(), row.sentence,
                  error.text.empty() ? "" : " (", error.text, error.text.empty() ? "" : ")", row.name);
  auto answer = xmpp::bounce(stanza, stanza_condition(error.code, SenderSide::kInternal), text);
  if (answer && !policy.in_force->inward(*answer)) answer.reset();
  std::optional<Pair> made;
  const Pair& internal = internal_pair({stanza.from().domain(), stanza.to().domain()}, made, now);
  endpoint.answer(internal, std::move(answer), owed, now);
}

const Pair& Core::Impl::internal_pair(const Pair& pair, std::optional<Pair>& made, Now now) {
  const auto make = [&] { return Pair{pair.remote, policy.in_force->internal_name_of(pair.local)}; };
  auto* known = outward.map.find(pair);
  if (known == nullptr) return made.emplace(make());
  Decided& decided = up_to_date(known->second.decided, now);
  if (!decided.internal) decided.internal = make();
  return *decided.internal;
}

// To an internal server: `stanza` in its outward form, from a remote domain to a local one.
void Core::Impl::deliver_internally(const Pair& pair, xmpp::Stanza stanza, Ticket ticket, Now now,
                                    Attempt attempt) {
  std::optional<Pair> made;
  const Pair& internal = internal_pair(pair, made, now);
  if (auto mapped = policy.in_force->inward(stanza); !mapped) {
    if (ticket != 0) endpoint.emit_failure(ticket, mapped.error(), std::move(stanza));
    return;
  }
  endpoint.send(internal, std::move(stanza), ticket, now, attempt);
}

}  // namespace sallyport::gate
