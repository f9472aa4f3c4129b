// A node that is to end. What the role has sent goes back to it, and streams are closed when nothing is owed
// on them any more. Answers are still sent, on streams that are opened for them: nobody else has them.
#include "gate/endpoint.h"

namespace sallyport::gate {

void Endpoint::drain_all(const Error& reason, Now now) {
  policy_.of_streams.set(now.civil);
  outgoing_.draining = reason;
  confirming_.suspended.clear();
  for (auto& [pair, out] : outgoing_.map) {
    return_unsent(pair, out);
    pump(pair, out, now);
  }
  for (const ConnId conn : conns()) {
    Stream* stream = find(conn);
    if (stream == nullptr) continue;
    if (stream->in() != nullptr && !stream->is_owing()) {
      stream->ending.once_read = reason;
      close_once_read(conn, *stream, now);
      after(conn, now);
    } else if (!stream->is_owing() && !has_more_for(conn, *stream)) {
      close(conn, *stream, reason, now);
    } else if (!std::exchange(stream->ending.once_acknowledged, reason) && stream->in() != nullptr) {
      hold(conn, true);
    }
  }
}

bool Endpoint::has_more_for(ConnId conn, const Stream& stream) {
  const OutgoingEntry* entry = outgoing_of(conn, stream);
  return entry != nullptr && !entry->second.box.empty();
}

// What the driver has not taken would be sent again on another stream.
bool Endpoint::is_done(ConnId conn, Stream& stream) {
  if (stream.is_owing() || has_more_for(conn, stream)) return false;
  return stream.in() != nullptr || !stream.has_output();
}

// While it is held nobody reads what the peer has written, and the time for that has not begun. Where
// something was read before the stream could be closed, it is closed when that is acknowledged.
void Endpoint::close_once_read(ConnId conn, Stream& stream, Now now) {
  if (!stream.ending.once_read || stream.holds > 0) return;
  const Error reason = *std::exchange(stream.ending.once_read, std::nullopt);
  if (!stream.is_owing()) return stream.in()->close_cleanly(reason, now.mono);
  stream.ending.once_acknowledged = reason;
  hold(conn, true);
}

// To the role, what it has sent and no peer can have. Where one is in doubt, those behind it wait with it.
void Endpoint::return_unsent(const Pair& pair, Outgoing& out) {
  bool is_doubtful = false;
  for (std::size_t left = out.box.size(); left > 0; --left) {
    Queued queued = outboxes_.pop(out.box);
    const bool is_roles = queued.ticket != 0 && !is_answer(queued);
    is_doubtful = is_doubtful || (is_roles && (queued.sent_again || queued.doubt != 0));
    if (is_roles && !is_doubtful) {
      give_back(out, queued, *outgoing_.draining);
    } else {
      outboxes_.put_back(pair, out.box, std::move(queued));
    }
  }
}

// There is no way to the peer. What an answer was for stays unacknowledged: its server keeps it.
void Endpoint::give_up(Outgoing& out, Now now) {
  std::vector<StreamReceipt> unanswered;
  while (!out.box.empty()) {
    Queued queued = outboxes_.pop(out.box);
    if (!is_answer(queued)) {
      give_back(out, queued, *outgoing_.draining);
    } else if (const auto owed = confirming_.answers.take(queued.ticket & ~kAnswer)) {
      unanswered.push_back(*owed);
    }
  }
  for (const StreamReceipt& receipt : unanswered) leave_unacknowledged(receipt, now);
}

void Endpoint::leave_unacknowledged(const StreamReceipt& receipt, Now now) {
  Stream* stream = find(receipt.conn);
  if (stream == nullptr || stream->in() == nullptr) return;
  stream->in()->leave_unacknowledged(receipt.number);
  after(receipt.conn, now);
}

}  // namespace sallyport::gate
