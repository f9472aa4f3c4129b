// The sending half of a session: the pairs whose stanzas may be sent, the limits of the peer, and what became
// of the stanzas that were written to a stream.
//
// A stanza is in flight from the moment it is written until the lane reports it: as delivered, or, when the
// stream ends, as unsent or as one that the peer may not have read. Reports are counts in the order of
// writing, so the owner keeps the stanzas themselves in a queue and takes them from its front.
//
// A stanza in the socket has not been read yet. It is in flight until the peer has confirmed it: by stream
// management (XEP-0198), or by an answer to a ping that stands behind it (gate/ping_acks.h). Where a peer
// does neither, a stanza that the socket took is in doubt until the owner confirms it, limits::kDoubtDelay
// later (docs/delivery.md).
//
// Offsets count the bytes of the stream's output from the beginning of its connection. Pure; one owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "base/ring.h"
#include "base/time.h"
#include "s2s/identity.h"
#include "s2s/stream_limits.h"
#include "xmpp/stanza.h"

namespace sallyport::s2s {

// The socket took stanzas that were in flight. After limits::kDoubtDelay the owner calls confirm(mark).
struct InDoubt {
  std::uint64_t mark;
  std::size_t bytes;  // of those stanzas, as the link counts them (limits::kStanzaOverheadBytes)
};
// The first `count` stanzas in flight count as delivered.
struct Delivered {
  std::size_t count;
  std::size_t bytes;  // of those, what InDoubt reported before
};
// How a stanza is known to be read: from what the socket took, by pings, by stream management.
enum class ConfirmedBy : std::uint8_t { kWrites, kPings, kAcks };

// A session (XEP-0198 5) that a later stream may resume: its id, and how many of its stanzas are acknowledged
// and how many were sent, at most.
struct ResumePoint {
  std::string id;
  std::uint32_t handled = 0;
  std::uint32_t sent = 0;

  bool may_have_handled(std::uint32_t count) const { return count - handled <= sent - handled; }
};

// The lane has ended, and nothing is in flight any more. The last `unsent` stanzas cannot have been read by
// anyone: they may be sent on another stream. The `unacknowledged` before them may have been read or not.
// Those before them count as delivered, but where the peer ended the stream with an error (`peer_error`) it
// may have read none of them.
struct SendEnded {
  std::size_t unsent = 0;
  std::size_t unacknowledged = 0;
  std::size_t doubted_bytes = 0;  // what InDoubt reported and Delivered did not
  std::size_t uncertain = 0;      // stanzas that reached a stream and may not have been read
  std::optional<Error> peer_error{};
  // The peer can tell on another stream which of the `unacknowledged` it has.
  std::optional<ResumePoint> resume{};
};

class SendLane {
 public:
  explicit SendLane(Time now = {}) : last_sent_(now) {}

  // --- pairs

  // Stanzas of the pair may be sent from now on. Precondition: it has no proof here.
  void add(PeerProof proof) { proofs_.push_back(std::move(proof)); }
  void remove(const Pair& pair);
  bool has(const Pair& pair) const {
    return std::ranges::find(proofs_, pair, &PeerProof::pair) != proofs_.end();
  }
  const std::vector<PeerProof>& proofs() const { return proofs_; }

  // --- limits of the peer (XEP-0478)

  void set_peer_limits(const StreamLimits& limits) { peer_limits_ = limits; }
  const StreamLimits& peer_limits() const { return peer_limits_; }
  // Whether the stanza's bytes are within the `max-bytes` that the peer announced.
  bool takes(const xmpp::Stanza& stanza) const {
    return !peer_limits_.max_bytes || stanza.xml().size() <= *peer_limits_.max_bytes;
  }
  // The peer got an element that it counts as traffic (RFC 6120 4.6).
  void note_traffic(Time now) { last_sent_ = now; }
  // When the peer may find the stream idle, if we send nothing until then.
  Time peer_idle_deadline() const { return last_sent_ + idle_timeout(peer_limits_); }

  // --- stanzas in flight

  // A stanza of `xml_bytes` was appended to the stream's output, which now ends at `end`.
  void add(std::uint64_t end, std::size_t xml_bytes) {
    in_flight_.emplace_back(Sent{end, xml_bytes + limits::kStanzaOverheadBytes});
    if (end - written_ > limits::kWriteQueueBytesMax) full_ = true;
  }
  // The socket has taken `total` bytes of the output, which ends at `end`. Nothing when that completes no
  // stanza. Afterwards `overflow` is to be called.
  std::optional<InDoubt> handle_written(std::uint64_t total, std::uint64_t end);
  // Stanzas that may not stay in doubt because more than limits::kDoubtStreamBytesMax would be, oldest first.
  std::optional<Delivered> overflow();
  // How stanzas are confirmed from now on. What is in doubt stays so. Something comes into doubt where the
  // peer does not confirm any more what the socket has taken.
  std::optional<InDoubt> set_confirmed_by(ConfirmedBy by);
  ConfirmedBy confirmed_by() const { return confirmed_by_; }
  // The peer has read the first `count` stanzas in flight. Precondition: so many are in flight.
  std::optional<Delivered> acknowledge(std::size_t count);
  // The peer has read all that ends at `mark` or before it.
  std::optional<Delivered> acknowledge_to(std::uint64_t mark);
  // All that is in flight counts as delivered, though the peer has not said that it has read it: it becomes
  // uncertain where the connection breaks. Precondition: the socket has taken it.
  std::optional<Delivered> assume_read();
  // Stanzas in doubt that end at `mark` or before it count as delivered.
  std::optional<Delivered> confirm(std::uint64_t mark);
  // The stream is over. `taken`: the bytes that were handed to the connection, which writes them unless it is
  // broken. `peer_error`: the peer ended the stream with it.
  SendEnded end(std::uint64_t taken, bool broken, std::optional<Error> peer_error);

  // More than limits::kWriteQueueBytesMax of output has not reached the socket, and since then never less
  // than half of that.
  bool is_full() const { return full_; }
  std::size_t in_flight() const { return in_flight_.size(); }
  // The socket has taken all that is in flight.
  bool is_written() const { return in_flight_.empty() || in_flight_.back().end <= written_; }
  // Of the output, from the end of the first stanza in flight to the end of the last.
  std::uint64_t bytes_in_flight() const {
    return in_flight_.empty() ? 0 : in_flight_.back().end - in_flight_.front().end;
  }
  // These bytes, and limits::kStanzaOverheadBytes for each stanza in flight, as the link counts them.
  std::uint64_t credit_in_flight() const {
    return bytes_in_flight() + in_flight_.size() * limits::kStanzaOverheadBytes;
  }

 private:
  struct Sent {
    std::uint64_t end;  // of the stanza, as an offset
    std::size_t bytes;
  };
  std::optional<InDoubt> doubt_written();
  void deliver_front(Delivered& delivered);
  // What ends there counts as delivered, and the peer has not said that it has read it.
  void remember(std::uint64_t end);

  std::vector<PeerProof> proofs_;
  StreamLimits peer_limits_;
  Time last_sent_;
  Ring<Sent, 16 * 1024> in_flight_;
  std::size_t in_doubt_ = 0;  // of those, at the front
  std::size_t doubt_bytes_ = 0;
  std::uint64_t written_ = 0;
  bool full_ = false;
  ConfirmedBy confirmed_by_ = ConfirmedBy::kWrites;
  Ring<std::uint64_t> recent_ends_;  // of delivered stanzas nobody confirmed, one write window back
};

}  // namespace sallyport::s2s
