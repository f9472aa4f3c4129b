#include "policy/rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/keyed_hash.h"

namespace sallyport::policy {

std::string_view privacy_name(Privacy privacy) {
  switch (privacy) {
    case Privacy::kAllowList:
      return "allow-list";
    case Privacy::kDenyList:
      return "deny-list";
    case Privacy::kOff:
      return "off";
  }
  return "";
}

std::string_view direction_name(Direction direction) {
  switch (direction) {
    case Direction::kIn:
      return "in";
    case Direction::kOut:
      return "out";
    case Direction::kBoth:
      return "both";
  }
  return "";
}

std::string_view confirm_name(Confirm confirm) {
  switch (confirm) {
    case Confirm::kAuto:
      return "auto";
    case Confirm::kAck:
      return "ack";
    case Confirm::kNone:
      return "none";
  }
  return {};
}

std::string_view on_doubt_name(OnDoubt on_doubt) {
  return on_doubt == OnDoubt::kResend ? "resend" : "answer";
}

std::string_view delivery_name(Delivery delivery) {
  return delivery == Delivery::kMemory ? "memory" : "durable";
}
namespace {

// Returns the name without its first label; empty if it has only one.
std::string_view parent(std::string_view name) {
  const auto dot = name.find('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
}

bool speaks_about(Direction row, Direction start) { return row == Direction::kBoth || row == start; }

std::string place(std::uint32_t line) {
  return line == 0 ? std::string() : fmt::format(" (policy.toml:{})", line);
}

// The rows that count for one pattern, as positions in RuleSet::lists: for each kind and direction the row
// that lasts longest, so at most six.
struct Slot {
  std::vector<std::uint32_t> rows;
  bool routed = false;
};

// The result of the rows of one pattern for one direction at one moment.
struct RowsFound {
  const ListRow* allow = nullptr;
  const ListRow* deny = nullptr;
  const ListRow* expired = nullptr;          // an allow that would have decided
  const ListRow* other_direction = nullptr;  // an allow for the other direction only
  bool routed = false;

  bool decides() const { return allow || deny || routed; }
};

std::string shown_row(const ListRow& row) {
  return fmt::format("{} {}{}", row.allow ? "allow" : "deny", row.domain.text(), place(row.line));
}

}  // namespace

// A name is looked up whole and then label by label upwards, so a verdict costs as many look-ups as the name
// has labels. The keys are views into `set`, which never changes or moves.
class Rules::Index {
  const std::shared_ptr<const RuleSet> owner_;

 public:
  explicit Index(std::shared_ptr<const RuleSet> rules) : owner_(std::move(rules)), set(*owner_) {
    exact_.reserve(set.lists.size() + set.routed.size());
    for (std::uint32_t i = 0; i < set.lists.size(); ++i) add(slot(set.lists[i].domain), i);
    for (const auto& row : set.lists)
      if (row.expires) expiries.push_back(*row.expires);
    std::ranges::sort(expiries);
    for (const auto& domain : set.routed) exact_[domain.ascii()].routed = true;
    for (const auto& local : set.local) local_.insert(local.name.ascii());
    for (const auto& pattern : set.internal_names)
      (pattern.is_wildcard() ? internal_below_ : internal_).insert(pattern.base());
    for (const auto& row : set.peers) {
      // Of two rows for one name the first counts; the configuration accepts no second.
      (row.domain.is_wildcard() ? peers_below_ : peers_).emplace(row.domain.base(), &row);
    }
  }
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  bool is_local(const xmpp::Domain& domain) const { return local_.contains(domain.ascii()); }

  bool is_internal(std::string_view name) const {
    return local_.contains(name) || internal_.contains(name) || is_below_internal(parent(name));
  }
  // Returns whether all names below `name` are internal names.
  bool is_below_internal(std::string_view name) const {
    for (; !name.empty(); name = parent(name)) {
      if (internal_below_.contains(name)) return true;
    }
    return false;
  }

  // Returns the local name that `domain` is below, if any.
  std::optional<std::string_view> local_above(const xmpp::Domain& domain) const {
    for (auto up = parent(domain.ascii()); !up.empty(); up = parent(up)) {
      if (local_.contains(up)) return up;
    }
    return std::nullopt;
  }

