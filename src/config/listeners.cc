#include "config/listeners.h"

#include <fmt/format.h>

#include "dns/address.h"

namespace sallyport::config {
namespace {

bool is_wildcard(const dns::Ip& ip) { return dns::classify(ip, false) == dns::AddressKind::kUnspecified; }

bool is_v6(const HostPort& address) { return address.host.find(':') != std::string::npos; }

bool overlap(const HostPort& a, const HostPort& b) {
  if (a.port != b.port || is_v6(a) != is_v6(b)) return false;
  const auto one = dns::Ip::parse(a.host);
  const auto other = dns::Ip::parse(b.host);
  if (!one || !other) return false;
  return *one == *other || is_wildcard(*one) || is_wildcard(*other);
}

}  // namespace

void Listeners::add(const TableReader& table, std::string_view key, std::string_view shown,
                    const std::vector<HostPort>& addresses) {
  const std::vector<Place> places = table.places(key);
  // If one of the values is invalid, which is an error itself, the places do not match the addresses.
  const bool places_match = places.size() == addresses.size();
  for (std::size_t i = 0; i < addresses.size(); ++i)
    all_.push_back({std::string(shown), addresses[i], places_match ? places[i] : table.place(key)});
}

void Listeners::report_overlaps() const {
  for (std::size_t i = 0; i < all_.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (!overlap(all_[i].address, all_[j].address)) continue;
      findings_.error(
          all_[i].place, Code::kConfigConflict,
          fmt::format("{} listens on {}, which overlaps with {} of {} ({}:{}:{}); give one of them "
                      "another address or port",
                      all_[i].shown, all_[i].address.text(), all_[j].address.text(), all_[j].shown,
                      findings_.file(), all_[j].place.line, all_[j].place.column));
      break;
    }
  }
}

std::string read_control(TableReader& table, std::string_view default_path, Findings& findings) {
  std::string path = table.path("control");
  if (path.empty()) path = default_path;
  if (path.size() > kSocketPathBytesMax) {
    findings.error(table.place("control"), Code::kConfigValue,
                   fmt::format("`control` is {}, a path of {} bytes; that of a Unix socket has at most {}",
                               path, path.size(), kSocketPathBytesMax));
  }
  return path;
}

void warn_of_public_metrics(const TableReader& table, const std::optional<HostPort>& metrics,
                            Findings& findings) {
  const auto ip = metrics ? dns::Ip::parse(metrics->host) : std::nullopt;
  if (!ip) return;
  const dns::AddressKind kind = dns::classify(*ip, false);
  if (kind != dns::AddressKind::kGlobal && kind != dns::AddressKind::kUnspecified) return;
  findings.warn(
      table.place("metrics"), Code::kConfigExposed,
      fmt::format("`metrics` listens on {}, which is {}; use a loopback or private address, or let a "
                  "firewall admit only the monitoring host",
                  metrics->text(),
                  kind == dns::AddressKind::kGlobal ? "a public address" : "every address of this host"));
}

}  // namespace sallyport::config
