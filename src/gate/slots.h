// Values by number, numbers used again: things that wait for an answer, without an allocation for each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace sallyport::gate {

// `put` gives a number from 1 on that is free; `take` gives the value back and frees the number.
template <typename T>
class Slots {
 public:
  std::uint64_t put(T value) {
    ++size_;
    if (free_.empty()) {
      values_.emplace_back(std::move(value));
      return values_.size();
    }
    const std::uint64_t number = free_.back();
    free_.pop_back();
    values_[number - 1] = std::move(value);
    return number;
  }
  // Nothing for a number that is not in use.
  std::optional<T> take(std::uint64_t number) {
    if (number == 0 || number > values_.size() || !values_[number - 1]) return std::nullopt;
    --size_;
    free_.push_back(number);
    return std::exchange(values_[number - 1], std::nullopt);
  }
  // Looks at the value and leaves it; nullptr for a number that is not in use.
  T* get(std::uint64_t number) {
    if (number == 0 || number > values_.size() || !values_[number - 1]) return nullptr;
    return &*values_[number - 1];
  }
  std::size_t size() const { return size_; }

 private:
  std::vector<std::optional<T>> values_;
  std::vector<std::uint64_t> free_;
  std::size_t size_ = 0;
};

// When to look through a map of pairs for those that nothing waits for: rarely enough that an entry costs the
// same however many there are, often enough that idle entries stay below twice the limit.
class Sweep {
 public:
  explicit Sweep(std::size_t most) : most_(most), next_(most) {}
  // To be called before an entry is added. `is_idle` takes an entry's value.
  template <typename Map, typename IsIdle>
  void operator()(Map& map, IsIdle is_idle) {
    if (map.size() < next_) return;
    using std::erase_if;
    erase_if(map, [&](const auto& entry) { return is_idle(entry.second); });
    next_ = std::max(most_, 2 * map.size());
  }

 private:
  std::size_t most_;
  std::size_t next_;
};

}  // namespace sallyport::gate
