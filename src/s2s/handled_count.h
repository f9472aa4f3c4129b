// How many stanzas of a session somebody has taken responsibility for (XEP-0198 4: `h` is a count, not a
// list). It outlives the stream when the session is resumed on another (XEP-0198 5). Pure; one owner.
#pragma once

#include <cstdint>
#include <optional>

#include "base/ring.h"

namespace sallyport::s2s {

class HandledCount {
 public:
  // A stanza came. Its number, from 1 on, modulo 2^32.
  std::uint32_t receive() {
    open_.emplace_back(false);
    return ++received_;
  }
  // The stanza of that number is taken care of; numbers may come in any order, each once.
  void handle(std::uint32_t number) {
    const std::uint32_t at = number - handled_ - 1;
    if (at >= open_.size()) return;
    open_[at] = true;
    while (!open_.empty() && open_.front()) {
      open_.drop_front();
      ++handled_;
    }
  }
  // Nobody takes care of the stanza of that number: its sender has to send it, and all behind it, again.
  void leave(std::uint32_t number) {
    if (!left_ || number - handled_ < *left_ - handled_) left_ = number;
  }
  // `h`: this stanza and all before it are.
  std::uint32_t handled() const { return handled_; }
  // As far as it can grow.
  bool is_complete() const { return handled_ == received_ || (left_ && handled_ + 1 == *left_); }

 private:
  std::uint32_t received_ = 0;
  std::uint32_t handled_ = 0;
  std::optional<std::uint32_t> left_{};  // the first of those
  Ring<bool> open_;                      // of those behind `handled_`, in order
};

}  // namespace sallyport::s2s
