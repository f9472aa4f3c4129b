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

constexpr std::uint16_t kS2sPort = 5269;

bool is_any(const std::string& host) { return host == "0.0.0.0" || host == "::"; }

// The hosts of a list of addresses, each once, without the wildcard addresses.
std::vector<std::string> hosts_of(const std::vector<HostPort>& all) {
  std::vector<std::string> hosts;
  for (const HostPort& one : all) {
    if (!is_any(one.host) && std::ranges::find(hosts, one.host) == hosts.end()) hosts.push_back(one.host);
  }
  return hosts;
}

// The listeners of one node: one row per port, so that each row is exact. A peer needs only one address of a
// node, so the addresses of both families share a row.
void add_listeners(std::vector<PortRow>& rows, const PortRow& row, const std::vector<HostPort>& to) {
  std::map<std::uint16_t, std::vector<HostPort>> by_port;
  for (const HostPort& one : to) by_port[one.port].push_back(one);
  for (const auto& [port, hosts] : by_port) {
    PortRow made = row;
    made.ports = {port};
    made.to_addresses = hosts_of(hosts);
    rows.push_back(std::move(made));
  }
}

// Hosts, or networks, by kind: IPv4, IPv6, names. Each of them needs a rule, so a row has one kind only: a
// rule for one family does not stand for the other.
std::vector<std::vector<std::string>> by_kind(const std::vector<std::string>& hosts) {
  std::array<std::vector<std::string>, 3> kinds;
  for (const std::string& host : hosts) kinds[!is_address(host) ? 2 : is_v6(host) ? 1 : 0].push_back(host);
  std::vector<std::vector<std::string>> found;
  std::ranges::copy_if(kinds, std::back_inserter(found), [](const auto& kind) { return !kind.empty(); });
  return found;
}

// Servers that a node dials: one row per port and kind of address.
void add_dialled(std::vector<PortRow>& rows, const PortRow& row, const std::vector<HostPort>& to) {
  std::map<std::uint16_t, std::vector<HostPort>> by_port;
  for (const HostPort& one : to) by_port[one.port].push_back(one);
  for (const auto& [port, hosts] : by_port) {
    PortRow made = row;
    made.ports = {port};
    const std::vector<std::string> own = hosts_of(hosts);
    if (own.empty()) rows.push_back(made);
    for (const std::vector<std::string>& kind : by_kind(own)) {
      made.to_addresses = kind;
      rows.push_back(made);
    }
  }
}

// Servers that dial the listeners of one node.
void add_dialling(std::vector<PortRow>& rows, const PortRow& row, const std::vector<std::string>& from,
                  const std::vector<HostPort>& to) {
  for (std::vector<std::string>& kind : by_kind(from)) {
    PortRow made = row;
    made.from_addresses = std::move(kind);
    add_listeners(rows, made, to);
  }
}

// "10.0.0.0/8" as configured, from the 128-bit form.
std::string text_of(const config::Network& network) {
  static constexpr std::array<std::uint8_t, 12> kV4{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool v4 = network.prefix >= 96 && std::equal(kV4.begin(), kV4.end(), network.address.begin());
  return fmt::format("{}/{}", dns::Ip{network.address}.text(), v4 ? network.prefix - 96 : network.prefix);
}

constexpr std::string_view kInbound = "s2s inbound";
constexpr std::string_view kOutbound = "s2s outbound";
constexpr std::string_view kStaticRoute = "s2s outbound, static route";
constexpr std::string_view kStaticRouteInbound = "s2s inbound, static route";
constexpr std::string_view kInternal = "s2s on the internal side";

std::vector<std::string> texts_at(const json::object& object, std::string_view name) {
  std::vector<std::string> out;
  for (const json::value& one : list_at(object, name)) {
    if (one.is_string()) out.emplace_back(one.get_string());
  }
  return out;
}

}  // namespace

bool is_v6(const std::string& address) { return address.find(':') != std::string::npos; }

