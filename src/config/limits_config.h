// [limits] in edge.toml and core.toml: the limits that an administrator may set (docs/limits.md).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/limits.h"
#include "config/table_reader.h"

namespace sallyport::config {

// A key of [limits]. Its default is the value of the member in limits::Configured{}.
struct LimitKey {
  // The node for which the key is valid. On the other one the key is an error.
  enum class Role : std::uint8_t { kBoth, kEdge, kCore };

  std::string_view name;  // the name of the member
  std::size_t limits::Configured::*member;
  std::size_t min;  // both inclusive
  std::size_t max;
  Role role = Role::kBoth;
};

// Every key, in the order of limits::Configured.
std::span<const LimitKey> limit_keys();

// Reads [limits], which is optional, on a node of that role (kEdge or kCore). A key that is unknown, belongs
// to the other role, has the wrong type or is out of range becomes a finding, and its default applies. A
// bound that is above the bound of what it is a part of is a warning. `memory` is [delivery] memory, which
// sets `waiting_bytes` in its place; a file that has both is an error (kConfigConflict).
limits::Configured read_limits(TableReader& root, LimitKey::Role role, Findings& findings,
                               std::optional<std::size_t> memory = std::nullopt);

}  // namespace sallyport::config
