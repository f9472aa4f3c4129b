// How a stanza's sender is told what became of it.
#pragma once

#include <cstdint>

namespace sallyport::gate {

// The owner's name for a stanza that it gives away. 0: nobody waits for its outcome.
using Ticket = std::uint64_t;

}  // namespace sallyport::gate
