// What one remote peer may have of what all peers share in an endpoint: the memory for stanzas that wait, and
// the streams that are being opened.
#include "gate/side.h"

namespace sallyport::gate {

std::string Side::peer_of(const Pair& pair) const {
  return std::string(parent_of_domain((finder_.is_internal() ? pair.local : pair.remote).ascii()));
}

// --- stanzas that wait

bool Side::may_wait(const Pair& pair, OutPair& out, std::size_t size) {
  if (!out.waiting) out.waiting = waiting_.hold({peer_of(pair)}, &pair, 0);
  for (;;) {
    const auto place = waiting_.place(out.waiting, waiting_size(size));
    if (place.room == WaitingShares::Room::kFree) return true;
    if (place.loser == nullptr) return false;
    // Of the peer that holds most the pair that has waited longest.
    auto* loser = pairs_.find(**place.loser);
    drop_oldest(loser->second, {Code::kDeliveryQueueFull, "it gave way to another peer"});
  }
}

void Side::push_back(const Pair& pair, OutPair& out, Queued queued) {
  if (!out.waiting) out.waiting = waiting_.hold({peer_of(pair)}, &pair, 0);
  waiting_.add(out.waiting, waiting_size(queued.stanza.xml().size()));
  out.queue.push_back(std::move(queued));
}

void Side::push_front(const Pair& pair, OutPair& out, Queued queued) {
  if (!out.waiting) out.waiting = waiting_.hold({peer_of(pair)}, &pair, 0);
  waiting_.add(out.waiting, waiting_size(queued.stanza.xml().size()));
  out.queue.push_front(std::move(queued));
}

Side::Queued Side::pop_front(OutPair& out) {
  Queued first = out.queue.pop_front();
  waiting_.remove(out.waiting, waiting_size(first.stanza.xml().size()));
  return first;
}

void Side::drop_oldest(OutPair& out, const Error& error) {
  Queued first = pop_front(out);
  give_back(first, error);
}

// --- streams that are being opened

bool Side::may_dial(const Pair& pair, OutPair& out, Now now) {
  const std::string peer = peer_of(pair);
  // What ends for this pair must not let another take its place.
  const bool was_placing = std::exchange(placing_, true);
  auto place = dials_.place({peer});
  for (; place.room == DialShares::Room::kYields; place = dials_.place({peer})) {
    const ConnId loser = *place.loser;
    emit(Output{Disconnect{loser}});
    break_stream(loser, *find(loser), {Code::kDeliveryQueueFull, "too many streams are being opened"}, now);
  }
  placing_ = was_placing;
  if (place.room == DialShares::Room::kFree) return true;
  if (!std::exchange(out.awaits_dial, true)) dial_queues_[peer].push_back(pair);
  return false;
}

void Side::open_waiting(Now now) {
  if (dial_queues_.empty() || placing_) return;
  placing_ = true;
  for (auto at = dial_queues_.begin(); at != dial_queues_.end() && dials_.held() < limits::kDialsMax;) {
    auto& [peer, queue] = *at;
    while (!queue.empty() && dials_.place({peer}).room == DialShares::Room::kFree) {
      auto* found = pairs_.find(queue.front());
      queue.pop_front();
      if (found == nullptr) continue;
      found->second.awaits_dial = false;
      pump(found->first, found->second, now);
    }
    at = queue.empty() ? dial_queues_.erase(at) : std::next(at);
  }
  placing_ = false;
}

}  // namespace sallyport::gate
