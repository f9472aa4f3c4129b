// The stanzas of a Sender when a connection or a session has ended: sent again in the same session, sent in a
// new one, or abandoned.
#include <algorithm>
#include <utility>

#include "link/sender.h"

namespace sallyport::link {

// --- connections and sessions

void Sender::replay() {
  for (std::size_t i = 0; i < shared_.log.size(); ++i) {
    const LogEntry& entry = shared_.log[i];
    if (entry.channel == 0) {
      shared_.out.append(entry.bytes);
      continue;
    }
    Channel& channel = *open_.find(entry.channel)->second;
    write(channel, channel.slots[entry.sequence - channel.first_sequence]);
  }
}

std::uint64_t Sender::start_anew(const MayRepeat& may_repeat) {
  std::uint64_t sent_before = 0;
  open_.clear();
  backlog_.clear();
  idle_front_ = idle_back_ = nullptr;
  last_id_ = 0;
  in_flight_ = busy_ = 0;
  for (auto& [parent, peer] : peers_) peer.in_flight = peer.busy = 0, peer.notify_at.reset();
  for (auto at = channels_.begin(); at != channels_.end();) {
    Channel old = std::move(at->second);
    Channel anew(at->first);
    anew.provenances = std::move(old.provenances);
    anew.first_provenance = old.first_provenance;
    anew.peer = old.peer;
    while (!old.slots.empty()) {
      Slot slot = old.slots.pop_front();
      if (!slot.stanza) continue;
      if (slot.sent_ever && may_repeat && !may_repeat(anew.pair, *slot.stanza, slot.ticket)) {
        held_bytes_ -= slot.credit;
        shared_.events.emplace_back(
            NotRepeated{anew.pair, slot.ticket, std::move(*slot.stanza), slot.attempt, slot.order});
        continue;
      }
      sent_before += slot.sent_ever ? 1 : 0;
      anew.slots.push_back(std::move(slot));
    }
    if (anew.slots.empty()) {
      leave(anew);
      at = channels_.erase(at);
      continue;
    }
    at->second = std::move(anew);
    at->second.in_backlog = true;
    backlog_.push_back(&at->second);
    ++at;
  }
  return sent_before;
}

void Sender::resume() {
  pump_backlog();
  notify_all_writable();
}

// --- abandoning

// The receiver may have the stanza, so it keeps its place and its credit until it is settled.
void Sender::abandon_slot(Channel& channel, std::size_t index) {
  Slot& slot = channel.slots[index];
  held_bytes_ -= slot.credit;
  slot.stanza.reset();
}

std::vector<Unsettled> Sender::abandon() {
  std::vector<Unsettled> abandoned;
  for (auto& [pair, channel] : channels_) {
    for (std::size_t i = 0; i < channel.slots.size(); ++i) {
      Slot& slot = channel.slots[i];
      if (!slot.stanza) continue;
      abandoned.push_back(
          {pair, std::move(*slot.stanza), slot.ticket, slot.sent_ever, slot.attempt, slot.order});
      abandon_slot(channel, i);
    }
  }
  std::ranges::sort(abandoned, {}, &Unsettled::order);
  return abandoned;
}

bool Sender::withdraw(const xmpp::Pair& pair, Ticket ticket) {
  auto* found = channels_.find(pair);
  if (found == nullptr) return false;
  Channel& channel = found->second;
  for (std::size_t i = shared_.up ? channel.sent : 0; i < channel.slots.size(); ++i) {
    if (!channel.slots[i].stanza || channel.slots[i].ticket != ticket) continue;
    abandon_slot(channel, i);
    return true;
  }
  return false;
}

std::size_t Sender::unsettled() const {
  std::size_t count = 0;
  for (const auto& [pair, channel] : channels_)
    for (std::size_t i = 0; i < channel.slots.size(); ++i) count += channel.slots[i].stanza ? 1 : 0;
  return count;
}

}  // namespace sallyport::link
