// The name under which the outcome of a stanza is reported.
#pragma once

#include <cstdint>

namespace sallyport {

// The owner's name for a stanza that it hands on, or for several: the outcome of each comes back with it. To
// an endpoint 0 means that no outcome is to be reported.
using Ticket = std::uint64_t;

// Messages that must leave in order are sent in attempts, numbered 1 and 2 in turn; 0: of none. Once one of
// an attempt was refused because it cannot be delivered now, the carrier refuses all later ones of the same
// attempt for that pair, so that none overtakes it (gate/durable_queue.h).
using Attempt = std::uint8_t;

}  // namespace sallyport
