// What the peer of a pair has read: by stream management, by pings, or by what the socket took.
#include <algorithm>
#include <utility>

#include "gate/endpoint.h"

namespace sallyport::gate {
namespace {

// In the order of sending.
std::vector<Queued> take_newest(Outbox& box, std::size_t count) {
  std::vector<Queued> newest;
  for (; count > 0; --count) newest.push_back(box.take_newest_sent());
  std::ranges::reverse(newest);
  return newest;
}

}  // namespace

// --- pings

// Where the stream has stream management, it confirms stanzas by itself.
void Endpoint::begin_confirming(const Pair& pair, Outgoing& out, Stream& stream) {
  PingAcks::Mode mode = PingAcks::Mode::kOff;
  const policy::PeerRules rules = policy_.of_streams.rules(pair);
  if (stream.out()->confirmed_by() != s2s::ConfirmedBy::kAcks) {
    if (rules.confirm == policy::Confirm::kAuto) mode = PingAcks::Mode::kAuto;
    if (rules.confirm == policy::Confirm::kAck) mode = PingAcks::Mode::kMust;
  }
  out.pings.begin(mode, rules.ack_timeout);
  if (out.pings.is_strict()) stream.out()->set_confirmed_by(s2s::ConfirmedBy::kPings);
}

bool Endpoint::awaits_confirmation(const Outgoing& out, const Stream& stream) {
  const s2s::Outbound& peer = std::get<s2s::Outbound>(stream.machine);
  const bool confirms = peer.confirmed_by() == s2s::ConfirmedBy::kAcks ||
                        (out.pings.is_on() && out.pings.state() == PingAcks::State::kAnswered);
  return confirms && peer.bytes_in_flight() >= limits::kUnconfirmedBytesMax;
}

bool Endpoint::ping_if_due(Outgoing& out, Stream& stream, Now now) {
  if (stream.out()->confirmed_by() == s2s::ConfirmedBy::kAcks || !out.ready) return true;
  const ConnId conn = *out.conn;
  for (;;) {
    switch (out.pings.poll(presses(stream), now.mono)) {
      case PingAcks::Due::kNothing: {
        const auto at = out.pings.poll_timeout();
        if (at && (!stream.timer || *at < *stream.timer)) set_timer(conn, stream);
        return true;
      }
      case PingAcks::Due::kPing: {
        const std::uint64_t number = setup_.random.u64();
        const auto mark = stream.out()->ping(*out.ready, ping_id(number), now.mono);
        if (!mark) {
          out.pings.note_not_written(now.mono);
          return true;
        }
        out.pings.note_ping(number, *mark, now.mono);
        flush(conn, stream);
        break;
      }
      case PingAcks::Due::kAssume:
        if (!stream.out()->assume_read()) out.pings.note_answer(now.mono);
        if (drain(conn, now) == nullptr) return false;
        break;
      case PingAcks::Due::kFallBack: {
        note_fall_back(stream, "pair.pings-unanswered");
        stream.out()->set_confirmed_by(s2s::ConfirmedBy::kWrites);
        if (drain(conn, now) == nullptr) return false;
        break;
      }
      case PingAcks::Due::kDead:
        // What the driver wrote from now on would go out a second time by the next stream.
        emit(Output{Disconnect{conn, true}});
        break_stream(conn, stream, {Code::kStreamAckTimeout, {}}, now);
        return false;
    }
  }
}

void Endpoint::note_fall_back(const Stream& stream, const char* event) {
  ++counters_.fell_back;
  LogEvent said = pair_event(LogLevel::kInfo, event, "out", *stream.target);
  said.fields.emplace_back("peer", stream.peer.text());
  setup_.log.log(std::move(said));
}

bool Endpoint::handle_ping_answer(const Pair& pair, std::uint64_t number, Now now) {
  policy_.of_streams.set(now.civil);
  auto* found = outgoing_.map.find(pair);
  if (found == nullptr) return false;
  Outgoing& out = found->second;
  const bool was_strict = out.pings.is_strict();
  const auto mark = out.pings.handle_answer(number);
  if (!mark) return false;
  Stream* stream = out.ready ? find(*out.conn) : nullptr;
  if (stream == nullptr) return true;
  if (!was_strict) stream->out()->set_confirmed_by(s2s::ConfirmedBy::kPings);
  stream->out()->acknowledge_to(*mark);
  const ConnId conn = *out.conn;
  if (drain(conn, now) != nullptr && ping_if_due(out, *stream, now)) after(conn, now);
  return true;
}

// --- outcomes of stanzas in flight

bool Endpoint::on(ConnId conn, Stream&, s2s::InDoubt&& doubt, Now now) {
  confirming_.doubts.add(conn, doubt, now.mono);
  confirm_due(now);
  return true;
}

bool Endpoint::on(ConnId conn, Stream& stream, s2s::Delivered&& delivered, Now now) {
  confirming_.doubts.release(delivered.bytes);
  auto& [pair, out] = *outgoing_.map.find(*stream.target);
  for (std::size_t left = delivered.count; left > 0; --left) deliver(out.box.take_oldest_sent());
  if (out.box.empty() || !out.ready || out.conn != conn) return true;
  write_queue(pair, out, now);
  return find(conn) != nullptr;
}

// A stanza that no one can have read goes back to the head of the queue. The others count as delivered, but
// where the peer ended the stream with an error, it may have stopped reading at any of them, and their
// senders are told. Presence is never answered: an error for it may end a subscription, or put an occupant
// out of a room.
bool Endpoint::on(ConnId conn, Stream& stream, s2s::SendEnded&& ended, Now now) {
  confirming_.doubts.release(ended.doubted_bytes);
  if (!ended.resume) counters_.uncertain += ended.uncertain;
  OutgoingEntry* entry = outgoing_of(conn, stream);
  // The pair has ended here before, and with it what was in flight.
  if (entry == nullptr) return true;
  auto& [pair, out] = *entry;
  for (std::size_t left = ended.unsent; left > 0; --left)
    outboxes_.put_front(pair, out.box, out.box.take_newest_sent());
  if (ended.resume) {
    keep_for_resume(pair, out, ended, now);
  } else {
    send_again(pair, out, take_newest(out.box, ended.unacknowledged), ended.peer_error, now);
  }
  while (out.box.in_flight() > 0) {
    Queued queued = out.box.take_oldest_sent();
    if (ended.peer_error && queued.stanza.kind() != xmpp::StanzaKind::kPresence) {
      give_back(out, queued, {Code::kDeliveryUncertain, ended.peer_error->text});
    } else {
      deliver(queued);
    }
  }
  return true;
}

// The peer has not confirmed these: messages and presence are sent again, once, ahead of what waits. A
// request is not, because its effect could be had twice; its sender is told that nothing is known.
void Endpoint::send_again(const Pair& pair, Outgoing& out, std::vector<Queued> doubtful,
                          const std::optional<Error>& error, Now now) {
  const bool may_resend = policy_.of_streams.rules(pair).on_doubt == policy::OnDoubt::kResend;
  std::vector<Queued> answered;
  for (; !doubtful.empty(); doubtful.pop_back()) {
    Queued& queued = doubtful.back();
    const xmpp::StanzaKind kind = queued.stanza.kind();
    const bool may_repeat =
        kind == xmpp::StanzaKind::kPresence || (kind == xmpp::StanzaKind::kMessage && may_resend);
    if (may_repeat && !std::exchange(queued.sent_again, true)) {
      ++counters_.sent_again;
      queued.deadline = deadline_of(out, queued, now);
      outboxes_.put_front(pair, out.box, std::move(queued));
    } else {
      answered.push_back(std::move(queued));
    }
  }
  for (auto it = answered.rbegin(); it != answered.rend(); ++it)
    give_back(out, *it, {Code::kDeliveryUncertain, error ? error->text : std::string()});
}

void Endpoint::confirm_due(Now now) {
  while (const auto due = confirming_.doubts.poll(now.mono)) {
    Stream* stream = find(due->conn);
    if (stream == nullptr || stream->out() == nullptr) continue;
    stream->out()->confirm(due->mark);
    drain(due->conn, now);
  }
}

}  // namespace sallyport::gate
