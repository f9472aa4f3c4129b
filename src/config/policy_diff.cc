#include "config/policy_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace sallyport::config {
namespace {

// Tables in the order of policy.toml.
enum class Table { kFederation, kDomain, kChatNode, kStaticRoute, kAllow, kDeny, kPeer };

constexpr std::string_view name_of(Table table) {
  switch (table) {
    case Table::kFederation:
      return "federation";
    case Table::kDomain:
      return "domain";
    case Table::kChatNode:
      return "chat_node";
    case Table::kStaticRoute:
      return "static_route";
    case Table::kAllow:
      return "allow";
    case Table::kDeny:
      return "deny";
    case Table::kPeer:
      return "peer";
  }
  return "";
}

// Settings by row; several rows may share a name ([[allow]] for each direction, [[static_route]]).
using Rows = std::map<std::pair<Table, std::string>, std::multiset<std::string>>;

std::string_view truth(bool value) { return value ? "true" : "false"; }

std::string_view authenticate_name(policy::Authenticate authenticate) {
  return authenticate == policy::Authenticate::kCertificate ? "certificate" : "dialback";
}

std::string_view tls_name(policy::TlsRule rule) {
  switch (rule) {
    case policy::TlsRule::kRequired:
      return "required";
    case policy::TlsRule::kOptional:
      return "optional";
    case policy::TlsRule::kNone:
      return "none";
  }
  return "";
}

std::string settings_of(const Served& served, bool first_of_node) {
  std::string servers;
  for (const HostPort& server : served.servers)
    servers += fmt::format("{}{}", servers.empty() ? "" : ", ", server.text());
  std::string out = fmt::format("servers = [{}]", servers);
  if (served.trust)
    out += fmt::format(", trust = {}", *served.trust == Trust::kMinted ? "minted" : "dialback");
  if (served.is_alias && served.internal_name != served.name) {
    out +=
        fmt::format(", node = {}{}", served.internal_name.ascii(), first_of_node ? " (its public name)" : "");
  }
  return out;
}

std::string settings_of(const policy::ListRow& row) {
  std::string out = fmt::format("direction = {}", policy::direction_name(row.direction));
  // `expires` is the first second of the next day.
  if (row.expires)
    out += fmt::format(", expires = {}", rfc3339(*row.expires - std::chrono::seconds(1)).substr(0, 10));
  if (!row.comment.empty()) out += fmt::format(", comment = {}", row.comment);
  return out;
}

std::string settings_of(const policy::PeerRow& row) {
  std::string out;
  if (row.authenticate) out = fmt::format("authenticate = {}", authenticate_name(*row.authenticate));
  if (row.tls) out += fmt::format("{}tls = {}", out.empty() ? "" : ", ", tls_name(*row.tls));
  const auto add = [&out](std::string_view key, std::string_view value) {
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ", key, value);
  };
  if (row.confirm) add("confirm", policy::confirm_name(*row.confirm));
  if (row.on_doubt) add("on_doubt", policy::on_doubt_name(*row.on_doubt));
  if (row.delivery) add("delivery", policy::delivery_name(*row.delivery));
  return out.empty() ? "nothing set" : out;
}

Rows rows_of(const PolicyConfig& policy) {
  Rows rows;
  const auto add = [&rows](Table table, std::string row, std::string settings) {
    rows[{table, std::move(row)}].insert(std::move(settings));
  };
  const policy::RuleSet& rules = policy.rules;
  add(Table::kFederation, "enabled", std::string(truth(rules.enabled)));
  add(Table::kFederation, "privacy", fmt::format("{}", policy::privacy_name(rules.privacy)));
  add(Table::kFederation, "authenticate", fmt::format("{}", authenticate_name(rules.authenticate)));
  add(Table::kFederation, "delivery", std::string(policy::delivery_name(rules.delivery)));
  add(Table::kFederation, "static_routes", std::string(truth(policy.static_routes)));
  add(Table::kFederation, "trusted_ca",
      fmt::format("{}", policy.trusted_ca.empty() ? "system" : policy.trusted_ca));
  std::set<xmpp::Domain> nodes;
  for (const Served& served : policy.served) {
    const bool first = nodes.insert(served.internal_name).second;
    add(served.is_alias ? Table::kChatNode : Table::kDomain, served.name.ascii(), settings_of(served, first));
  }
  for (const route::StaticRoute& route : policy.routes) {
    add(Table::kStaticRoute, route.domain.ascii(),
        fmt::format("address = {}, priority = {}, fallback = {}", route.address.text(), route.priority,
                    route.fallback_dns ? "dns" : "none"));
  }
  for (const policy::ListRow& row : rules.lists)
    add(row.allow ? Table::kAllow : Table::kDeny, row.domain.text(), settings_of(row));
  for (const policy::PeerRow& row : rules.peers) add(Table::kPeer, row.domain.text(), settings_of(row));
  return rows;
}

// Compares the rows of one name: equal ones are left out, the others are paired, in order.
void compare_named(const std::pair<Table, std::string>& name, const std::multiset<std::string>& was,
                   const std::multiset<std::string>& becomes, std::vector<PolicyChange>& changes) {
  std::vector<std::string> gone;
  std::vector<std::string> come;
  std::ranges::set_difference(was, becomes, std::back_inserter(gone));
  std::ranges::set_difference(becomes, was, std::back_inserter(come));
  for (std::size_t i = 0; i < std::max(gone.size(), come.size()); ++i) {
    changes.push_back({std::string(name_of(name.first)), name.second, i < gone.size() ? gone[i] : "",
                       i < come.size() ? come[i] : ""});
  }
}

}  // namespace

std::vector<PolicyChange> compare_policies(const PolicyConfig& was, const PolicyConfig& becomes) {
  static const std::multiset<std::string> kNone;
  const Rows before = rows_of(was);
  const Rows after = rows_of(becomes);
  std::vector<PolicyChange> changes;
  auto left = before.begin();
  auto right = after.begin();
  while (left != before.end() || right != after.end()) {
    if (right == after.end() || (left != before.end() && left->first < right->first)) {
      compare_named(left->first, left->second, kNone, changes);
      ++left;
    } else if (left == before.end() || right->first < left->first) {
      compare_named(right->first, kNone, right->second, changes);
      ++right;
    } else {
      compare_named(left->first, left->second, right->second, changes);
      ++left;
      ++right;
    }
  }
  return changes;
}

}  // namespace sallyport::config
