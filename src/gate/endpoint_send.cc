// Sending: one outgoing stream for each pair, opened when there is something to send.
#include <utility>

#include <fmt/format.h>

#include "gate/endpoint.h"

namespace sallyport::gate {

std::string Endpoint::peer_of(const Pair& pair) const {
  const xmpp::Domain& peer = setup_.policy.is_internal() ? pair.local : pair.remote;
  return std::string(parent_of_domain(peer.ascii()));
}

void Endpoint::send(const Pair& pair, xmpp::Stanza stanza, Ticket ticket, Now now, Attempt attempt) {
  policy_.of_streams.set(now.civil);
  outgoing_.sweep(outgoing_.map, [](const Outgoing& each) { return each.box.is_idle() && !each.conn; });
  auto& [key, out] = outgoing_.map.get(pair);
  Queued queued{.stanza = std::move(stanza), .ticket = ticket, .attempt = attempt};
  queued.deadline = deadline_of(out, queued, now);
  if (attempt != 0 && !out.refuses(attempt)) out.refused.reset();
  if (out.refuses(attempt)) return give_back(out, queued, Error(out.refused->error));
  if (out.awaits_return && !out.conn && !may_wait(out, queued, now))
    return give_back(out, queued, out.redial.reason());
  if (out.ready && out.box.empty()) {
    Stream& stream = *find(*out.conn);
    const bool all_asked = out.pings.is_all_asked();
    if (stream.checked == policy_.epoch.current() && write(*out.ready, out, stream, queued, now)) {
      if (out.pings.is_on() && (all_asked || presses(stream))) ping_if_due(out, stream, now);
      return;
    }
  }
  const bool has_room = outboxes_.push(key, out.box, queued);
  return_lost();
  if (!has_room) return give_back(out, queued, {Code::kDeliveryQueueFull, "too much waits for peers"});
  pump(key, out, now);
}

void Endpoint::answer(const Pair& pair, std::optional<xmpp::Stanza> answer,
                      const std::optional<StreamReceipt>& owed, Now now) {
  if (answer) return send(pair, *std::move(answer), owed ? kAnswer | confirming_.answers.put(*owed) : 0, now);
  if (!owed) return;
  owed->kept == 0 ? acknowledge(*owed, now) : emit(AnswerSettled{*owed, {}});
}

void Endpoint::settle_answer(const Queued& queued, std::optional<Error> lost) {
  if (const auto owed = confirming_.answers.take(queued.ticket & ~kAnswer))
    emit(AnswerSettled{*owed, std::move(lost)});
}

bool Endpoint::is_moot(const Queued& answer) {
  const StreamReceipt* owed = confirming_.answers.get(answer.ticket & ~kAnswer);
  if (owed != nullptr && (owed->kept != 0 || is_open(owed->conn))) return false;
  confirming_.answers.take(answer.ticket & ~kAnswer);
  return true;
}

void Endpoint::pump(const Pair& pair, Outgoing& out, Now now) {
  return_refused(out);
  if (out.box.empty()) return;
  if (out.ready) {
    // A pair that the new policy ends is ended here, and its queue taken care of by the end of its stream.
    ensure_current(*out.conn, *find(*out.conn), now);
    if (out.ready) write_queue(pair, out, now);
  } else if (!out.conn && !out.awaits_dial) {
    if (outgoing_.draining) {
      return_unsent(pair, out);
      if (out.box.empty()) return;
    }
    if (out.redial.may_dial(now)) {
      open(pair, out, now);
    } else if (outgoing_.draining) {
      give_up(out, now);
    } else if (out.redial.expects_return(setup_.policy.patience(), now)) {
      set_return_timer(pair, out);
    } else {
      return_all(out, *out.redial.last_error());
    }
  }
}

void Endpoint::open(const Pair& pair, Outgoing& out, Now now) {
  auto plan = setup_.policy.find(pair, now.civil);
  if (!plan) {
    out.redial.note(plan.error());
    return return_all(out, plan.error());
  }
  plan->avoid = out.redial.avoid();
  const std::string peer = peer_of(pair);
  const auto end = [&](ConnId loser) {
    emit(Output{Disconnect{loser}});
    break_stream(loser, *find(loser), {Code::kDeliveryQueueFull, "too many streams are being opened"}, now);
  };
  if (!dials_.may_dial(peer, end)) {
    if (!std::exchange(out.awaits_dial, true)) dials_.wait(peer, pair);
    return;
  }
  const ConnId conn = setup_.ids.next();
  out.conn = conn;
  Stream stream = new_stream(now);
  stream.target = pair;
  stream.dial = dials_.hold(peer, conn);
  stream.ending.once_acknowledged = outgoing_.draining;
  streams_.get(conn, std::move(stream));
  emit(Output{Dial{conn, std::move(*plan)}});
}

void Endpoint::open_waiting(Now now) {
  dials_.open_waiting([&](const Pair& pair) {
    auto* found = outgoing_.map.find(pair);
    if (found == nullptr) return;
    found->second.awaits_dial = false;
    pump(found->first, found->second, now);
  });
}

void Endpoint::write_queue(const Pair& pair, Outgoing& out, Now now) {
  Stream& stream = *find(*out.conn);
  while (!out.box.empty() && !stream.out()->is_full()) {
    Queued queued = outboxes_.pop(out.box);
    if (is_answer(queued) && is_moot(queued)) continue;
    if (write(*out.ready, out, stream, queued, now)) continue;
    outboxes_.put_front(pair, out.box, std::move(queued));
    break;
  }
  ping_if_due(out, stream, now);
}

// False, and `queued` untouched, where the stream takes nothing more now: it is full, or closing, and its end
// takes care of the queue; or its peer has to confirm first. A stanza that is too large for the peer is
// returned to its sender, and counts as dealt with.
bool Endpoint::write(const s2s::PeerProof& proof, Outgoing& out, Stream& stream, Queued& queued, Now now) {
  if (awaits_confirmation(out, stream)) return false;
  const std::size_t size = queued.stanza.xml().size();
  const bool answers = queued.stanza.kind() == xmpp::StanzaKind::kIq && !queued.stanza.is_request();
  if (!stream.out()->send(proof, queued.stanza, now.mono)) {
    if (stream.out()->takes(queued.stanza)) return false;
    give_back(out, queued,
              {Code::kStanzaTooLargeForPeer,
               fmt::format("{} bytes, {} at most", size, *stream.out()->peer_limits().max_bytes)});
    return true;
  }
  if (!std::exchange(stream.flush_due, true)) emit(Output{Flush{*out.conn}});
  const auto due = stream.out()->ack_deadline();
  if (due && (!stream.timer || *due < *stream.timer)) set_timer(*out.conn, stream);
  ++counters_.stanzas_out;
  counters_.bytes_out += size;
  count(stream, proof.pair(), size);
  out.box.sent(std::move(queued));
  if (answers) {
    out.pings.note_answer(now.mono);
  } else {
    out.pings.note_stanza();
  }
  return true;
}

// The pair that the stream was opened for; nullptr where it has another stream by now, or none.
Endpoint::OutgoingEntry* Endpoint::outgoing_of(ConnId conn, const Stream& stream) {
  auto* found = stream.target ? outgoing_.map.find(*stream.target) : nullptr;
  return found == nullptr || found->second.conn != conn ? nullptr : found;
}

// The pair's stream has ended, or failed to open: its stanzas are sent on a new one, or returned.
std::optional<bool> Endpoint::acknowledged(const Stream& stream) {
  const auto* out = std::get_if<s2s::Outbound>(&stream.machine);
  if (out == nullptr || out->confirmed_by() != s2s::ConfirmedBy::kAcks) return std::nullopt;
  return out->has_acknowledged();
}

void Endpoint::outgoing_ended(ConnId conn, Stream& stream, const std::optional<Error>& error, Now now) {
  stream.dial.reset();
  OutgoingEntry* entry = outgoing_of(conn, stream);
  if (entry == nullptr) return;
  auto& [pair, out] = *entry;
  const Redial::End end{.connected = stream.machine.index() != 0,
                        .ready = out.ready.has_value(),
                        .carried = !stream.traffic.empty(),
                        .peer = stream.peer,
                        .acknowledged = acknowledged(stream),
                        .error = error,
                        .patience = setup_.policy.patience()};
  out.conn.reset();
  out.ready.reset();
  out.pings.end();
  if (outgoing_.draining) return_unsent(pair, out);
  const bool asked = out.redial.may_use_acknowledgements(now);
  const Redial::Next next = out.redial.handle_end(end, !out.box.empty(), now);
  if (asked && !out.redial.may_use_acknowledgements(now)) note_fall_back(stream, "pair.acks-unanswered");
  if (outgoing_.draining && next != Redial::Next::kOpen) return give_up(out, now);
  switch (next) {
    case Redial::Next::kWait:
      return;
    case Redial::Next::kOpen:
      return open(pair, out, now);
    case Redial::Next::kRetry:
      return await_return(pair, out, now);
    case Redial::Next::kGiveUp:
      return return_all(out, out.redial.reason());
  }
}

// --- outcomes

void Endpoint::return_all(Outgoing& out, const Error& error) {
  while (!out.box.empty()) {
    Queued queued = outboxes_.pop(out.box);
    give_back(out, queued, error);
  }
}

void Endpoint::return_lost() {
  while (auto lost = outboxes_.poll()) {
    Outgoing& out = outgoing_.map.find(*lost->pair)->second;
    if (lost->expired) {
      const Error late{Code::kDeliveryTimeout,
                       out.ready ? "the stream takes no more" : "no stream became ready"};
      give_back(out, lost->queued, out.redial.last_error().value_or(late));
    } else {
      give_back(out, lost->queued, {Code::kDeliveryQueueFull, "it gave way to another peer"});
    }
    return_refused(out);
  }
}

void Endpoint::return_refused(Outgoing& out) {
  while (!out.box.empty() && out.refuses(out.box.front().attempt)) {
    Queued queued = outboxes_.pop(out.box);
    give_back(out, queued, Error(out.refused->error));
  }
}

// Reports the outcome to the role. A stanza without a ticket of the role is an answer, and an answer is not
// answered: its loss stands in the log only. Whatever keeps a stanza from being sent again, the peer may have
// it already; but one that is kept on disk is tried again later, and nobody is told yet.
void Endpoint::give_back(Outgoing& out, Queued& queued, const Error& reason) {
  if (queued.doubt != 0) ++counters_.uncertain;
  const bool is_in_doubt = (queued.sent_again || queued.doubt != 0) && queued.attempt == 0;
  const Error error = is_in_doubt ? Error{Code::kDeliveryUncertain, reason.text} : reason;
  if (queued.attempt != 0 && !is_permanent(error.code)) out.refused = {queued.attempt, error};
  if (is_answer(queued)) {
    settle_answer(queued, error);
  } else if (queued.ticket != 0) {
    emit(StanzaReturned{queued.ticket, error, std::move(queued.stanza)});
    return;
  }
  setup_.log.log({LogLevel::kWarning,
                  "answer.lost",
                  {{"face", setup_.name},
                   {"from", std::string(queued.stanza.from_domain())},
                   {"to", std::string(queued.stanza.to_domain())},
                   {"id", std::string(queued.stanza.id())},
                   {"code", std::string(code_row(error.code).name)},
                   {"text", error.text}}});
}

}  // namespace sallyport::gate
