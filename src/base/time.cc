#include "base/time.h"

#include <fmt/chrono.h>

namespace sallyport {

std::string rfc3339(UnixTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(static_cast<std::time_t>(time.time_since_epoch().count())));
}

}  // namespace sallyport
