// Recognises which of the three configuration files a document is, by its tables.
#pragma once

#include <optional>
#include <string_view>

#include "config/toml.h"

namespace sallyport::config {

enum class FileRole : std::uint8_t { kEdge, kCore, kPolicy };

// [edge] belongs to edge.toml, [core] to core.toml, [federation], [[domain]] and similar to policy.toml.
// Returns nothing if no table decides, or if they disagree. ([[core]] is in edge.toml and [[edge]] in
// core.toml.)
std::optional<FileRole> file_role_of(const TomlTable& root);
// "edge.toml"
std::string_view file_role_name(FileRole role);
// Reports (kConfigRole) a document that is another file than `wanted`. Returns true if it is: other findings
// about its tables would be misleading.
class Findings;
bool refuse_other_role(const TomlTable& root, FileRole wanted, Findings& findings);

}  // namespace sallyport::config
