// Failures that go on: whether one more of the same is worth a line.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/time.h"

namespace sallyport {

// Says of each thing whether it is to be said now: the first time, then at growing intervals
// (limits::kRepeatAgainMin to kRepeatAgainMax) as long as it goes on. Things alternate without being new each
// time. Holds limits::kRepeatsMax of them.
class Repeats {
 public:
  // `what` has happened once more. How often it has since it was said last, this time included; nothing when
  // it is not to be said now.
  std::optional<std::uint64_t> happened(const std::string& what, Time now);
  // It is over: all that happens from now on is new.
  void clear() { known_.clear(); }

 private:
  struct Known {
    Time said;
    Duration wait;
    std::uint64_t count = 0;
  };
  void make_room();

  std::map<std::string, Known> known_;
};

}  // namespace sallyport
