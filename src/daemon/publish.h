// The settings that a gateway needs elsewhere: SRV records in public DNS, and the port table of the firewalls
// with the configured addresses. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/edge_config.h"
#include "config/policy_config.h"

namespace sallyport::daemon {

struct PublicSrv {
  std::string owner;  // "_xmpp-server._tcp.example.com."
  std::uint16_t port;
  std::string target;  // "vcse.example.com."
};
// One per served name and edge (RFC 6120 3.2.1).
std::vector<PublicSrv> srv_records(const std::vector<config::EdgeRow>& edges,
                                   const std::vector<config::Served>& all, std::uint16_t port);

// Any public address where a row has no other.
inline constexpr std::string_view kFederatedServer = "federated server";

struct PortRow {
  std::string from;                         // "core"
  std::vector<std::string> from_addresses;  // empty: any, or not in the configuration
  std::string to;
  std::vector<std::string> to_addresses;
  bool udp = false;  // in addition to TCP
  std::vector<std::uint16_t> ports;
  std::string why;

  bool operator==(const PortRow&) const = default;
};
std::vector<PortRow> edge_ports(const config::EdgeConfig& edge);
// `policy` supplies the internal servers, and the static routes of the edges.
std::vector<PortRow> core_ports(const config::CoreConfig& core, const config::PolicyConfig& policy);

// Whether the text is an IP address or a network, not the name of a host.
bool is_address(const std::string& text);
// Whether an address or network is one of IPv6. Precondition: is_address.
bool is_v6(const std::string& address);

// Joins the rows of the files of cores and of edges, one list for each edge: a row that two files have
// appears once, with the addresses that one of them lacks. The rows of the static routes are completed by the
// addresses and ports of the edges.
std::vector<PortRow> merged_rows(std::vector<PortRow> cores, std::vector<std::vector<PortRow>> edges);
// Puts these addresses in the place of a host's name, or into every row that names the party and has no IP
// address for it, or none of the family that the row needs. False when no row names the host or party.
bool add_addresses(std::vector<PortRow>& rows, std::string_view party,
                   const std::vector<std::string>& addresses);
// What the table does not show because the file of the other node was not read: sentences for the reader.
std::vector<std::string> notes_on(const std::vector<PortRow>& rows);

// The answers of `dns records` and `ports` (docs/control.md), and their texts for people.
boost::json::object records_answer(const std::vector<PublicSrv>& records);
std::string show_records(const boost::json::object& answer);
boost::json::object ports_answer(const std::vector<PortRow>& rows);
std::vector<PortRow> port_rows_of(const boost::json::object& answer);
std::string show_ports(const std::vector<PortRow>& rows);

}  // namespace sallyport::daemon
