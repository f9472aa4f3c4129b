// The turns of generators that run at the same time, each with a system of its own: a common clock divides
// time into slots, and one generator sends in each. Other load of the machine affects all of them, so their
// ratio is more reliable than that of two consecutive runs.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bench {

struct Turns {
  std::size_t own = 0;
  std::size_t count = 1;  // 1: no others

  bool alone() const { return count == 1; }
  // When the next slot of ours begins, at `now` (monotonic, in nanoseconds) or later.
  std::int64_t next(std::int64_t now) const {
    if (alone()) return now;
    auto all = static_cast<std::int64_t>(count) * kSlot;
    std::int64_t first = now / all * all + static_cast<std::int64_t>(own) * kSlot;
    return first >= now ? first : first + all;
  }

  static constexpr std::int64_t kSlot = 500'000'000;
  // The part of a slot in which stanzas are sent; in the rest those in flight arrive.
  static constexpr std::int64_t kSending = kSlot / 100 * 80;
  static constexpr std::int64_t kSettled = kSlot / 100 * 97;
};

}  // namespace bench
