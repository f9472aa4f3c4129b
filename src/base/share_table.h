// A bounded table in which no single holder can use up the bounds for the others.
//
// Each row belongs to an address, and each address to a group (here: a pair of domains). When a bound leaves
// no place for a new row, it replaces the least recently used row: of the same address, else of the same
// group, else of the largest group. Every operation takes logarithmic time, whatever keys a peer chooses.
//
// ShareTable owns rows that may be forgotten at any time and evicts them itself; Shares (base/shares.h)
// counts entries that only the user of a budget can end (connections, waiting bytes, cached entries).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

#include "base/bytes.h"

namespace sallyport {

struct ShareBounds {
  std::size_t per_address;
  std::size_t per_group;
  std::size_t in_all;
};

template <typename Group, typename T>
class ShareTable {
 public:
  using Key = Digest256;

  // Precondition: each bound is at least 1.
  explicit ShareTable(const ShareBounds& bounds) : bounds_(bounds) {}
  ShareTable(const ShareTable&) = delete;
  ShareTable& operator=(const ShareTable&) = delete;

  // Returns the value of a row and marks the row as used now; nullptr if there is none. Valid until the next
  // call of a function that is not const.
  T* find(const Key& key) {
    const auto at = rows_.find(key);
    if (at == rows_.end()) return nullptr;
    use(at->second);
    return &at->second.value;
  }
  // The same, but adds an absent row. Precondition: a key has one group and one address.
  T& put(const Group& group, const Key& address, const Key& key) {
    if (T* found = find(key)) return *found;
    make_room(group, address);
    const auto [holder, is_new] = groups_.try_emplace(group);
    if (is_new) holder->second.number = ++last_;
    Row& row = rows_[key];
    row.key = key;
    row.holder = &*holder;
    row.address = &*holder->second.addresses.try_emplace(address).first;
    row.used = ++last_;
    link(row);
    return row.value;
  }
  void erase(const Key& key) {
    const auto at = rows_.find(key);
    if (at != rows_.end()) erase(at->second);
  }
  // Erases the rows of each group for which `keep` is false.
  template <typename Keep>
  void retain(Keep keep) {
    for (auto at = groups_.begin(); at != groups_.end();) {
      auto& [group, held] = *at++;
      if (keep(group)) continue;
      // Erasing the last row erases the group.
      for (std::size_t left = held.rows.size(); left > 0; --left) erase(*held.rows.begin()->second);
    }
  }

  std::size_t size() const { return rows_.size(); }
  bool empty() const { return rows_.empty(); }

 private:
  struct Row;
  using Order = std::map<std::uint64_t, Row*>;  // by last use, oldest first
  using Addresses = std::map<Key, Order>;
  struct Held {
    std::uint64_t number = 0;  // tells groups of one size apart, the same in each run
    Order rows;
    Addresses addresses;
  };
  using Groups = std::map<Group, Held>;
  struct Row {
    Key key{};
    typename Groups::value_type* holder = nullptr;
    typename Addresses::value_type* address = nullptr;
    std::uint64_t used = 0;
    T value{};
  };

  void make_room(const Group& group, const Key& address) {
    const auto holder = groups_.find(group);
    if (holder != groups_.end()) {
      Held& held = holder->second;
      const auto of = held.addresses.find(address);
      if (of != held.addresses.end() && of->second.size() >= bounds_.per_address)
        return erase(*of->second.begin()->second);
      if (held.rows.size() >= bounds_.per_group) return erase(*held.rows.begin()->second);
    }
    if (rows_.size() >= bounds_.in_all) erase(*by_size_.rbegin()->second->second.rows.begin()->second);
  }
  void use(Row& row) {
    row.holder->second.rows.erase(row.used);
    row.address->second.erase(row.used);
    row.used = ++last_;
    row.holder->second.rows.emplace(row.used, &row);
    row.address->second.emplace(row.used, &row);
  }
  void link(Row& row) {
    resize(*row.holder, [&](Held& held) { held.rows.emplace(row.used, &row); });
    row.address->second.emplace(row.used, &row);
  }
  void erase(Row& row) {
    auto& holder = *row.holder;
    row.address->second.erase(row.used);
    if (row.address->second.empty()) holder.second.addresses.erase(Key(row.address->first));
    resize(holder, [&](Held& held) { held.rows.erase(row.used); });
    rows_.erase(Key(row.key));
    if (holder.second.rows.empty()) groups_.erase(Group(holder.first));
  }
  // Keeps the order by size correct while `change` adds a row to the group or removes one.
  template <typename Change>
  void resize(typename Groups::value_type& holder, Change change) {
    Held& held = holder.second;
    by_size_.erase({held.rows.size(), held.number});
    change(held);
    if (!held.rows.empty()) by_size_.emplace(std::pair(held.rows.size(), held.number), &holder);
  }

  ShareBounds bounds_;
  std::map<Key, Row> rows_;
  Groups groups_;
  std::map<std::pair<std::size_t, std::uint64_t>, typename Groups::value_type*> by_size_;
  std::uint64_t last_ = 0;
};

}  // namespace sallyport
