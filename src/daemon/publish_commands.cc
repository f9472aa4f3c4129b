// dns records, ports: from configuration files, or from a running node.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <charconv>
#include <map>

#include "daemon/control_client.h"
#include "daemon/file.h"
#include "daemon/load.h"
#include "daemon/nft.h"
#include "daemon/publish.h"
#include "daemon/report.h"
#include "daemon/run.h"
#include "daemon/table.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

// The files of -c, else those of `usual` that exist; none when a node is to be asked.
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

// The answer of a running node; a refusal is printed.
std::optional<json::object> from_daemon(const Invocation& invocation, const json::object& question,
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

// The rows of each file.
struct PortFiles {
  std::vector<PortRow> cores;
  std::vector<std::vector<PortRow>> edges;
};

bool add_ports(const std::string& file, PortFiles& files) {
  const Result<std::string> text = read_file(file);
  if (text && file_role_of(*text) == FileRole::kEdge) {
    const auto edge = load_edge_config(file);
    if (!report(edge.errors, {}, edge.value.has_value())) return false;
    files.edges.push_back(edge_ports(*edge.value));
    return true;
  }
  const auto core = load_core_config(file);
  if (!report(core.errors, {}, core.value.has_value())) return false;
  const auto policy = load_policy_config(*core.value);
  if (!report(policy.errors, {}, policy.value.has_value())) return false;
  std::ranges::move(core_ports(*core.value, *policy.value), std::back_inserter(files.cores));
  return true;
}

// --address PARTY=ADDRESS, or HOST=ADDRESS
bool take_addresses(const Invocation& invocation, std::vector<PortRow>& rows) {
  std::map<std::string, std::vector<std::string>> given;
  for (const std::string& word : invocation.values("--address")) {
    const std::size_t sign = word.rfind('=');
    const std::string address = sign == std::string::npos ? "" : word.substr(sign + 1);
    const auto ip = dns::Ip::parse(address);
    if (ip && dns::classify(*ip, false) == dns::AddressKind::kUnspecified) {
      complain(fmt::format("--address: `{}` names no address; give the one that the party uses", word));
      return false;
    }
    if (!config::Network::parse(address)) {
      complain(fmt::format("--address: `{}` is not PARTY=ADDRESS with an IP address or network", word));
      return false;
    }
    given[word.substr(0, sign)].push_back(address);
  }
  for (const auto& [party, addresses] : given) {
    if (add_addresses(rows, party, addresses)) continue;
    complain(fmt::format("--address: no row of the table names `{}` as a party or host", party));
    return false;
  }
  return true;
}

// An incomplete ruleset would block the traffic of the missing rows, so none is printed.
Exit report_missing(const NftRules& rules) {
  std::string text = "No rule can be made for:";
  for (const std::string& row : rules.missing) text += "\n  " + row;
  return failed(
      {Code::kConfigMissing, text},
      "Give the addresses with --address, as in --address edge=203.0.113.5 --address core=10.0.0.5, or "
      "--address xmpp.corp.example=10.0.0.6 for a host that the table names; "
      "or give both edge.toml and core.toml with -c; or write addresses in place of 0.0.0.0, [::] and "
      "names in the files.");
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
    complain(fmt::format("--port: `{}` is not a port number", invocation.value("--port")));
    return Exit::kUsage;
  }
  Exit exit = Exit::kConfiguration;
  const std::vector<std::string> files = files_of(invocation, {kCoreFile});
  const auto answer =
      files.empty() ? from_daemon(invocation, {{"ask", "dns records"}, {"port", std::to_string(*port)}}, exit)
                    : records_of_file(files.front(), *port);
  if (!answer) return exit;
  print(invocation.has("--json") ? json::serialize(*answer) + "\n" : show_records(*answer));
  return Exit::kGood;
}

Exit run_ports(const Invocation& invocation) {
  PortFiles found;
  const std::vector<std::string> files = files_of(invocation, {kEdgeFile, kCoreFile});
  for (const std::string& file : files) {
    if (!add_ports(file, found)) return Exit::kConfiguration;
  }
  if (files.empty()) {
    Exit exit = Exit::kGood;
    const auto answer = from_daemon(invocation, {{"ask", "ports"}}, exit);
    if (!answer) return exit;
    found.cores = port_rows_of(*answer);
  }
  std::vector<PortRow> rows = merged_rows(std::move(found.cores), std::move(found.edges));
  if (!take_addresses(invocation, rows)) return Exit::kUsage;
  if (invocation.has("--nft")) {
    const NftRules rules = nft_rules(rows);
    if (!rules.missing.empty()) return report_missing(rules);
    print(invocation.has("--json") ? json::serialize(json::object{{"nft", rules.text}}) + "\n" : rules.text);
  } else {
    print(invocation.has("--json") ? json::serialize(ports_answer(rows)) + "\n" : show_ports(rows));
  }
  return Exit::kGood;
}

}  // namespace sallyport::daemon
