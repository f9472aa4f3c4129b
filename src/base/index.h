// An open-addressing hash index: a search costs one memory access besides the entry. std::unordered_map costs
// three or four: nearly a tenth of a node's CPU time with ten thousand pairs that have a stanza now and then.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/keyed_hash.h"

namespace sallyport {

// Maps numbers, which need not be unique, to pointers. Owns nothing. The place of a number depends on the
// process's key (base/keyed_hash.h), so that a peer who chooses numbers does not choose places.
template <typename T>
class Index {
 public:
  // Returns the thing under `number` for which `is_it` is true, or nullptr.
  template <typename IsIt>
  T* find(std::uint64_t number, IsIt is_it) const {
    if (size_ == 0) return nullptr;
    for (std::size_t at = home(number); places_[at].thing != nullptr; at = next(at)) {
      if (places_[at].number == number && is_it(*places_[at].thing)) return places_[at].thing;
    }
    return nullptr;
  }
  // Precondition: the thing is not in the index. It must not move until it is erased.
  void insert(std::uint64_t number, T& thing) {
    if (2 * (size_ + 1) > places_.size()) grow();
    ++size_;
    place({number, &thing});
  }
  // Precondition: the thing was inserted under this number.
  void erase(std::uint64_t number, const T& thing) {
    std::size_t hole = home(number);
    while (places_[hole].thing != &thing) hole = next(hole);
    --size_;
    // Things behind the hole move into it where they may: a search ends at the first hole.
    for (std::size_t at = next(hole); places_[at].thing != nullptr; at = next(at)) {
      const std::size_t wanted = home(places_[at].number);
      if (distance(wanted, at) < distance(hole, at)) continue;
      places_[hole] = places_[at];
      hole = at;
    }
    places_[hole].thing = nullptr;
  }
  void clear() {
    std::vector<Place>().swap(places_);
    size_ = 0;
  }
  // Returns how many places a search for an absent thing under `number` reads.
  std::size_t probes(std::uint64_t number) const {
    if (size_ == 0) return 0;
    std::size_t count = 1;
    for (std::size_t at = home(number); places_[at].thing != nullptr; at = next(at)) ++count;
    return count;
  }

 private:
  struct Place {
    std::uint64_t number = 0;
    T* thing = nullptr;  // nullptr: free
  };

  // The upper bits of the last product depend on all bits of the keyed hash (Knuth 6.4: multiplicative
  // hashing).
  std::size_t home(std::uint64_t number) const {
    return static_cast<std::size_t>((keyed_hash(number) * 0x9E3779B97F4A7C15ULL) >> shift_);
  }
  std::size_t next(std::size_t at) const { return (at + 1) & (places_.size() - 1); }
  std::size_t distance(std::size_t from, std::size_t to) const { return (to - from) & (places_.size() - 1); }

  void place(Place what) {
    std::size_t at = home(what.number);
    while (places_[at].thing != nullptr) at = next(at);
    places_[at] = what;
  }
  void grow() {
    std::vector<Place> before(places_.empty() ? 8 : 2 * places_.size());
    before.swap(places_);
    shift_ = 64 - std::countr_zero(places_.size());
    for (const Place& each : before)
      if (each.thing != nullptr) place(each);
  }

  std::vector<Place> places_;  // a power of two of them, half of them free at least
  std::size_t size_ = 0;
  int shift_ = 64;
};

// std::unordered_map with an Index in front of it. It checks the entry found last first: a run of one key
// costs one comparison for each search.
template <typename Key, typename T>
class IndexedMap {
 public:
  using Map = std::unordered_map<Key, T>;
  using Entry = typename Map::value_type;  // does not move while it lives

  IndexedMap() = default;
  IndexedMap(const IndexedMap&) = delete;
  IndexedMap& operator=(const IndexedMap&) = delete;
  IndexedMap(IndexedMap&& other) noexcept { *this = std::move(other); }
  IndexedMap& operator=(IndexedMap&& other) noexcept {
    map_ = std::move(other.map_);
    index_ = std::move(other.index_);
    last_ = nullptr;
    other.clear();
    return *this;
  }

  // Returns nullptr if the key is absent.
  Entry* find(const Key& key) {
    if (last_ != nullptr && last_->first == key) return last_;
    Entry* found = looked_up(key);
    if (found != nullptr) last_ = found;
    return found;
  }
  const Entry* find(const Key& key) const { return looked_up(key); }
  // Returns the entry, made of `args` if it was absent.
  template <typename... Args>
  Entry& get(const Key& key, Args&&... args) {
    if (Entry* found = find(key)) return *found;
    last_ = &*map_.try_emplace(key, std::forward<Args>(args)...).first;
    index_.insert(std::hash<Key>{}(key), *last_);
    return *last_;
  }
  T& operator[](const Key& key) { return get(key).second; }

  // Returns false if the key was absent.
  bool erase(const Key& key) {
    const auto at = map_.find(key);
    if (at == map_.end()) return false;
    erase(at);
    return true;
  }
  typename Map::iterator erase(typename Map::iterator at) {
    forget(*at);
    return map_.erase(at);
  }
  template <typename Predicate>
  friend void erase_if(IndexedMap& map, Predicate predicate) {
    for (auto at = map.begin(); at != map.end();) at = predicate(*at) ? map.erase(at) : std::next(at);
  }
  // Precondition: the key is present.
  T take(const Key& key) {
    const auto at = map_.find(key);
    forget(*at);
    return std::move(map_.extract(at).mapped());
  }
  void clear() {
    last_ = nullptr;
    index_.clear();
    map_.clear();
  }

  std::size_t size() const { return map_.size(); }
  bool empty() const { return map_.empty(); }
  auto begin() { return map_.begin(); }
  auto end() { return map_.end(); }
  auto begin() const { return map_.begin(); }
  auto end() const { return map_.end(); }

 private:
  Entry* looked_up(const Key& key) const {
    return index_.find(std::hash<Key>{}(key), [&key](const Entry& entry) { return entry.first == key; });
  }
  void forget(const Entry& entry) {
    if (last_ == &entry) last_ = nullptr;
    index_.erase(std::hash<Key>{}(entry.first), entry);
  }

  Map map_;
  Index<Entry> index_;
  Entry* last_ = nullptr;
};

}  // namespace sallyport
