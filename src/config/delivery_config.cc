#include "config/delivery_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/limits_config.h"
#include "config/quantity.h"

namespace sallyport::config {

DeliveryTable read_delivery(TableReader& root, const std::string& state, Findings& findings) {
  DeliveryTable read;
  read.config.spool = resolve_path(state + "/", "spool.db");
  auto table = root.table("delivery", "[delivery]", Need::kOptional);
  if (!table) return read;
  const auto waiting = std::ranges::find(limit_keys(), "waiting_bytes", &LimitKey::name);
  if (const auto memory = table->size("memory", waiting->min, waiting->max))
    read.memory = static_cast<std::size_t>(*memory);
  if (const auto spool = table->text("spool")) read.config.spool = resolve_path(state + "/", *spool);
  if (const auto bytes = table->size("spool_max", kSpoolMaxLeast, kSpoolMaxMost))
    read.config.spool_bytes = *bytes;
  const auto lifetime = table->duration("lifetime", kLifetimeLeast, kLifetimeMost);
  const auto in_memory = table->duration("lifetime_memory", kLifetimeMemoryLeast, kLifetimeMemoryMost);
  table->finish();
  read.config.lifetime = lifetime.value_or(read.config.lifetime);
  read.config.lifetime_memory = in_memory.value_or(read.config.lifetime_memory);
  // Without `lifetime` it is a day, and `lifetime_memory` is at most an hour.
  if (lifetime && *lifetime < read.config.lifetime_memory) {
    findings.error(table->place("lifetime"), Code::kConfigConflict,
                   fmt::format("`lifetime` ({}) in [delivery] is less than `lifetime_memory` ({})",
                               duration_text(*lifetime), duration_text(read.config.lifetime_memory)));
  }
  return read;
}

}  // namespace sallyport::config
