// IP addresses as values, and their kind. The address is checked when it is connected to, not the name that
// led to it (THREATS C1).
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::dns {

// An IPv6 address, or an IPv4 address as ::ffff:a.b.c.d.
struct Ip {
  std::array<std::uint8_t, 16> bytes{};
  static std::optional<Ip> parse(std::string_view text);  // both families, no scope, no brackets
  static Ip v4(std::array<std::uint8_t, 4> bytes);
  bool is_v4() const;
  std::string text() const;  // RFC 5952; IPv4 in dotted form
  auto operator<=>(const Ip&) const = default;
};

struct SocketAddress {
  Ip ip;
  std::uint16_t port = 0;
  std::string text() const;  // "192.0.2.1:5269", "[2001:db8::1]:5269"
  auto operator<=>(const SocketAddress&) const = default;
};

// The special-purpose registries (RFC 6890 and its successors), as far as they matter for connecting.
enum class AddressKind : std::uint8_t {
  kGlobal,
  kUnspecified,
  kLoopback,
  kPrivate,
  kLinkLocal,
  kCgnat,
  kUniqueLocal,
  kMulticast,
  kReserved,
  kMapped,  // an IPv6 address that carries an IPv4 one: v4-mapped written as IPv6, NAT64, 6to4, Teredo
};
// Returns the kind of `ip`. `written_as_v6`: the address came as an AAAA record or an IPv6 literal, where a
// v4-mapped one is a trick. Documentation prefixes (192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24,
// 2001:db8::/32, 3fff::/20) count as global: they hold nothing private, and test networks use them as global.
AddressKind classify(const Ip& ip, bool written_as_v6);
std::string_view kind_name(AddressKind kind);

}  // namespace sallyport::dns