  bool names_exactly(const xmpp::Domain& domain) const {
    const auto at = exact_.find(domain.ascii());
    if (at == exact_.end()) return false;
    const auto allows = [this](std::uint32_t row) { return set.lists[row].allow; };
    return at->second.routed || std::ranges::any_of(at->second.rows, allows);
  }

  const PeerRow* peer(const xmpp::Domain& domain) const {
    const std::string_view name = domain.ascii();
    if (const auto at = peers_.find(name); at != peers_.end()) return at->second;
    for (auto up = parent(name); !up.empty(); up = parent(up)) {
      if (const auto at = peers_below_.find(up); at != peers_below_.end()) return at->second;
    }
    return nullptr;
  }

  Verdict decide_direction(const xmpp::Domain& remote, Direction start, UnixTime now) const;

  const RuleSet& set;
  std::vector<UnixTime> expiries;  // in ascending order

 private:
  Slot& slot(const DomainPattern& pattern) {
    return (pattern.is_wildcard() ? below_ : exact_)[pattern.base()];
  }
  void add(Slot& slot, std::uint32_t row);
  RowsFound look(const Slot& slot, Direction start, UnixTime now) const;
  Verdict decide(const RowsFound& found, const xmpp::Domain& remote) const;
  Verdict refuse_unlisted(const xmpp::Domain& remote, const ListRow* expired,
                          const ListRow* other_direction) const;

