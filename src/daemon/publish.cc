#include "daemon/publish.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>
#include <optional>

#include "base/log.h"
#include "daemon/table.h"
#include "dns/address.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;
using route::HostPort;

bool is_any(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

// The hosts of a list of addresses, each once, without the wildcard addresses.
std::vector<std::string> hosts_of(const std::vector<HostPort>& all) {
  std::vector<std::string> hosts;
  for (const HostPort& one : all) {
    if (!is_any(one.host) && std::ranges::find(hosts, one.host) == hosts.end()) hosts.push_back(one.host);
  }
  return hosts;
}

// One row per port, so that each row is exact.
void add_rows(std::vector<PortRow>& rows, const PortRow& row, const std::vector<HostPort>& to) {
  std::map<std::uint16_t, std::vector<HostPort>> by_port;
  for (const HostPort& one : to) by_port[one.port].push_back(one);
  for (const auto& [port, hosts] : by_port) {
    PortRow made = row;
    made.ports = {port};
    made.to_addresses = hosts_of(hosts);
    rows.push_back(std::move(made));
  }
}

// "10.0.0.0/8" as configured, from the 128-bit form.
std::string text_of(const config::Network& network) {
  static constexpr std::array<std::uint8_t, 12> kV4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool v4 = network.prefix >= 96 && std::equal(kV4.begin(), kV4.end(), network.address.begin());
  return fmt::format("{}/{}", dns::Ip{network.address}.text(), v4 ? network.prefix - 96 : network.prefix);
}

// "ip saddr { a, b } " for the addresses of one family; empty when there are none.
std::string matched(const std::vector<std::string>& addresses, std::string_view side, bool v6) {
  std::vector<std::string> family;
  for (const std::string& address : addresses) {
    if ((address.find(':') != std::string::npos) == v6) family.push_back(address);
  }
  if (family.empty()) return {};
  return fmt::format("{} {} {{ {} }} ", v6 ? "ip6" : "ip", side, fmt::join(family, ", "));
}

bool is_literal(const std::string& address) {
  return address.find('/') != std::string::npos || dns::Ip::parse(address).has_value();
}

std::vector<std::string> literals_of(const std::vector<std::string>& addresses) {
  std::vector<std::string> out;
  std::ranges::copy_if(addresses, std::back_inserter(out), is_literal);
  return out;
}

constexpr std::string_view kOutbound = "s2s outbound";
constexpr std::string_view kStaticRoute = "s2s outbound, static route";

// Federated servers have public addresses: a rule for them must not match internal networks.
constexpr std::string_view kFederated = "federated server";
constexpr std::string_view kPrivateV4 =
    "10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16";
constexpr std::string_view kPrivateV6 = "::1, fc00::/7, fe80::/10";

// The match of a rule for one party; empty where it has no address of this family.
std::string party_of(const std::string& name, const std::vector<std::string>& literals, std::string_view side,
                     bool v6) {
  if (!literals.empty() || name != kFederated) return matched(literals, side, v6);
  return fmt::format("{} {} != {{ {} }} ", v6 ? "ip6" : "ip", side, v6 ? kPrivateV6 : kPrivateV4);
}

// The party whose address is required and unknown: a rule without it would accept too much.
std::optional<std::string> unknown_party(const PortRow& row) {
  if (row.from != kFederated && literals_of(row.from_addresses).empty()) return row.from;
  if (row.to != kFederated && literals_of(row.to_addresses).empty()) return row.to;
  return std::nullopt;
}

// The lines of one row for one family.
std::string nft_lines(const PortRow& row, bool v6) {
  const std::string from = party_of(row.from, literals_of(row.from_addresses), "saddr", v6);
  const std::string to = party_of(row.to, literals_of(row.to_addresses), "daddr", v6);
  if (from.empty() || to.empty()) return {};
  std::string out;
  for (const std::string_view protocol : {"tcp", "udp"}) {
    if (protocol == "udp" && !row.udp) continue;
    out += fmt::format("    {}{}{} dport {{ {} }} ct state new counter accept comment \"{} -> {}: {}\"\n",
                       from, to, protocol, fmt::join(row.ports, ", "), row.from, row.to, row.why);
  }
  return out;
}

std::vector<std::string> texts_at(const json::object& object, std::string_view name) {
  std::vector<std::string> out;
  for (const json::value& one : list_at(object, name)) {
    if (one.is_string()) out.emplace_back(one.get_string());
  }
  return out;
}

}  // namespace

