// Virtual time: what happens next, and when. Two things at one instant happen in the order in which they
// were asked for, so that a seed always replays.
#pragma once

#include <cstdint>
#include <functional>
#include <queue>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"

namespace sallyport::sim {

// What must always hold, and did not.
struct Violation : std::runtime_error {
  Violation(std::string invariant_in, const std::string& text)
      : std::runtime_error(text), invariant(std::move(invariant_in)) {}
  std::string invariant;
};

class Schedule {
 public:
  Time now() const { return now_; }
  Now both() const {
    return {now_, UnixTime(std::chrono::seconds(1'800'000'000)) +
                      std::chrono::duration_cast<std::chrono::seconds>(now_.time_since_epoch())};
  }
  void at(Time time, std::function<void()> what) {
    queue_.push({std::max(time, now_), ++last_, std::move(what)});
  }
  void in(Duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }

  // Runs everything up to `end`. Violation: more happens in one second than any of it can need.
  void run_until(Time end) {
    while (!queue_.empty() && queue_.top().time <= end) {
      auto next = std::move(const_cast<Item&>(queue_.top()));
      queue_.pop();
      if (next.time >= second_ + std::chrono::seconds(1)) second_ = next.time, in_second_ = 0;
      if (++in_second_ > kPerSecondMax)
        throw Violation("progress", "the nodes turn without getting anywhere");
      now_ = next.time;
      ++steps_;
      next.what();
    }
    now_ = std::max(now_, end);
  }
  std::uint64_t steps() const { return steps_; }

 private:
  static constexpr std::uint64_t kPerSecondMax = 200'000;
  struct Item {
    Time time;
    std::uint64_t number;
    std::function<void()> what;
    bool operator<(const Item& other) const {
      return time != other.time ? time > other.time : number > other.number;
    }
  };
  std::priority_queue<Item> queue_;
  Time now_{std::chrono::seconds(1)};
  Time second_{};
  std::uint64_t in_second_ = 0;
  std::uint64_t last_ = 0;
  std::uint64_t steps_ = 0;
};

}  // namespace sallyport::sim
