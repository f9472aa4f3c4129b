// Configuration files as values: text in, a whole configuration or every error out. Pure: the
// caller reads the files (daemon/files), these functions judge their text.
//
// Unknown keys are errors with file:line:column and the nearest known key. Relative paths come out
// relative to the file that names them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "gate/address_map.h"
#include "policy/rules.h"
#include "route/static_route.h"

namespace sallyport::gate {

using route::HostPort;

// One thing wrong (or, for warnings, without effect) in a file.
struct Finding {
  Code code;
  std::string file{};
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string text{};
  // "edge.toml:3:1: unknown key `nmae`; did you mean `name`? [config.key]"; line 0: the whole file
  std::string shown() const;
};
// Either a value, or why not; warnings in both cases.
template <typename T>
struct Loaded {
  std::optional<T> value{};
  std::vector<Finding> errors{};
  std::vector<Finding> warnings{};
};

// "10.0.0.0/8", "2001:db8::/32", "192.0.2.1".
struct Network {
  std::array<std::uint8_t, 16> address{};  // IPv4 as ::ffff:a.b.c.d
  std::uint8_t prefix = 128;               // in IPv6 terms
  static Result<Network> parse(std::string_view text);
  bool contains(const std::array<std::uint8_t, 16>& ip) const;
  bool operator==(const Network&) const = default;
};

struct IdentityFiles {
  std::string certificate{};
  std::string key{};
};

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
  std::size_t shards = 1;  // threads, each a whole door
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

struct CoreConfig {
  std::string file{};
  xmpp::Domain name;
  std::vector<HostPort> s2s{};
  std::string control{};
  std::string control_group{};
  std::optional<HostPort> metrics{};
  std::string state{};
  std::string policy{};
  std::string dialback_secret{};  // path; empty: in `state`
  std::size_t shards = 1;         // threads, each a whole door
  IdentityFiles identity{};
  std::vector<EdgeRow> edges{};
  std::vector<policy::DomainPattern> internal_names{};
  Trust trust = Trust::kMinted;
  std::string ca_certificate{};  // paths; empty: in `state`
  std::string ca_key{};
  std::string server_ca{};  // path; empty: inside servers are known by their address
  std::optional<DnsConfig> dns{};
  std::string certificates{};  // directory
  std::optional<AdminConfig> admin{};
  limits::Configured limits{};
};

// A [[domain]] or [[chat_node]] row as the core serves it.
struct Served {
  xmpp::Domain name;    // outward: domain or alias
  xmpp::Domain inside;  // the name its server knows: the same, or the chat node's
  std::vector<HostPort> servers{};
  std::optional<Trust> trust{};
  bool is_alias = false;
  std::uint32_t line = 0;
};

// Every name that is inside besides what is served outward: [internal] names, the core, its edges, mapped
// nodes.
std::vector<policy::DomainPattern> inside_names(const CoreConfig& core, const std::vector<Served>& served);

struct PolicyConfig {
  std::string file{};
  policy::RuleSet rules{};  // `inside` is filled from core.toml
  bool static_routes = true;
  std::vector<route::StaticRoute> routes{};
  std::vector<Served> served{};
  std::string trusted_ca{};  // path, or empty for the edge's system store
};

Loaded<EdgeConfig> parse_edge_config(std::string_view text, const std::string& file);
Loaded<CoreConfig> parse_core_config(std::string_view text, const std::string& file);
// `core` supplies the inside names: an allow of one is an error (DESIGN "policy.toml"). Rows that have
// expired at `now` are warned of; without it none is.
Loaded<PolicyConfig> parse_policy(std::string_view text, const std::string& file, const CoreConfig& core,
                                  std::optional<UnixTime> now = std::nullopt);

}  // namespace sallyport::gate