bool is_address(const std::string& text) {
  return text.find('/') != std::string::npos || dns::Ip::parse(text).has_value();
}

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
  add_listeners(rows, {"core", {}, "edge", {}, false, {}, "the link between edge and core"}, edge.traversal);
  add_listeners(rows, {std::string(kFederatedServer), {}, "edge", {}, false, {}, std::string(kInbound)},
                edge.s2s);
  rows.push_back(
      {"edge", out, std::string(kFederatedServer), {}, false, edge.outbound_ports, std::string(kOutbound)});
  std::vector<std::string> allowed;
  for (const config::Network& network : edge.allow_networks) allowed.push_back(text_of(network));
  // The rows above leave private networks out; these peers open streams too, and verify dialback keys.
  add_dialling(rows,
               {std::string(kFederatedServer), {}, "edge", {}, false, {}, "s2s inbound, allow_networks"},
               allowed, edge.s2s);
  for (const std::vector<std::string>& kind : by_kind(allowed)) {
    rows.push_back({"edge", out, std::string(kFederatedServer), kind, false, edge.outbound_ports,
                    "s2s outbound, allow_networks"});
  }
  const PortRow dns{
      "edge", out, "its DNS resolver", {}, true, {53}, "SRV and addresses of federated servers"};
  if (edge.resolver_servers.empty()) {
    rows.push_back(dns);
  } else {
    add_dialled(rows, dns, edge.resolver_servers);
  }
  return rows;
}

std::vector<PortRow> core_ports(const config::CoreConfig& core, const config::PolicyConfig& policy) {
  std::vector<PortRow> rows;
  const std::vector<std::string> self = hosts_of(core.s2s);
  const PortRow link{"core", self, "edge", {}, false, {}, "the link between edge and core"};
  std::vector<HostPort> edges;
  for (const config::EdgeRow& edge : core.edges)
    if (is_address(edge.address.host)) edges.push_back(edge.address);
  add_dialled(rows, link, edges);
  // A row each: the file of an edge completes the one that only names it.
  for (const config::EdgeRow& edge : core.edges)
    if (!is_address(edge.address.host)) add_dialled(rows, link, {edge.address});
  std::vector<HostPort> servers;
  for (const config::Served& served : policy.served) {
    servers.insert(servers.end(), served.servers.begin(), served.servers.end());
  }
  const PortRow inward{"internal server", {}, "core", {}, false, {}, std::string(kInternal)};
  const std::vector<std::string> hosts = hosts_of(servers);
  if (hosts.empty()) add_listeners(rows, inward, core.s2s);
  add_dialling(rows, inward, hosts, core.s2s);
  add_dialled(rows, {"core", self, "internal server", {}, false, {}, std::string(kInternal)}, servers);
  std::vector<HostPort> routed;
  for (const route::StaticRoute& route : policy.routes)
    if (policy.static_routes) routed.push_back(route.address);
  add_dialled(rows, {"edge", {}, std::string(kFederatedServer), {}, false, {}, std::string(kStaticRoute)},
              routed);
  // Such a server opens streams too, and verifies dialback keys. The port is in the edge's file.
  for (const std::vector<std::string>& kind : by_kind(hosts_of(routed)))
    rows.push_back({std::string(kFederatedServer),
                    kind,
                    "edge",
                    {},
                    false,
                    {kS2sPort},
                    std::string(kStaticRouteInbound)});
  if (!core.dns) return rows;
  std::vector<std::string> clients;
  for (const config::Network& network : core.dns->clients) clients.push_back(text_of(network));
  add_dialling(rows, {"internal server", {}, "core", {}, true, {}, "the answering resolver"}, clients,
               core.dns->listen);
  add_dialled(rows, {"core", self, "internal DNS", {}, true, {}, "the answering resolver's upstream"},
              core.dns->upstream);
  return rows;
}

