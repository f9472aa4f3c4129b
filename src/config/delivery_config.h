// [delivery] in core.toml: the bounds of what waits (docs/delivery.md).
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "config/core_config.h"
#include "config/table_reader.h"

namespace sallyport::config {

// The values that `spool_max`, `lifetime` and `lifetime_memory` may have, both inclusive. Those of `memory`
// are those of [limits] waiting_bytes.
inline constexpr std::uint64_t kSpoolMaxLeast = 16ULL * 1024 * 1024;
inline constexpr std::uint64_t kSpoolMaxMost = 1024ULL * 1024 * 1024 * 1024;
inline constexpr std::chrono::seconds kLifetimeLeast = std::chrono::minutes(1);
inline constexpr std::chrono::seconds kLifetimeMost = std::chrono::days(30);
inline constexpr std::chrono::seconds kLifetimeMemoryLeast = std::chrono::seconds(10);
inline constexpr std::chrono::seconds kLifetimeMemoryMost = std::chrono::hours(1);

struct DeliveryTable {
  DeliveryConfig config;
  std::optional<std::size_t> memory;  // sets limits.waiting_bytes
};

// Reads [delivery], which is optional. `state` is the path of [core] state.
DeliveryTable read_delivery(TableReader& root, const std::string& state, Findings& findings);

}  // namespace sallyport::config
