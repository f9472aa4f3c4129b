#include "gate/outbox.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace sallyport::gate {
namespace {

std::uint64_t held_by(const Queued& queued) {
  return queued.stanza.xml().size() + limits::kStanzaOverheadBytes;
}

}  // namespace

Outboxes::Outboxes(const Bounds& bounds, PeerOf peer_of)
    : peer_of_(std::move(peer_of)),
      memory_({.total = bounds.total, .share = {bounds.per_peer, bounds.per_feed}}) {}

std::uint32_t Outboxes::feed_of(const Pair& pair, Outbox& box, const std::string& name) {
  auto& feeds = box.feeds_;
  const auto known = std::ranges::find(feeds, name, &Outbox::Feed::name);
  if (known != feeds.end()) return static_cast<std::uint32_t>(known - feeds.begin());
  // Servers come and go; an outbox does not remember for ever which ones fed it.
  if (box.queue_.empty()) feeds.clear();
  feeds.push_back({name, memory_.hold({peer_of_(pair), name}, &box, 0)});
  return static_cast<std::uint32_t>(feeds.size() - 1);
}

bool Outboxes::push(const Pair& pair, Outbox& box, Queued& queued, const std::string& feed) {
  assert(box.is_idle() || box.pair_ == nullptr || box.pair_ == &pair);
  box.pair_ = &pair;
  queued.feed = feed_of(pair, box, feed);
  for (;;) {
    const auto place = memory_.place(box.feeds_[queued.feed].part, held_by(queued));
    if (place.room == Memory::Room::kFree) break;
    if (place.loser == nullptr) return false;
    // Of the peer or feed that holds most, the outbox in which something has waited longest.
    lose(**place.loser, false);
  }
  put_back(pair, box, std::move(queued));
  return true;
}

void Outboxes::put_back(const Pair& pair, Outbox& box, Queued queued) {
  count(pair, box, queued);
  const Time deadline = queued.deadline;
  if (!box.queue_.empty() && deadline < box.queue_.back().deadline) box.is_mixed_ = true;
  box.queue_.push_back(std::move(queued));
  arm(box, deadline);
}

void Outboxes::put_front(const Pair& pair, Outbox& box, Queued queued) {
  count(pair, box, queued);
  const Time deadline = queued.deadline;
  if (!box.queue_.empty() && deadline > box.queue_.front().deadline) box.is_mixed_ = true;
  box.queue_.push_front(std::move(queued));
  arm(box, deadline);
}

void Outboxes::count(const Pair& pair, Outbox& box, Queued& queued) {
  if (queued.feed >= box.feeds_.size()) queued.feed = feed_of(pair, box, {});
  assert(box.is_idle() || box.pair_ == nullptr || box.pair_ == &pair);
  box.pair_ = &pair;
  box.bytes_ += queued.stanza.xml().size();
  memory_.add(box.feeds_[queued.feed].part, held_by(queued));
}

Queued Outboxes::pop(Outbox& box) {
  Queued first = box.queue_.pop_front();
  box.bytes_ -= first.stanza.xml().size();
  memory_.remove(box.feeds_[first.feed].part, held_by(first));
  return first;
}

// One timer for an outbox, set when something waits in it and looked at when it fires: a stanza that is sent
// earlier costs none.
void Outboxes::arm(Outbox& box, Time at) {
  if (at == kNoDeadline || (box.armed_at_ && *box.armed_at_ <= at)) return;
  if (box.armed_at_) deadlines_.erase({*box.armed_at_, &box});
  box.armed_at_ = at;
  deadlines_.insert({at, &box});
}

void Outboxes::handle_timeout(Time now) {
  while (!deadlines_.empty() && deadlines_.begin()->at <= now) {
    Outbox& box = *deadlines_.begin()->box;
    deadlines_.erase(deadlines_.begin());
    box.armed_at_.reset();
    box.is_mixed_ ? lose_late_among_others(box, now) : lose_late(box, now);
  }
}

void Outboxes::lose_late(Outbox& box, Time now) {
  while (!box.queue_.empty() && box.queue_.front().deadline <= now) lose(box, true);
  if (!box.queue_.empty()) arm(box, box.queue_.front().deadline);
}

void Outboxes::lose_late_among_others(Outbox& box, Time now) {
  Time first = kNoDeadline, last = Time::min();
  box.is_mixed_ = false;
  for (std::size_t left = box.queue_.size(); left > 0; --left) {
    if (box.queue_.front().deadline <= now) {
      lose(box, true);
      continue;
    }
    const Time deadline = box.queue_.front().deadline;
    if (deadline < last) box.is_mixed_ = true;
    first = std::min(first, deadline);
    last = deadline;
    box.queue_.push_back(box.queue_.pop_front());
  }
  if (first != kNoDeadline) arm(box, std::max(first, now + limits::kOutboxLookEvery));
}

std::optional<Time> Outboxes::poll_timeout() const {
  return deadlines_.empty() ? std::nullopt : std::optional(deadlines_.begin()->at);
}

std::optional<Outboxes::Lost> Outboxes::poll() {
  if (lost_.empty()) return std::nullopt;
  return lost_.pop_front();
}

}  // namespace sallyport::gate
