#include "daemon/nft.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <string_view>

#include "dns/address.h"

namespace sallyport::daemon {
namespace {

// "ip saddr { a, b } " for the addresses of one family; empty when there are none.
std::string matched(const std::vector<std::string>& addresses, std::string_view side, bool v6) {
  std::vector<std::string> family;
  for (const std::string& address : addresses) {
    if (is_v6(address) == v6) family.push_back(address);
  }
  if (family.empty()) return {};
  return fmt::format("{} {} {{ {} }} ", v6 ? "ip6" : "ip", side, fmt::join(family, ", "));
}

// Federated servers have public addresses: a rule for them must not match internal networks.
constexpr std::string_view kPrivateV4 =
    "10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, 192.168.0.0/16";
constexpr std::string_view kPrivateV6 = "::1, fc00::/7, fe80::/10";

// The match of a rule for one party; empty where it has no address of this family.
std::string party_of(const std::string& name, const std::vector<std::string>& literals, std::string_view side,
                     bool v6) {
  if (!literals.empty() || name != kFederatedServer) return matched(literals, side, v6);
  return fmt::format("{} {} != {{ {} }} ", v6 ? "ip6" : "ip", side, v6 ? kPrivateV6 : kPrivateV4);
}

// The hosts of one side whose addresses are required and unknown: every name, or the party itself where it
// has no address. A rule without them would accept too much or too little.
std::vector<std::string> unknown_hosts(const std::string& party, const std::vector<std::string>& addresses) {
  if (addresses.empty()) return party == kFederatedServer ? std::vector<std::string>() : std::vector{party};
  std::vector<std::string> names;
  std::ranges::copy_if(addresses, std::back_inserter(names),
                       [](const auto& one) { return !is_address(one); });
  return names;
}

std::vector<std::string> unknown_hosts(const PortRow& row) {
  std::vector<std::string> hosts = unknown_hosts(row.from, row.from_addresses);
  std::ranges::move(unknown_hosts(row.to, row.to_addresses), std::back_inserter(hosts));
  return hosts;
}

// Whether all these addresses are of one host: no router sees their traffic.
bool is_loopback(const std::vector<std::string>& addresses) {
  return std::ranges::all_of(addresses, [](const std::string& address) {
    const auto ip = dns::Ip::parse(address);
    return ip && dns::classify(*ip, false) == dns::AddressKind::kLoopback;
  });
}

// The lines of one row for one family.
std::string nft_lines(const PortRow& row, bool v6) {
  const std::string from = party_of(row.from, row.from_addresses, "saddr", v6);
  const std::string to = party_of(row.to, row.to_addresses, "daddr", v6);
  if (from.empty() || to.empty()) return {};
  std::string out;
  for (const std::string_view protocol : {"tcp", "udp"}) {
    if (protocol == "udp" && !row.udp) continue;
    out += fmt::format("    {}{}{} dport {{ {} }} ct state new counter accept comment \"{} -> {}: {}\"\n",
                       from, to, protocol, fmt::join(row.ports, ", "), row.from, row.to, row.why);
  }
  return out;
}

std::string row_text(const PortRow& row) {
  return fmt::format("{} -> {}, {} {}: {}", row.from, row.to, row.udp ? "UDP+TCP" : "TCP",
                     fmt::join(row.ports, ","), row.why);
}

std::string unknown_text(const std::vector<std::string>& hosts) {
  return fmt::format("the IP address{} of `{}` {} not known", hosts.size() == 1 ? "" : "es",
                     fmt::join(hosts, "`, `"), hosts.size() == 1 ? "is" : "are");
}

}  // namespace

NftRules nft_rules(const std::vector<PortRow>& rows) {
  NftRules rules;
  for (const std::string& note : notes_on(rows)) rules.text += fmt::format("# {}\n", note);
  rules.text +=
      "# For the router between the zones. It drops all other forwarded traffic.\n"
      "table inet sallyport {\n  chain forward {\n    type filter hook forward priority filter; policy "
      "drop;\n"
      "    ct state established,related accept\n";
  for (const PortRow& row : rows) {
    if (const auto unknown = unknown_hosts(row); !unknown.empty()) {
      rules.missing.push_back(fmt::format("{} ({})", row_text(row), unknown_text(unknown)));
      continue;
    }
    const std::string lines = nft_lines(row, false) + nft_lines(row, true);
    if (lines.empty() && !is_loopback(row.to_addresses))
      rules.missing.push_back(
          fmt::format("{} (one side has only IPv4 addresses, the other only IPv6: {} and {})", row_text(row),
                      fmt::join(row.from_addresses, " "), fmt::join(row.to_addresses, " ")));
    if (rules.text.find(lines) == std::string::npos) rules.text += lines;
  }
  rules.text += "  }\n}\n";
  return rules;
}

}  // namespace sallyport::daemon
