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
  return confirmed_by_ == ConfirmedBy::kWrites ? doubt_written() : std::nullopt;
}

std::optional<InDoubt> SendLane::set_confirmed_by(ConfirmedBy by) {
  confirmed_by_ = by;
  return by == ConfirmedBy::kWrites ? doubt_written() : std::nullopt;
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
  Delivered delivered{count, 0};
  for (std::size_t left = count; left > 0; --left) {
    if (in_doubt_ > 0) {
      delivered.bytes += in_flight_.front().bytes;
      doubt_bytes_ -= in_flight_.front().bytes;
      --in_doubt_;
    }
    in_flight_.drop_front();
  }
  return delivered;
}

std::optional<Delivered> SendLane::acknowledge_to(std::uint64_t mark) {
  std::size_t count = 0;
  while (count < in_flight_.size() && in_flight_[count].end <= mark) ++count;
  while (!recent_ends_.empty() && recent_ends_.front() <= mark) recent_ends_.drop_front();
  return acknowledge(count);
}

std::optional<Delivered> SendLane::assume_read() {
  for (std::size_t i = 0; i < in_flight_.size(); ++i) remember(in_flight_[i].end);
  return acknowledge(in_flight_.size());
}

void SendLane::remember(std::uint64_t end) {
  if (end + limits::kWriteWindowBytes >= written_) recent_ends_.push_back(end);
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
  remember(done.end);
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
  const bool may_repeat = broken || confirmed_by_ == ConfirmedBy::kAcks ||
                          (confirmed_by_ == ConfirmedBy::kPings && ended.peer_error);
  if (may_repeat) {
    ended.unacknowledged = ended.uncertain = in_flight_.size();
    for (std::size_t i = 0; broken && i < recent_ends_.size(); ++i)
      if (recent_ends_[i] + limits::kWriteWindowBytes > written_) ++ended.uncertain;
    recent_ends_.clear();
    in_flight_.clear();
    in_doubt_ = 0;
    return ended;
  }
  const std::size_t not_written = in_flight_.size() - in_doubt_;
  ended.uncertain = ended.peer_error ? in_flight_.size() : not_written;
  // The connection may still break: stanzas that count as delivered now are then as uncertain as older ones.
  for (std::size_t i = 0; !ended.peer_error && i < in_doubt_; ++i) recent_ends_.push_back(in_flight_[i].end);
  in_flight_.clear();
  in_doubt_ = 0;
  return ended;
}

}  // namespace sallyport::s2s