std::vector<PublicSrv> srv_records(const std::vector<config::EdgeRow>& edges,
                                   const std::vector<config::Served>& all, std::uint16_t port) {
  std::vector<PublicSrv> records;
  for (const config::Served& served : all) {
    for (const config::EdgeRow& edge : edges) {
      records.push_back(
          {fmt::format("_xmpp-server._tcp.{}.", served.name.ascii()), port, edge.name.ascii() + "."});
    }
  }
  return records;
}

std::vector<PortRow> edge_ports(const config::EdgeConfig& edge) {
  std::vector<PortRow> rows;
  const std::vector<std::string> self = hosts_of(edge.s2s);
  const std::vector<std::string> out = edge.bind.empty() ? self : edge.bind;
  add_rows(rows, {"core", {}, "edge", {}, false, {}, "the link between edge and core"}, edge.traversal);
  add_rows(rows, {"federated server", {}, "edge", {}, false, {}, "s2s inbound"}, edge.s2s);
  rows.push_back({"edge", out, "federated server", {}, false, edge.outbound_ports, std::string(kOutbound)});
  std::vector<std::string> allowed;
  for (const config::Network& network : edge.allow_networks) allowed.push_back(text_of(network));
  if (!allowed.empty()) {
    rows.push_back({"edge", out, "federated server", allowed, false, edge.outbound_ports,
                    "s2s outbound, allow_networks"});
  }
  const PortRow dns{
      "edge", out, "its DNS resolver", {}, true, {53}, "SRV and addresses of federated servers"};
  if (edge.resolver_servers.empty()) {
    rows.push_back(dns);
  } else {
    add_rows(rows, dns, edge.resolver_servers);
  }
  return rows;
}

std::vector<PortRow> core_ports(const config::CoreConfig& core, const config::PolicyConfig& policy) {
  std::vector<PortRow> rows;
  const std::vector<std::string> self = hosts_of(core.s2s);
  std::vector<HostPort> edges;
  for (const config::EdgeRow& edge : core.edges) edges.push_back(edge.address);
  add_rows(rows, {"core", self, "edge", {}, false, {}, "the link between edge and core"}, edges);
  std::vector<HostPort> servers;
  for (const config::Served& served : policy.served) {
    servers.insert(servers.end(), served.servers.begin(), served.servers.end());
  }
  add_rows(rows, {"internal server", hosts_of(servers), "core", {}, false, {}, "s2s on the internal side"},
           core.s2s);
  add_rows(rows, {"core", self, "internal server", {}, false, {}, "s2s on the internal side"}, servers);
  std::vector<HostPort> routed;
  for (const route::StaticRoute& route : policy.routes)
    if (policy.static_routes) routed.push_back(route.address);
  add_rows(rows, {"edge", {}, "federated server", {}, false, {}, std::string(kStaticRoute)}, routed);
  if (!core.dns) return rows;
  std::vector<std::string> clients;
  for (const config::Network& network : core.dns->clients) clients.push_back(text_of(network));
  add_rows(rows, {"internal server", clients, "core", {}, true, {}, "the answering resolver"},
           core.dns->listen);
  add_rows(rows, {"core", self, "internal DNS", {}, true, {}, "the answering resolver's upstream"},
           core.dns->upstream);
  return rows;
}

namespace {

// Whether one of the two lists contains all IP addresses of the other.
bool agree(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto holds = [](const std::vector<std::string>& all, const std::vector<std::string>& some) {
    return std::ranges::all_of(some, [&all](const std::string& one) {
      return !is_literal(one) || std::ranges::find(all, one) != all.end();
    });
  };
  return holds(a, b) || holds(b, a);
}

void unite(std::vector<std::string>& into, const std::vector<std::string>& more) {
  for (const std::string& one : more) {
    if (std::ranges::find(into, one) == into.end()) into.push_back(one);
  }
}

std::string row_text(const PortRow& row) {
  return fmt::format("{} -> {}, {} {}: {}", row.from, row.to, row.udp ? "UDP+TCP" : "TCP",
                     fmt::join(row.ports, ","), row.why);
}

}  // namespace

std::vector<PortRow> merged_rows(std::vector<PortRow> rows) {
  std::vector<PortRow> merged;
  for (PortRow& row : rows) {
    const auto same = std::ranges::find_if(merged, [&row](const PortRow& other) {
      return other.from == row.from && other.to == row.to && other.udp == row.udp &&
             other.ports == row.ports && other.why == row.why &&
             agree(other.from_addresses, row.from_addresses) && agree(other.to_addresses, row.to_addresses);
    });
    if (same == merged.end()) {
      merged.push_back(std::move(row));
    } else {
      unite(same->from_addresses, row.from_addresses);
      unite(same->to_addresses, row.to_addresses);
    }
  }
  const auto dials = std::ranges::find(merged, kOutbound, &PortRow::why);
  for (PortRow& row : merged)
    if (row.why == kStaticRoute && row.from_addresses.empty() && dials != merged.end())
      row.from_addresses = dials->from_addresses;
  return merged;
}

