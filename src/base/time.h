// Time as a value. Nothing in the layers below `net` reads a clock: `now` comes
// in as a parameter and never decreases.
#pragma once

#include <chrono>
#include <string>

namespace sallyport {

using Duration = std::chrono::microseconds;

// A tag for the monotonic clock of the driver (or of the simulation).
struct Monotonic {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<Monotonic, Duration>;
  static constexpr bool is_steady = true;
};

// A point in monotonic time: deadlines, ages, back-off.
using Time = Monotonic::time_point;

// A point in civil time, in whole seconds since 1970 (UTC): certificate dates,
// `expires` in policy.toml, "since" in the answers of commands.
using UnixTime = std::chrono::sys_seconds;

// Returns "2027-01-31T12:00:00Z" (RFC 3339, UTC).
std::string rfc3339(UnixTime time);

// Both times, read together by the driver.
struct Now {
  Time mono;
  UnixTime civil;
};

}  // namespace sallyport
