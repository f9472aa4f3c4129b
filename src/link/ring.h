// A queue on one growing array: in the steady state neither push nor pop allocates, which
// std::deque does for large elements. Memory that a burst took is given back when it is empty again.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace sallyport::link {

template <typename T>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  // Precondition for all that read: the element exists.
  T& front() { return *cells_[begin_]; }
  T& back() { return (*this)[size_ - 1]; }
  T& operator[](std::size_t i) { return *cells_[(begin_ + i) & (cells_.size() - 1)]; }
  const T& operator[](std::size_t i) const { return *cells_[(begin_ + i) & (cells_.size() - 1)]; }

  T& push_back(T value) {
    if (size_ == cells_.size()) grow();
    auto& cell = cells_[(begin_ + size_) & (cells_.size() - 1)];
    cell.emplace(std::move(value));
    ++size_;
    return *cell;
  }

  T pop_front() {
    T value = std::move(*cells_[begin_]);
    cells_[begin_].reset();
    begin_ = (begin_ + 1) & (cells_.size() - 1);
    if (--size_ == 0 && cells_.size() > kKeptCells) clear();
    return value;
  }

  void clear() { *this = Ring(); }

 private:
  static constexpr std::size_t kKeptCells = 64;

  // The number of cells is a power of two, so that wrapping is a mask.
  void grow() {
    std::vector<std::optional<T>> cells(cells_.empty() ? 4 : 2 * cells_.size());
    for (std::size_t i = 0; i < size_; ++i) cells[i].emplace(std::move((*this)[i]));
    cells_ = std::move(cells);
    begin_ = 0;
  }

  std::vector<std::optional<T>> cells_;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

}  // namespace sallyport::link
