// Something for each pair. Stanzas come in runs of one pair, so the entry found last is looked at first: the
// run then costs two comparisons, not two hashes, for each.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>

#include "xmpp/jid.h"

namespace sallyport::xmpp {

// Entries do not move while they live.
template <typename T>
class PairMap {
 public:
  using Map = std::unordered_map<Pair, T>;
  using Entry = typename Map::value_type;

  PairMap() = default;
  PairMap(PairMap&& other) noexcept : map_(std::move(other.map_)) { other.clear(); }
  PairMap& operator=(PairMap&& other) noexcept {
    map_ = std::move(other.map_);
    last_ = nullptr;
    other.clear();
    return *this;
  }

  // nullptr: none.
  Entry* find(const Pair& pair) {
    if (last_ != nullptr && last_->first == pair) return last_;
    const auto at = map_.find(pair);
    return at == map_.end() ? nullptr : last_ = &*at;
  }
  const Entry* find(const Pair& pair) const {
    const auto at = map_.find(pair);
    return at == map_.end() ? nullptr : &*at;
  }
  // The entry, made of `args` where there was none.
  template <typename... Args>
  Entry& get(const Pair& pair, Args&&... args) {
    if (last_ != nullptr && last_->first == pair) return *last_;
    last_ = &*map_.try_emplace(pair, std::forward<Args>(args)...).first;
    return *last_;
  }
  T& operator[](const Pair& pair) { return get(pair).second; }

  void erase(const Pair& pair) {
    last_ = nullptr;
    map_.erase(pair);
  }
  template <typename Predicate>
  friend void erase_if(PairMap& map, Predicate predicate) {
    map.last_ = nullptr;
    std::erase_if(map.map_, predicate);
  }
  void clear() {
    last_ = nullptr;
    map_.clear();
  }

  std::size_t size() const { return map_.size(); }
  auto begin() { return map_.begin(); }
  auto end() { return map_.end(); }
  auto begin() const { return map_.begin(); }
  auto end() const { return map_.end(); }
  typename Map::iterator erase(typename Map::iterator at) {
    last_ = nullptr;
    return map_.erase(at);
  }

 private:
  Map map_;
  Entry* last_ = nullptr;
};

}  // namespace sallyport::xmpp
