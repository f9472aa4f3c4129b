// A range of addresses, as in `allow_networks` and `clients`.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace sallyport::config {

// "10.0.0.0/8", "2001:db8::/32", "192.0.2.1".
struct Network {
  std::array<std::uint8_t, 16> address{};  // IPv4 as ::ffff:a.b.c.d
  std::uint8_t prefix = 128;               // in IPv6 terms
  static Result<Network> parse(std::string_view text);
  bool contains(const std::array<std::uint8_t, 16>& ip) const;
  bool operator==(const Network&) const = default;
};

}  // namespace sallyport::config
