// What the socket took. A stanza there is not read yet: a peer that ends its stream with an error, because of
// one stanza that it does not accept, reads nothing behind that one and tells nobody. So what was handed to
// the socket is settled as delivered a little later (docs/delivery.md "When a stanza counts as
// delivered").
#include <algorithm>
#include <utility>

#include "gate/side.h"

namespace sallyport::gate {

namespace {

// What holding a stanza costs, as the link counts it.
std::size_t held_bytes(const xmpp::Stanza& stanza) {
  return stanza.xml().size() + limits::kStanzaOverheadBytes;
}

// Each holds a stanza at least.
constexpr std::size_t kDoubtsMax = limits::kDoubtBytesMax / limits::kStanzaOverheadBytes;

Time doubted_until(Time now) {
  const Duration tick = limits::kDoubtTick;
  const auto ticks = (now + limits::kDoubtDelay).time_since_epoch() / tick;
  return Time{tick * (ticks + 1)};
}

}  // namespace

bool Side::handle_written(ConnId conn, std::uint64_t bytes_total, Now now) {
  Stream* stream = find(conn);
  if (stream == nullptr) return false;
  stream->written_bytes = bytes_total;
  doubt(conn, *stream, now);
  while (!stream->recent_ends.empty() &&
         stream->recent_ends.front() + limits::kWriteWindowBytes < bytes_total)
    stream->recent_ends.drop_front();
  if (stream->blocked && stream->end() - bytes_total <= limits::kWriteQueueBytesMax / 2) {
    stream->blocked = false;
    if (auto* out = stream->target ? pairs_.find(*stream->target) : nullptr)
      pump(out->first, out->second, now);
  }
  return true;
}

// Stanzas that the socket has taken whole since the last time, and those that may not stay in doubt because
// of them.
void Side::doubt(ConnId conn, Stream& stream, Now now) {
  auto& in_flight = stream.in_flight;
  const std::size_t before = stream.in_doubt;
  while (stream.in_doubt < in_flight.size() && in_flight[stream.in_doubt].end <= stream.written_bytes) {
    const std::size_t bytes = held_bytes(in_flight[stream.in_doubt++].queued.stanza);
    stream.doubt_bytes += bytes;
    doubt_bytes_ += bytes;
  }
  if (stream.in_doubt == before) return;
  while (stream.doubt_bytes - held_bytes(in_flight.front().queued.stanza) > limits::kDoubtStreamBytesMax)
    settle_front(stream);
  const Time until = doubted_until(now.mono);
  if (!doubts_.empty() && doubts_.back().conn == conn && doubts_.back().until == until) {
    doubts_.back().end = stream.written_bytes;
  } else {
    doubts_.push_back({until, conn, stream.written_bytes});
  }
  settle_due(now);
}

// Precondition: one is in doubt.
void Side::settle_front(Stream& stream) {
  const InFlight& done = stream.in_flight.front();
  const std::size_t bytes = held_bytes(done.queued.stanza);
  stream.doubt_bytes -= bytes;
  doubt_bytes_ -= bytes;
  if (done.queued.ticket != 0) outputs_.emplace_back(Handed{done.queued.ticket});
  if (done.end + limits::kWriteWindowBytes >= stream.written_bytes) stream.recent_ends.push_back(done.end);
  stream.in_flight.drop_front();
  --stream.in_doubt;
}

// What has been in doubt for long enough, and the oldest of what is more than may be held.
void Side::settle_due(Now now) {
  while (!doubts_.empty() && (doubts_.front().until <= now.mono || doubts_.size() > kDoubtsMax ||
                              doubt_bytes_ > limits::kDoubtBytesMax)) {
    const Doubt doubt = doubts_.pop_front();
    Stream* stream = find(doubt.conn);
    while (stream != nullptr && stream->in_doubt > 0 && stream->in_flight.front().end <= doubt.end)
      settle_front(*stream);
  }
}

// The stream is over. What it did not bring to the socket goes back to the head of the queue: a stanza that
// was not handed over whole cannot have been read by anyone. What is in doubt was delivered as far as anybody
// knows, and is counted where the connection broke; but where the peer ended the stream with an error, it may
// have stopped reading at any of them, so that their senders are told. Presence is never answered: an error
// for it may end a subscription, or put somebody out of a room.
void Side::recover(const Pair& pair, OutPair& out, Stream& stream, const std::optional<Error>& error) {
  auto& in_flight = stream.in_flight;
  if (stream.broken) {
    for (std::size_t i = 0; i < stream.recent_ends.size(); ++i)
      if (stream.recent_ends[i] + limits::kWriteWindowBytes > stream.written_bytes) ++counters_.uncertain;
  } else if (!in_flight.empty() && in_flight.back().end > stream.taken_bytes) {
    stream.buffer.clear();  // they will be sent elsewhere, so not here
  }
  while (in_flight.size() > stream.in_doubt && (stream.broken || in_flight.back().end > stream.taken_bytes)) {
    push_front(pair, out, std::move(in_flight.back().queued));
    in_flight.drop_back();
  }
  doubt_bytes_ -= std::exchange(stream.doubt_bytes, 0);
  const bool by_error = !stream.broken && error && error->code == Code::kStreamErrorByPeer;
  for (; !in_flight.empty(); in_flight.drop_front()) {
    Queued& queued = in_flight.front().queued;
    const bool handed = stream.in_doubt > 0;
    if (handed) --stream.in_doubt;
    if (!handed || stream.broken || by_error) ++counters_.uncertain;
    if (by_error && queued.stanza.kind() != xmpp::StanzaKind::kPresence) {
      give_back(queued, {Code::kDeliveryUncertain, error->text});
    } else if (queued.ticket != 0) {
      emit(Handed{queued.ticket});
    }
  }
}

}  // namespace sallyport::gate
