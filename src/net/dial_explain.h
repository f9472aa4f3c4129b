// Explains the DNS records of a domain and what a dial would do with them, without connecting: `sallyport
// check dns`.
#pragma once

#include <optional>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include "dns/targets.h"
#include "net/dial.h"

namespace sallyport::net {

struct AddressExplained {
  dns::SocketAddress endpoint;
  bool written_as_v6 = false;    // came as an AAAA record
  std::optional<Error> refused;  // why a dial would skip it
};

struct TargetExplained {
  dns::Target target;
  dns::AddressAnswer v6;
  dns::AddressAnswer v4;
  std::vector<AddressExplained> addresses;  // in the order in which they would be tried
};

struct DnsExplained {
  xmpp::Domain domain;
  dns::SrvAnswer direct;              // _xmpps-server
  dns::SrvAnswer starttls;            // _xmpp-server
  std::vector<TargetExplained> plan;  // in order; weights are drawn anew for each dial
  std::vector<dns::Skipped> skipped;  // records that are not tried, and why
  std::optional<Error> error;         // the error of every dial; absent: there is an address to connect to
};

// Asks the same questions as a dial of `domain`. The dialler outlives it.
asio::awaitable<DnsExplained> explain_dns(DnsDialer& dialer, xmpp::Domain domain);

// {"domain", "srv": [{"service", "answer", "secure", "note"?, "records": [{"priority", "weight", "port",
// "target", "skipped"?: {"code", "text"}}]}], "plan": [{"target", "direct_tls", "secure", "aaaa", "a",
// "addresses": [{"address", "refused"?: {"code", "text"}}]}], "error"?: {"code", "text", "sentence",
// "remedy"}}
boost::json::object to_json(const DnsExplained& explained);

}  // namespace sallyport::net
