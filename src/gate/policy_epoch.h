// The streams that have been checked against the policy in force. When policy changes, streams are checked in
// turns of limits::kCheckedPerTurn, so that stanzas do not wait for thousands of them; the new policy counts
// at once all the same, because a stream that is not current is checked before it is used. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "gate/event.h"

namespace sallyport::gate {

class PolicyEpoch {
 public:
  // The policy in force, as a number that a stream keeps once it was checked against it.
  std::uint64_t current() const { return current_; }

  // Policy has changed: these streams are to be checked, the last of them first.
  void advance(std::vector<ConnId> streams) {
    ++current_;
    to_check_ = std::move(streams);
  }
  // Calls `check(conn)` for the streams whose turn it is.
  template <typename Check>
  void take_turn(Time now, Check check) {
    for (std::size_t left = limits::kCheckedPerTurn; left > 0 && !to_check_.empty(); --left) {
      const ConnId conn = to_check_.back();
      to_check_.pop_back();
      check(conn);
    }
    next_turn_ = now;
  }
  // When the next turn is due; nothing when every stream has been checked.
  std::optional<Time> poll_timeout() const {
    return to_check_.empty() ? std::nullopt : std::optional(next_turn_);
  }

 private:
  std::uint64_t current_ = 0;
  std::vector<ConnId> to_check_;
  Time next_turn_{};
};

}  // namespace sallyport::gate
