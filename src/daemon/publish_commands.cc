// dns records, ports: from configuration files, or from a running door.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>

#include "daemon/control_client.h"
#include "daemon/file.h"
#include "daemon/load.h"
#include "daemon/publish.h"
#include "daemon/report.h"
#include "daemon/run.h"
#include "daemon/table.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

// Files that are named, else those of `usual` that exist; none when a door is to be asked.
std::vector<std::string> files_of(const Invocation& invocation, std::initializer_list<const char*> usual) {
  std::vector<std::string> files;
  if (invocation.has("--control")) return files;
  files = invocation.values("--config");
  if (!files.empty()) return files;
  for (const char* one : usual) {
    if (file_exists(one)) files.emplace_back(one);
  }
  return files;
}

// The answer of a running door; a refusal is complained about.
std::optional<json::object> from_door(const Invocation& invocation, const json::object& question,
                                      Exit& exit) {
  std::optional<json::object> answer = ask_for(invocation, question, exit);
  if (!answer || !answer->contains("error")) return answer;
  if (invocation.has("--json")) {
    print(json::serialize(*answer) + "\n");
  } else {
    complain(show_error(object_at(*answer, "error")));
  }
  exit = Exit::kFailed;
  return std::nullopt;
}

std::optional<json::object> records_of_file(const std::string& file, std::uint16_t port) {
  const auto core = load_core_config(file);
  if (!report(core.errors, {}, core.value.has_value())) return std::nullopt;
  const auto policy = load_policy_config(*core.value);
  if (!report(policy.errors, {}, policy.value.has_value())) return std::nullopt;
  return records_answer(srv_records(core.value->edges, policy.value->served, port));
}

bool add_ports(const std::string& file, std::vector<PortRow>& rows) {
  const Result<std::string> text = read_file(file);
  if (text && file_role_of(*text) == FileRole::kEdge) {
    const auto edge = load_edge_config(file);
    if (!report(edge.errors, {}, edge.value.has_value())) return false;
    std::ranges::move(edge_ports(*edge.value), std::back_inserter(rows));
    return true;
  }
  const auto core = load_core_config(file);
  if (!report(core.errors, {}, core.value.has_value())) return false;
  const auto policy = load_policy_config(*core.value);
  if (!report(policy.errors, {}, policy.value.has_value())) return false;
  std::ranges::move(core_ports(*core.value, policy.value->served), std::back_inserter(rows));
  return true;
}

std::optional<std::uint16_t> port_of(const std::string& text) {
  std::uint16_t port = 0;
  const char* last = text.data() + text.size();
  const auto [end, bad] = std::from_chars(text.data(), last, port);
  if (bad != std::errc{} || end != last || port == 0) return std::nullopt;
  return port;
}

}  // namespace

Exit run_dns_records(const Invocation& invocation) {
  const auto port = port_of(invocation.value("--port", "5269"));
  if (!port) {
    complain(fmt::format("--port: `{}` is not a port", invocation.value("--port")));
    return Exit::kUsage;
  }
  Exit exit = Exit::kConfiguration;
  const std::vector<std::string> files = files_of(invocation, {kCoreFile});
  const auto answer =
      files.empty() ? from_door(invocation, {{"ask", "dns records"}, {"port", std::to_string(*port)}}, exit)
                    : records_of_file(files.front(), *port);
  if (!answer) return exit;
  print(invocation.has("--json") ? json::serialize(*answer) + "\n" : show_records(*answer));
  return Exit::kGood;
}

Exit run_ports(const Invocation& invocation) {
  std::vector<PortRow> rows;
  const std::vector<std::string> files = files_of(invocation, {kEdgeFile, kCoreFile});
  for (const std::string& file : files) {
    if (!add_ports(file, rows)) return Exit::kConfiguration;
  }
  if (files.empty()) {
    Exit exit = Exit::kGood;
    const auto answer = from_door(invocation, {{"ask", "ports"}}, exit);
    if (!answer) return exit;
    rows = port_rows_of(*answer);
  }
  if (invocation.has("--nft")) {
    print(nft_rules(rows));
  } else {
    print(invocation.has("--json") ? json::serialize(ports_answer(rows)) + "\n" : show_ports(rows));
  }
  return Exit::kGood;
}

}  // namespace sallyport::daemon
