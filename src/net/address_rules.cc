#include "net/address_rules.h"

#include <algorithm>

#include <fmt/format.h>

namespace sallyport::net {
namespace {

bool stands_for_all(const dns::Ip& ip) {
  return dns::classify(ip, !ip.is_v4()) == dns::AddressKind::kUnspecified;
}

// The addresses of 127.0.0.0/8, 0.0.0.0 and :: also lead to this machine though no interface has them.
bool is_this_machine(const dns::Ip& ip, const std::vector<dns::Ip>& machine) {
  const auto kind = dns::classify(ip, !ip.is_v4());
  return kind == dns::AddressKind::kLoopback || kind == dns::AddressKind::kUnspecified ||
         std::ranges::find(machine, ip) != machine.end();
}

}  // namespace

bool AddressRules::is_own(const dns::SocketAddress& endpoint, const std::vector<dns::Ip>& machine) const {
  return std::ranges::any_of(own_, [&](const dns::SocketAddress& own) {
    if (own.port != endpoint.port) return false;
    if (own.ip == endpoint.ip) return true;
    return stands_for_all(own.ip) ? is_this_machine(endpoint.ip, machine) : stands_for_all(endpoint.ip);
  });
}

Result<void> AddressRules::check(const dns::SocketAddress& endpoint, bool written_as_v6, bool trusted,
                                 const std::vector<dns::Ip>& machine) const {
  if (is_own(endpoint, machine)) return {Code::kDialOwn, endpoint.text()};
  const auto kind = dns::classify(endpoint.ip, written_as_v6);
  const auto refused = [&] {
    return Result<void>(Code::kDialAddress, fmt::format("{} is {}", endpoint.text(), dns::kind_name(kind)));
  };
  // No server can have such an address, trusted or not.
  if (kind == dns::AddressKind::kUnspecified || kind == dns::AddressKind::kMulticast) return refused();
  if (trusted) return {};
  const auto contains = [&](const config::Network& network) { return network.contains(endpoint.ip.bytes); };
  if (std::ranges::any_of(refuse_, contains)) {
    return {Code::kDialAddress, fmt::format("{} is in [outbound] refuse_networks", endpoint.text())};
  }
  if (kind == dns::AddressKind::kGlobal || std::ranges::any_of(allow_, contains)) return {};
  return refused();
}

}  // namespace sallyport::net
