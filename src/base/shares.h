// Fair shares of a budget that several sources use together: who holds how much of it, and who loses when it
// is full.
//
// A budget has a total. It is held in parts, each by one owner's number or pointer (`Owner`) and in the name
// of one source per kind: an address, the parent of a domain, an internal server. No source may hold more
// than the share of its kind. When the total is spent, the source that holds most loses first, its oldest
// part before its others, to a newcomer whose own source holds less. The class decides; its user ends the
// loser's work and resets the part.
//
// Shares counts what objects of its user hold (connections, waiting bytes, cached entries), which only the
// user can end; a table that may itself forget its least recently used rows is a ShareTable
// (base/share_table.h).
//
// All operations take O(log n) time for n sources, except the choice within one source that has spent its
// share, which reads kPartsLookedAt parts at most. A source is kept only while a part exists in its name.
// Pure, and without hashing: no choice of names makes it slow. Parts must not outlive their budget.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sallyport {

// Returns the source that a domain name counts for: its last two labels. Without a list of public suffixes
// that is too coarse for names like `example.co.uk`, therefore a share is never so small that only one peer
// fits in it. Precondition: lower-case ASCII without a trailing dot, as Domain::ascii.
inline std::string_view parent_of_domain(std::string_view domain) {
  const auto last = domain.rfind('.');
  if (last == std::string_view::npos || last == 0) return domain;
  const auto before = domain.rfind('.', last - 1);
  return before == std::string_view::npos ? domain : domain.substr(before + 1);
}

// Returns the source that an address counts for: an IPv4 address (::ffff:a.b.c.d), or the /64 network of an
// IPv6 address, within which one host may choose freely.
inline std::string source_of_address(const std::array<std::uint8_t, 16>& ip) {
  static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool is_v4 = std::equal(kMapped.begin(), kMapped.end(), ip.begin());
  return is_v4 ? std::string(ip.begin() + 12, ip.end()) : std::string(ip.begin(), ip.begin() + 8);
}

// For budgets whose parts cannot be taken back: returns whether a source that holds `held` may have `amount`
// more when `left` of the total is free. Each may hold its share at most, and no more than it leaves to
// others. Therefore a newcomer always finds room: n sources hold at most n/(n+1) of the budget. A source that
// holds nothing only needs the free amount.
inline bool has_even_room(std::uint64_t held, std::uint64_t amount, std::uint64_t share, std::uint64_t left) {
  if (amount > left) return false;
  return held == 0 || held + amount <= std::min(share, left - amount);
}

template <typename Owner, std::size_t kKinds = 1>
class Shares {
  struct Node;
  struct Holder;

 public:
  // One key for each kind; an empty one: the part counts for no source of that kind.
  using Keys = std::array<std::string, kKinds>;
  struct Bounds {
    std::uint64_t total;
    std::array<std::uint64_t, kKinds> share;
  };
  // How many parts of one source are examined to find the one that yields to a newcomer of that source.
  static constexpr std::size_t kPartsLookedAt = 256;

  // The part that an owner holds, possibly of amount 0. It is given back when it is reset or destroyed.
  class Part {
   public:
    Part() = default;
    explicit operator bool() const { return node_ != nullptr; }
    std::uint64_t amount() const { return node_ ? node_->amount : 0; }
    void reset() { node_.reset(); }

   private:
    friend class Shares;
    struct Leave {
      void operator()(Node* node) const { node->shares->leave(node); }
    };
    explicit Part(Node* node) : node_(node) {}
    std::unique_ptr<Node, Leave> node_;
  };

  enum class Room : std::uint8_t {
    kFree,        // there is room within the total and every share
    kYields,      // when `loser` has given its part back: then ask again
    kShareSpent,  // a source of the newcomer holds its share already
    kFull,        // the total is spent, and no source holds more than the newcomer's
  };
  struct Place {
    Room room;
    const Owner* loser = nullptr;  // valid until parts change
  };

  explicit Shares(const Bounds& bounds) : bounds_(bounds) {}
  Shares(const Shares&) = delete;
  Shares& operator=(const Shares&) = delete;

