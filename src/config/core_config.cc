#include "config/core_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/limits.h"
#include "config/delivery_config.h"
#include "config/file_role.h"
#include "config/limits_config.h"
#include "config/listeners.h"
#include "config/table_reader.h"
#include "dns/address.h"

namespace sallyport::config {
namespace {

constexpr std::uint16_t kS2sPort = 5269;
constexpr std::uint16_t kLinkPort = 7400;
constexpr std::uint16_t kDnsPort = 53;
constexpr std::uint16_t kMetricsPort = 7482;
constexpr std::uint16_t kAdminPort = 7480;

auto listener(std::uint16_t default_port) {
  return [default_port](std::string_view text) { return parse_listener(text, default_port); };
}

std::optional<Trust> read_trust(TableReader& table) {
  return table.choice<Trust>("trust", {{"minted", Trust::kMinted}, {"dialback", Trust::kDialback}});
}

void read_core(TableReader& root, CoreConfig& config, Listeners& listeners, Findings& findings) {
  auto core = root.table("core", "[core]", Need::kRequired);
  if (!core) return;
  config.name = core->parsed("name", Need::kRequired, xmpp::Domain::parse).value_or(no_domain());
  config.s2s = core->list("s2s", Need::kRequired, listener(kS2sPort));
  config.control = read_control(*core, "/run/sallyport/core.sock", findings);
  config.control_group = core->text("control_group").value_or("");
  config.metrics = core->parsed("metrics", Need::kOptional, listener(kMetricsPort));
  config.state = core->path("state");
  if (config.state.empty()) config.state = "/var/lib/sallyport";
  config.policy = core->path("policy", Need::kRequired);
  config.dialback_secret = core->path("dialback_secret");
  config.shards = static_cast<std::size_t>(core->integer("shards", 1, limits::kShardsMax).value_or(1));
  core->finish();
  warn_of_public_metrics(*core, config.metrics, findings);
  listeners.add(*core, "s2s", "`s2s` in [core]", config.s2s);
  if (config.metrics) listeners.add(*core, "metrics", "`metrics` in [core]", {*config.metrics});
}

void read_edges(TableReader& root, CoreConfig& config, Findings& findings) {
  std::set<xmpp::Domain> names{config.name};
  std::set<HostPort> addresses;
  for (auto& row : root.tables("edge", "[[edge]]", Need::kRequired)) {
    const auto address_form = [](std::string_view text) { return HostPort::parse(text, kLinkPort); };
    const auto name = row.parsed("name", Need::kRequired, xmpp::Domain::parse);
    const auto address = row.parsed("address", Need::kRequired, address_form);
    EdgeRow edge{.name = name.value_or(no_domain()), .address = address.value_or(HostPort{})};
    edge.pins = row.list("pins", Need::kRequired, parse_pin);
    row.finish();
    if (name && !names.insert(*name).second) {
      findings.error(row.place("name"), Code::kConfigConflict,
                     fmt::format("`{}` is the name of another edge or of the core", name->ascii()));
    }
    if (address && !addresses.insert(*address).second) {
      findings.error(row.place("address"), Code::kConfigConflict,
                     fmt::format("another [[edge]] has the address {}", address->text()));
    }
    config.edges.push_back(std::move(edge));
  }
}

void read_internal(TableReader& root, CoreConfig& config, Findings& findings) {
  auto internal = root.table("internal", "[internal]", Need::kOptional);
  if (!internal) return;
  config.internal_names = internal->list("names", Need::kOptional, policy::DomainPattern::parse);
  config.trust = read_trust(*internal).value_or(Trust::kMinted);
  config.ca_certificate = internal->path("ca_certificate");
  config.ca_key = internal->path("ca_key");
  config.server_ca = internal->path("server_ca");
  internal->finish();
  if (config.ca_certificate.empty() != config.ca_key.empty()) {
    findings.error(internal->place(), Code::kConfigMissing,
                   "`ca_certificate` and `ca_key` in [internal] are given both or not at all");
  }
}

void read_dns(TableReader& root, CoreConfig& config, Listeners& listeners, Findings& findings) {
  auto table = root.table("dns", "[dns]", Need::kOptional);
  if (!table) return;
  DnsConfig dns;
  dns.listen = table->list("listen", Need::kRequired, listener(kDnsPort));
  dns.upstream = table->list("upstream", Need::kRequired, listener(kDnsPort));
  dns.clients = table->list("clients", Need::kRequired, Network::parse);
  table->finish();
  listeners.add(*table, "listen", "`listen` in [dns]", dns.listen);
  for (const auto& own : dns.listen) {
    if (std::ranges::find(dns.upstream, own) == dns.upstream.end()) continue;
    findings.error(table->place("upstream"), Code::kConfigConflict,
                   fmt::format("`upstream` in [dns] is {}, where this resolver itself listens", own.text()));
  }
  config.dns = std::move(dns);
}

bool is_loopback(const HostPort& address) {
  const auto ip = dns::Ip::parse(address.host);
  return ip && dns::classify(*ip, false) == dns::AddressKind::kLoopback;
}

void read_admin(TableReader& root, CoreConfig& config, Listeners& listeners, Findings& findings) {
  constexpr std::string_view kUnix = "unix:";
  auto table = root.table("admin", "[admin]", Need::kOptional);
  if (!table) return;
  AdminConfig admin;
  bool within_this_host = true;
  const auto listen_form = [&](std::string_view text) -> Result<std::string> {
    if (text.starts_with(kUnix) && text.size() > kUnix.size()) {
      return std::string(kUnix) + resolve_path(findings.file(), text.substr(kUnix.size()));
    }
    const auto address = parse_listener(text, kAdminPort);
    if (!address) return address.error();
    within_this_host = is_loopback(*address);
    listeners.add(*table, "listen", "`listen` in [admin]", {*address});
    return address->text();
  };
  admin.listen = table->parsed("listen", Need::kRequired, listen_form).value_or("");
  admin.tokens_file = table->path("tokens_file", Need::kRequired);
  admin.certificate = table->path("certificate");
  admin.key = table->path("key");
  admin.hosts = table->list("hosts", Need::kOptional,
                            [](std::string_view text) { return Result<std::string>(std::string(text)); });
  table->finish();
  if (admin.certificate.empty() != admin.key.empty()) {
    findings.error(table->place(), Code::kConfigMissing,
                   "`certificate` and `key` in [admin] are given both or not at all");
  } else if (!within_this_host && admin.certificate.empty()) {
    findings.error(table->place("listen"), Code::kConfigMissing,
                   "[admin] listens beyond this host, so it needs `certificate` and `key`");
  }
  config.admin = std::move(admin);
}

}  // namespace

Loaded<CoreConfig> parse_core_config(std::string_view text, const std::string& file) {
  Findings findings(file);
  CoreConfig config{.file = file, .name = no_domain()};
  const TomlDocument document = parse_toml(text);
  if (!document.error.empty()) {
    findings.error(document.error_place, Code::kConfigSyntax, document.error);
    return std::move(findings).finish(std::move(config));
  }
  if (refuse_other_role(document.root, FileRole::kCore, findings))
    return std::move(findings).finish(std::move(config));
  TableReader root(document.root, {}, "", findings);
  Listeners listeners(findings);
  read_core(root, config, listeners, findings);
  config.identity = read_identity(root);
  read_edges(root, config, findings);
  read_internal(root, config, findings);
  read_dns(root, config, listeners, findings);
  if (auto certificates = root.table("certificates", "[certificates]", Need::kRequired)) {
    config.certificates = certificates->path("directory", Need::kRequired);
    certificates->finish();
  }
  DeliveryTable delivery = read_delivery(root, config.state, findings);
  config.delivery = std::move(delivery.config);
  read_admin(root, config, listeners, findings);
  listeners.report_overlaps();
  config.limits = read_limits(root, LimitKey::Role::kCore, findings, delivery.memory);
  root.finish();
  return std::move(findings).finish(std::move(config));
}

}  // namespace sallyport::config
