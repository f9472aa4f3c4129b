#include "config/policy_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/keyed_hash.h"
#include "base/limits.h"
#include "config/file_role.h"
#include "config/policy_effect.h"
#include "config/table_reader.h"

namespace sallyport::config {
namespace {

using policy::Authenticate;
using policy::Confirm;
using policy::Delivery;
using policy::Direction;
using policy::DomainPattern;
using policy::OnDoubt;
using policy::Privacy;
using policy::TlsRule;

constexpr std::uint16_t kS2sPort = 5269;

std::optional<Authenticate> read_authenticate(TableReader& table) {
  return table.choice<Authenticate>(
      "authenticate", {{"certificate", Authenticate::kCertificate}, {"dialback", Authenticate::kDialback}});
}

std::optional<Delivery> read_delivery(TableReader& table) {
  return table.choice<Delivery>("delivery", {{"memory", Delivery::kMemory}, {"durable", Delivery::kDurable}});
}

class PolicyReader {
 public:
  PolicyReader(const CoreConfig& core, PolicyConfig& config, Findings& findings)
      : core_(core), config_(config), findings_(findings) {}

  void read(TableReader& root) {
    read_federation(root);
    read_domains(root);
    read_chat_nodes(root);
    check_nodes();
    fill_internal_names();
    read_routes(root);
    read_list(root, "allow", "[[allow]]", true);
    read_list(root, "deny", "[[deny]]", false);
    read_peers(root);
    root.finish();
    check_counts();
  }

 private:
  void conflict(Place place, std::string text) {
    findings_.error(place, Code::kConfigConflict, std::move(text));
  }

  void read_federation(TableReader& root) {
    auto table = root.table("federation", "[federation]", Need::kOptional);
    if (!table) return;
    auto& rules = config_.rules;
    rules.enabled = table->boolean("enabled").value_or(true);
    rules.privacy = table
                        ->choice<Privacy>("privacy", {{"allow-list", Privacy::kAllowList},
                                                      {"deny-list", Privacy::kDenyList},
                                                      {"off", Privacy::kOff}})
                        .value_or(Privacy::kAllowList);
    rules.authenticate = read_authenticate(*table).value_or(Authenticate::kCertificate);
    rules.delivery = read_delivery(*table).value_or(Delivery::kMemory);
    config_.static_routes = table->boolean("static_routes").value_or(true);
    const auto store = table->text("trusted_ca");
    if (store && *store != "system") config_.trusted_ca = resolve_path(findings_.file(), *store);
    table->finish();
  }

  // Adds the row if its names are not used yet.
  void serve(Served row, Place place) {
    const std::string& name = row.name.ascii();
    if (const auto [at, fresh] = served_.emplace(name, row.line); !fresh) {
      return conflict(place, fmt::format("`{}` is already served by the row in line {}", name, at->second));
    }
    if (row.name == core_.name) return conflict(place, fmt::format("`{}` is the name of the core", name));
    config_.rules.local.push_back({row.name, row.is_alias});
    config_.served.push_back(std::move(row));
  }

  void read_domains(TableReader& root) {
    for (auto& table : root.tables("domain", "[[domain]]")) {
      const auto name = table.parsed("name", Need::kRequired, xmpp::Domain::parse);
      Served row{.name = name.value_or(no_domain()), .internal_name = name.value_or(no_domain())};
      row.servers = read_servers(table);
      row.trust = read_trust(table);
      row.line = table.place().line;
      table.finish();
      if (name) serve(std::move(row), table.place("name"));
    }
  }

  void read_chat_nodes(TableReader& root) {
    for (auto& table : root.tables("chat_node", "[[chat_node]]")) {
      const auto alias = table.parsed("alias", Need::kRequired, xmpp::Domain::parse);
      const auto node = table.parsed("node", Need::kOptional, xmpp::Domain::parse);
      Served row{.name = alias.value_or(no_domain()),
                 .internal_name = node ? *node : alias.value_or(no_domain())};
      row.servers = read_servers(table);
      row.trust = read_trust(table);
      row.is_alias = true;
      row.line = table.place().line;
      table.finish();
      if (alias && node) nodes_.push_back({*alias, *node, table.place("node")});
      if (alias) serve(std::move(row), table.place("alias"));
    }
  }

  static std::vector<HostPort> read_servers(TableReader& table) {
    return table.list("servers", Need::kRequired,
                      [](std::string_view text) { return HostPort::parse(text, kS2sPort); });
  }

