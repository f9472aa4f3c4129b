// check config: reports every error of every file, and of the files that they name.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <filesystem>

#include "config/toml.h"
#include "daemon/file.h"
#include "daemon/load.h"
#include "daemon/report.h"
#include "daemon/run.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

struct Collected {
  std::vector<config::Finding> errors;
  std::vector<config::Finding> warnings;
};

struct Given {
  std::string path;
  std::string text;
  FileRole role;
};

template <typename T>
void take(Collected& into, config::Loaded<T> loaded) {
  into.errors.insert(into.errors.end(), loaded.errors.begin(), loaded.errors.end());
  into.warnings.insert(into.warnings.end(), loaded.warnings.begin(), loaded.warnings.end());
}

std::optional<FileRole> role_named(const std::string& name) {
  if (name == "edge") return FileRole::kEdge;
  if (name == "core") return FileRole::kCore;
  if (name == "policy") return FileRole::kPolicy;
  return std::nullopt;
}

// The role by the file's tables, else by its name. A file that is not valid TOML and has no telling name is
// checked as an edge's: the position of its syntax error is the same for every role.
std::optional<FileRole> role_of(const std::string& path, const std::string& text) {
  if (const auto role = file_role_of(text)) return role;
  if (const auto role = role_named(std::filesystem::path(path).stem().string())) return role;
  return config::parse_toml(text).error.empty() ? std::nullopt : std::optional(FileRole::kEdge);
}

// A core.toml that has an edge's tables is checked as an edge's, but started as a core's.
void warn_of_name(const std::string& path, FileRole role, Collected& into) {
  const auto named = role_named(std::filesystem::path(path).stem().string());
  if (!named || *named == role) return;
  into.warnings.push_back(finding_of(
      path, {Code::kConfigRole, fmt::format("has the tables of {}, not of {}", config::file_role_name(role),
                                            config::file_role_name(*named))}));
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code failed;
  return std::filesystem::equivalent(a, b, failed) && !failed;
}

// The core.toml of a policy's folder, or of the folder that holds that one.
std::string core_beside(const std::string& policy) {
  const std::filesystem::path folder = std::filesystem::path(policy).parent_path();
  const std::string above = (folder / ".." / "core.toml").string();
  const std::string beside = (folder / "core.toml").string();
  return !file_exists(beside) && file_exists(above) ? above : beside;
}

// Checks a policy with the core.toml whose internal names it must respect: one that is given with it, else
// the core.toml in its folder or the one above. False when there is neither.
bool check_policy_file(const Given& policy, const std::vector<Given>& all, UnixTime now, Collected& into) {
  const auto given = std::ranges::find(all, FileRole::kCore, &Given::role);
  const std::string path = given != all.end() ? given->path : core_beside(policy.path);
  if (given == all.end() && !file_exists(path)) return false;
  const auto core = load_core_config(path);
  if (given == all.end()) into.errors.insert(into.errors.end(), core.errors.begin(), core.errors.end());
  // A core.toml that is given is checked with the policy that it names.
  if (core.value && (given == all.end() || !same_file(core.value->policy, policy.path))) {
    config::Loaded<config::PolicyConfig> loaded =
        config::parse_policy(policy.text, policy.path, *core.value, now);
    if (loaded.value && !loaded.value->trusted_ca.empty())
      check_authorities(loaded.value->trusted_ca, loaded.errors);
    take(into, std::move(loaded));
  }
  return true;
}

json::array listed(const std::vector<config::Finding>& findings) {
  json::array list;
  for (const config::Finding& finding : findings) {
    list.push_back({{"code", code_row(finding.code).name},
                    {"file", finding.file},
                    {"line", finding.line},
                    {"column", finding.column},
                    {"text", finding.text}});
  }
  return list;
}

}  // namespace

Exit run_check_config(const Invocation& invocation) {
  const UnixTime now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  Collected found;
  std::vector<Given> given;
  std::vector<std::string> paths = invocation.arguments;
  std::ranges::move(invocation.values("--config"), std::back_inserter(paths));
  if (paths.empty()) {
    complain("check config: FILE is required.");
    return Exit::kUsage;
  }
  for (const std::string& path : paths) {
    Result<std::string> text = read_file(path);
    if (!text) {
      found.errors.push_back(unreadable_finding(path, text.error()));
      continue;
    }
    const auto role =
        invocation.has("--role") ? role_named(invocation.value("--role")) : role_of(path, *text);
    if (!role) {
      complain(fmt::format(
          "{}: the tables are not those of edge.toml, core.toml or policy.toml; name the role with --role.",
          path));
      return Exit::kUsage;
    }
    if (!invocation.has("--role")) warn_of_name(path, *role, found);
    given.push_back({path, std::move(*text), *role});
  }
  for (const Given& file : given) {
    if (file.role == FileRole::kEdge) take(found, load_edge(file.path, now));
    if (file.role == FileRole::kCore) take(found, load_core(file.path, now));
    if (file.role == FileRole::kPolicy && !check_policy_file(file, given, now, found)) {
      complain(
          fmt::format("{}: the policy is checked with the internal names of a core.toml; name that file too.",
                      file.path));
      return Exit::kUsage;
    }
  }
  if (invocation.has("--json")) {
    json::object answer{{"errors", listed(found.errors)}, {"warnings", listed(found.warnings)}};
    add_error_of(found.errors, answer);
    print(json::serialize(answer) + "\n");
  } else {
    report(found.errors, found.warnings, true);
    if (found.errors.empty()) print("No errors.\n");
  }
  return found.errors.empty() ? Exit::kGood : Exit::kConfiguration;
}

}  // namespace sallyport::daemon
