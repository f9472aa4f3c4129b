#include "config/limits_config.h"

#include <fmt/format.h>

#include <array>

namespace sallyport::config {
namespace {

using limits::Configured;
using Role = LimitKey::Role;

// The maximum is 16 times the default, except where the memory or CPU time per unit allows less, or where it
// is a time.
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
    LimitKey{"dead_peer_seconds", &Configured::dead_peer_seconds, 15, 900},
};
// A member without a key could not be set.
static_assert(sizeof(Configured) == kKeys.size() * sizeof(std::size_t));

// A part that the file sets above the whole is never reached.
void warn_if_above(const TableReader& table, std::string_view part, std::size_t part_value,
                   std::string_view whole, std::size_t whole_value, Findings& findings) {
  if (part_value <= whole_value || table.places(part).empty()) return;
  findings.warn(table.place(part), Code::kConfigConflict,
                fmt::format("`{}` ({}) in [limits] has no effect above `{}` ({})", part, part_value, whole,
                            whole_value));
}

}  // namespace

std::span<const LimitKey> limit_keys() { return kKeys; }

Configured read_limits(TableReader& root, Role role, Findings& findings, std::optional<std::size_t> memory) {
  Configured configured;
  if (memory) configured.waiting_bytes = *memory;
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
  if (memory && !table->places("waiting_bytes").empty()) {
    findings.error(
        table->place("waiting_bytes"), Code::kConfigConflict,
        "`waiting_bytes` in [limits] and `memory` in [delivery] set the same bound; remove one of them");
    return configured;
  }
  warn_if_above(*table, "unauthenticated", configured.unauthenticated, "streams", configured.streams,
                findings);
  warn_if_above(*table, "unauthenticated_per_address", configured.unauthenticated_per_address,
                "unauthenticated", configured.unauthenticated, findings);
  warn_if_above(*table, "pair_queue_bytes", configured.pair_queue_bytes, memory ? "memory" : "waiting_bytes",
                configured.waiting_bytes, findings);
  return configured;
}

}  // namespace sallyport::config
