// edge.toml as a value: parses text to a whole configuration or to all errors. Pure: the caller reads the
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

struct CoreRow {  // [[core]] in edge.toml
  std::string name{};
  std::vector<std::string> pins{};
  std::vector<policy::DomainPattern> domains{};  // empty: any
};

struct EdgeConfig {
  std::string file{};
  xmpp::Domain name;
  std::vector<HostPort> s2s{};
  std::vector<HostPort> traversal{};
  std::string control{};
  std::string control_group{};
  std::optional<HostPort> metrics{};
  std::size_t shards = 1;  // threads, each a whole node
  IdentityFiles identity{};
  std::vector<CoreRow> cores{};
  std::vector<HostPort> resolver_servers{};  // empty: the system's
  std::string trust_anchor{};
  std::vector<std::string> resolver_insecure{};
  std::vector<std::uint16_t> outbound_ports{5269};
  std::vector<Network> allow_networks{};
  std::vector<Network> refuse_networks{};
  std::vector<std::string> bind{};
  limits::Configured limits{};
};

Loaded<EdgeConfig> parse_edge_config(std::string_view text, const std::string& file);

}  // namespace sallyport::config
