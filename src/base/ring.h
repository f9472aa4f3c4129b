// A queue on one growing array: in the steady state neither push nor pop allocates, unlike std::deque for
// large elements. When the queue is empty again it frees memory above kKeptBytes: a low bound suits tens of
// thousands of queues, a high one a single queue.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace sallyport {

template <typename T, std::size_t kKeptBytes = 1024>
class Ring {
 public:
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }

  // Precondition of all accessors: the element exists.
  T& front() { return *cells_[begin_]; }
  const T& front() const { return *cells_[begin_]; }
  T& back() { return (*this)[size_ - 1]; }
  const T& back() const { return (*this)[size_ - 1]; }
  T& operator[](std::size_t i) { return *cells_[(begin_ + i) & (cells_.size() - 1)]; }
  const T& operator[](std::size_t i) const { return *cells_[(begin_ + i) & (cells_.size() - 1)]; }

  // Constructs the element in place from `args`.
  template <typename... Args>
  T& emplace_back(Args&&... args) {
    if (size_ == cells_.size()) grow();
    auto& cell = cells_[(begin_ + size_) & (cells_.size() - 1)];
    cell.emplace(std::forward<Args>(args)...);
    ++size_;
    return *cell;
  }
  T& push_back(T value) { return emplace_back(std::move(value)); }
  T& push_front(T value) {
    if (size_ == cells_.size()) grow();
    begin_ = (begin_ + cells_.size() - 1) & (cells_.size() - 1);
    cells_[begin_].emplace(std::move(value));
    ++size_;
    return *cells_[begin_];
  }

  T pop_front() {
    T value = std::move(*cells_[begin_]);
    drop_front();
    return value;
  }
  void drop_front() {
    cells_[begin_].reset();
    begin_ = (begin_ + 1) & (cells_.size() - 1);
    if (--size_ == 0 && cells_.size() * sizeof(Cell) > kKeptBytes) clear();
  }
  void drop_back() {
    back_cell().reset();
    if (--size_ == 0 && cells_.size() * sizeof(Cell) > kKeptBytes) clear();
  }

  void clear() { *this = Ring(); }

 private:
  using Cell = std::optional<T>;

  static constexpr std::size_t kFirstCells = 4 * sizeof(Cell) > kKeptBytes ? 1 : 4;

  Cell& back_cell() { return cells_[(begin_ + size_ - 1) & (cells_.size() - 1)]; }

  // The number of cells is a power of two, so that wrapping is a mask.
  void grow() {
    std::vector<Cell> cells(cells_.empty() ? kFirstCells : 2 * cells_.size());
    for (std::size_t i = 0; i < size_; ++i) cells[i].emplace(std::move((*this)[i]));
    cells_ = std::move(cells);
    begin_ = 0;
  }

  std::vector<Cell> cells_;
  std::size_t begin_ = 0;
  std::size_t size_ = 0;
};

}  // namespace sallyport
