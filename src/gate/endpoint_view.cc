// The views that the control socket shows of an endpoint.
#include <algorithm>

#include <fmt/format.h>

#include "gate/endpoint.h"

namespace sallyport::gate {

std::vector<ConnectionRow> Endpoint::connections() const {
  std::vector<ConnectionRow> rows;
  auto add = [&](const Stream& stream, const std::vector<s2s::PeerProof>& proofs, std::string phase,
                 const std::optional<s2s::TlsFacts>* tls) {
    ConnectionRow row;
    row.pair = stream.target;
    row.outgoing = stream.target.has_value();
    row.peer = stream.peer.port != 0 ? stream.peer.text() : "";
    row.phase = stream.verifies ? phase + " (verifying)" : std::move(phase);
    if (tls != nullptr && *tls) row.tls = {(*tls)->version, (*tls)->cipher};
    row.since = stream.since.civil;
    row.confirmed_by = confirmed_by(stream);
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
  for (const auto& [pair, out] : outgoing_.map) {
    if (!out.redial.last_error()) continue;
    const std::string shown_error =
        fmt::format("{}: {}", code_row(out.redial.last_error()->code).name, out.redial.last_error()->text);
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

std::string Endpoint::confirmed_by(const Stream& stream) const {
  const auto* out = std::get_if<s2s::Outbound>(&stream.machine);
  const auto* sends = stream.target ? outgoing_.map.find(*stream.target) : nullptr;
  if (out == nullptr || sends == nullptr || !sends->second.ready) return {};
  if (out->confirmed_by() == s2s::ConfirmedBy::kAcks) return "ack";
  if (!sends->second.pings.is_strict()) return "none";
  return sends->second.pings.state() == PingAcks::State::kAnswered ? "ping" : "";
}

Endpoint::Census Endpoint::census() const {
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

std::size_t Endpoint::waiting() const {
  std::size_t sum = 0;
  for (const auto& [pair, out] : outgoing_.map) sum += out.box.size();
  return sum;
}

std::size_t Endpoint::waiting_bytes() const {
  std::size_t sum = 0;
  for (const auto& [pair, out] : outgoing_.map) sum += out.box.bytes();
  return sum;
}

bool Endpoint::is_proved(ConnId conn) const {
  const auto* found = streams_.find(conn);
  if (found == nullptr) return true;
  const auto* in = std::get_if<s2s::Inbound>(&found->second.machine);
  return in == nullptr || !in->proofs().empty();
}

std::optional<dns::SocketAddress> Endpoint::peer(ConnId conn) const {
  const auto* found = streams_.find(conn);
  return found == nullptr ? std::nullopt : std::optional(found->second.peer);
}

std::string Endpoint::peer_text(ConnId conn) const {
  const auto* found = streams_.find(conn);
  return found == nullptr ? std::string() : found->second.peer.text();
}

std::string Endpoint::peer_source(ConnId conn) const {
  const auto* found = streams_.find(conn);
  return found == nullptr ? std::string() : source_of_address(found->second.peer.ip.bytes);
}

bool Endpoint::is_ready(const Pair& pair) const {
  const auto* found = outgoing_.map.find(pair);
  return found != nullptr && found->second.ready.has_value();
}

std::optional<Error> Endpoint::last_error(const Pair& pair) const {
  const auto* found = outgoing_.map.find(pair);
  return found == nullptr ? std::nullopt : found->second.redial.last_error();
}

bool Endpoint::may_dial(const Pair& pair, Now now) const {
  const auto* found = outgoing_.map.find(pair);
  return found == nullptr || found->second.redial.may_dial(now);
}

}  // namespace sallyport::gate
