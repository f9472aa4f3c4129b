#include "config/policy_effect.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/keyed_hash.h"

namespace sallyport::config {
namespace {

using policy::Direction;
using policy::ListRow;
using policy::Privacy;

std::string_view parent(std::string_view name) {
  const auto dot = name.find('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
}

std::string shown_row(const ListRow& row) {
  return fmt::format("{} {}", row.allow ? "allow" : "deny", row.domain.text());
}

// All rows for one pattern.
struct Level {
  std::vector<const ListRow*> allows;
  std::vector<const ListRow*> denies;
  bool routed = false;
};

// The verdict on a name that a row applies to.
struct Passage {
  bool admitted = false;
  const ListRow* by = nullptr;  // nullptr: a static route, or no row at all
  bool routed = false;
};

class IdleRows {
 public:
  IdleRows(const policy::RuleSet& rules, std::optional<UnixTime> now, Findings& findings)
      : rules_(rules), now_(now), findings_(findings) {
    exact_.reserve(rules.lists.size() + rules.routed.size());
    for (const auto& row : rules.lists) {
      Level& level = level_of(row.domain);
      (row.allow ? level.allows : level.denies).push_back(&row);
    }
    for (const auto& domain : rules.routed) exact_[domain.ascii()].routed = true;
    for (const auto& local : rules.local) local_.insert(local.name.ascii());
    for (const auto& pattern : rules.internal_names)
      (pattern.is_wildcard() ? internal_below_ : internal_).insert(pattern.base());
  }

  void warn() {
    for (const auto& row : rules_.lists) {
      if (auto why = reason(row); !why.empty()) {
        findings_.warn({row.line, 1}, Code::kConfigNoEffect, fmt::format("`{}` {}", shown_row(row), why));
      }
    }
  }

 private:
  Level& level_of(const policy::DomainPattern& pattern) {
    return (pattern.is_wildcard() ? below_ : exact_)[pattern.base()];
  }

  // Returns why the row has no effect; empty if it has one.
  std::string reason(const ListRow& row) const {
    if (now_ && row.expires && *now_ >= *row.expires) {
      return fmt::format("expired after {:%Y-%m-%d}", *row.expires - std::chrono::seconds(1));
    }
    if (is_internal(row.domain)) return "has no effect: internal names are never remote";
    if (const auto local = local_at_or_above(row.domain); row.domain.is_wildcard() && !local.empty()) {
      return fmt::format("has no effect: names below {} are allowed only by rows that name them exactly",
                         local);
    }
    std::string why;
    for (const auto direction : {Direction::kIn, Direction::kOut}) {
      if (row.direction != Direction::kBoth && row.direction != direction) continue;
      const Passage without = outcome(row, direction, false);
      const Passage with = outcome(row, direction, true);
      if (with.admitted != without.admitted) return {};
      if (why.empty()) why = explain(row, with, without);
    }
    return why;
  }

  std::string explain(const ListRow& row, const Passage& with, const Passage& without) const {
    if (row.allow && with.by && !with.by->allow) {
      return fmt::format("has no effect: `{}` in line {} wins", shown_row(*with.by), with.by->line);
    }
    if (without.by) {
      return fmt::format("has no effect: `{}` in line {} has the same effect", shown_row(*without.by),
                         without.by->line);
    }
    return fmt::format("has no effect: the name is {} without it", without.admitted ? "admitted" : "refused");
  }

  // Returns whether `other` applies as long as `row` does. Of two identical rows the first applies.
  bool can_replace(const ListRow& other, const ListRow& row, Direction direction) const {
    if (&other == &row) return false;
    if (other.direction != Direction::kBoth && other.direction != direction) return false;
    if (other.expires && (!row.expires || *other.expires < *row.expires)) return false;
    const bool alike =
        other.domain == row.domain && other.allow == row.allow && other.direction == row.direction;
    return !alike || other.line < row.line;
  }

  std::optional<Passage> outcome_at(const Level& level, const ListRow& row, Direction direction,
                                    bool with) const {
    const auto first = [&](const std::vector<const ListRow*>& rows) {
      const auto found = std::ranges::find_if(
          rows, [&](const ListRow* other) { return can_replace(*other, row, direction); });
      return found == rows.end() ? nullptr : *found;
    };
    const ListRow* deny = with && !row.allow ? &row : first(level.denies);
    const ListRow* allow = with && row.allow ? &row : first(level.allows);
    if (deny) return Passage{false, deny, false};
    if (allow) return Passage{true, allow, false};
    // A static route may be switched off or removed at any time: it makes no allow superfluous.
    if (level.routed && !row.allow) return Passage{true, nullptr, true};
    return std::nullopt;
  }

  Passage outcome(const ListRow& row, Direction direction, bool with) const {
    const auto& own = row.domain.is_wildcard() ? below_ : exact_;
    if (const auto found = outcome_at(own.at(row.domain.base()), row, direction, with)) return *found;
    if (!local_at_or_above(row.domain).empty()) return {};  // below a local name only exact rows count
    for (auto up = parent(row.domain.base()); !up.empty(); up = parent(up)) {
      const auto level = below_.find(up);
      if (level == below_.end()) continue;
      if (const auto found = outcome_at(level->second, row, direction, false)) return *found;
    }
    return {rules_.privacy != Privacy::kAllowList};
  }

  bool is_internal(const policy::DomainPattern& pattern) const {
    const std::string_view base = pattern.base();
    if (!pattern.is_wildcard() && (local_.contains(base) || internal_.contains(base))) return true;
    for (auto up = pattern.is_wildcard() ? base : parent(base); !up.empty(); up = parent(up)) {
      if (internal_below_.contains(up)) return true;
    }
    return false;
  }

  // Returns the local name that all names of the pattern are below.
  std::string_view local_at_or_above(const policy::DomainPattern& pattern) const {
    const std::string_view base = pattern.base();
    for (auto up = pattern.is_wildcard() ? base : parent(base); !up.empty(); up = parent(up)) {
      if (local_.contains(up)) return up;
    }
    return {};
  }

  const policy::RuleSet& rules_;
  std::optional<UnixTime> now_;
  Findings& findings_;
  TextViewMap<Level> exact_;
  TextViewMap<Level> below_;
  TextViewSet local_;
  TextViewSet internal_;
  TextViewSet internal_below_;
};

void warn_of_idle_routes(const PolicyConfig& config, Findings& findings) {
  if (!config.static_routes && !config.routes.empty()) {
    findings.warn({config.routes.front().line, 1}, Code::kConfigNoEffect,
                  "[[static_route]] rows have no effect: static_routes is false");
    return;
  }
  std::set<std::pair<xmpp::Domain, HostPort>> seen;
  for (const auto& row : config.routes) {
    if (seen.emplace(row.domain, row.address).second) continue;
    findings.warn(
        {row.line, 1}, Code::kConfigNoEffect,
        fmt::format("the static route {} to {} is listed twice", row.domain.ascii(), row.address.text()));
  }
}

}  // namespace

void warn_of_idle_rows(const PolicyConfig& config, std::optional<UnixTime> now, Findings& findings) {
  IdleRows(config.rules, now, findings).warn();
  warn_of_idle_routes(config, findings);
}

void warn_of_no_federation(const PolicyConfig& config, std::optional<UnixTime> now, Findings& findings) {
  const policy::RuleSet& rules = config.rules;
  const auto in_force = [now](const ListRow& row) {
    return row.allow && !(now && row.expires && *now >= *row.expires);
  };
  std::string why;
  if (config.served.empty()) {
    why = "the policy has no [[domain]] and no [[chat_node]] row";
  } else if (!rules.enabled) {
    why = "`enabled` in [federation] is false";
  } else if (rules.privacy == Privacy::kAllowList && rules.routed.empty() &&
             std::ranges::none_of(rules.lists, in_force)) {
    why = "`privacy` is \"allow-list\" and no [[allow]] row is in force";
  }
  if (!why.empty()) findings.warn({}, Code::kConfigServesNothing, why + ", so nothing is federated");
}

}  // namespace sallyport::config
