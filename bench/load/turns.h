// Whose turn it is among generators that run beside each other, each with a system of its own: time is cut
// into slots by the clock that all of them read, and one of them sends in each. What the machine does
// otherwise within a minute hits all of them, so that their ratio says more than two runs one after the other
// do.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bench {

struct Turns {
  std::size_t own = 0;
  std::size_t count = 1;  // 1: nobody else

  bool alone() const { return count == 1; }
  // When the next slot of ours begins, at `now` (monotonic, in nanoseconds) or later.
  std::int64_t next(std::int64_t now) const {
    if (alone()) return now;
    auto all = static_cast<std::int64_t>(count) * kSlot;
    std::int64_t first = now / all * all + static_cast<std::int64_t>(own) * kSlot;
    return first >= now ? first : first + all;
  }

  static constexpr std::int64_t kSlot = 500'000'000;
  // Of a slot: so long it is sent; then what is on its way comes out, and by then its last traces are over.
  static constexpr std::int64_t kSending = kSlot / 100 * 80;
  static constexpr std::int64_t kSettled = kSlot / 100 * 97;
};

}  // namespace bench
