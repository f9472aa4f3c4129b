// A server at the far end of a connection, in memory: negotiates the stream, then counts stanzas.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "../load/stanza.h"

namespace bench {

class FarEnd {
 public:
  // The server connects to us, as `own` to `other`.
  FarEnd(std::string own, std::string other);
  // We connect to the server.
  FarEnd() : accepting_(true) {}

  // The bytes that a node wrote. `take` returns the reply.
  void hear(std::string_view bytes);
  std::string take() { return std::move(out_); }
  // The handshake is complete on both sides.
  void secured();

  bool is_ready() const { return ready_; }
  std::uint64_t stanzas() const { return stanzas_; }
  const std::string& own() const { return own_; }

 private:
  void answer();
  void acknowledge(std::string_view bytes);
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
