// The numbered frames of one direction: how many were sent, how many acknowledged, and which must be sent
// again if the connection is lost now (docs/link-protocol.md, Numbered frames).
//
// The channel keeps a stanza; the log only records its place among the other frames.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ring.h"

namespace sallyport::link {

struct LogEntry {
  // A stanza by channel and sequence, or the bytes of any other numbered frame.
  std::uint64_t channel = 0;  // 0: not a stanza
  std::uint64_t sequence = 0;
  std::string bytes;
  bool is_settlement = false;
};

class ReplayLog {
 public:
  void add_stanza(std::uint64_t channel, std::uint64_t sequence) {
    entries_.push_back({channel, sequence, {}, false});
    ++sent_;
  }
  void add_bytes(std::string_view frame, bool is_settlement = false) {
    entries_.push_back({0, 0, std::string(frame), is_settlement});
    if (is_settlement) settlement_bytes_ += frame.size();
    ++sent_;
  }

  std::uint64_t sent() const { return sent_; }
  bool can_acknowledge(std::uint64_t position) const {
    return position >= acknowledged() && position <= sent_;
  }
  // Removes the oldest entry if `position` covers it; returns its channel, as in LogEntry. Precondition:
  // can_acknowledge(position).
  std::optional<std::uint64_t> take_acknowledged(std::uint64_t position) {
    if (acknowledged() >= position) return std::nullopt;
    const LogEntry& entry = entries_.front();
    const std::uint64_t channel = entry.channel;
    if (entry.is_settlement) settlement_bytes_ -= entry.bytes.size();
    entries_.drop_front();
    return channel;
  }

  // Returns the number of unacknowledged entries; operator[] starts with the oldest.
  std::size_t size() const { return entries_.size(); }
  const LogEntry& operator[](std::size_t i) const { return entries_[i]; }
  // Returns the bytes of the settlements among them.
  std::size_t settlement_bytes() const { return settlement_bytes_; }

  void clear() { *this = ReplayLog(); }

 private:
  std::uint64_t acknowledged() const { return sent_ - entries_.size(); }

  Ring<LogEntry, 64 * 1024> entries_;
  std::uint64_t sent_ = 0;
  std::size_t settlement_bytes_ = 0;
};

}  // namespace sallyport::link
