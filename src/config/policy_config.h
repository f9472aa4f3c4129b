// policy.toml as a value: parses text to a whole policy or to all errors. Pure: the caller reads the file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "config/core_config.h"
#include "config/finding.h"
#include "policy/rules.h"
#include "route/static_route.h"

namespace sallyport::config {

// A [[domain]] or [[chat_node]] row as the core serves it.
struct Served {
  xmpp::Domain name;           // public: domain or alias
  xmpp::Domain internal_name;  // the name its server knows: the same, or the chat node's
  std::vector<HostPort> servers{};
  std::optional<Trust> trust{};
  bool is_alias = false;
  std::uint32_t line = 0;
};

// Returns every internal name except the served public ones: [internal] names, the core, its edges, mapped
// nodes.
std::vector<policy::DomainPattern> internal_names(const CoreConfig& core, const std::vector<Served>& served);

struct PolicyConfig {
  std::string file{};
  policy::RuleSet rules{};  // `internal_names` is filled from core.toml
  bool static_routes = true;
  std::vector<route::StaticRoute> routes{};
  std::vector<Served> served{};
  std::string trusted_ca{};  // path, or empty for the edge's system store
};

// `core` supplies the internal names: an allow of one is an error (docs/configuration.md "policy.toml"). Rows
// that have expired at `now` cause a warning; without `now` none does.
Loaded<PolicyConfig> parse_policy(std::string_view text, const std::string& file, const CoreConfig& core,
                                  std::optional<UnixTime> now = std::nullopt);

}  // namespace sallyport::config
