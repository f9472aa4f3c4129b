// Which of the three configuration files a document is, by its tables.
#pragma once

#include <optional>
#include <string_view>

#include "config/toml.h"

namespace sallyport::config {

enum class FileRole : std::uint8_t { kEdge, kCore, kPolicy };

// [edge] is edge.toml's, [core] core.toml's, [federation], [[domain]] and their like policy.toml's; nothing
// when the tables do not tell, or tell two things. ([[core]] stands in edge.toml and [[edge]] in core.toml.)
std::optional<FileRole> file_role_of(const TomlTable& root);
// "edge.toml"
std::string_view file_role_name(FileRole role);
// Reports (kConfigRole) a document that is another file than `wanted`. True when it did: whatever else could
// be said of its tables would lead astray.
class Findings;
bool refuse_other_role(const TomlTable& root, FileRole wanted, Findings& findings);

}  // namespace sallyport::config