  TextViewMap<Slot> exact_;
  TextViewMap<Slot> below_;  // by the name after "*."
  TextViewSet local_;
  TextViewSet internal_;
  TextViewSet internal_below_;
  TextViewMap<const PeerRow*> peers_;
  TextViewMap<const PeerRow*> peers_below_;
};

void Rules::Index::add(Slot& slot, std::uint32_t added) {
  const ListRow& row = set.lists[added];
  for (auto& at : slot.rows) {
    const ListRow& other = set.lists[at];
    if (other.allow != row.allow || other.direction != row.direction) continue;
    if (other.expires && (!row.expires || *row.expires > *other.expires)) at = added;
    return;
  }
  slot.rows.push_back(added);
}

RowsFound Rules::Index::look(const Slot& slot, Direction start, UnixTime now) const {
  RowsFound found{.routed = slot.routed};
  for (const auto at : slot.rows) {
    const ListRow& row = set.lists[at];
    const ListRow** where = row.allow ? &found.allow : &found.deny;
    if (row.expires && now >= *row.expires) {
      where = row.allow && speaks_about(row.direction, start) ? &found.expired : nullptr;
    } else if (!speaks_about(row.direction, start)) {
      where = row.allow ? &found.other_direction : nullptr;
    }
    if (where && !*where) *where = &row;
  }
  return found;
}

Verdict Rules::Index::decide(const RowsFound& found, const xmpp::Domain& remote) const {
  if (found.deny) return {Error{Code::kPolicyDenied, remote.ascii()}, shown_row(*found.deny)};
  if (found.allow) return {{}, shown_row(*found.allow)};
  return {{}, "static route " + remote.ascii()};
}

Verdict Rules::Index::refuse_unlisted(const xmpp::Domain& remote, const ListRow* expired,
                                      const ListRow* other_direction) const {
  const auto because = [&](Code code, std::string why) {
    return Verdict{Error{code, remote.ascii()}, std::move(why)};
  };
  if (expired) return because(Code::kPolicyExpired, "expired: " + shown_row(*expired));
  if (other_direction) {
    return because(Code::kPolicyDirection, "other direction only: " + shown_row(*other_direction));
  }
  return because(Code::kPolicyNotListed, "no row matches (privacy is allow-list)");
}

Verdict Rules::Index::decide_direction(const xmpp::Domain& remote, Direction start, UnixTime now) const {
  const std::string_view name = remote.ascii();
  const ListRow* expired = nullptr;
  const ListRow* other_direction = nullptr;
  const auto note = [&](const RowsFound& found) {
    if (!expired) expired = found.expired;
    if (!other_direction) other_direction = found.other_direction;
  };
  if (const auto at = exact_.find(name); at != exact_.end()) {
    const RowsFound found = look(at->second, start, now);
    if (found.decides()) return decide(found, remote);
    note(found);
  }
  if (const auto above = local_above(remote)) {
    // Only an exact row allows such a name, so only exact rows can explain the refusal.
    if (expired || other_direction) return refuse_unlisted(remote, expired, other_direction);
    return {Error{Code::kPolicyBelowLocal, remote.ascii()},
            fmt::format("{} is below the local name {}", name, *above)};
  }
  for (auto up = parent(name); !up.empty(); up = parent(up)) {
    const auto at = below_.find(up);
    if (at == below_.end()) continue;
    const RowsFound found = look(at->second, start, now);
    if (found.decides()) return decide(found, remote);
    note(found);
  }
  if (set.privacy == Privacy::kAllowList) return refuse_unlisted(remote, expired, other_direction);
  return {{}, fmt::format("no row matches (privacy is {})", privacy_name(set.privacy))};
}

Rules::Rules(RuleSet set) : Rules(std::make_shared<const RuleSet>(std::move(set))) {}
Rules::Rules(std::shared_ptr<const RuleSet> set) : index_(std::make_unique<Index>(std::move(set))) {}
Rules::~Rules() = default;
Rules::Rules(Rules&&) noexcept = default;
Rules& Rules::operator=(Rules&&) noexcept = default;

Result<void> Rules::is_local(const xmpp::Domain& domain) const {
  if (index_->is_local(domain)) return {};
  return Error{Code::kPolicyNotLocal, domain.ascii()};
}

bool Rules::is_internal(const xmpp::Domain& domain) const { return index_->is_internal(domain.ascii()); }

bool Rules::is_internal(const DomainPattern& pattern) const {
  return pattern.is_wildcard() ? index_->is_below_internal(pattern.base())
                               : index_->is_internal(pattern.base());
}

Verdict Rules::decide(const xmpp::Pair& pair, Direction start, UnixTime now) const {
  if (!index_->set.enabled) return {Error{Code::kPolicyDisabled, {}}, "federation is switched off"};
  if (auto local = is_local(pair.local); !local) {
    return {std::move(local).error(), pair.local.ascii() + " is not served here"};
  }
  if (is_internal(pair.remote)) {
    const std::string& name = pair.remote.ascii();
    return {Error{Code::kPolicyInsideName, name}, name + " is an internal name"};
  }
  if (start != Direction::kBoth) return index_->decide_direction(pair.remote, start, now);
  auto in = index_->decide_direction(pair.remote, Direction::kIn, now);
  return in.result ? index_->decide_direction(pair.remote, Direction::kOut, now) : in;
}

Result<void> Rules::may_answer(const xmpp::Pair& pair, UnixTime now) const {
  auto in = decide(pair, Direction::kIn, now);
  if (in.result) return {};
  return decide(pair, Direction::kOut, now).result;
}

bool Rules::names_exactly(const xmpp::Domain& remote) const { return index_->names_exactly(remote); }

PeerRules Rules::peer(const xmpp::Domain& remote) const {
  PeerRules rules{.authenticate = index_->set.authenticate, .delivery = index_->set.delivery};
  const PeerRow* row = index_->peer(remote);
  if (!row) return rules;
  if (row->authenticate) rules.authenticate = *row->authenticate;
  if (row->confirm) rules.confirm = *row->confirm;
  if (row->on_doubt) rules.on_doubt = *row->on_doubt;
  if (row->delivery) rules.delivery = *row->delivery;
  const bool may_be_lax = !row->domain.is_wildcard() && row->authenticate == Authenticate::kDialback;
  if (row->tls && may_be_lax) rules.tls = *row->tls;
  return rules;
}

Rules::Period Rules::period(UnixTime now) const {
  const auto end = std::ranges::upper_bound(index_->expiries, now);
  return {end == index_->expiries.begin() ? UnixTime::min() : *std::prev(end),
          end == index_->expiries.end() ? UnixTime::max() : *end};
}

const RuleSet& Rules::set() const { return index_->set; }

}  // namespace sallyport::policy
