// Static routes: how to reach a remote domain without SRV records.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "xmpp/jid.h"

namespace sallyport::route {

// A place to connect to: an IP literal or a host name, and a port. Host names are lower-case A-labels; an
// IPv6 literal has no brackets.
struct HostPort {
  std::string host;
  std::uint16_t port = 5269;
  bool is_ip = false;

  // Parses "192.0.2.1:5269", "[2001:db8::1]:5269", "xmpp.example.net:5269"; without a port, `default_port`.
  // Rejects a name whose last label is a number: some resolvers read it as an address. Errors: kConfigValue.
  static Result<HostPort> parse(std::string_view text, std::uint16_t default_port = 5269);
  // Returns the form that `parse` reads, always with the port.
  std::string text() const;
  auto operator<=>(const HostPort&) const = default;
};

// A [[static_route]] row.
struct StaticRoute {
  xmpp::Domain domain;
  HostPort address;
  std::uint16_t priority = 0;  // lower first, as in SRV
  bool fallback_dns = false;
  std::uint32_t line = 0;
  bool operator==(const StaticRoute&) const = default;
};

// The rows, grouped by domain.
class StaticRoutes {
 public:
  explicit StaticRoutes(std::vector<StaticRoute> rows);
  // Returns the rows of a domain, by ascending priority, then as written; empty if there are none.
  const std::vector<StaticRoute>& of(const xmpp::Domain& domain) const;
  // Returns whether DNS may be used if no row works: any row of the domain may allow it.
  bool falls_back(const xmpp::Domain& domain) const;
  const std::map<xmpp::Domain, std::vector<StaticRoute>>& all() const { return rows_; }

 private:
  std::map<xmpp::Domain, std::vector<StaticRoute>> rows_;
};

}  // namespace sallyport::route
