#include "dns/address.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>

namespace sallyport::dns {
namespace {

constexpr std::array<std::uint8_t, 12> kV4Prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Four decimal octets without leading zeros: some parsers read "010" as eight, so it is rejected.
std::optional<std::array<std::uint8_t, 4>> parse_v4(std::string_view text) {
  std::array<std::uint8_t, 4> out{};
  for (std::size_t octet = 0; octet < 4; ++octet) {
    if (octet > 0) {
      if (text.empty() || text.front() != '.') return std::nullopt;
      text.remove_prefix(1);
    }
    unsigned value = 0;
    std::size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
      value = value * 10 + static_cast<unsigned>(text[digits] - '0');
      if (++digits > 3 || value > 255) return std::nullopt;
    }
    if (digits == 0 || (digits > 1 && text.front() == '0')) return std::nullopt;
    out[octet] = static_cast<std::uint8_t>(value);
    text.remove_prefix(digits);
  }
  if (!text.empty()) return std::nullopt;
  return out;
}

std::optional<unsigned> hex_group(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  unsigned value = 0;
  for (char c : text) {
    value <<= 4;
    if (c >= '0' && c <= '9') {
      value |= static_cast<unsigned>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value |= static_cast<unsigned>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      value |= static_cast<unsigned>(c - 'A' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

// Reads the groups on one side of "::", at most eight. Appends to `out`; returns false if malformed.
bool parse_groups(std::string_view text, std::string& out) {
  if (text.empty()) return true;
  for (;;) {
    const auto colon = text.find(':');
    const auto part = text.substr(0, colon);
    if (colon == std::string_view::npos && part.find('.') != std::string_view::npos) {
      const auto v4 = parse_v4(part);
      if (!v4) return false;
      out.append(v4->begin(), v4->end());
      return out.size() <= 16;
    }
    const auto group = hex_group(part);
    if (!group || out.size() + 2 > 16) return false;
    out.push_back(static_cast<char>(*group >> 8));
    out.push_back(static_cast<char>(*group & 0xff));
    if (colon == std::string_view::npos) return true;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;
  }
}

std::optional<std::array<std::uint8_t, 16>> parse_v6(std::string_view text) {
  std::string head;
  std::string tail;
  const auto gap = text.find("::");
  if (!parse_groups(text.substr(0, gap), head)) return std::nullopt;
  if (gap == std::string_view::npos) {
    if (head.size() != 16) return std::nullopt;
  } else {
    if (text.substr(0, gap).find('.') != std::string_view::npos) return std::nullopt;
    if (!parse_groups(text.substr(gap + 2), tail)) return std::nullopt;
    // RFC 4291 2.2: "::" represents one group at least.
    if (head.size() + tail.size() > 14) return std::nullopt;
  }
  std::array<std::uint8_t, 16> out{};
  std::copy(head.begin(), head.end(), out.begin());
  std::copy(tail.begin(), tail.end(), out.end() - static_cast<std::ptrdiff_t>(tail.size()));
  return out;
}

std::string v6_text(const std::array<std::uint8_t, 16>& bytes) {
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) {
    groups[i] = static_cast<unsigned>(bytes[2 * i] << 8) | bytes[2 * i + 1];
  }
  // RFC 5952 4.2: the longest run of two zero groups or more, the first of equal ones.
  std::size_t gap = 8;
  std::size_t gap_length = 1;
  for (std::size_t i = 0; i < 8;) {
    std::size_t end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > gap_length) {
      gap = i;
      gap_length = end - i;
    }
    i = end + 1;
  }
  std::string out;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i == gap) {
      out += "::";
      i += gap_length - 1;
      continue;
    }
    if (!out.empty() && out.back() != ':') out += ':';
    out += fmt::format("{:x}", groups[i]);
  }
  return out;
}

struct Prefix {
  std::array<std::uint8_t, 16> bytes;
  unsigned bits;
  AddressKind kind;
};

// The first matching row decides, so a special range inside a wider one comes before it.
// IANA IPv4 Special-Purpose Address Registry (RFC 6890).
constexpr Prefix kV4[] = {
    {{0}, 8, AddressKind::kUnspecified},  // RFC 791: "this network"; Linux connects 0.0.0.0 to itself
    {{10}, 8, AddressKind::kPrivate},     // RFC 1918
    {{172, 16}, 12, AddressKind::kPrivate},
    {{192, 168}, 16, AddressKind::kPrivate},
    {{100, 64}, 10, AddressKind::kCgnat},       // RFC 6598
    {{127}, 8, AddressKind::kLoopback},         // RFC 1122 3.2.1.3
    {{169, 254}, 16, AddressKind::kLinkLocal},  // RFC 3927; cloud metadata services hand out secrets there
    {{192, 0, 0}, 24, AddressKind::kReserved},  // RFC 6890 2.1: protocol assignments
    {{192, 0, 2}, 24, AddressKind::kGlobal},    // RFC 5737: documentation, as in IPv6 below
    {{198, 51, 100}, 24, AddressKind::kGlobal},
    {{203, 0, 113}, 24, AddressKind::kGlobal},
    {{192, 88, 99}, 24, AddressKind::kReserved},  // RFC 7526: former 6to4 relays
    {{198, 18}, 15, AddressKind::kReserved},      // RFC 2544: benchmarks in closed networks
    {{224}, 4, AddressKind::kMulticast},          // RFC 5771
    {{240}, 4, AddressKind::kReserved},           // RFC 1112 4; includes the limited broadcast
};

// IANA IPv6 Special-Purpose Address Registry.
constexpr Prefix kV6[] = {
    {{0}, 128, AddressKind::kUnspecified},
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, 128, AddressKind::kLoopback},
    {{0}, 96, AddressKind::kMapped},                                   // RFC 4291 2.5.5.1: v4-compatible
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96, AddressKind::kMapped},  // RFC 2765: v4-translated
    {{0, 0x64, 0xff, 0x9b}, 96, AddressKind::kMapped},                 // RFC 6052: NAT64
    {{0, 0x64, 0xff, 0x9b, 0, 1}, 48, AddressKind::kMapped},           // RFC 8215: local NAT64
    {{0x20, 0x01, 0, 0}, 32, AddressKind::kMapped},                    // RFC 4380: Teredo
    {{0x20, 0x02}, 16, AddressKind::kMapped},                          // RFC 3056: 6to4
    {{0x20, 0x01, 0x0d, 0xb8}, 32, AddressKind::kGlobal},              // RFC 3849: documentation
    {{0x3f, 0xff}, 20, AddressKind::kGlobal},                          // RFC 9637: the same
    {{0x20, 0x01, 0}, 23, AddressKind::kReserved},                     // RFC 2928: protocol assignments
    {{0xfe, 0x80}, 10, AddressKind::kLinkLocal},
    {{0xfe, 0xc0}, 10, AddressKind::kPrivate},  // RFC 3879: site-local, deprecated
    {{0xfc}, 7, AddressKind::kUniqueLocal},     // RFC 4193
    {{0xff}, 8, AddressKind::kMulticast},
    {{0x20}, 3, AddressKind::kGlobal},  // RFC 4291 2.4: allocated unicast
    {{0}, 0, AddressKind::kReserved},   // the rest is not allocated
};

