// What is sent: one outgoing stream per pair, opened when there is something to send.
#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "gate/side.h"

namespace sallyport::gate {

void Side::send(const Pair& pair, xmpp::Stanza stanza, Ticket ticket, Now now) {
  sweep_(pairs_, [](const OutPair& each) { return each.queue.empty() && !each.conn; });
  auto& [key, out] = pairs_.get(pair);
  Queued queued{std::move(stanza), ticket, now.mono + limits::kDeliveryTimeout};
  if (out.ready && out.queue.empty()) {
    Stream& stream = *find(*out.conn);
    const bool may = !stream.blocked && stream.judged == policies_;
    if (may && write(*out.ready, *out.conn, stream, queued, now)) return;
  }
  if (!may_wait(key, out, queued.stanza.xml().size())) {
    return give_back(queued, {Code::kDeliveryQueueFull, "too much waits for peers"});
  }
  push_back(key, out, std::move(queued));
  pump(key, out, now);
  arm(key, out);
}

// A deadline is kept only while something waits: a stanza that goes straight through costs none.
void Side::arm(const Pair& pair, OutPair& out) {
  if (out.queue.empty() || out.armed) return;
  out.armed = true;
  deadlines_.emplace(out.queue.front().deadline, pair);
}

void Side::pump(const Pair& pair, OutPair& out, Now now) {
  if (out.queue.empty()) return;
  if (out.ready) {
    Stream& stream = *find(*out.conn);
    // What the new policy ends is ended, and its queue taken further, by the stream's own end.
    if (stream.judged != policies_) judged(*out.conn, stream, now);
    if (out.ready) write_queue(out, now);
  } else if (!out.conn && !out.awaits_dial) {
    if (now.mono < out.backoff_until && out.last_error) {
      fail_queue(out, *out.last_error);
    } else {
      open(pair, out, now);
    }
  }
}

void Side::open(const Pair& pair, OutPair& out, Now now) {
  auto plan = finder_.find(pair);
  if (!plan) {
    out.last_error = plan.error();
    fail_queue(out, plan.error());
    return;
  }
  plan->avoid = out.avoid;
  if (!may_dial(pair, out, now)) return;
  const ConnId conn = ids_.next();
  out.conn = conn;
  Stream stream;
  stream.target = pair;
  stream.dial = dials_.hold({peer_of(pair)}, conn);
  stream.since = now;
  stream.judged = policies_;
  streams_.get(conn, std::move(stream));
  emit(Output{Dial{conn, std::move(*plan)}});
}

void Side::on_ready(ConnId conn, const s2s::PeerProof& proof, Now now) {
  auto* found = pairs_.find(proof.pair());
  if (found == nullptr || found->second.conn != conn) return;
  OutPair& out = found->second;
  Stream& stream = *find(conn);
  stream.dial.reset();
  out.ready = proof;
  out.last_error.reset();
  out.failures = 0;
  LogEvent event = pair_event(LogLevel::kInfo, "pair.proved", "out", proof.pair());
  event.fields.emplace_back("peer", stream.peer.text());
  event.fields.emplace_back("method", s2s::method_name(proof.method()));
  log_.log(std::move(event));
  const auto& bytes_max = stream.out()->peer_limits().max_bytes;
  if (bytes_max && *bytes_max < limits::kPeerStanzaBytesMin) {
    LogEvent small = pair_event(LogLevel::kWarning, "peer.limit-too-small", "out", proof.pair());
    small.fields.emplace_back("peer", stream.peer.text());
    small.fields.emplace_back("max_bytes", std::to_string(*bytes_max));
    log_.log(std::move(small));
  }
  emit(PairOpened{proof.pair()});
  write_queue(out, now);
  open_waiting(now);
}

void Side::write_queue(OutPair& out, Now now) {
  Stream& stream = *find(*out.conn);
  while (!out.queue.empty() && !stream.blocked) {
    const std::uint64_t size = waiting_size(out.queue.front().stanza.xml().size());
    if (!write(*out.ready, *out.conn, stream, out.queue.front(), now)) return;
    out.queue.drop_front();
    waiting_.remove(out.waiting, size);
  }
}

// False where the stream takes nothing more, since it is closing; when it has ended, what waits gets a new
// one. A stanza that is too large for the peer is given back, and counts as dealt with: what is behind it
// goes on.
bool Side::write(const s2s::PeerProof& proof, ConnId conn, Stream& stream, Queued& queued, Now now) {
  const std::size_t size = queued.stanza.xml().size();
  if (!stream.out()->takes(queued.stanza)) {
    give_back(queued, {Code::kStanzaTooLargeForPeer,
                       fmt::format("{} bytes, {} at most", size, *stream.out()->peer_limits().max_bytes)});
    return true;
  }
  make_room(stream.buffer, size);
  if (!stream.out()->send(proof, queued.stanza, now.mono)) return false;
  collect_bytes(conn, stream);
  ++counters_.stanzas_out;
  counters_.bytes_out += size;
  count(stream, proof.pair(), size);
  stream.in_flight.emplace_back(InFlight{stream.end(), std::move(queued)});
  stream.blocked = stream.end() - stream.written_bytes > limits::kWriteQueueBytesMax;
  return true;
}

// The pair's stream is of no more use. What waits is sent on a new one, or given back.
void Side::pair_ended(ConnId conn, Stream& stream, const std::optional<Error>& error, Now now) {
  stream.dial.reset();
  auto* found = pairs_.find(*stream.target);
  if (found == nullptr || found->second.conn != conn) return;
  auto& [pair, out] = *found;
  const bool was_ready = out.ready.has_value();
  const bool was_of_use = !stream.traffic.empty();
  out.conn.reset();
  out.ready.reset();
  recover(pair, out, stream, error);
  if (was_of_use) out.attempts = 0, out.avoid.clear();
  // A refused dial behind a server that failed says less than that failure did.
  const bool dial_after_failure =
      !out.avoid.empty() && std::holds_alternative<std::monostate>(stream.machine);
  // An idle stream that was closed is nothing that went wrong.
  const bool was_idle = was_ready && error && error->code == Code::kStreamIdle;
  if (error && !was_idle && !(dial_after_failure && out.last_error)) out.last_error = error;

  if (out.queue.empty()) {
    out.attempts = 0;
    out.avoid.clear();
    if (!was_ready) back_off(out, now);
    return;
  }
  arm(pair, out);
  const Error reason = out.last_error.value_or(Error{Code::kStreamClosedByPeer, {}});
  if (was_of_use || may_retry(pair, out, stream, error.value_or(reason))) {
    ++out.attempts;
    open(pair, out, now);
    return;
  }
  out.attempts = 0;
  out.avoid.clear();
  back_off(out, now);
  fail_queue(out, reason);
}

// Until a stream becomes ready, each failure in a row keeps the pair from dialling for longer (THREATS C2).
void Side::back_off(OutPair& out, Now now) {
  const std::size_t step = std::min(out.failures, std::size(limits::kDialBackoff) - 1);
  out.backoff_until = now.mono + limits::kDialBackoff[step];
  ++out.failures;
}

// Whether another attempt may go better: without EXTERNAL where our certificate was refused, at the next
// target where a server accepted the connection but could not be used.
bool Side::may_retry(const Pair& pair, OutPair& out, const Stream& stream, const Error& error) {
  if (out.attempts + 1 >= limits::kOpenAttemptsMax) return false;
  if (error.code == Code::kSaslRefused) {
    // Forgotten all at once: each is learnt again at the cost of one more attempt.
    if (judge_.without_external.size() >= limits::kPairsRememberedMax) judge_.without_external.clear();
    return judge_.without_external.insert(pair).second;
  }
  if (std::holds_alternative<std::monostate>(stream.machine)) return false;  // the whole plan failed
  switch (error.code) {
    case Code::kStreamLost:
    case Code::kStreamClosedByPeer:
    case Code::kStreamErrorByPeer:
    case Code::kStreamNegotiationTimeout:
    case Code::kTlsHandshake:
    case Code::kTlsRequired:
    case Code::kTlsNoCertificate:
    case Code::kTlsUntrusted:
    case Code::kTlsNameMismatch:
      out.avoid.push_back(stream.peer);
      return true;
    default:
      return false;
  }
}

void Side::fail_queue(OutPair& out, const Error& error) {
  while (!out.queue.empty()) drop_oldest(out, error);
}

// To whoever waits for its outcome. Without one it is an answer, and an answer is not answered: its end
// stands in the log only.
void Side::give_back(Queued& queued, const Error& error) {
  if (queued.ticket != 0) {
    emit(Failed{queued.ticket, error, std::move(queued.stanza)});
    return;
  }
  log_.log({LogLevel::kWarning,
            "answer.lost",
            {{"face", face_},
             {"from", std::string(queued.stanza.from_domain())},
             {"to", std::string(queued.stanza.to_domain())},
             {"id", std::string(queued.stanza.id())},
             {"code", std::string(code_row(error.code).name)},
             {"text", error.text}}});
}

void Side::expire(Now now) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now.mono) {
    const Pair pair = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    auto* found = pairs_.find(pair);
    if (found == nullptr) continue;
    OutPair& out = found->second;
    out.armed = false;
    while (!out.queue.empty() && out.queue.front().deadline <= now.mono) {
      const Error error = out.last_error.value_or(
          Error{Code::kDeliveryTimeout, out.ready ? "the stream takes no more" : "no stream became ready"});
      drop_oldest(out, error);
    }
    arm(pair, out);
  }
}

}  // namespace sallyport::gate
