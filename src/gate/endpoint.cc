// Connections: their inputs, their output, their timers.
#include "gate/endpoint.h"

#include <algorithm>
#include <utility>

namespace sallyport::gate {
namespace {

Verifier::Memory::Bounds verifications(const limits::Configured& limits, bool is_internal) {
  const std::uint64_t total = limits.verifications;
  if (is_internal) return {total, {limits::internal_share(total), limits::internal_share(total)}};
  return {total, {limits::address_share(total), limits::peer_share(total)}};
}

}  // namespace

Endpoint::Endpoint(Setup setup)
    : setup_(std::move(setup)),
      policy_{StreamPolicyAt(setup_.policy, limits::ack_timeout(setup_.limits.dead_peer_seconds))},
      outboxes_({.total = setup_.limits.waiting_bytes,
                 .per_peer = limits::waiting_share(setup_.limits.waiting_bytes),
                 .per_feed = setup_.limits.waiting_bytes},
                [this](const Pair& pair) { return peer_of(pair); }),
      verifier_(verifications(setup_.limits, setup_.policy.is_internal())) {}

Endpoint::~Endpoint() = default;

bool Endpoint::Stream::has_output() const {
  if (const auto* in = std::get_if<s2s::Inbound>(&machine)) return in->has_output();
  if (const auto* out = std::get_if<s2s::Outbound>(&machine)) return out->has_output();
  return false;
}

bool Endpoint::Stream::is_owing() const {
  if (const auto* in = std::get_if<s2s::Inbound>(&machine)) return in->is_owing();
  if (const auto* out = std::get_if<s2s::Outbound>(&machine)) return out->is_owing();
  return false;
}

bool Endpoint::Stream::take_output(std::string& bytes) {
  if (auto* to_us = in()) return to_us->take_output(bytes);
  if (auto* to_peer = out()) return to_peer->take_output(bytes);
  return false;
}

std::vector<ConnId> Endpoint::conns() const {
  std::vector<ConnId> conns;
  conns.reserve(streams_.size());
  for (const auto& [conn, stream] : streams_) conns.push_back(conn);
  return conns;
}

Endpoint::Stream* Endpoint::find(ConnId conn) {
  auto* found = streams_.find(conn);
  return found == nullptr ? nullptr : &found->second;
}

Endpoint::Stream* Endpoint::enter(ConnId conn, Now now) {
  policy_.of_streams.set(now.civil);
  return find(conn);
}

Endpoint::Stream Endpoint::new_stream(Now now) const {
  Stream stream;
  stream.since = now;
  stream.checked = policy_.epoch.current();
  return stream;
}

// --- from the driver

void Endpoint::handle_accepted(ConnId conn, const Accepted& accepted, Now now) {
  policy_.of_streams.set(now.civil);
  if (streams_.size() >= setup_.limits.streams) {
    setup_.log.log({LogLevel::kWarning,
                    "stream.refused",
                    {{"face", setup_.name},
                     {"peer", accepted.peer.text()},
                     {"code", std::string(code_row(Code::kStreamTooMany).name)}}});
    emit(Output{Disconnect{conn}});
    return;
  }
  Stream stream = new_stream(now);
  stream.machine.emplace<s2s::Inbound>(policy_.of_streams, setup_.random, accepted.direct_tls, now.mono);
  stream.peer = accepted.peer;
  streams_.get(conn, std::move(stream));
  after(conn, now);
}

bool Endpoint::handle_connected(ConnId conn, const Connected& connected, Now now) {
  Stream* stream = enter(conn, now);
  if (stream == nullptr) return false;
  stream->peer = connected.peer;
  const OutgoingEntry* sends = outgoing_of(conn, *stream);
  s2s::PeerTraits traits;
  if (sends != nullptr) {
    const Redial& redial = sends->second.redial;
    traits = {redial.may_use_external(), redial.may_use_acknowledgements(now)};
  }
  std::optional<s2s::ResumePoint> previous;
  if (sends != nullptr && sends->second.resume && now.mono < sends->second.resume->until)
    previous = sends->second.resume->point;
  auto& out =
      stream->machine.emplace<s2s::Outbound>(policy_.of_streams, *stream->target, !stream->verifies,
                                             connected.direct_tls, now.mono, traits, std::move(previous));
  out.handle_connected(now.mono);
  for (const KeyQuestion& each : verifier_.questions(conn))
    out.verify(each.pair, each.stream_id, each.key, now.mono);
  after(conn, now);
  return true;
}

bool Endpoint::handle_dial_failed(ConnId conn, const Error& error, Now now) {
  return handle_disconnected(conn, error, now);
}

bool Endpoint::handle_bytes(ConnId conn, std::string_view bytes, Now now) {
  Stream* stream = enter(conn, now);
  if (stream == nullptr) return false;
  stream = ensure_current(conn, *stream, now);
  // A machine stops at each output, so that none of its queues has to hold all that one read brings.
  while (stream != nullptr && !bytes.empty()) {
    std::size_t taken = bytes.size();
    if (auto* in = stream->in()) taken = in->handle_some(bytes, now.mono);
    if (auto* out = stream->out()) taken = out->handle_some(bytes, now.mono);
    bytes.remove_prefix(taken);
    if (!bytes.empty()) stream = drain(conn, now);
  }
  if (stream != nullptr) after(conn, now);
  return true;
}

bool Endpoint::handle_tls(ConnId conn, const Result<s2s::TlsFacts>& facts, Now now) {
  Stream* stream = enter(conn, now);
  if (stream == nullptr) return false;
  if (!facts) {
    emit(Output{Disconnect{conn}});
    break_stream(conn, *stream, facts.error(), now);
    return true;
  }
  if (auto* in = stream->in()) in->handle_tls(*facts, now.mono);
  if (auto* out = stream->out()) out->handle_tls(*facts, now.mono);
  after(conn, now);
  return true;
}

bool Endpoint::handle_written(ConnId conn, std::uint64_t bytes_total, Now now) {
  Stream* stream = enter(conn, now);
  if (stream == nullptr) return false;
  auto* out = stream->out();
  if (out == nullptr) return true;
  const bool was_full = out->is_full();
  out->handle_written(bytes_total, now.mono);
  stream = drain(conn, now);
  if (stream != nullptr && was_full && !stream->out()->is_full()) {
    if (auto* sends = outgoing_of(conn, *stream)) pump(sends->first, sends->second, now);
  }
  if (outgoing_.draining && find(conn) != nullptr) after(conn, now);
  return true;
}

bool Endpoint::handle_disconnected(ConnId conn, const Error& error, Now now) {
  Stream* stream = enter(conn, now);
  if (stream == nullptr) return false;
  break_stream(conn, *stream, error, now);
  return true;
}

void Endpoint::handle_timeout(Now now) {
  policy_.of_streams.set(now.civil);
  while (!timers_.empty() && timers_.begin()->first <= now.mono) {
    const ConnId conn = timers_.begin()->second;
    timers_.erase(timers_.begin());
    Stream* stream = find(conn);
    if (stream == nullptr) continue;
    stream->timer.reset();
    if (auto* in = stream->in()) in->handle_timeout(now.mono);
    close_once_read(conn, *stream, now);
    if (auto* out = stream->out()) {
      out->handle_timeout(now.mono);
      OutgoingEntry* sends = outgoing_of(conn, *stream);
      if (sends != nullptr && sends->second.ready && !ping_if_due(sends->second, *stream, now)) continue;
    }
    after(conn, now);
  }
  if (policy_.epoch.poll_timeout()) {
    policy_.epoch.take_turn(now.mono, [&](ConnId conn) {
      if (Stream* stream = find(conn)) ensure_current(conn, *stream, now);
    });
  }
  confirm_due(now);
  confirming_.suspended.handle_timeout(now.mono);
  answer_resumes(now);
  outboxes_.handle_timeout(now.mono);
  return_lost();
  dial_returning(now);
}

std::optional<Time> Endpoint::poll_timeout() const {
  std::optional<Time> first;
  if (!timers_.empty()) first = timers_.begin()->first;
  for (const auto& next :
       {outboxes_.poll_timeout(), outgoing_.poll_timeout(), confirming_.doubts.poll_timeout(),
        confirming_.suspended.poll_timeout(), policy_.epoch.poll_timeout()})
    if (next && (!first || *next < *first)) first = next;
  return first;
}

bool Endpoint::take_output(ConnId conn, std::string& out) {
  if (Stream* stream = find(conn)) {
    stream->flush_due = false;
    return stream->take_output(out);
  }
  const auto it = final_bytes_.find(conn);
  if (it == final_bytes_.end()) return false;
  out = std::move(it->second);
  final_bytes_.erase(it);
  return !out.empty();
}

std::optional<EndpointOutput> Endpoint::poll() {
  if (outputs_.empty()) return std::nullopt;
  std::optional<EndpointOutput> output(std::move(outputs_.front()));
  outputs_.drop_front();
  return output;
}

// --- from the role

void Endpoint::handle_key(ConnId conn, const Pair& pair, const std::string& stream_id,
                          Result<std::string> key, Now now) {
  Stream* stream = enter(conn, now);
  if (stream == nullptr || stream->out() == nullptr) return;
  stream->out()->handle_key(pair, stream_id, std::move(key), now.mono);
  after(conn, now);
}

void Endpoint::handle_key_checked(ConnId conn, const Pair& pair, const std::string& stream_id,
                                  Result<bool> valid, Now now) {
  Stream* stream = enter(conn, now);
  if (stream == nullptr || stream->in() == nullptr) return;
  stream->in()->handle_key_checked(pair, stream_id, std::move(valid), now.mono);
  after(conn, now);
}

void Endpoint::handle_admission(ConnId conn, const Pair& pair, Result<void> answer, Now now) {
  Stream* stream = enter(conn, now);
  if (stream == nullptr || stream->in() == nullptr) return;
  stream->in()->handle_admission(pair, std::move(answer), now.mono);
  after(conn, now);
}

void Endpoint::acknowledge(const StreamReceipt& receipt, Now now) {
  Stream* stream = find(receipt.conn);
  if (stream == nullptr) {
    confirming_.suspended.handle(receipt.conn, receipt.number);
    return answer_resumes(now);
  }
  if (stream->in() == nullptr) return;
  stream->in()->acknowledge(receipt.number);
  after(receipt.conn, now);
}

void Endpoint::hold(ConnId conn, bool on) {
  Stream* stream = find(conn);
  if (stream == nullptr || (!on && stream->holds == 0)) return;
  stream->holds += on ? 1 : -1;
  if (stream->holds != (on ? 1 : 0)) return;
  emit(Output{Hold{conn, on}});
  if (auto* in = stream->in()) in->hold(on);
  set_timer(conn, *stream);
}

// Pairs without a stream, and streams that still negotiate, consult the new policy anyway.
void Endpoint::check_again(Now now) {
  policy_.of_streams.set(now.civil);
  policy_.epoch.advance(conns());
  policy_.epoch.take_turn(now.mono, [&](ConnId conn) {
    if (Stream* stream = find(conn)) ensure_current(conn, *stream, now);
  });
}

Endpoint::Stream* Endpoint::ensure_current(ConnId conn, Stream& stream, Now now) {
  if (stream.checked == policy_.epoch.current()) return &stream;
  stream.checked = policy_.epoch.current();
  if (auto* in = stream.in()) in->check_again(now.mono);
  if (auto* out = stream.out()) out->check_again(now.mono);
  after(conn, now);
  return find(conn);
}

void Endpoint::close_all(const Error& reason, Now now, std::optional<Duration> patience) {
  policy_.of_streams.set(now.civil);
  confirming_.suspended.clear();
  for (auto& [pair, out] : outgoing_.map) return_all(out, reason);
  for (const ConnId conn : conns()) {
    Stream* stream = find(conn);
    if (stream == nullptr) continue;
    if (s2s::Inbound* in = stream->in();
        in != nullptr && patience && !in->proofs().empty() && !in->is_owing()) {
      in->close_cleanly(reason, now.mono, *patience);
      after(conn, now);
    } else {
      close(conn, *stream, reason, now);
    }
  }
}

void Endpoint::close(ConnId conn, Stream& stream, const Error& reason, Now now) {
  if (auto* in = stream.in()) {
    in->close(reason, now.mono);
  } else if (auto* out = stream.out()) {
    out->close(reason, now.mono);
  } else {
    emit(Output{Disconnect{conn}});
    return break_stream(conn, stream, reason, now);
  }
  after(conn, now);
}

// --- any stream

// Every input to a stream's machine is followed by this: its outputs, its bytes, its timer.
void Endpoint::after(ConnId conn, Now now) {
  Stream* stream = drain(conn, now);
  if (stream == nullptr) return;
  if (stream->ending.once_acknowledged && is_done(conn, *stream)) {
    const Error reason = *std::exchange(stream->ending.once_acknowledged, std::nullopt);
    return close(conn, *stream, reason, now);
  }
  flush(conn, *stream);
  set_timer(conn, *stream);
}

void Endpoint::flush(ConnId conn, Stream& stream) {
  if (stream.flush_due || !stream.has_output()) return;
  stream.flush_due = true;
  emit(Output{Flush{conn}});
}

void Endpoint::set_timer(ConnId conn, Stream& stream) {
  std::optional<Time> next;
  if (auto* in = stream.in()) next = in->poll_timeout();
  if (stream.ending.once_read && stream.holds == 0) next = Time{};
  if (auto* out = stream.out()) {
    next = out->poll_timeout();
    const OutgoingEntry* sends =
        out->confirmed_by() == s2s::ConfirmedBy::kAcks ? nullptr : outgoing_of(conn, stream);
    if (const auto ping = sends != nullptr ? sends->second.pings.poll_timeout() : std::nullopt)
      next = next ? std::min(*next, *ping) : *ping;
  }
  // A timer that is too early is left alone: the stream looks again when it fires, which is cheaper than
  // moving it with every byte.
  if (!next || (stream.timer && *stream.timer <= *next)) return;
  if (stream.timer) timers_.erase({*stream.timer, conn});
  timers_.emplace(*next, conn);
  stream.timer = next;
}

// The machine reports everything that ends with the connection, then its own end.
void Endpoint::break_stream(ConnId conn, Stream& stream, const Error& error, Now now) {
  stream.ending.broken = true;
  if (auto* in = stream.in()) in->handle_disconnected(error);
  if (auto* out = stream.out()) out->handle_disconnected(error);
  if (stream.machine.index() == 0) {
    end_stream(conn, error, now);
  } else {
    after(conn, now);
  }
}

// Where the connection lives, the machine has closed its stream, and its final bytes still go out.
void Endpoint::end_stream(ConnId conn, const std::optional<Error>& error, Now now) {
  Stream& stream = *find(conn);
  if (stream.timer) timers_.erase({*stream.timer, conn});
  log_end(conn, stream, error, now);
  std::string last;
  if (!stream.ending.broken) stream.take_output(last);
  end_session(conn, stream, now);
  Stream ended = streams_.take(conn);
  if (ended.verifies) {
    verifier_.handle_end(conn, error.value_or(Error{Code::kStreamClosedByPeer, {}}));
    handle_verifier(now);
  } else if (ended.target) {
    outgoing_ended(conn, ended, error, now);
    open_waiting(now);
  }
  if (ended.ending.broken) return;
  if (!last.empty()) {
    final_bytes_[conn] = std::move(last);
    emit(Output{Flush{conn}});
  }
  emit(Output{Disconnect{conn}});
}

}  // namespace sallyport::gate
