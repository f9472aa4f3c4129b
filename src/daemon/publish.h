// The settings that a gateway needs elsewhere: SRV records in public DNS, and the port table of the firewalls
// with the configured addresses. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
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

struct PortRow {
  std::string from;                         // "core"
  std::vector<std::string> from_addresses;  // empty: any, or not in the configuration
  std::string to;
  std::vector<std::string> to_addresses;
  bool udp = false;  // in addition to TCP
  std::vector<std::uint16_t> ports;
  std::string why;
};
std::vector<PortRow> edge_ports(const config::EdgeConfig& edge);
// `policy` supplies the internal servers, and the static routes of the edges.
std::vector<PortRow> core_ports(const config::CoreConfig& core, const config::PolicyConfig& policy);

// Joins the rows of several files: a row that two files have appears once, with the addresses of both. The
// address from which an edge dials is known by its own file alone, and is added to its static routes.
std::vector<PortRow> merged_rows(std::vector<PortRow> rows);
// Adds these addresses to every row that names the party and has no IP address for it. False when no row
// names the party.
bool add_addresses(std::vector<PortRow>& rows, std::string_view party,
                   const std::vector<std::string>& addresses);

// An nftables ruleset for a router between the zones: accepts the traffic of the rows and drops all other.
struct NftRules {
  std::string text;
  // The rows for which no rule can be made, each with the reason: the IP address of a party is not known (a
  // listener on every address, a name, another file), or the two sides have no common address family. A rule
  // without an address would accept too much; without a rule the traffic is dropped.
  std::vector<std::string> missing;
};
// A federated server without addresses is every address that is not private.
NftRules nft_rules(const std::vector<PortRow>& rows);

// The answers of `dns records` and `ports` (docs/control.md), and their texts for people.
boost::json::object records_answer(const std::vector<PublicSrv>& records);
std::string show_records(const boost::json::object& answer);
boost::json::object ports_answer(const std::vector<PortRow>& rows);
std::vector<PortRow> port_rows_of(const boost::json::object& answer);
std::string show_ports(const std::vector<PortRow>& rows);

}  // namespace sallyport::daemon