bool matches(const Prefix& row, std::span<const std::uint8_t> bytes) {
  for (unsigned bit = 0; bit < row.bits; bit += 8) {
    const unsigned left = std::min(8U, row.bits - bit);
    const unsigned mask = (0xff00U >> left) & 0xffU;
    if (((row.bytes[bit / 8] ^ bytes[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

}  // namespace

std::optional<Ip> Ip::parse(std::string_view text) {
  if (const auto four = parse_v4(text)) return v4(*four);
  const auto six = parse_v6(text);
  if (!six) return std::nullopt;
  return Ip{*six};
}

Ip Ip::v4(std::array<std::uint8_t, 4> four) {
  Ip ip;
  std::ranges::copy(kV4Prefix, ip.bytes.begin());
  std::ranges::copy(four, ip.bytes.begin() + 12);
  return ip;
}

bool Ip::is_v4() const { return std::equal(kV4Prefix.begin(), kV4Prefix.end(), bytes.begin()); }

std::string Ip::text() const {
  if (is_v4()) return fmt::format("{}.{}.{}.{}", bytes[12], bytes[13], bytes[14], bytes[15]);
  return v6_text(bytes);
}

std::string SocketAddress::text() const {
  return ip.is_v4() ? fmt::format("{}:{}", ip.text(), port) : fmt::format("[{}]:{}", ip.text(), port);
}

AddressKind classify(const Ip& ip, bool written_as_v6) {
  if (ip.is_v4()) {
    if (written_as_v6) return AddressKind::kMapped;
    const auto* row = std::ranges::find_if(
        kV4, [&](const Prefix& p) { return matches(p, std::span(ip.bytes).subspan(12)); });
    return row == std::end(kV4) ? AddressKind::kGlobal : row->kind;
  }
  return std::ranges::find_if(kV6, [&](const Prefix& p) { return matches(p, ip.bytes); })->kind;
}

std::string_view kind_name(AddressKind kind) {
  switch (kind) {
    case AddressKind::kGlobal:
      return "global";
    case AddressKind::kUnspecified:
      return "unspecified";
    case AddressKind::kLoopback:
      return "loopback";
    case AddressKind::kPrivate:
      return "private";
    case AddressKind::kLinkLocal:
      return "link-local";
    case AddressKind::kCgnat:
      return "shared (CGNAT)";
    case AddressKind::kUniqueLocal:
      return "unique local";
    case AddressKind::kMulticast:
      return "multicast";
    case AddressKind::kReserved:
      return "reserved";
    case AddressKind::kMapped:
      return "IPv4 inside IPv6";
  }
  return "unknown";
}

}  // namespace sallyport::dns