  // Returns whether `amount` more may be held in the name of these sources. Changes nothing.
  Place place(const Keys& keys, std::uint64_t amount = 1) const {
    std::array<const Holder*, kKinds> holders{};
    for (std::size_t kind = 0; kind < kKinds; ++kind) holders[kind] = find(kind, keys[kind]);
    std::array<bool, kKinds> counted{};
    for (std::size_t kind = 0; kind < kKinds; ++kind) counted[kind] = !keys[kind].empty();
    return place_of(holders, counted, amount);
  }
  // The same for an owner that holds a part. Precondition: the part is held.
  Place place(const Part& part, std::uint64_t amount) const {
    std::array<const Holder*, kKinds> holders{};
    std::array<bool, kKinds> counted{};
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      holders[kind] = part.node_->in[kind].holder;
      counted[kind] = holders[kind] != nullptr;
    }
    return place_of(holders, counted, amount);
  }

  // Takes the amount unconditionally: call `place` first.
  Part hold(const Keys& keys, Owner owner, std::uint64_t amount = 1) {
    Part part(new Node{.shares = this, .owner = std::move(owner)});
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      if (keys[kind].empty()) continue;
      const auto at = sources_[kind].try_emplace(keys[kind]).first;
      at->second.self = at;
      ++at->second.parts;
      part.node_->in[kind].holder = &at->second;
    }
    add(part, amount);
    return part;
  }
  // Precondition for both: `part` belongs to this object. `remove` takes at most what the part holds.
  void add(Part& part, std::uint64_t amount) {
    if (amount == 0) return;
    Node& node = *part.node_;
    const bool begins = node.amount == 0;
    if (begins) node.since = ++clock_;
    node.amount += amount;
    held_ += amount;
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      Holder* holder = node.in[kind].holder;
      if (holder == nullptr) continue;
      if (begins) link(kind, *holder, node);
      holder->held += amount;
      if (holder->at == kNowhere) {
        holder->at = heap_[kind].size();
        heap_[kind].push_back(holder);
      }
      rise(kind, holder->at);
    }
  }
  void remove(Part& part, std::uint64_t amount) { remove(*part.node_, amount); }

  std::uint64_t held() const { return held_; }
  std::uint64_t held_by(std::size_t kind, const std::string& key) const {
    const Holder* holder = find(kind, key);
    return holder == nullptr ? 0 : holder->held;
  }
  // Returns the part that loses first in a kind; nullptr if nothing is held.
  const Owner* oldest_of_largest(std::size_t kind = 0) const {
    return heap_[kind].empty() ? nullptr : &heap_[kind].front()->first->owner;
  }
  // Returns the number of sources that have parts.
  std::size_t sources(std::size_t kind = 0) const { return sources_[kind].size(); }

 private:
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);
  using Sources = std::map<std::string, Holder, std::less<>>;

  struct Holder {
    typename Sources::iterator self;
    std::size_t parts = 0;      // those that hold nothing included
    std::uint64_t held = 0;     // of all parts
    std::size_t at = kNowhere;  // in the heap; there while something is held
    Node* first = nullptr;      // the parts that hold something, oldest first
    Node* last = nullptr;
  };
  struct Node {
    Shares* shares;
    Owner owner;
    std::uint64_t amount = 0;
    std::uint64_t since = 0;  // when it began to hold something
    struct In {
      Holder* holder = nullptr;
      Node* previous = nullptr;
      Node* next = nullptr;
    };
    std::array<In, kKinds> in{};
  };

  const Holder* find(std::size_t kind, const std::string& key) const {
    const auto at = sources_[kind].find(key);
    return at == sources_[kind].end() ? nullptr : &at->second;
  }

  Place place_of(const std::array<const Holder*, kKinds>& holders, const std::array<bool, kKinds>& counted,
                 std::uint64_t amount) const {
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      if (!counted[kind]) continue;
      const std::uint64_t held = holders[kind] == nullptr ? 0 : holders[kind]->held;
      if (held + amount <= bounds_.share[kind]) continue;
      if (held == 0 || amount > bounds_.share[kind]) return {Room::kShareSpent};
      const Node* worst = worst_within(kind, *holders[kind], holders, amount);
      return worst == nullptr ? Place{Room::kShareSpent} : Place{Room::kYields, &worst->owner};
    }
    if (held_ + amount <= bounds_.total) return {Room::kFree};
    // The kind with the largest holder decides: a source that is large in one kind would otherwise pass as
    // small in the other.
    const Holder* largest = nullptr;
    std::size_t in = 0;
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      if (heap_[kind].empty() || (largest != nullptr && heap_[kind].front()->held <= largest->held)) continue;
      largest = heap_[kind].front();
      in = kind;
    }
    if (largest == nullptr || amount > bounds_.total) return {Room::kFull};
    const std::uint64_t held = holders[in] == nullptr ? 0 : holders[in]->held;
    return held < largest->held ? Place{Room::kYields, &largest->first->owner} : Place{Room::kFull};
  }

  // Returns, within a source that has spent its share, the part whose source of another kind holds most, and
  // more than the newcomer's would then hold. A peer can claim names and, to some extent, addresses: one
  // source must not spend the share of another in its name. Equals do not yield, or each newcomer would undo
  // the work of the one before.
  const Node* worst_within(std::size_t kind, const Holder& spent,
                           const std::array<const Holder*, kKinds>& newcomer, std::uint64_t amount) const {
    const Node* worst = nullptr;
    std::uint64_t most = 0;
    std::size_t left = kPartsLookedAt;
    for (const Node* node = spent.first; node != nullptr && left > 0; node = node->in[kind].next, --left) {
      for (std::size_t other = 0; other < kKinds; ++other) {
        const Holder* holder = node->in[other].holder;
        if (other == kind || holder == nullptr) continue;
        const std::uint64_t own = newcomer[other] == nullptr ? 0 : newcomer[other]->held;
        if (holder->held <= own + amount || holder->held <= most) continue;
        most = holder->held;
        worst = node;
      }
    }
    return worst;
  }

  void remove(Node& node, std::uint64_t amount) {
    amount = std::min(amount, node.amount);
    if (amount == 0) return;
    node.amount -= amount;
    held_ -= amount;
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      Holder* holder = node.in[kind].holder;
      if (holder == nullptr) continue;
      holder->held -= amount;
      if (node.amount == 0) unlink(kind, *holder, node);
      if (holder->held == 0) {
        drop(kind, *holder);
      } else {
        sink(kind, holder->at);
      }
    }
  }
  void leave(Node* node) {
    remove(*node, node->amount);
    for (std::size_t kind = 0; kind < kKinds; ++kind) {
      Holder* holder = node->in[kind].holder;
      if (holder != nullptr && --holder->parts == 0) sources_[kind].erase(holder->self);
    }
    delete node;
  }

  void link(std::size_t kind, Holder& holder, Node& node) {
    auto& in = node.in[kind];
    in.previous = holder.last;
    in.next = nullptr;
    (holder.last != nullptr ? holder.last->in[kind].next : holder.first) = &node;
    holder.last = &node;
  }
  void unlink(std::size_t kind, Holder& holder, Node& node) {
    auto& in = node.in[kind];
    (in.previous != nullptr ? in.previous->in[kind].next : holder.first) = in.next;
    (in.next != nullptr ? in.next->in[kind].previous : holder.last) = in.previous;
    in.previous = in.next = nullptr;
  }

  // The heap of a kind: the largest holder first; of equal ones, the one with the oldest part.
  static bool is_before(const Holder& a, const Holder& b) {
    if (a.held != b.held) return a.held > b.held;
    return a.first->since < b.first->since;
  }
  void put(std::size_t kind, std::size_t at, Holder* holder) {
    heap_[kind][at] = holder;
    holder->at = at;
  }
  void rise(std::size_t kind, std::size_t at) {
    Holder* holder = heap_[kind][at];
    while (at > 0 && is_before(*holder, *heap_[kind][(at - 1) / 2])) {
      put(kind, at, heap_[kind][(at - 1) / 2]);
      at = (at - 1) / 2;
    }
    put(kind, at, holder);
  }
  void sink(std::size_t kind, std::size_t at) {
    auto& heap = heap_[kind];
    Holder* holder = heap[at];
    for (std::size_t child = 2 * at + 1; child < heap.size(); child = 2 * at + 1) {
      if (child + 1 < heap.size() && is_before(*heap[child + 1], *heap[child])) ++child;
      if (!is_before(*heap[child], *holder)) break;
      put(kind, at, heap[child]);
      at = child;
    }
    put(kind, at, holder);
  }
  void drop(std::size_t kind, Holder& holder) {
    auto& heap = heap_[kind];
    const std::size_t at = std::exchange(holder.at, kNowhere);
    Holder* last = heap.back();
    heap.pop_back();
    if (last == &holder) return;
    put(kind, at, last);
    rise(kind, at);
    sink(kind, last->at);
  }

  Bounds bounds_;
  std::array<Sources, kKinds> sources_;
  std::array<std::vector<Holder*>, kKinds> heap_;
  std::uint64_t held_ = 0;
  std::uint64_t clock_ = 0;
};

}  // namespace sallyport
