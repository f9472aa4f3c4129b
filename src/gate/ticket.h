// The name under which the outcome of a stanza is reported.
#pragma once

#include <cstdint>

namespace sallyport::gate {

// The owner's name for a stanza that it hands on. 0: no outcome is reported.
using Ticket = std::uint64_t;

}  // namespace sallyport::gate
