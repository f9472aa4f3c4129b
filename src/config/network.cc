#include "config/network.h"

#include <fmt/format.h>

#include <charconv>

#include "base/log.h"
#include "dns/address.h"

namespace sallyport::config {
namespace {

// Returns the mask, in byte `at`, of the bits after the prefix, which must be zero.
std::uint8_t host_mask(std::size_t at, std::uint8_t prefix) {
  const std::size_t first = at * 8;
  if (first >= prefix) return 0xff;
  return first + 8 <= prefix ? 0 : static_cast<std::uint8_t>(0xff >> (prefix - first));
}

}  // namespace

Result<Network> Network::parse(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return Error{Code::kConfigValue, fmt::format("`{}` {}", shown(text), why)};
  };
  const auto slash = text.find('/');
  const std::string_view address = text.substr(0, slash);
  const auto ip = dns::Ip::parse(address);
  if (!ip) return bad("is not a network; expected one like 10.0.0.0/8, 2001:db8::/32 or 192.0.2.1");
  const bool dotted = address.find(':') == std::string_view::npos;
  const std::uint8_t bits = dotted ? 32 : 128;
  Network network{.address = ip->bytes, .prefix = 128};
  if (slash == std::string_view::npos) return network;

  const std::string_view digits = text.substr(slash + 1);
  std::uint8_t written = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), written);
  if (error != std::errc() || stop != digits.data() + digits.size() || written > bits) {
    return bad(fmt::format("needs a prefix length from 0 to {}", bits));
  }
  network.prefix = static_cast<std::uint8_t>(written + 128 - bits);
  for (std::size_t i = 0; i < network.address.size(); ++i) {
    // "10.0.0.5/8" is a typing error, either in the address or in the length.
    if (network.address[i] & host_mask(i, network.prefix)) return bad("has bits set after its prefix");
  }
  return network;
}

bool Network::contains(const std::array<std::uint8_t, 16>& ip) const {
  for (std::size_t i = 0; i < ip.size(); ++i) {
    if ((ip[i] ^ address[i]) & static_cast<std::uint8_t>(~host_mask(i, prefix))) return false;
  }
  return true;
}

}  // namespace sallyport::config
