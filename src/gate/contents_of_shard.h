// What a spool holds, given to the shards of a core at the start of the process (docs/shards.md "What waits
// on disk"). Pure.
#pragma once

#include <cstddef>

#include "store/spool.h"

namespace sallyport::gate {

// What that shard of `shards` (at least one) restores; each flow is given to exactly one of them: to the
// shard that numbered it, because that one carried streams; if it does not exist any more, to the one that
// the remote domain belongs to when all are in use.
store::SpoolContents contents_of_shard(const store::SpoolContents& all, std::size_t shard,
                                       std::size_t shards);

}  // namespace sallyport::gate
