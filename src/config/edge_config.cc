#include "config/edge_config.h"

#include <fmt/format.h>

#include <set>

#include "base/limits.h"
#include "config/file_role.h"
#include "config/limits_config.h"
#include "config/listeners.h"
#include "config/table_reader.h"

namespace sallyport::config {
namespace {

constexpr std::uint16_t kS2sPort = 5269;
constexpr std::uint16_t kLinkPort = 7400;
constexpr std::uint16_t kDnsPort = 53;
constexpr std::uint16_t kMetricsPort = 7481;

auto listener(std::uint16_t default_port) {
  return [default_port](std::string_view text) { return parse_listener(text, default_port); };
}

void read_edge(TableReader& root, EdgeConfig& config, Findings& findings) {
  auto edge = root.table("edge", "[edge]", Need::kRequired);
  if (!edge) return;
  config.name = edge->parsed("name", Need::kRequired, xmpp::Domain::parse).value_or(no_domain());
  config.s2s = edge->list("s2s", Need::kRequired, listener(kS2sPort));
  config.traversal = edge->list("traversal", Need::kRequired, listener(kLinkPort));
  config.control = read_control(*edge, "/run/sallyport/edge.sock", findings);
  config.control_group = edge->text("control_group").value_or("");
  config.metrics = edge->parsed("metrics", Need::kOptional, listener(kMetricsPort));
  config.shards = static_cast<std::size_t>(edge->integer("shards", 1, limits::kShardsMax).value_or(1));
  edge->finish();
  warn_of_public_metrics(*edge, config.metrics, findings);
  Listeners listeners(findings);
  listeners.add(*edge, "s2s", "`s2s` in [edge]", config.s2s);
  listeners.add(*edge, "traversal", "`traversal` in [edge]", config.traversal);
  if (config.metrics) listeners.add(*edge, "metrics", "`metrics` in [edge]", {*config.metrics});
  listeners.report_overlaps();
}

void read_cores(TableReader& root, EdgeConfig& config, Findings& findings) {
  std::set<std::string> names;
  std::set<std::string> pins;
  for (auto& row : root.tables("core", "[[core]]", Need::kRequired)) {
    CoreRow core{.name = row.text("name", Need::kRequired).value_or("")};
    core.pins = row.list("pins", Need::kRequired, parse_pin);
    core.domains = row.list("domains", Need::kOptional, policy::DomainPattern::parse);
    row.finish();
    if (!core.name.empty() && !names.insert(core.name).second) {
      findings.error(row.place("name"), Code::kConfigConflict,
                     fmt::format("two [[core]] rows have the name `{}`", core.name));
    }
    for (const auto& pin : core.pins) {
      // The key alone tells which core is linking.
      if (pins.insert(pin).second) continue;
      findings.error(row.place("pins"), Code::kConfigConflict,
                     fmt::format("the pin {} is listed twice", pin));
    }
    config.cores.push_back(std::move(core));
  }
}

void read_resolver(TableReader& root, EdgeConfig& config, Findings& findings) {
  auto resolver = root.table("resolver", "[resolver]", Need::kOptional);
  if (!resolver) return;
  config.resolver_servers = resolver->list("servers", Need::kOptional, listener(kDnsPort));
  config.trust_anchor = resolver->path("trust_anchor");
  for (const auto& name : resolver->list("insecure", Need::kOptional, xmpp::Domain::parse)) {
    config.resolver_insecure.push_back(name.ascii());
  }
  if (config.trust_anchor.empty() && !config.resolver_insecure.empty()) {
    findings.warn(resolver->place("insecure"), Code::kConfigNoEffect,
                  "`insecure` has no effect: without `trust_anchor` nothing is validated");
  }
  resolver->finish();
}

void read_outbound(TableReader& root, EdgeConfig& config) {
  auto outbound = root.table("outbound", "[outbound]", Need::kOptional);
  if (!outbound) return;
  if (const auto ports = outbound->integers("ports", 1, 65535); !ports.empty()) {
    config.outbound_ports.assign(ports.begin(), ports.end());
  }
  config.allow_networks = outbound->list("allow_networks", Need::kOptional, Network::parse);
  config.refuse_networks = outbound->list("refuse_networks", Need::kOptional, Network::parse);
  config.bind = outbound->list("bind", Need::kOptional, parse_ip_text);
  outbound->finish();
}

}  // namespace

Loaded<EdgeConfig> parse_edge_config(std::string_view text, const std::string& file) {
  Findings findings(file);
  EdgeConfig config{.file = file, .name = no_domain()};
  const TomlDocument document = parse_toml(text);
  if (!document.error.empty()) {
    findings.error(document.error_place, Code::kConfigSyntax, document.error);
    return std::move(findings).finish(std::move(config));
  }
  if (refuse_other_role(document.root, FileRole::kEdge, findings))
    return std::move(findings).finish(std::move(config));
  TableReader root(document.root, {}, "", findings);
  read_edge(root, config, findings);
  config.identity = read_identity(root);
  read_cores(root, config, findings);
  read_resolver(root, config, findings);
  read_outbound(root, config);
  config.limits = read_limits(root, LimitKey::Role::kEdge, findings);
  root.finish();
  return std::move(findings).finish(std::move(config));
}

}  // namespace sallyport::config