  static std::optional<Trust> read_trust(TableReader& table) {
    return table.choice<Trust>("trust", {{"minted", Trust::kMinted}, {"dialback", Trust::kDialback}});
  }

  // A node's own name is internal: no other row may serve it publicly, and it must be a name that is never
  // taken for a remote domain without this row.
  void check_nodes() {
    for (const auto& [alias, node, place] : nodes_) {
      if (node == alias) continue;
      if (served_.contains(node.ascii())) {
        conflict(place,
                 fmt::format("the node `{}` is itself served under that name by another row", node.ascii()));
      } else if (node == core_.name) {
        conflict(place, fmt::format("`{}` is the name of the core", node.ascii()));
      } else if (!is_internal(node)) {
        conflict(place,
                 fmt::format("the node `{}` is neither under [internal] names in core.toml nor below a "
                             "[[domain]]; add it to [internal] names",
                             node.ascii()));
      }
    }
  }

  bool is_internal(const xmpp::Domain& name) const {
    const auto covers = [&](const DomainPattern& pattern) { return pattern.matches(name); };
    if (std::ranges::any_of(core_.internal_names, covers)) return true;
    const std::string& text = name.ascii();
    for (auto dot = text.find('.'); dot != std::string::npos; dot = text.find('.', dot + 1)) {
      if (served_.contains(text.substr(dot + 1))) return true;
    }
    return false;
  }

  void fill_internal_names() {
    config_.rules.internal_names = internal_names(core_, config_.served);
    policy::RuleSet names;
    names.local = config_.rules.local;
    names.internal_names = config_.rules.internal_names;
    internal_.emplace(std::move(names));
  }

  void read_routes(TableReader& root) {
    std::set<xmpp::Domain> routed;
    for (auto& table : root.tables("static_route", "[[static_route]]")) {
      const auto domain = table.parsed("domain", Need::kRequired, xmpp::Domain::parse);
      const auto address = table.parsed(
          "address", Need::kRequired, [](std::string_view text) { return HostPort::parse(text, kS2sPort); });
      const auto priority = table.integer("priority", 0, 65535).value_or(0);
      const bool fallback = table.choice<bool>("fallback", {{"none", false}, {"dns", true}}).value_or(false);
      table.finish();
      if (!domain || !address) continue;
      if (internal_->is_internal(*domain)) {
        conflict(table.place("domain"),
                 fmt::format("`{}` is an internal name; it cannot have a static route", domain->ascii()));
        continue;
      }
      config_.routes.push_back(
          {*domain, *address, static_cast<std::uint16_t>(priority), fallback, table.place().line});
      if (config_.static_routes && routed.insert(*domain).second) config_.rules.routed.push_back(*domain);
    }
  }

  void read_list(TableReader& root, std::string_view key, std::string_view shown, bool allow) {
    for (auto& table : root.tables(key, shown)) {
      const auto domain = table.parsed("domain", Need::kRequired, DomainPattern::parse);
      const auto direction = table.choice<Direction>(
          "direction", {{"in", Direction::kIn}, {"out", Direction::kOut}, {"both", Direction::kBoth}});
      auto comment = table.text("comment");
      const auto last_day = table.date("expires");
      table.finish();
      if (!domain) continue;
      if (allow && internal_->is_internal(*domain)) {
        conflict(
            table.place("domain"),
            fmt::format("`{}` is an internal name; it cannot be allowed as a remote domain", domain->text()));
        continue;
      }
      policy::ListRow row{
          .domain = *domain, .allow = allow, .direction = direction.value_or(Direction::kBoth)};
      row.comment = std::move(comment).value_or("");
      if (last_day) row.expires = last_day->midnight + std::chrono::days(1);
      row.line = table.place().line;
      config_.rules.lists.push_back(std::move(row));
    }
  }

