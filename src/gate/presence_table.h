// Who was shown as available to whom across a pair: what is to be taken back when the way is lost. Without
// that, contacts stay "online" and occupants stay in rooms for as long as nobody writes to them (RFC
// 6121 4.6, XEP-0045 7.14 know no other end of a presence than the word of its own server).
//
// Of each two addresses the last presence counts. Bounded (limits::kShownPresences*): a pair above its bound
// forgets its oldest entry, and a full table takes no other; such presence ends only when its own server says
// so. Pure; one owner.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/presence_limits.h"
#include "gate/shown_page.h"
#include "policy/rules.h"
#include "xmpp/pair_map.h"
#include "xmpp/stanza.h"

namespace sallyport::gate {

struct PresenceBounds {
  std::size_t per_pair = limits::kShownPresencesPerPairMax;  // and direction
  std::size_t total = limits::kShownPresencesMax;
};

// A presence that is available, between these addresses. Precondition, also of the next: they are addresses.
xmpp::Stanza shown_presence(const std::string& from, const std::string& to);
// What a server asks when it starts (RFC 6121 4.3), with an id that only probes of nodes have.
xmpp::Stanza presence_probe(const std::string& from, const std::string& to, std::uint64_t number);
// Whether the stanza is an error that answers the probe of a node, whichever: nobody else gets it.
bool answers_presence_probe(const xmpp::Stanza& stanza);

class PresenceTable {
 public:
  explicit PresenceTable(const PresenceBounds& bounds = {}) : bounds_(bounds) {}

  // A presence of the pair passed: kOut from the local domain, kIn to it. Returns whether something is shown
  // that was not shown just before.
  bool note(const xmpp::Pair& pair, policy::Direction direction, const xmpp::Stanza& presence);
  // Something is shown in that direction.
  bool has(const xmpp::Pair& pair, policy::Direction direction) const;
  // `from` is shown to somebody at the bare address `to`: of a room, as whom it is in it.
  bool is_shown(const xmpp::Pair& pair, policy::Direction direction, std::string_view from,
                std::string_view to) const;
  // The way is lost: returns an unavailable presence for each that was shown in that direction, in the order
  // in which they were shown, and forgets them.
  std::vector<xmpp::Stanza> end(const xmpp::Pair& pair, policy::Direction direction);
  // A pair of that local domain across which something is shown, or nullptr.
  const xmpp::Pair* pair_of(const xmpp::Domain& local) const;
  // The pairs of which something is shown in that direction.
  std::vector<xmpp::Pair> pairs(policy::Direction direction) const;
  std::size_t size() const { return size_; }
  // What was shown behind that number, in order, up to limits::kShownPageBytesMax.
  ShownPage page(std::uint64_t after) const;

 private:
  // From, to.
  using Key = std::pair<std::string, std::string>;
  struct Shown {
    std::map<Key, std::uint64_t> entries;  // by the number in `order`
    std::map<std::uint64_t, Key> order;
  };
  using Side = xmpp::PairMap<Shown>;

  Side& side(policy::Direction direction) { return direction == policy::Direction::kOut ? out_ : in_; }
  const Side& side(policy::Direction direction) const {
    return direction == policy::Direction::kOut ? out_ : in_;
  }
  bool add(const xmpp::Pair& pair, policy::Direction direction, Key key);
  void remove(const xmpp::Pair& pair, policy::Direction direction, const Key& key);

  PresenceBounds bounds_;
  Side out_;
  Side in_;
  std::size_t size_ = 0;
  std::uint64_t last_ = 0;
  // What was noted last is there: clients repeat themselves.
  std::optional<Key> just_noted_;
};

}  // namespace sallyport::gate
