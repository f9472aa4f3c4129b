// core.toml as a value: parses text to a whole configuration or to all errors. Pure: the caller reads the
// file.
//
// Unknown keys are errors with file:line:column and the nearest known key. Relative paths become relative to
// the folder of the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "config/finding.h"
#include "config/identity_files.h"
#include "config/network.h"
#include "policy/rules.h"
#include "route/static_route.h"

namespace sallyport::config {

using route::HostPort;

struct EdgeRow {  // [[edge]] in core.toml
  xmpp::Domain name;
  HostPort address;
  std::vector<std::string> pins{};
};

enum class Trust : std::uint8_t { kMinted, kDialback };

struct DnsConfig {
  std::vector<HostPort> listen{};
  std::vector<HostPort> upstream{};
  std::vector<Network> clients{};
};

struct AdminConfig {
  std::string listen{};
  std::string tokens_file{};
  std::string certificate{};
  std::string key{};
  std::vector<std::string> hosts{};
};

// [delivery]; its `memory` is limits.waiting_bytes. A relative `spool` is relative to `state`, not to the
// file.
struct DeliveryConfig {
  std::string spool{};  // path; parse_core_config sets spool.db in `state` where the file names none
  std::uint64_t spool_bytes = limits::kSpoolBytesMax;
  std::chrono::seconds lifetime = limits::kLifetime;
  std::chrono::seconds lifetime_memory = limits::kLifetimeMemory;
  bool operator==(const DeliveryConfig&) const = default;
};

struct CoreConfig {
  std::string file{};
  xmpp::Domain name;
  std::vector<HostPort> s2s{};
  std::string control{};
  std::string control_group{};
  std::optional<HostPort> metrics{};
  std::string state{};
  std::string policy{};
  std::string dialback_secret{};  // path; empty: a file in `state`
  std::size_t shards = 1;         // threads, each a whole node
  IdentityFiles identity{};
  std::vector<EdgeRow> edges{};
  std::vector<policy::DomainPattern> internal_names{};
  Trust trust = Trust::kMinted;
  std::string ca_certificate{};  // paths; empty: files in `state`
  std::string ca_key{};
  std::string server_ca{};  // path; empty: internal servers are known by their address
  std::optional<DnsConfig> dns{};
  std::string certificates{};  // directory
  DeliveryConfig delivery{};
  std::optional<AdminConfig> admin{};
  limits::Configured limits{};
};

Loaded<CoreConfig> parse_core_config(std::string_view text, const std::string& file);

}  // namespace sallyport::config