namespace {

bool contains_all(const std::vector<std::string>& all, const std::vector<std::string>& some) {
  return std::ranges::all_of(
      some, [&all](const std::string& one) { return std::ranges::find(all, one) != all.end(); });
}

// The addresses of one party by two files: the list that contains the other. A file that only names a host is
// completed by the file that has the addresses. Nothing: these are two hosts.
std::optional<std::vector<std::string>> joined(const std::vector<std::string>& a,
                                               const std::vector<std::string>& b) {
  const auto is_name = [](const auto& list) { return list.size() == 1 && !is_address(list.front()); };
  const auto is_known = [](const auto& list) {
    return !list.empty() && std::ranges::all_of(list, is_address);
  };
  if (contains_all(a, b) || (is_name(b) && is_known(a))) return a;
  if (contains_all(b, a) || (is_name(a) && is_known(b))) return b;
  return std::nullopt;
}

// Completes `row` with `other` where both are the same row of two files.
bool join(PortRow& row, const PortRow& other) {
  if (other.from != row.from || other.to != row.to || other.udp != row.udp || other.ports != row.ports ||
      other.why != row.why)
    return false;
  auto from = joined(other.from_addresses, row.from_addresses);
  auto to = joined(other.to_addresses, row.to_addresses);
  if (!from || !to) return false;
  row.from_addresses = std::move(*from);
  row.to_addresses = std::move(*to);
  return true;
}

bool has_row(const std::vector<PortRow>& rows, std::string_view why) {
  return std::ranges::find(rows, why, &PortRow::why) != rows.end();
}

// Completes the rows of the static routes, one for each edge: with the addresses from which it dials, and
// those where it listens.
std::vector<PortRow> with_edges(const std::vector<PortRow>& rows) {
  std::vector<PortRow> out;
  for (const PortRow& row : rows) {
    const bool outward = row.why == kStaticRoute && has_row(rows, kOutbound);
    const bool inward = row.why == kStaticRouteInbound && has_row(rows, kInbound);
    if (!outward && !inward) out.push_back(row);
    for (const PortRow& edge : rows) {
      if (outward && edge.why == kOutbound) {
        out.push_back(row);
        out.back().from_addresses = edge.from_addresses;
      }
      if (inward && edge.why == kInbound) {
        out.push_back(row);
        out.back().to_addresses = edge.to_addresses;
        out.back().ports = edge.ports;
      }
    }
  }
  return out;
}

bool has_family(const std::vector<std::string>& addresses, bool v6) {
  return addresses.empty() || std::ranges::any_of(addresses, [v6](const std::string& address) {
           return !is_address(address) || is_v6(address) == v6;
         });
}

bool has_no_common_family(const PortRow& row) {
  return std::ranges::none_of(std::array{false, true}, [&row](bool v6) {
    return has_family(row.from_addresses, v6) && has_family(row.to_addresses, v6);
  });
}

// Adds the addresses of a party whose own are not known, or are `too_few`.
void complete(std::vector<std::string>& own, const std::vector<std::string>& addresses, bool too_few) {
  if (std::ranges::none_of(own, is_address)) {
    own = addresses;
  } else if (too_few) {
    own.insert(own.end(), addresses.begin(), addresses.end());
  }
}

// Puts the addresses in the place of a name.
bool replace_name(std::vector<std::string>& in, std::string_view name,
                  const std::vector<std::string>& addresses) {
  const auto found = std::ranges::find(in, name);
  if (found == in.end() || is_address(*found)) return false;
  in.insert(in.erase(found), addresses.begin(), addresses.end());
  return true;
}

}  // namespace

std::vector<PortRow> merged_rows(std::vector<PortRow> cores, std::vector<std::vector<PortRow>> edges) {
  std::vector<PortRow> merged = std::move(cores);
  const auto of_cores = static_cast<std::ptrdiff_t>(merged.size());
  for (std::vector<PortRow>& edge : edges) {
    for (PortRow& row : edge) {
      // A row of a core may be that of several edges. Two edges cannot complete each other's rows.
      const auto end = merged.begin() + of_cores;
      const auto same =
          std::find_if(merged.begin(), end, [&row](const auto& other) { return join(row, other); });
      if (same != end) {
        *same = std::move(row);
      } else if (std::ranges::find(merged, row) == merged.end()) {
        merged.push_back(std::move(row));
      }
    }
  }
  return with_edges(merged);
}

bool add_addresses(std::vector<PortRow>& rows, std::string_view party,
                   const std::vector<std::string>& addresses) {
  bool named = false;
  for (PortRow& row : rows) {
    // A node may dial from addresses, and listen on some, that are not those of its listeners in the table.
    const bool lacks_family = (party == "edge" || party == "core") && has_no_common_family(row);
    named = row.from == party || row.to == party || named;
    if (row.from == party) complete(row.from_addresses, addresses, lacks_family);
    if (row.to == party) complete(row.to_addresses, addresses, lacks_family && row.from != "core");
    named = replace_name(row.from_addresses, party, addresses) || named;
    named = replace_name(row.to_addresses, party, addresses) || named;
  }
  return named;
}

std::vector<std::string> notes_on(const std::vector<PortRow>& rows) {
  if (has_row(rows, kInbound) && !has_row(rows, kInternal))
    return {
        "The rows of static routes are not in this table: the routes are in policy.toml, on the core. "
        "`sallyport ports -c edge.toml -c core.toml` shows them with the others; `sallyport ports` on the "
        "core shows those of the core."};
  if (has_row(rows, kStaticRouteInbound) && !has_row(rows, kInbound))
    return {
        fmt::format("The port of `{}` is taken to be {}: the port where an edge listens is in its "
                    "edge.toml, which `sallyport ports -c edge.toml -c core.toml` reads too.",
                    kStaticRouteInbound, kS2sPort)};
  return {};
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
  return {{"ports", list}, {"notes", json::value_from(notes_on(rows))}};
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
  std::string out = aligned({"FROM", "TO (listening)", "PORT", "WHY"}, cells);
  for (const std::string& note : notes_on(rows)) out += fmt::format("\n{}\n", note);
  return out;
}

}  // namespace sallyport::daemon
