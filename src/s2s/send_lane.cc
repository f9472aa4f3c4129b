#include "s2s/send_lane.h"

#include <utility>

namespace sallyport::s2s {

void SendLane::remove(const Pair& pair) {
  std::erase_if(proofs_, [&pair](const PeerProof& proof) { return proof.pair() == pair; });
}

std::optional<InDoubt> SendLane::handle_written(std::uint64_t total, std::uint64_t end) {
  written_ = total;
  if (end - total <= limits::kWriteQueueBytesMax / 2) full_ = false;
  while (!recent_ends_.empty() && recent_ends_.front() + limits::kWriteWindowBytes < total)
    recent_ends_.drop_front();
  return acknowledged_ ? std::nullopt : doubt_written();
}

std::optional<InDoubt> SendLane::doubt_written() {
  InDoubt now{written_, 0};
  while (in_doubt_ < in_flight_.size() && in_flight_[in_doubt_].end <= written_)
    now.bytes += in_flight_[in_doubt_++].bytes;
  if (now.bytes == 0) return std::nullopt;
  doubt_bytes_ += now.bytes;
  return now;
}

std::optional<Delivered> SendLane::acknowledge(std::size_t count) {
  if (count == 0) return std::nullopt;
  for (std::size_t left = count; left > 0; --left) in_flight_.drop_front();
  return Delivered{count, 0};
}

std::optional<Delivered> SendLane::overflow() {
  if (doubt_bytes_ <= limits::kDoubtStreamBytesMax) return std::nullopt;
  Delivered delivered{0, 0};
  while (doubt_bytes_ - in_flight_.front().bytes > limits::kDoubtStreamBytesMax) deliver_front(delivered);
  return delivered.count == 0 ? std::nullopt : std::optional(delivered);
}

std::optional<Delivered> SendLane::confirm(std::uint64_t mark) {
  Delivered delivered{0, 0};
  while (in_doubt_ > 0 && in_flight_.front().end <= mark) deliver_front(delivered);
  return delivered.count == 0 ? std::nullopt : std::optional(delivered);
}

// Precondition: one is in doubt.
void SendLane::deliver_front(Delivered& delivered) {
  const Sent& done = in_flight_.front();
  ++delivered.count;
  delivered.bytes += done.bytes;
  doubt_bytes_ -= done.bytes;
  if (done.end + limits::kWriteWindowBytes >= written_) recent_ends_.push_back(done.end);
  in_flight_.drop_front();
  --in_doubt_;
}

SendEnded SendLane::end(std::uint64_t taken, bool broken, std::optional<Error> peer_error) {
  SendEnded ended;
  ended.doubted_bytes = std::exchange(doubt_bytes_, 0);
  if (!broken) ended.peer_error = std::move(peer_error);
  const std::uint64_t reached = broken ? written_ : taken;
  while (in_flight_.size() > in_doubt_ && in_flight_.back().end > reached) {
    ++ended.unsent;
    in_flight_.drop_back();
  }
  if (acknowledged_) {
    ended.unacknowledged = ended.uncertain = in_flight_.size();
    in_flight_.clear();
    return ended;
  }
  const std::size_t not_written = in_flight_.size() - in_doubt_;
  ended.uncertain = broken || ended.peer_error ? in_flight_.size() : not_written;
  for (std::size_t i = 0; broken && i < recent_ends_.size(); ++i)
    if (recent_ends_[i] + limits::kWriteWindowBytes > written_) ++ended.uncertain;
  if (broken) recent_ends_.clear();
  // The connection may still break: stanzas that count as delivered now are then as uncertain as older ones.
  for (std::size_t i = 0; !broken && !ended.peer_error && i < in_doubt_; ++i)
    recent_ends_.push_back(in_flight_[i].end);
  in_flight_.clear();
  in_doubt_ = 0;
  return ended;
}

}  // namespace sallyport::s2s
