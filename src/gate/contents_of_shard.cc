#include "gate/contents_of_shard.h"

#include "gate/durable_queue.h"
#include "s2s/header_hint.h"

namespace sallyport::gate {
namespace {

// The remote domain alone does not tell: how many shards share the domains depends on the edges, which are
// not linked yet. A message without a link waits until it expires.
std::size_t shard_for(const store::NumberedFlow& flow, std::size_t shards) {
  const std::uint64_t numbered_by = shard_of_flow(flow.number);
  return numbered_by < shards ? static_cast<std::size_t>(numbered_by)
                              : s2s::shard_of(flow.flow.pair.remote.ascii(), shards);
}

}  // namespace

store::SpoolContents contents_of_shard(const store::SpoolContents& all, std::size_t shard,
                                       std::size_t shards) {
  store::SpoolContents own{{}, all.last_message, all.last_flow};
  for (const auto& held : all.flows)
    if (shard_for(held.flow, shards) == shard) own.flows.push_back(held);
  return own;
}

}  // namespace sallyport::gate
