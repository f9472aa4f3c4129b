#include "config/limits_config.h"

#include <array>

namespace sallyport::config {
namespace {

using limits::Configured;
using Role = LimitKey::Role;

// The maximum is 16 times the default, except where the memory or CPU time per unit allows less.
constexpr std::array kKeys{
    // 19 KB of heap for each: 4 GB at the maximum.
    LimitKey{"streams", &Configured::streams, 1, 4 * limits::kStreamsMax},
    // 64 KiB for each (limits.h): 1 GiB at the maximum.
    LimitKey{"unauthenticated", &Configured::unauthenticated, 1, 4 * limits::kUnauthenticatedMax},
    LimitKey{"unauthenticated_per_address", &Configured::unauthenticated_per_address, 1,
             16 * limits::kUnauthenticatedPerAddressMax, Role::kEdge},
    LimitKey{"verifications", &Configured::verifications, 1, 16 * limits::kVerificationsMax},
    // At least one stanza of the maximum size fits.
    LimitKey{"pair_queue_bytes", &Configured::pair_queue_bytes, limits::kCanonicalBytesMax,
             16 * limits::kPairQueueBytesMax, Role::kCore},
    // At most 1 GiB of memory; at least the default limit of one pair.
    LimitKey{"waiting_bytes", &Configured::waiting_bytes, limits::kPairQueueBytesMax,
             16 * limits::kWaitingBytesMax},
    LimitKey{"mints_per_second", &Configured::mints_per_second, 1, 16 * limits::kMintsPerSecondMax,
             Role::kCore},
    LimitKey{"resolver_questions", &Configured::resolver_questions, 1, 16 * limits::kDnsInFlightMax,
             Role::kCore},
};
// A member without a key could not be set.
static_assert(sizeof(Configured) == kKeys.size() * sizeof(std::size_t));

}  // namespace

std::span<const LimitKey> limit_keys() { return kKeys; }

Configured read_limits(TableReader& root, Role role) {
  Configured configured;
  auto table = root.table("limits", "[limits]", Need::kOptional);
  if (!table) return configured;
  for (const LimitKey& key : kKeys) {
    if (key.role != Role::kBoth && key.role != role) {
      table->only_in(key.name, role == Role::kEdge ? "core.toml" : "edge.toml");
    } else if (const auto value = table->integer(key.name, static_cast<std::int64_t>(key.min),
                                                 static_cast<std::int64_t>(key.max))) {
      configured.*key.member = static_cast<std::size_t>(*value);
    }
  }
  table->finish();
  return configured;
}

}  // namespace sallyport::config
