#include "gate/doubts.h"

namespace sallyport::gate {
namespace {

// Each holds a stanza at least.
constexpr std::size_t kDoubtsMax = limits::kDoubtBytesMax / limits::kStanzaOverheadBytes;

Time until(Time now) {
  const Duration tick = limits::kDoubtTick;
  const auto ticks = (now + limits::kDoubtDelay).time_since_epoch() / tick;
  return Time{tick * (ticks + 1)};
}

}  // namespace

void Doubts::add(ConnId conn, const s2s::InDoubt& doubt, Time now) {
  bytes_ += doubt.bytes;
  const Time at = until(now);
  if (!queue_.empty() && queue_.back().due.conn == conn && queue_.back().until == at) {
    queue_.back().due.mark = doubt.mark;
  } else {
    queue_.push_back({at, {conn, doubt.mark}});
  }
}

std::optional<Doubts::Due> Doubts::poll(Time now) {
  if (queue_.empty()) return std::nullopt;
  const bool is_due = queue_.front().until <= now;
  if (!is_due && queue_.size() <= kDoubtsMax && bytes_ <= limits::kDoubtBytesMax) return std::nullopt;
  return queue_.pop_front().due;
}

std::optional<Time> Doubts::poll_timeout() const {
  return queue_.empty() ? std::nullopt : std::optional(queue_.front().until);
}

}  // namespace sallyport::gate
