#include "base/repeats.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace sallyport {

std::optional<std::uint64_t> Repeats::happened(const std::string& what, Time now) {
  const auto found = known_.find(what);
  if (found == known_.end()) {
    make_room();
    known_.emplace(what, Known{now, limits::kRepeatAgainMin, 0});
    return 1;
  }
  Known& known = found->second;
  ++known.count;
  if (now < known.logged + known.wait) return std::nullopt;
  known.logged = now;
  known.wait = std::min<Duration>(known.wait * 2, limits::kRepeatAgainMax);
  return std::exchange(known.count, 0);
}

void Repeats::make_room() {
  if (known_.size() < limits::kRepeatsMax) return;
  known_.erase(std::ranges::min_element(known_, {}, [](const auto& entry) { return entry.second.logged; }));
}

}  // namespace sallyport
