// The stanzas that are sent, and how the other end recognizes them.
//
// Each carries a mark in its text: `~`, the flow in 4 hexadecimal digits, its number in that flow in 8.
// There is no other `~`, so the receiver finds the marks by memchr without a parser, however a server in
// between changes the rest.
#pragma once

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace bench {

inline constexpr std::size_t kFlowDigits = 4;
inline constexpr std::size_t kNumberDigits = 8;
inline constexpr std::size_t kMarkBytes = 1 + kFlowDigits + kNumberDigits;

// The stanzas of one flow: nine messages, then a presence, each exactly `bytes` long.
class Stanzas {
 public:
  Stanzas(std::size_t flow, const std::string& from, const std::string& to, std::size_t bytes);
  // Appends stanza number `number` of the flow.
  void append(std::string& out, std::uint32_t number);

 private:
  struct Template {
    std::string xml;
    std::size_t number_at = 0;
  };
  Template message_;
  Template presence_;
};

inline int hex_value(char digit) { return digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10; }

// Finds marks in a stream of bytes that arrives in arbitrary pieces.
class Marks {
 public:
  // Calls on_mark(flow, number) for each.
  template <typename F>
  void scan(std::string_view bytes, F&& on_mark) {
    if (held_ > 0) {
      std::size_t more = std::min(kMarkBytes - held_, bytes.size());
      std::memcpy(partial_.data() + held_, bytes.data(), more);
      held_ += more;
      if (held_ < kMarkBytes) return;
      held_ = 0;
      read(partial_.data(), on_mark);
      bytes.remove_prefix(more);
    }
    while (!bytes.empty()) {
      auto found = static_cast<const char*>(std::memchr(bytes.data(), '~', bytes.size()));
      if (found == nullptr) return;
      bytes.remove_prefix(static_cast<std::size_t>(found - bytes.data()));
      if (bytes.size() < kMarkBytes) {
        held_ = bytes.size();
        std::memcpy(partial_.data(), bytes.data(), held_);
        return;
      }
      read(found, on_mark);
      bytes.remove_prefix(kMarkBytes);
    }
  }

 private:
  template <typename F>
  static void read(const char* mark, F&& on_mark) {
    std::uint32_t flow = 0;
    std::uint32_t number = 0;
    for (std::size_t i = 1; i <= kFlowDigits; ++i)
      flow = flow << 4 | static_cast<std::uint32_t>(hex_value(mark[i]));
    for (std::size_t i = 1 + kFlowDigits; i < kMarkBytes; ++i)
      number = number << 4 | static_cast<std::uint32_t>(hex_value(mark[i]));
    on_mark(flow, number);
  }

  std::array<char, kMarkBytes> partial_{};
  std::size_t held_ = 0;
};

}  // namespace bench