bool add_addresses(std::vector<PortRow>& rows, std::string_view party,
                   const std::vector<std::string>& addresses) {
  bool named = false;
  for (PortRow& row : rows) {
    if (row.from == party && literals_of(row.from_addresses).empty()) row.from_addresses = addresses;
    if (row.to == party && literals_of(row.to_addresses).empty()) row.to_addresses = addresses;
    named = named || row.from == party || row.to == party;
  }
  return named;
}

NftRules nft_rules(const std::vector<PortRow>& rows) {
  NftRules rules;
  rules.text =
      "# For the router between the zones. It drops all other forwarded traffic.\n"
      "table inet sallyport {\n  chain forward {\n    type filter hook forward priority filter; policy "
      "drop;\n"
      "    ct state established,related accept\n";
  for (const PortRow& row : rows) {
    if (const auto unknown = unknown_party(row)) {
      rules.missing.push_back(
          fmt::format("{} (the IP address of `{}` is not known)", row_text(row), *unknown));
      continue;
    }
    const std::string lines = nft_lines(row, false) + nft_lines(row, true);
    if (lines.empty())
      rules.missing.push_back(
          fmt::format("{} (one side has only IPv4 addresses, the other only IPv6)", row_text(row)));
    if (rules.text.find(lines) == std::string::npos) rules.text += lines;
  }
  rules.text += "  }\n}\n";
  return rules;
}

json::object records_answer(const std::vector<PublicSrv>& records) {
  json::array list;
  for (const PublicSrv& one : records) {
    list.push_back({{"name", one.owner},
                    {"type", "SRV"},
                    {"priority", 0},
                    {"weight", 0},
                    {"port", one.port},
                    {"target", one.target}});
  }
  return {{"records", list}};
}

std::string show_records(const json::object& answer) {
  std::string out;
  for (const json::value& one : list_at(answer, "records")) {
    if (!one.is_object()) continue;
    const json::object& row = one.get_object();
    out += legible(fmt::format("{} 3600 IN SRV {} {} {} {}", field(row, "name"), field(row, "priority"),
                               field(row, "weight"), field(row, "port"), field(row, "target")));
    out += "\n";
  }
  return out;
}

json::object ports_answer(const std::vector<PortRow>& rows) {
  json::array list;
  for (const PortRow& row : rows) {
    list.push_back({{"from", row.from},
                    {"from_addresses", json::value_from(row.from_addresses)},
                    {"to", row.to},
                    {"to_addresses", json::value_from(row.to_addresses)},
                    {"protocols", row.udp ? json::array{"udp", "tcp"} : json::array{"tcp"}},
                    {"ports", json::value_from(row.ports)},
                    {"why", row.why}});
  }
  return {{"ports", list}};
}

std::vector<PortRow> port_rows_of(const json::object& answer) {
  std::vector<PortRow> rows;
  for (const json::value& one : list_at(answer, "ports")) {
    if (!one.is_object()) continue;
    const json::object& from = one.get_object();
    PortRow row{field(from, "from"),
                texts_at(from, "from_addresses"),
                field(from, "to"),
                texts_at(from, "to_addresses"),
                list_at(from, "protocols").size() > 1,
                {},
                field(from, "why")};
    for (const json::value& port : list_at(from, "ports")) {
      boost::system::error_code unfit;
      const auto number = port.to_number<std::uint16_t>(unfit);
      if (!unfit) row.ports.push_back(number);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string show_ports(const std::vector<PortRow>& rows) {
  const auto party = [](const std::string& name, const std::vector<std::string>& addresses) {
    return addresses.empty() ? name : fmt::format("{} ({})", name, fmt::join(addresses, " "));
  };
  std::vector<std::vector<std::string>> cells;
  for (const PortRow& row : rows) {
    cells.push_back({party(row.from, row.from_addresses), party(row.to, row.to_addresses),
                     fmt::format("{} {}", row.udp ? "UDP+TCP" : "TCP", fmt::join(row.ports, ",")), row.why});
  }
  return aligned({"FROM", "TO (listening)", "PORT", "WHY"}, cells);
}

}  // namespace sallyport::daemon
