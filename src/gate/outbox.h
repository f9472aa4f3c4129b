// Stanzas that wait or are in flight for each pair: an outbox owns a stanza from the moment it is queued
// until its outcome is known. An endpoint has one for each pair that it sends to, and so has a core towards
// its edges and an edge towards its core.
//
// All outboxes of one owner share one memory, of which no peer and no feed (the server that stanzas come
// from) holds more than its share; when it is full, the one that holds most loses its oldest stanza first. A
// stanza whose deadline passes while it waits comes out, too, at most limits::kOutboxLookEvery late where one
// with a later deadline stands before it. Pure; one owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/limits.h"
#include "base/ring.h"
#include "base/shares.h"
#include "base/ticket.h"
#include "base/time.h"
#include "xmpp/jid.h"
#include "xmpp/stanza.h"

namespace sallyport::gate {

using xmpp::Pair;

// The peer that a pair counts for where its remote domain is the peer's.
inline std::string remote_peer(const Pair& pair) {
  return std::string(parent_of_domain(pair.remote.ascii()));
}

// The deadline of a stanza that waits as long as it has to.
inline constexpr Time kNoDeadline = Time::max();

struct Queued {
  xmpp::Stanza stanza;
  Ticket ticket = 0;
  Time deadline = kNoDeadline;
  std::uint32_t feed = 0;   // which of the outbox's feeds it came from
  bool sent_again = false;  // a stream ended that may have brought it to the peer
  bool owes = false;        // an answer, and what it answers is not settled
  Attempt attempt = 0;
  // Its number in the session of a stream that broke, while the peer can still say whether it has it; 0: it
  // is in no such doubt.
  std::uint32_t doubt = 0;
};

// One pair's. Changed by the Outboxes that it belongs to; it does not move while something waits in it.
class Outbox {
 public:
  // Stanzas that wait: whether there are any, how many, and the size of their XML.
  bool empty() const { return queue_.empty(); }
  std::size_t size() const { return queue_.size(); }
  std::size_t bytes() const { return bytes_; }
  // Precondition: something waits.
  const Queued& front() const { return queue_.front(); }

  // --- in flight: sent, outcome unknown; in the order of sending
  std::size_t in_flight() const { return in_flight_.size(); }
  void sent(Queued queued) { in_flight_.emplace_back(std::move(queued)); }
  // Precondition for both: something is in flight.
  Queued take_oldest_sent() { return in_flight_.pop_front(); }
  Queued take_newest_sent() {
    Queued newest = std::move(in_flight_.back());
    in_flight_.drop_back();
    return newest;
  }

  // Nothing waits, is in flight, or is remembered by a timer: the outbox may be destroyed.
  bool is_idle() const { return queue_.empty() && in_flight_.empty() && !armed_at_; }

 private:
  friend class Outboxes;
  // By the peer, and by the feed.
  using Memory = Shares<Outbox*, 2>;
  struct Feed {
    std::string name;
    Memory::Part part;
  };

  const Pair* pair_ = nullptr;  // set before something waits
  Ring<Queued, 4096> queue_;
  std::size_t bytes_ = 0;
  std::vector<Feed> feeds_;       // of what waits
  std::optional<Time> armed_at_;  // a timer is set
  bool is_mixed_ = false;         // a later deadline may stand before an earlier one
  Ring<Queued, 16 * 1024> in_flight_;
};

class Outboxes {
 public:
  struct Bounds {
    std::uint64_t total;  // bytes, with limits::kStanzaOverheadBytes for each stanza
    std::uint64_t per_peer;
    std::uint64_t per_feed;
  };
  // Returns the peer that a pair counts for; called once for each feed of an outbox.
  using PeerOf = std::function<std::string(const Pair&)>;

  Outboxes(const Bounds& bounds, PeerOf peer_of);

  // In all functions `pair` is the outbox's, and lives as long as the outbox.

  // Queues the stanza, which comes from `feed` (empty: it counts for no feed). False, and `queued` untouched,
  // where it finds no room. Other stanzas may lose their place by it: see `poll`.
  bool push(const Pair& pair, Outbox& box, Queued& queued, const std::string& feed = {});
  // Puts back what was taken out before, at the end or at the front: always.
  void put_back(const Pair& pair, Outbox& box, Queued queued);
  void put_front(const Pair& pair, Outbox& box, Queued queued);
  // Precondition: something waits.
  Queued pop(Outbox& box);

  void handle_timeout(Time now);
  std::optional<Time> poll_timeout() const;

  // Stanzas that were taken out of their outbox: their deadline passed, or they made room.
  struct Lost {
    const Pair* pair;
    Outbox* box;
    Queued queued;
    bool expired;
  };
  std::optional<Lost> poll();

 private:
  using Memory = Outbox::Memory;
  struct Deadline {
    Time at;
    Outbox* box;
    bool operator<(const Deadline& other) const {
      return at != other.at ? at < other.at : *box->pair_ < *other.box->pair_;
    }
  };
  std::uint32_t feed_of(const Pair& pair, Outbox& box, const std::string& name);
  void count(const Pair& pair, Outbox& box, Queued& queued);
  void arm(Outbox& box, Time at);
  void lose_late(Outbox& box, Time now);
  void lose_late_among_others(Outbox& box, Time now);
  void lose(Outbox& box, bool expired) { lost_.emplace_back(Lost{box.pair_, &box, pop(box), expired}); }

  PeerOf peer_of_;
  Memory memory_;
  std::set<Deadline> deadlines_;
  Ring<Lost> lost_;
};

}  // namespace sallyport::gate
