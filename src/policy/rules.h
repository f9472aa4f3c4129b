// What federation may do: the rows of policy.toml as values, and the judgement of one pair.
//
// The same code judges on the core, which knows the inside names, and on the edge, which is sent
// only what it needs (config/push.h). A Rules is immutable once made and shared by snapshot.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "policy/peer_rules.h"
#include "xmpp/jid.h"

namespace sallyport::policy {

// "partner.example" (exact) or "*.partner.example" (any name below it, not itself), A-label form.
class DomainPattern {
 public:
  // Errors: kJidInvalid.
  static Result<DomainPattern> parse(std::string_view text);
  bool matches(const xmpp::Domain& domain) const;
  bool is_wildcard() const { return wildcard_; }
  // The name without the "*.".
  const std::string& base() const { return base_; }
  std::string text() const;
  auto operator<=>(const DomainPattern&) const = default;

 private:
  DomainPattern(std::string base, bool wildcard) : base_(std::move(base)), wildcard_(wildcard) {}
  std::string base_;
  bool wildcard_;
};

enum class Privacy : std::uint8_t { kAllowList, kDenyList, kOff };
// Who may START: kIn the remote side, kOut the local side.
enum class Direction : std::uint8_t { kIn, kOut, kBoth };
// As they are written in policy.toml.
std::string_view privacy_name(Privacy privacy);
std::string_view direction_name(Direction direction);

// An [[allow]] or [[deny]] row.
struct ListRow {
  DomainPattern domain;
  bool allow;
  Direction direction = Direction::kBoth;
  std::string comment{};
  // The first second at which the row no longer counts: the end of the day written, UTC.
  std::optional<UnixTime> expires{};
  std::uint32_t line = 0;  // in policy.toml, for `explain`; 0 when unknown
  bool operator==(const ListRow&) const = default;
};

struct PeerRow {
  DomainPattern domain;
  std::optional<Authenticate> authenticate{};
  std::optional<TlsRule> tls{};
  std::uint32_t line = 0;
  bool operator==(const PeerRow&) const = default;
};

// A local domain or chat node alias, by its outward name.
struct LocalName {
  xmpp::Domain name;
  bool is_alias = false;
  bool operator==(const LocalName&) const = default;
};

// Everything that the judgement of a pair needs.
struct RuleSet {
  bool enabled = true;
  Privacy privacy = Privacy::kAllowList;
  Authenticate authenticate = Authenticate::kCertificate;
  std::vector<LocalName> local{};
  // Inside names (core only; an edge is not told).
  std::vector<DomainPattern> inside{};
  std::vector<ListRow> lists{};
  // Domains of static routes while static_routes is on: they imply an allow of the exact name.
  std::vector<xmpp::Domain> routed{};
  std::vector<PeerRow> peers{};
  bool operator==(const RuleSet&) const = default;
};

// What decided. `because` is for our own people only: it names rows and lines, which no peer needs to know.
struct Verdict {
  Result<void> result;  // errors: kPolicy*; the text names the domain
  std::string because;  // "allow partner.example (policy.toml:12)", "no row matches (privacy is allow-list)"
};

class Rules {
 public:
  // Builds the look-up tables: judging costs the same for ten rows and 100,000.
  explicit Rules(RuleSet set);
  // The same of a set that somebody else has too: 100,000 rows are not copied.
  explicit Rules(std::shared_ptr<const RuleSet> set);
  ~Rules();
  Rules(Rules&&) noexcept;
  Rules& operator=(Rules&&) noexcept;

  // `serves` for the world: is it a local domain or an alias? Errors: kPolicyNotLocal.
  Result<void> is_local(const xmpp::Domain& domain) const;
  bool is_inside(const xmpp::Domain& domain) const;
  // Whether every name that the pattern matches is an inside name.
  bool is_inside(const DomainPattern& pattern) const;
  // May `start` (kIn: the remote side, kOut: the local side; kBoth: each of them) start for this pair now?
  // Of the rows that speak about that direction and have not expired, the most specific decides
  // (exact, then the longest wildcard), of two equally specific ones the deny, whatever the privacy
  // mode; where none does, the mode decides: allow-list refuses, deny-list and off admit. Inside names are
  // never remote, and names below a local name only where an [[allow]] or static route names
  // them exactly (DESIGN invariant 5).
  Verdict judge(const xmpp::Pair& pair, Direction start, UnixTime now) const;
  // Whether what answers (results, errors, presence answers, dialback verification) may pass: the pair is
  // sound (local is local, remote is no inside name) and either direction may start.
  Result<void> may_answer(const xmpp::Pair& pair, UnixTime now) const;
  // Whether an [[allow]] row or a static route names the domain exactly. The configuration refuses such a row
  // for an inside name, so this domain is none, even where `inside` is not known (on an edge). A wildcard
  // says nothing of the kind: inside names may stand below it.
  bool names_exactly(const xmpp::Domain& remote) const;
  // [federation], and over it what the most specific [[peer]] row says. Less than required TLS counts only in
  // an exact row that itself says authenticate = "dialback" (the configuration admits no other).
  PeerRules peer(const xmpp::Domain& remote) const;
  // The time around `now` in which no row expires: what is judged in it stays so. From `begin` up to `end`.
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