  void read_peers(TableReader& root) {
    TextMap<std::uint32_t> seen;
    for (auto& table : root.tables("peer", "[[peer]]")) {
      const auto domain = table.parsed("domain", Need::kRequired, DomainPattern::parse);
      const auto authenticate = read_authenticate(table);
      const auto tls = table.choice<TlsRule>(
          "tls",
          {{"required", TlsRule::kRequired}, {"optional", TlsRule::kOptional}, {"none", TlsRule::kNone}});
      const auto confirm = table.choice<Confirm>(
          "confirm", {{"auto", Confirm::kAuto}, {"ack", Confirm::kAck}, {"none", Confirm::kNone}});
      const auto on_doubt =
          table.choice<OnDoubt>("on_doubt", {{"resend", OnDoubt::kResend}, {"answer", OnDoubt::kAnswer}});
      const auto delivery = read_delivery(table);
      table.finish();
      if (!domain) continue;
      check_tls(table, *domain, authenticate, tls);
      if (const auto [at, fresh] = seen.emplace(domain->text(), table.place().line); !fresh) {
        conflict(table.place("domain"),
                 fmt::format("[[peer]] `{}` is already listed in line {}", domain->text(), at->second));
        continue;
      }
      if (internal_->is_internal(*domain)) {
        findings_.warn(
            table.place(), Code::kConfigNoEffect,
            fmt::format("[[peer]] `{}` has no effect: internal names are never remote", domain->text()));
      } else if (!authenticate && !tls && !confirm && !on_doubt && !delivery) {
        findings_.warn(table.place(), Code::kConfigNoEffect,
                       fmt::format("[[peer]] `{}` has no effect: it sets nothing", domain->text()));
      }
      config_.rules.peers.push_back(
          {*domain, authenticate, tls, confirm, on_doubt, delivery, table.place().line});
    }
  }

  // Less than required TLS needs a peer that is named exactly and is known to have no certificate.
  void check_tls(const TableReader& table, const DomainPattern& domain,
                 std::optional<Authenticate> authenticate, std::optional<TlsRule> tls) {
    if (!tls || *tls == TlsRule::kRequired) return;
    if (domain.is_wildcard()) {
      conflict(table.place("tls"),
               "`tls` may be less than required only for an exact domain, not for a wildcard");
    } else if (authenticate != Authenticate::kDialback) {
      conflict(
          table.place("tls"),
          "`tls` may be less than required only together with authenticate = \"dialback\" in the same row");
    }
  }

  void check_counts() {
    const auto& rules = config_.rules;
    const std::pair<std::string_view, std::size_t> counts[] = {
        {"[[domain]] and [[chat_node]]", config_.served.size()},
        {"[[static_route]]", config_.routes.size()},
        {"[[allow]] and [[deny]]", rules.lists.size()},
        {"[[peer]]", rules.peers.size()},
    };
    for (const auto& [kind, count] : counts) {
      if (count <= limits::kPolicyRowsMax) continue;
      findings_.error(
          {}, Code::kConfigValue,
          fmt::format("there are {} {} rows; the limit is {}", count, kind, limits::kPolicyRowsMax));
    }
  }

  const CoreConfig& core_;
  PolicyConfig& config_;
  Findings& findings_;
  TextMap<std::uint32_t> served_;  // the line of each public name
  struct Node {
    xmpp::Domain alias;
    xmpp::Domain node;
    Place place;
  };
  std::vector<Node> nodes_;
  std::optional<policy::Rules> internal_;
};

}  // namespace

std::vector<DomainPattern> internal_names(const CoreConfig& core, const std::vector<Served>& served) {
  const auto exactly = [](const xmpp::Domain& name) { return DomainPattern::parse(name.ascii()).value(); };
  std::vector<DomainPattern> names = core.internal_names;
  names.push_back(exactly(core.name));
  for (const auto& edge : core.edges) names.push_back(exactly(edge.name));
  for (const auto& row : served) {
    if (row.internal_name != row.name) names.push_back(exactly(row.internal_name));
  }
  return names;
}

Loaded<PolicyConfig> parse_policy(std::string_view text, const std::string& file, const CoreConfig& core,
                                  std::optional<UnixTime> now) {
  Findings findings(file);
  PolicyConfig config{.file = file};
  const TomlDocument document = parse_toml(text);
  if (!document.error.empty()) {
    findings.error(document.error_place, Code::kConfigSyntax, document.error);
    return std::move(findings).finish(std::move(config));
  }
  if (refuse_other_role(document.root, FileRole::kPolicy, findings))
    return std::move(findings).finish(std::move(config));
  TableReader root(document.root, {}, "", findings);
  PolicyReader(core, config, findings).read(root);
  if (findings.good()) warn_of_idle_rows(config, now, findings);
  if (findings.good()) warn_of_no_federation(config, now, findings);
  return std::move(findings).finish(std::move(config));
}

}  // namespace sallyport::config
