#include "config/file_role.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <variant>

#include "config/table_reader.h"

namespace sallyport::config {

std::optional<FileRole> file_role_of(const TomlTable& root) {
  static constexpr std::array<std::string_view, 7> kPolicyTables{
      "federation", "domain", "chat_node", "static_route", "allow", "deny", "peer"};
  std::optional<FileRole> found;
  for (const TomlEntry& entry : root) {
    std::optional<FileRole> role;
    const bool one_table = std::holds_alternative<TomlTable>(entry.value.data);
    if (one_table && entry.key == "edge") role = FileRole::kEdge;
    if (one_table && entry.key == "core") role = FileRole::kCore;
    if (std::ranges::find(kPolicyTables, entry.key) != kPolicyTables.end()) role = FileRole::kPolicy;
    if (!role) continue;
    if (found && *found != *role) return std::nullopt;
    found = role;
  }
  return found;
}

std::string_view file_role_name(FileRole role) {
  switch (role) {
    case FileRole::kEdge:
      return "edge.toml";
    case FileRole::kCore:
      return "core.toml";
    case FileRole::kPolicy:
      return "policy.toml";
  }
  return "";
}

bool refuse_other_role(const TomlTable& root, FileRole wanted, Findings& findings) {
  const auto role = file_role_of(root);
  if (!role || *role == wanted) return false;
  const std::string_view kind = wanted == FileRole::kEdge ? "an" : "a";
  findings.error(
      {}, Code::kConfigRole,
      fmt::format("this looks like {} {}; {} {} is expected here", *role == FileRole::kEdge ? "an" : "a",
                  file_role_name(*role), kind, file_role_name(wanted)));
  return true;
}

}  // namespace sallyport::config
