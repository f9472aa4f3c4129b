// The name under which the outcome of a stanza is reported.
#pragma once

#include <cstdint>

namespace sallyport {

// The owner's name for a stanza that it hands on, or for several: the outcome of each comes back with it. To
// an endpoint 0 means that no outcome is to be reported.
using Ticket = std::uint64_t;

}  // namespace sallyport
