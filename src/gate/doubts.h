// When stanzas that a socket took count as delivered, where the peer acknowledges nothing (s2s/send_lane.h):
// limits::kDoubtDelay after the socket took them, rounded up to a multiple of limits::kDoubtTick so that they
// share timers, and earlier where more than limits::kDoubtBytesMax would be held for that in all streams,
// the oldest first. Pure; one for each endpoint.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/limits.h"
#include "base/ring.h"
#include "base/time.h"
#include "gate/event.h"
#include "s2s/send_lane.h"

namespace sallyport::gate {

class Doubts {
 public:
  void add(ConnId conn, const s2s::InDoubt& doubt, Time now);
  // So many of the bytes that were added are not held any longer.
  void release(std::size_t bytes) { bytes_ -= bytes; }
  // A stream whose stanzas up to `mark` count as delivered now. It may have ended.
  struct Due {
    ConnId conn;
    std::uint64_t mark;
  };
  std::optional<Due> poll(Time now);
  std::optional<Time> poll_timeout() const;

 private:
  struct Doubt {
    Time until;
    Due due;
  };
  Ring<Doubt, 16 * 1024> queue_;  // by `until`
  std::size_t bytes_ = 0;
};

}  // namespace sallyport::gate
