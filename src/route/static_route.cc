#include "route/static_route.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "dns/address.h"

namespace sallyport::route {
namespace {

constexpr std::string_view kForm =
    "expected an address like 192.0.2.1:5269, [2001:db8::1]:5269 or xmpp.example.net:5269";

Error bad(std::string_view text) {
  return {Code::kConfigValue, fmt::format("`{}` is not an address and port; {}", shown(text), kForm)};
}

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  std::uint16_t port = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, port);
  if (error != std::errc() || stop != end || port == 0 || digits[0] == '0') return std::nullopt;
  return port;
}

// inet_aton reads "10.1" and "0x7f.1" as addresses, so a name with such an end is rejected.
bool ends_in_number(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return std::ranges::all_of(last, is_digit) || last.starts_with("0x");
}

struct Split {
  std::string_view host;
  std::string_view port;  // empty if absent
  bool bracketed = false;
};

std::optional<Split> split(std::string_view text) {
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view host = text.substr(1, close - 1);
    const std::string_view behind = text.substr(close + 1);
    if (behind.empty()) return Split{host, {}, true};
    if (behind[0] != ':' || behind.size() == 1) return std::nullopt;
    return Split{host, behind.substr(1), true};
  }
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) return Split{text, {}, false};
  // Without brackets an IPv6 literal is ambiguous about its port.
  if (text.find(':', colon + 1) != std::string_view::npos || colon + 1 == text.size()) return std::nullopt;
  return Split{text.substr(0, colon), text.substr(colon + 1), false};
}

}  // namespace

Result<HostPort> HostPort::parse(std::string_view text, std::uint16_t default_port) {
  const auto parts = split(text);
  if (!parts) return bad(text);
  std::uint16_t port = default_port;
  if (!parts->port.empty()) {
    const auto written = parse_port(parts->port);
    if (!written) return bad(text);
    port = *written;
  }
  if (const auto ip = dns::Ip::parse(parts->host)) {
    const bool written_as_v6 = parts->host.find(':') != std::string_view::npos;
    if (written_as_v6 != parts->bracketed) return bad(text);
    return HostPort{ip->text(), port, true};
  }
  if (parts->bracketed) return bad(text);
  const auto name = xmpp::Domain::parse(parts->host);
  if (!name || ends_in_number(name->ascii())) return bad(text);
  return HostPort{name->ascii(), port, false};
}

std::string HostPort::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

StaticRoutes::StaticRoutes(std::vector<StaticRoute> rows) {
  for (auto& row : rows) rows_[row.domain].push_back(std::move(row));
  for (auto& [domain, of_domain] : rows_) std::ranges::stable_sort(of_domain, {}, &StaticRoute::priority);
}

const std::vector<StaticRoute>& StaticRoutes::of(const xmpp::Domain& domain) const {
  static const std::vector<StaticRoute> kNone;
  const auto at = rows_.find(domain);
  return at == rows_.end() ? kNone : at->second;
}

bool StaticRoutes::falls_back(const xmpp::Domain& domain) const {
  return std::ranges::any_of(of(domain), &StaticRoute::fallback_dns);
}

}  // namespace sallyport::route
