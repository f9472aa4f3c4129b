// Federation policy: the rows of policy.toml as values, and the verdict on one pair.
//
// The same code runs on the core, which knows the internal names, and on the edge, which receives only what
// it needs (config/push.h). A Rules object is immutable and shared as a snapshot.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "base/time.h"
#include "policy/peer_rules.h"
#include "xmpp/jid.h"

namespace sallyport::policy {

// "example.net" (exact) or "*.example.net" (any name below it, not itself), in A-labels.
class DomainPattern {
 public:
  // Errors: kJidInvalid.
  static Result<DomainPattern> parse(std::string_view text);
  bool matches(const xmpp::Domain& domain) const;
  bool is_wildcard() const { return wildcard_; }
  // Returns the name without the "*.".
  const std::string& base() const { return base_; }
  std::string text() const;
  auto operator<=>(const DomainPattern&) const = default;

 private:
  DomainPattern(std::string base, bool wildcard) : base_(std::move(base)), wildcard_(wildcard) {}
  std::string base_;
  bool wildcard_;
};

enum class Privacy : std::uint8_t { kAllowList, kDenyList, kOff };
// The side that may initiate: kIn the remote one, kOut the local one.
enum class Direction : std::uint8_t { kIn, kOut, kBoth };
// Returns the value as written in policy.toml.
std::string_view privacy_name(Privacy privacy);
std::string_view direction_name(Direction direction);
std::string_view confirm_name(Confirm confirm);
std::string_view on_doubt_name(OnDoubt on_doubt);
std::string_view delivery_name(Delivery delivery);

// An [[allow]] or [[deny]] row.
struct ListRow {
  DomainPattern domain;
  bool allow;
  Direction direction = Direction::kBoth;
  std::string comment{};
  // The first second at which the row no longer applies: the end of the day written, UTC.
  std::optional<UnixTime> expires{};
  std::uint32_t line = 0;  // in policy.toml, for `explain`; 0 if unknown
  bool operator==(const ListRow&) const = default;
};

struct PeerRow {
  DomainPattern domain;
  std::optional<Authenticate> authenticate{};
  std::optional<TlsRule> tls{};
  std::optional<Confirm> confirm{};
  std::optional<OnDoubt> on_doubt{};
  std::optional<Delivery> delivery{};  // core only; an edge does not receive it
  std::uint32_t line = 0;
  bool operator==(const PeerRow&) const = default;
};

// A local domain or chat node alias, by its public name.
struct LocalName {
  xmpp::Domain name;
  bool is_alias = false;
  bool operator==(const LocalName&) const = default;
};

// Everything that decides about a pair.
struct RuleSet {
  bool enabled = true;
  Privacy privacy = Privacy::kAllowList;
  Authenticate authenticate = Authenticate::kCertificate;
  Delivery delivery = Delivery::kMemory;  // core only
  std::vector<LocalName> local{};
  // How long a message waits in memory for a server that was there: [delivery] of the core.
  std::chrono::seconds lifetime_memory = limits::kLifetimeMemory;
  // Internal names (core only; an edge does not receive them).
  std::vector<DomainPattern> internal_names{};
  std::vector<ListRow> lists{};
  // Domains of static routes while static_routes is on: each implies an allow of the exact name.
  std::vector<xmpp::Domain> routed{};
  std::vector<PeerRow> peers{};
  bool operator==(const RuleSet&) const = default;
};

// The decision. `because` is only for our own administrators: it names rows and lines, which no peer should
// see.
struct Verdict {
  Result<void> result;  // errors: kPolicy*; the text names the domain
  std::string because;  // "allow partner.example (policy.toml:12)", "no row matches (privacy is allow-list)"
};

class Rules {
 public:
  // Builds the look-up tables: a verdict costs the same for ten rows and 100,000.
  explicit Rules(RuleSet set);
  // The same for a shared set: 100,000 rows are not copied.
  explicit Rules(std::shared_ptr<const RuleSet> set);
  ~Rules();
  Rules(Rules&&) noexcept;
  Rules& operator=(Rules&&) noexcept;

  // Returns whether the domain is a local domain or an alias. Errors: kPolicyNotLocal.
  Result<void> is_local(const xmpp::Domain& domain) const;
  bool is_internal(const xmpp::Domain& domain) const;
  // Returns whether every name that the pattern matches is an internal name.
  bool is_internal(const DomainPattern& pattern) const;
  // Returns whether `start` (kIn: the remote side, kOut: the local side; kBoth: each of them) may initiate
  // for this pair now. Among the unexpired rows for that direction the most specific decides (exact, then the
  // longest wildcard), of two equally specific ones the deny, whatever the privacy mode; if there is none,
  // the mode decides: allow-list refuses, deny-list and off allow. Internal names are never remote, and names
  // below a local name only if an [[allow]] or static route names them exactly.
  Verdict decide(const xmpp::Pair& pair, Direction start, UnixTime now) const;
  // Returns whether answers (results, errors, presence answers, dialback verification) may pass: local is
  // local, remote is not an internal name, and either direction may initiate.
  Result<void> may_answer(const xmpp::Pair& pair, UnixTime now) const;
  // Returns whether an [[allow]] row or a static route names the domain exactly. The configuration rejects
  // such a row for an internal name, so this domain is not one, even if `internal_names` is unknown (on an
  // edge). A wildcard does not prove that: internal names may be below it.
  bool names_exactly(const xmpp::Domain& remote) const;
  // Returns the settings of [federation], overridden by the most specific [[peer]] row. Less than required
  // TLS counts only in an exact row that itself has authenticate = "dialback" (the configuration accepts no
  // other).
  PeerRules peer(const xmpp::Domain& remote) const;
  // The time around `now` in which no row expires: a verdict stays the same in it. From `begin` up to `end`.
  struct Period {
    UnixTime begin;
    UnixTime end;
    bool contains(UnixTime time) const { return begin <= time && time < end; }
  };
  Period period(UnixTime now) const;
  const RuleSet& set() const;

 private:
  class Index;
  std::unique_ptr<Index> index_;
};

}  // namespace sallyport::policy
