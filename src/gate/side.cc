#include "gate/side.h"

#include <algorithm>

#include <fmt/format.h>

namespace sallyport::gate {

policy::PeerRules Side::OwnJudge::rules(const Pair& pair) const {
  auto rules = judge_.rules(pair);
  if (without_external.contains(pair)) rules.use_external = false;
  return rules;
}

Side::Side(std::string face, const s2s::Judge& judge, const Finder& finder, ConnIds& ids, Random& random,
           LogSink& log, const limits::Configured& limits)
    : face_(std::move(face)),
      judge_(judge),
      finder_(finder),
      ids_(ids),
      random_(random),
      log_(log),
      limits_(limits),
      verifications_(
          {.total = limits.verifications,
           .share = finder.is_internal()
                        ? std::array<std::uint64_t, 2>{limits::internal_share(limits.verifications),
                                                       limits::internal_share(limits.verifications)}
                        : std::array<std::uint64_t, 2>{limits::address_share(limits.verifications),
                                                       limits::peer_share(limits.verifications)}}),
      waiting_({.total = limits.waiting_bytes, .share = {limits::waiting_share(limits.waiting_bytes)}}),
      dials_({.total = limits::kDialsMax, .share = {limits::peer_share(limits::kDialsMax)}}) {}

Side::~Side() = default;

Side::Stream* Side::find(ConnId conn) {
  auto* found = streams_.find(conn);
  return found == nullptr ? nullptr : &found->second;
}

bool Side::is_proved(ConnId conn) const {
  const auto* found = streams_.find(conn);
  if (found == nullptr) return true;
  const auto* in = std::get_if<s2s::Inbound>(&found->second.machine);
  return in == nullptr || !in->proofs().empty();
}

// --- from the driver

void Side::handle_accepted(ConnId conn, const Accepted& accepted, Now now) {
  if (streams_.size() >= limits_.streams) {
    log_.log({LogLevel::kWarning,
              "stream.refused",
              {{"face", face_},
               {"peer", accepted.peer.text()},
               {"code", std::string(code_row(Code::kStreamTooMany).name)}}});
    emit(Output{Disconnect{conn}});
    return;
  }
  Stream stream;
  stream.machine.emplace<s2s::Inbound>(judge_, random_, accepted.direct_tls, now.mono);
  stream.peer = accepted.peer;
  stream.how = accepted.direct_tls ? "direct TLS" : "STARTTLS";
  stream.since = now;
  stream.judged = policies_;
  streams_.get(conn, std::move(stream));
  after(conn, now);
}

bool Side::handle_connected(ConnId conn, const Connected& connected, Now now) {
  Stream* stream = find(conn);
  if (stream == nullptr) return false;
  stream->peer = connected.peer;
  stream->how = connected.how;
  auto& out = stream->machine.emplace<s2s::Outbound>(judge_, *stream->target, !stream->verifies,
                                                     connected.direct_tls, now.mono);
  out.handle_connected(now.mono);
  for (const auto& v : stream->verifications) out.verify(v.pair, v.stream_id, v.key, now.mono);
  after(conn, now);
  return true;
}

bool Side::handle_dial_failed(ConnId conn, const Error& error, Now now) {
  Stream* stream = find(conn);
  if (stream == nullptr) return false;
  break_stream(conn, *stream, error, now);
  return true;
}

bool Side::handle_bytes(ConnId conn, std::string_view bytes, Now now) {
  Stream* stream = find(conn);
  if (stream == nullptr) return false;
  if (stream->judged != policies_ && (stream = judged(conn, *stream, now)) == nullptr) return true;
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

bool Side::handle_tls(ConnId conn, const Result<s2s::TlsFacts>& facts, Now now) {
  Stream* stream = find(conn);
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

bool Side::handle_disconnected(ConnId conn, const Error& error, Now now) {
  Stream* stream = find(conn);
  if (stream == nullptr) return false;
  break_stream(conn, *stream, error, now);
  return true;
}

void Side::handle_timeout(Now now) {
  while (!timers_.empty() && timers_.begin()->first <= now.mono) {
    const ConnId conn = timers_.begin()->second;
    timers_.erase(timers_.begin());
    Stream* stream = find(conn);
    if (stream == nullptr) continue;
    stream->timer.reset();
    if (auto* in = stream->in()) in->handle_timeout(now.mono);
    if (auto* out = stream->out()) out->handle_timeout(now.mono);
    after(conn, now);
  }
  if (!to_judge_.empty()) judge_some(now);
  settle_due(now);
  expire(now);
}

std::optional<Time> Side::poll_timeout() const {
  std::optional<Time> first;
  if (!timers_.empty()) first = timers_.begin()->first;
  if (!deadlines_.empty() && (!first || deadlines_.begin()->first < *first))
    first = deadlines_.begin()->first;
  if (!doubts_.empty() && (!first || doubts_.front().until < *first)) first = doubts_.front().until;
  if (!to_judge_.empty() && (!first || judge_next_ < *first)) first = judge_next_;
  return first;
}

bool Side::take_output(ConnId conn, std::string& out) {
  if (Stream* stream = find(conn)) {
    stream->flush_due = false;
    if (stream->buffer.empty()) return false;
    stream->taken_bytes += stream->buffer.size();
    std::swap(out, stream->buffer);
    return true;
  }
  const auto it = last_words_.find(conn);
  if (it == last_words_.end()) return false;
  out = std::move(it->second);
  last_words_.erase(it);
  return !out.empty();
}

std::optional<SideOutput> Side::poll() {
  if (outputs_.empty()) return std::nullopt;
  std::optional<SideOutput> output(std::move(outputs_.front()));
  outputs_.drop_front();
  return output;
}

// --- from the role

void Side::handle_key(ConnId conn, const Pair& pair, const std::string& stream_id, Result<std::string> key,
                      Now now) {
  Stream* stream = find(conn);
  if (stream == nullptr || stream->out() == nullptr) return;
  stream->out()->handle_key(pair, stream_id, std::move(key), now.mono);
  after(conn, now);
}

void Side::handle_key_checked(ConnId conn, const Pair& pair, const std::string& stream_id, Result<bool> valid,
                              Now now) {
  Stream* stream = find(conn);
  if (stream == nullptr || stream->in() == nullptr) return;
  stream->in()->handle_key_checked(pair, stream_id, std::move(valid), now.mono);
  after(conn, now);
}

void Side::handle_admission(ConnId conn, const Pair& pair, Result<void> answer, Now now) {
  Stream* stream = find(conn);
  if (stream == nullptr || stream->in() == nullptr) return;
  stream->in()->handle_admission(pair, std::move(answer), now.mono);
  after(conn, now);
}

void Side::hold(ConnId conn, bool on) {
  Stream* stream = find(conn);
  if (stream == nullptr || (!on && stream->holds == 0)) return;
  stream->holds += on ? 1 : -1;
  if (stream->holds == (on ? 1 : 0)) emit(Output{Hold{conn, on}});
}

namespace {

template <typename Map>
std::vector<ConnId> keys_of(const Map& map) {
  std::vector<ConnId> keys;
  keys.reserve(map.size());
  for (const auto& [key, value] : map) keys.push_back(key);
  return keys;
}

}  // namespace

// What has no stream yet, and what negotiates, asks the judge, who knows the new policy. What was proved
// under the old one is judged before the next byte is read from the stream, or the next stanza written to it.
void Side::judge_again(Now now) {
  ++policies_;
  to_judge_ = keys_of(streams_);
  judge_some(now);
}

void Side::judge_some(Now now) {
  for (std::size_t turn = 0; turn < limits::kJudgedPerTurn && !to_judge_.empty(); ++turn) {
    const ConnId conn = to_judge_.back();
    to_judge_.pop_back();
    Stream* stream = find(conn);
    if (stream != nullptr && stream->judged != policies_) judged(conn, *stream, now);
  }
  judge_next_ = now.mono;
}

Side::Stream* Side::judged(ConnId conn, Stream& stream, Now now) {
  stream.judged = policies_;
  if (auto* in = stream.in()) in->judge_again(now.mono);
  if (auto* out = stream.out()) out->judge_again(now.mono);
  after(conn, now);
  return find(conn);
}

void Side::close_all(const Error& reason, Now now) {
  for (auto& [pair, out] : pairs_) fail_queue(out, reason);
  for (const ConnId conn : keys_of(streams_)) {
    Stream* stream = find(conn);
    if (stream == nullptr) continue;
    if (auto* in = stream->in()) {
      in->close(reason, now.mono);
    } else if (auto* out = stream->out()) {
      out->close(reason, now.mono);
    } else {
      emit(Output{Disconnect{conn}});
      break_stream(conn, *stream, reason, now);
      continue;
    }
    after(conn, now);
  }
}

// --- any stream

// What every input to a stream's machine is followed by: its outputs, its bytes, its timer.
void Side::after(ConnId conn, Now now) {
  Stream* stream = drain(conn, now);
  if (stream == nullptr) return;
  collect_bytes(conn, *stream);
  set_timer(conn, *stream);
}

Side::Stream* Side::drain(ConnId conn, Now now) {
  while (Stream* stream = find(conn)) {
    bool more = false;
    if (auto* in = stream->in()) {
      if (auto output = in->poll()) more = handle(conn, *stream, std::move(*output), now);
    } else if (auto* out = stream->out()) {
      if (auto output = out->poll()) more = handle(conn, *stream, std::move(*output), now);
    }
    if (!more) return find(conn);
  }
  return nullptr;
}

void Side::collect_bytes(ConnId conn, Stream& stream) {
  if (auto* in = stream.in()) in->take_output(stream.buffer);
  if (auto* out = stream.out()) out->take_output(stream.buffer);
  if (stream.buffer.empty() || stream.flush_due) return;
  stream.flush_due = true;
  emit(Output{Flush{conn}});
}

void Side::set_timer(ConnId conn, Stream& stream) {
  std::optional<Time> next;
  if (auto* in = stream.in()) next = in->poll_timeout();
  if (auto* out = stream.out()) next = out->poll_timeout();
  // A timer that is too early is left alone: it looks again when it fires, which is cheaper than moving it
  // with every byte.
  if (!next || (stream.timer && *stream.timer <= *next)) return;
  if (stream.timer) timers_.erase({*stream.timer, conn});
  timers_.emplace(*next, conn);
  stream.timer = next;
}

void Side::begin_tls(ConnId conn, const s2s::StartTls& start, bool accepting) {
  // Bytes first: the handshake begins behind `<proceed/>`, and behind `<starttls/>`.
  collect_bytes(conn, *find(conn));
  emit(Output{BeginTls{conn, accepting, start.own,
                       start.server_name ? start.server_name->ascii() : std::string{}, start.direct}});
}

bool Side::handle(ConnId conn, Stream& stream, s2s::InboundOutput&& output, Now now) {
  if (auto* start = std::get_if<s2s::StartTls>(&output)) {
    begin_tls(conn, *start, true);
  } else if (auto* request = std::get_if<s2s::VerifyKey>(&output)) {
    verify(conn, *request, now);
  } else if (auto* check = std::get_if<s2s::CheckKey>(&output)) {
    emit(AskCheck{conn, std::move(check->pair), std::move(check->stream_id), std::move(check->key)});
  } else if (auto* ask = std::get_if<s2s::AskAdmission>(&output)) {
    emit(AskAdmit{conn, std::move(ask->pair), ask->proved, stream.peer.ip});
  } else if (auto* admitted = std::get_if<s2s::Admitted>(&output)) {
    LogEvent event = pair_event(LogLevel::kInfo, "pair.proved", "in", admitted->proof.pair());
    event.fields.emplace_back("peer", stream.peer.text());
    event.fields.emplace_back("method", s2s::method_name(admitted->proof.method()));
    log_.log(std::move(event));
  } else if (auto* refused = std::get_if<s2s::PairRefused>(&output)) {
    ++counters_.refused_streams;
    LogEvent event = pair_event(LogLevel::kInfo, "pair.refused", "in", refused->pair);
    event.fields.emplace_back("peer", stream.peer.text());
    event.fields.emplace_back("code", code_row(refused->error.code).name);
    event.fields.emplace_back("text", refused->error.text);
    log_.log(std::move(event));
  } else if (auto* deliver = std::get_if<s2s::Deliver>(&output)) {
    ++counters_.stanzas_in;
    counters_.bytes_in += deliver->stanza.xml().size();
    count(stream, deliver->proof.pair(), deliver->stanza.xml().size());
    outputs_.emplace_back(std::in_place_type<Arrived>, conn, std::move(deliver->proof),
                          std::move(deliver->stanza));
  } else if (auto* bad = std::get_if<s2s::Unmovable>(&output)) {
    const char* name = bad->stanza.type == "error" ? "answer.lost" : "stanza.refused";
    LogEvent event = pair_event(LogLevel::kInfo, name, "in", bad->proof.pair());
    event.fields.emplace_back("peer", stream.peer.text());
    event.fields.emplace_back("id", bad->stanza.id);
    event.fields.emplace_back("code", code_row(bad->stanza.error.code).name);
    event.fields.emplace_back("text", bad->stanza.error.text);
    log_.log(std::move(event));
    emit(ArrivedBad{std::move(bad->proof), std::move(bad->stanza)});
  } else if (auto* closed = std::get_if<s2s::Closed>(&output)) {
    end_stream(conn, closed->error, now);
    return false;
  }
  return true;
}

bool Side::handle(ConnId conn, Stream& stream, s2s::OutboundOutput&& output, Now now) {
  if (auto* start = std::get_if<s2s::StartTls>(&output)) {
    begin_tls(conn, *start, false);
  } else if (auto* need = std::get_if<s2s::NeedKey>(&output)) {
    emit(AskKey{conn, std::move(need->pair), std::move(need->stream_id)});
  } else if (auto* ready = std::get_if<s2s::PairReady>(&output)) {
    on_ready(conn, ready->proof, now);
  } else if (auto* failed = std::get_if<s2s::PairFailed>(&output)) {
    // One pair, one stream: without the pair the stream has no use.
    stream.out()->close(std::nullopt, now.mono);
    if (stream.target == failed->pair) pair_ended(conn, stream, failed->error, now);
    open_waiting(now);
  } else if (auto* verified = std::get_if<s2s::Verified>(&output)) {
    const auto it = std::ranges::find_if(stream.verifications, [&](const Verification& v) {
      return v.pair == verified->pair && v.stream_id == verified->stream_id;
    });
    if (it != stream.verifications.end()) {
      Verification verification = std::move(*it);
      stream.verifications.erase(it);
      verification.part.reset();
      answer_verification(verification, std::move(verified->answer), now);
    }
    if (stream.verifies && stream.verifications.empty()) {
      verifiers_.erase(*stream.target);  // the next question finds a stream of its own
      stream.out()->close(std::nullopt, now.mono);
    }
  } else if (auto* closed = std::get_if<s2s::Closed>(&output)) {
    end_stream(conn, closed->error, now);
    return false;
  }
  return true;
}

void Side::count(Stream& stream, const Pair& pair, std::size_t bytes) {
  auto it = std::ranges::find(stream.traffic, pair, &Traffic::pair);
  if (it == stream.traffic.end()) it = stream.traffic.insert(it, Traffic{pair});
  ++it->stanzas;
  it->bytes += bytes;
}

LogEvent Side::pair_event(LogLevel level, const char* name, const char* direction, const Pair& pair) const {
  const bool inside = face_ == "inside";
  return {level,
          name,
          {{"face", face_},
           {"direction", direction},
           {"local", (inside ? pair.remote : pair.local).ascii()},
           {"remote", (inside ? pair.local : pair.remote).ascii()}}};
}

// The connection is gone, or never came: its machine says what that ends, and ends last.
void Side::break_stream(ConnId conn, Stream& stream, const Error& error, Now now) {
  stream.broken = true;
  if (auto* in = stream.in()) in->handle_disconnected(error);
  if (auto* out = stream.out()) out->handle_disconnected(error);
  if (stream.machine.index() == 0) {
    end_stream(conn, error, now);
  } else {
    after(conn, now);
  }
}

// The stream is over. Where its connection lives, the machine has said goodbye and its last bytes still go
// out.
void Side::end_stream(ConnId conn, const std::optional<Error>& error, Now now) {
  Stream& stream = *find(conn);
  if (stream.timer) timers_.erase({*stream.timer, conn});
  collect_bytes(conn, stream);
  log_end(conn, stream, error, now);
  Stream ended = streams_.take(conn);
  if (ended.target) {
    fail_verifications(ended, error.value_or(Error{Code::kStreamClosedByPeer, {}}), now);
    if (ended.verifies) {
      std::erase_if(verifiers_, [&](const auto& entry) { return entry.second == conn; });
    } else {
      pair_ended(conn, ended, error, now);
      open_waiting(now);
    }
  }
  if (ended.broken) return;
  if (!ended.buffer.empty()) {
    last_words_[conn] = std::move(ended.buffer);
    emit(Output{Flush{conn}});
  }
  emit(Output{Disconnect{conn}});
}

void Side::log_end(ConnId conn, Stream& stream, const std::optional<Error>& error, Now now) {
  LogEvent event{LogLevel::kInfo, "stream.end", {}};
  auto add = [&](const char* key, std::string value) {
    if (!value.empty()) event.fields.emplace_back(key, std::move(value));
  };
  const auto add_pair = [&](const Pair& pair) {
    const bool inside = face_ == "inside";
    add("local", (inside ? pair.remote : pair.local).ascii());
    add("remote", (inside ? pair.local : pair.remote).ascii());
  };
  add("face", face_);
  add("conn", std::to_string(conn));
  add("direction", stream.in() != nullptr ? "in" : "out");
  add("peer", stream.peer.port != 0 ? stream.peer.text() : "");
  auto pairs = stream.in() != nullptr    ? stream.in()->proofs()
               : stream.out() != nullptr ? stream.out()->proofs()
                                         : std::vector<s2s::PeerProof>{};
  if (!pairs.empty()) {
    add_pair(pairs.front().pair());
    add("method", std::string(s2s::method_name(pairs.front().method())));
  } else if (stream.target) {
    add_pair(*stream.target);
  }
  std::uint64_t stanzas = 0;
  for (const auto& traffic : stream.traffic) stanzas += traffic.stanzas;
  add("stanzas", std::to_string(stanzas));
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now.mono - stream.since.mono);
  add("seconds", fmt::format("{:.3f}", static_cast<double>(age.count()) / 1000));
  add("code", error ? std::string(code_row(error->code).name) : "ok");
  if (error) add("text", error->text);
  log_.log(std::move(event));
}

// --- what people ask

std::vector<ConnectionRow> Side::connections() const {
  std::vector<ConnectionRow> rows;
  auto add = [&](const Stream& stream, const std::vector<s2s::PeerProof>& proofs, std::string phase,
                 const std::optional<s2s::TlsFacts>* tls) {
    ConnectionRow row;
    row.pair = stream.target;
    row.outgoing = stream.target.has_value();
    row.peer = stream.peer.port != 0 ? stream.peer.text() : "";
    row.phase = stream.verifies ? phase + " (verifying)" : std::move(phase);
    if (tls != nullptr && *tls) row.tls = (*tls)->version, row.cipher = (*tls)->cipher;
    row.since = stream.since.civil;
    if (proofs.empty()) rows.push_back(row);
    for (const auto& proof : proofs) {
      row.proved = true;
      row.pair = proof.pair();
      row.method = s2s::method_name(proof.method());
      const auto it = std::ranges::find(stream.traffic, proof.pair(), &Traffic::pair);
      row.stanzas = it == stream.traffic.end() ? 0 : it->stanzas;
      row.bytes = it == stream.traffic.end() ? 0 : it->bytes;
      rows.push_back(row);
    }
  };
  for (const auto& [conn, stream] : streams_) {
    if (const auto* in = std::get_if<s2s::Inbound>(&stream.machine))
      add(stream, in->proofs(), std::string(s2s::phase_name(in->phase())), &in->tls());
    else if (const auto* out = std::get_if<s2s::Outbound>(&stream.machine))
      add(stream, out->proofs(), std::string(s2s::phase_name(out->phase())), &out->tls());
    else
      add(stream, {}, "dialling", nullptr);
  }
  for (const auto& [pair, out] : pairs_) {
    if (!out.last_error) continue;
    const std::string shown_error =
        fmt::format("{}: {}", code_row(out.last_error->code).name, out.last_error->text);
    const auto it = std::ranges::find_if(
        rows, [&wanted = pair](const ConnectionRow& row) { return row.outgoing && row.pair == wanted; });
    if (it != rows.end()) {
      it->last_error = shown_error;
    } else {
      ConnectionRow row;
      row.pair = pair;
      row.outgoing = true;
      row.phase = "none";
      row.last_error = shown_error;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

Side::Census Side::census() const {
  Census census;
  for (const auto& [conn, stream] : streams_) {
    const auto* in = std::get_if<s2s::Inbound>(&stream.machine);
    const auto* out = std::get_if<s2s::Outbound>(&stream.machine);
    if (in != nullptr && !in->proofs().empty())
      ++census.in;
    else if (out != nullptr && !out->proofs().empty())
      ++census.out;
    else
      ++census.negotiating;
  }
  return census;
}

std::size_t Side::waiting() const {
  std::size_t sum = 0;
  for (const auto& [pair, out] : pairs_) sum += out.queue.size();
  return sum;
}

std::string Side::peer_text(ConnId conn) const {
  const auto* found = streams_.find(conn);
  return found == nullptr ? std::string() : found->second.peer.text();
}

std::string Side::peer_source(ConnId conn) const {
  const auto* found = streams_.find(conn);
  return found == nullptr ? std::string() : source_of_address(found->second.peer.ip.bytes);
}

std::optional<Error> Side::last_error(const Pair& pair) const {
  const auto* found = pairs_.find(pair);
  return found == nullptr ? std::nullopt : found->second.last_error;
}

}  // namespace sallyport::gate
