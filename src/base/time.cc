#include "base/time.h"

#include <fmt/chrono.h>

namespace sallyport {

std::string rfc3339(UnixTime time) { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", time); }

}  // namespace sallyport
