// Events of streams.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "gate/endpoint.h"

namespace sallyport::gate {

Endpoint::Stream* Endpoint::drain(ConnId conn, Now now) {
  while (Stream* stream = find(conn)) {
    const auto handle = [&](auto&& event) { return on(conn, *stream, std::move(event), now); };
    bool more = false;
    if (auto* in = stream->in()) {
      if (auto output = in->poll()) more = std::visit(handle, std::move(*output));
    } else if (auto* out = stream->out()) {
      if (auto output = out->poll()) more = std::visit(handle, std::move(*output));
    }
    if (!more) return find(conn);
  }
  return nullptr;
}

// --- any stream

bool Endpoint::on(ConnId conn, Stream& stream, s2s::StartTls&& start, Now) {
  // The handshake begins behind what is written so far: behind `<proceed/>`, and behind `<starttls/>`.
  flush(conn, stream);
  const bool accepting = stream.in() != nullptr;
  emit(Output{BeginTls{conn, accepting, start.own,
                       start.server_name ? start.server_name->ascii() : std::string{}, start.direct}});
  return true;
}

bool Endpoint::on(ConnId conn, Stream&, s2s::Closed&& closed, Now now) {
  end_stream(conn, closed.error, now);
  return false;
}

// --- streams that were accepted

bool Endpoint::on(ConnId conn, Stream&, s2s::VerifyKey&& event, Now now) {
  const Verifier::Keys keys{peer_source(conn), std::string(parent_of_domain(event.pair.remote.ascii()))};
  verifier_.ask({conn, std::move(event.pair), std::move(event.stream_id), std::move(event.key)}, keys,
                [&](const Pair& pair) { return open_verifier(pair, now); });
  handle_verifier(now);
  return true;
}

bool Endpoint::on(ConnId conn, Stream&, s2s::CheckKey&& event, Now) {
  emit(On<s2s::CheckKey>{conn, std::move(event)});
  return true;
}

bool Endpoint::on(ConnId conn, Stream&, s2s::AskAdmission&& event, Now) {
  emit(On<s2s::AskAdmission>{conn, std::move(event)});
  return true;
}

bool Endpoint::on(ConnId, Stream& stream, s2s::Admitted&& admitted, Now now) {
  handle_way_back(admitted.proof.pair(), now);
  LogEvent event = pair_event(LogLevel::kInfo, "pair.proved", "in", admitted.proof.pair());
  event.fields.emplace_back("peer", stream.peer.text());
  event.fields.emplace_back("method", s2s::method_name(admitted.proof.method()));
  setup_.log.log(std::move(event));
  return true;
}

void Endpoint::handle_way_back(const Pair& pair, Now now) {
  policy_.of_streams.set(now.civil);
  auto* found = outgoing_.map.find(pair);
  if (found == nullptr) return;
  found->second.pings.note_way_back();
  found->second.redial.handle_sign_of_life(now);
  pump(found->first, found->second, now);
}

bool Endpoint::on(ConnId, Stream& stream, s2s::PairRefused&& refused, Now) {
  ++counters_.refused_streams;
  LogEvent event = pair_event(LogLevel::kInfo, "pair.refused", "in", refused.pair);
  event.fields.emplace_back("peer", stream.peer.text());
  event.fields.emplace_back("code", code_row(refused.error.code).name);
  event.fields.emplace_back("text", refused.error.text);
  setup_.log.log(std::move(event));
  return true;
}

bool Endpoint::on(ConnId conn, Stream& stream, s2s::StanzaReceived&& received, Now now) {
  const auto ping = answered_ping(received.stanza);
  if (ping && handle_ping_answer(received.proof.pair(), *ping, now)) {
    if (received.number) stream.in()->acknowledge(*received.number);
    return true;
  }
  const std::size_t size = received.stanza.xml().size();
  ++counters_.stanzas_in;
  counters_.bytes_in += size;
  count(stream, received.proof.pair(), size);
  emit(std::in_place_type<On<s2s::StanzaReceived>>, conn, std::move(received));
  return true;
}

bool Endpoint::on(ConnId conn, Stream& stream, s2s::StanzaRejected&& rejected, Now) {
  const xmpp::BadStanza& stanza = rejected.stanza;
  const char* name = stanza.type == "error" ? "answer.lost" : "stanza.refused";
  LogEvent event = pair_event(LogLevel::kInfo, name, "in", rejected.proof.pair());
  event.fields.emplace_back("peer", stream.peer.text());
  event.fields.emplace_back("id", stanza.id);
  event.fields.emplace_back("code", code_row(stanza.error.code).name);
  event.fields.emplace_back("text", stanza.error.text);
  setup_.log.log(std::move(event));
  emit(On<s2s::StanzaRejected>{conn, std::move(rejected)});
  return true;
}

// --- streams that this node opened

bool Endpoint::on(ConnId conn, Stream&, s2s::NeedKey&& event, Now) {
  emit(On<s2s::NeedKey>{conn, std::move(event)});
  return true;
}

bool Endpoint::on(ConnId conn, Stream& stream, s2s::PairReady&& ready, Now now) {
  OutgoingEntry* entry = outgoing_of(conn, stream);
  if (entry == nullptr) return true;
  auto& [pair, out] = *entry;
  stream.dial.reset();
  out.ready = ready.proof;
  out.redial.handle_ready(now);
  LogEvent event = pair_event(LogLevel::kInfo, "pair.proved", "out", ready.proof.pair());
  event.fields.emplace_back("peer", stream.peer.text());
  event.fields.emplace_back("method", s2s::method_name(ready.proof.method()));
  setup_.log.log(std::move(event));
  const auto& bytes_max = stream.out()->peer_limits().max_bytes;
  if (bytes_max && *bytes_max < limits::kPeerStanzaBytesMin) {
    LogEvent small = pair_event(LogLevel::kWarning, "peer.limit-too-small", "out", ready.proof.pair());
    small.fields.emplace_back("peer", stream.peer.text());
    small.fields.emplace_back("max_bytes", std::to_string(*bytes_max));
    setup_.log.log(std::move(small));
  }
  emit(On<s2s::PairReady>{conn, std::move(ready)});
  begin_confirming(pair, out, stream);
  if (!stream.out()->is_resuming()) settle_doubts(pair, out, {}, now);
  write_queue(pair, out, now);
  open_waiting(now);
  return true;
}

bool Endpoint::on(ConnId conn, Stream& stream, s2s::PairFailed&& failed, Now now) {
  // A stream is opened for one pair: without it the stream is useless.
  stream.out()->close(std::nullopt, now.mono);
  if (stream.target == failed.pair) outgoing_ended(conn, stream, failed.error, now);
  open_waiting(now);
  return true;
}

bool Endpoint::on(ConnId conn, Stream&, s2s::Verified&& verified, Now now) {
  verifier_.handle_answer(conn, verified.pair, verified.stream_id, std::move(verified.answer));
  handle_verifier(now);
  return true;
}

// --- what all have in common

LogEvent Endpoint::pair_event(LogLevel level, const char* name, const char* direction,
                              const Pair& pair) const {
  const bool internal = setup_.policy.is_internal();
  return {level,
          name,
          {{"face", setup_.name},
           {"direction", direction},
           {"local", (internal ? pair.remote : pair.local).ascii()},
           {"remote", (internal ? pair.local : pair.remote).ascii()}}};
}

void Endpoint::log_end(ConnId conn, Stream& stream, const std::optional<Error>& error, Now now) {
  LogEvent event{LogLevel::kInfo, "stream.end", {}};
  auto add = [&](const char* key, std::string value) {
    if (!value.empty()) event.fields.emplace_back(key, std::move(value));
  };
  const auto add_pair = [&](const Pair& pair) {
    const bool internal = setup_.policy.is_internal();
    add("local", (internal ? pair.remote : pair.local).ascii());
    add("remote", (internal ? pair.local : pair.remote).ascii());
  };
  add("face", setup_.name);
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
  setup_.log.log(std::move(event));
}

}  // namespace sallyport::gate
