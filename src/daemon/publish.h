// What others must be told or let through for the doors to work: SRV records for the world's DNS, and the
// port table of the firewalls with the configured addresses. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "config/edge_config.h"
#include "config/policy_config.h"

namespace sallyport::daemon {

struct SrvRecord {
  std::string owner;  // "_xmpp-server._tcp.example.com."
  std::uint16_t port;
  std::string target;  // "vcse.example.com."
};
// One per served name and edge (RFC 6120 3.2.1).
std::vector<SrvRecord> srv_records(const std::vector<config::EdgeRow>& edges,
                                   const std::vector<config::Served>& all, std::uint16_t port);

struct PortRow {
  std::string from;                         // "core"
  std::vector<std::string> from_addresses;  // empty: any, or not known here
  std::string to;
  std::vector<std::string> to_addresses;
  bool udp = false;  // besides TCP
  std::vector<std::uint16_t> ports;
  std::string why;
};
std::vector<PortRow> edge_ports(const config::EdgeConfig& edge);
std::vector<PortRow> core_ports(const config::CoreConfig& core, const std::vector<config::Served>& all);

// The rows of several files as one table: a row that two files have, each with the addresses that it knows,
// stands once, with the addresses of both.
std::vector<PortRow> merged_rows(std::vector<PortRow> rows);
// Gives every row that names the party and has no IP address for it these addresses. False when no row names
// the party.
bool add_addresses(std::vector<PortRow>& rows, std::string_view party,
                   const std::vector<std::string>& addresses);

// An nftables ruleset for a router between the zones: what the rows name passes, all else is dropped.
struct NftRules {
  std::string text;
  // The rows for which no rule can be made, each with the reason: the IP address of a party is not known
  // (a listener on every address, a name, another file), or the two sides have no address family in common.
  // A rule without an address would let more pass than its row says; without a rule the traffic is dropped.
  std::vector<std::string> missing;
};
// The world is every address that is not private.
NftRules nft_rules(const std::vector<PortRow>& rows);

// The answers of `dns records` and `ports` (docs/control.md), and what people see of them.
boost::json::object records_answer(const std::vector<SrvRecord>& records);
std::string show_records(const boost::json::object& answer);
boost::json::object ports_answer(const std::vector<PortRow>& rows);
std::vector<PortRow> port_rows_of(const boost::json::object& answer);
std::string show_ports(const std::vector<PortRow>& rows);

}  // namespace sallyport::daemon
