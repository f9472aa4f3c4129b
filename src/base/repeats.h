// Rate limit for log lines about failures that persist.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/time.h"

namespace sallyport {

// Decides whether a failure is logged: the first time, then at growing intervals (limits::kRepeatAgainMin to
// kRepeatAgainMax) while it persists. Each of several alternating failures keeps its own interval. Holds
// limits::kRepeatsMax of them.
class Repeats {
 public:
  // Records that `what` happened once more. Returns how often it happened since it was last logged, this time
  // included; nothing if it is not to be logged now.
  std::optional<std::uint64_t> happened(const std::string& what, Time now);
  // Forgets all failures: the next of each is logged as new.
  void clear() { known_.clear(); }

 private:
  struct Known {
    Time logged;
    Duration wait;
    std::uint64_t count = 0;
  };
  void make_room();

  std::map<std::string, Known> known_;
};

}  // namespace sallyport
