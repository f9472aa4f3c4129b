// A server at the far end of a connection, in memory: says what must be said until stanzas may flow, then
// counts them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "../load/stanza.h"

namespace bench {

class FarEnd {
 public:
  // It connected to us: `own` to `other`.
  FarEnd(std::string own, std::string other);
  // We connected to it.
  FarEnd() : accepting_(true) {}

  // What a door wrote. What it answers is to be taken with `take`.
  void hear(std::string_view bytes);
  std::string take() { return std::move(out_); }
  // The handshake is done, on both sides.
  void secured();

  bool is_ready() const { return ready_; }
  std::uint64_t stanzas() const { return stanzas_; }
  const std::string& own() const { return own_; }

 private:
  void answer();
  void say_header();
  bool passed(std::string_view word);

  bool accepting_;
  bool secure_ = false;
  bool authenticated_ = false;
  bool ready_ = false;
  std::string own_;
  std::string other_;
  std::string heard_;
  std::string out_;
  Marks marks_;
  std::uint64_t stanzas_ = 0;
};

}  // namespace bench
