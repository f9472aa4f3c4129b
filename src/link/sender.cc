// Sending, settlement and credit. State that outlives a connection or a session is in
// link/sender_recovery.cc.
#include "link/sender.h"

#include <algorithm>
#include <cassert>

#include <fmt/format.h>

namespace sallyport::link {
namespace {

std::uint32_t credit_of(std::size_t stanza_bytes) {
  return static_cast<std::uint32_t>(std::min(stanza_bytes, limits::kCanonicalBytesMax)) +
         limits::kStanzaOverheadBytes;
}

Error frame_error(std::string text) { return {Code::kLinkFrame, std::move(text)}; }

std::string on_channel(std::string_view frame, std::uint64_t channel) {
  return fmt::format("{} on channel {}", frame, channel);
}

frame::Stanza frame_of(std::uint64_t channel, const xmpp::Stanza& stanza, Attempt attempt) {
  // A language tag longer than any real one is left out: `xml` has it, too.
  const std::string_view lang =
      stanza.lang().size() <= limits::kLinkStringBytesMax ? stanza.lang() : std::string_view();
  return {.channel = channel,
          .kind = static_cast<std::uint8_t>(stanza.kind()),
          .from = stanza.from_text(),
          .to = stanza.to_text(),
          .id = stanza.id(),
          .type = stanza.type(),
          .lang = lang,
          .xml = stanza.xml(),
          .attempt = attempt};
}

Outcome outcome_of(const frame::Verdict& verdict) {
  return verdict.code.empty() ? Outcome() : Outcome(error_of(verdict, Code::kInternal));
}

// A parsed stanza always fits; one that an alias has made longer may not.
bool fits_a_frame(const xmpp::Stanza& stanza) {
  return stanza.xml().size() <= limits::kCanonicalBytesMax &&
         stanza.id().size() <= limits::kStanzaIdBytesMax &&
         stanza.type().size() <= limits::kLinkStringBytesMax;
}

}  // namespace

bool Sender::channel_has_room(const Channel& channel, std::uint32_t credit) const {
  return channel.in_flight == 0 || channel.in_flight + credit <= channel.window;
}

// --- the shares of peers

bool Sender::peer_has_credit(const Peer* peer, std::uint32_t credit) const {
  constexpr auto kShare = limits::peer_share(limits::kLinkCreditBytes);
  return has_even_room(peer == nullptr ? 0 : peer->in_flight, credit, kShare,
                       limits::kLinkCreditBytes - in_flight_);
}

bool Sender::peer_has_channel(const Peer* peer) const {
  constexpr auto kShare = limits::peer_share(limits::kChannelsMax);
  return has_even_room(peer == nullptr ? 0 : peer->busy, 1, kShare, limits::kChannelsMax - busy_);
}

// `channel`: the pair's, or nullptr if it has none.
Sender::Peer* Sender::peer_of(const xmpp::Pair& pair, const Channel* channel) {
  if (channel != nullptr) return channel->peer;
  const auto found = peers_.find(parent_of_domain(pair.remote.ascii()));
  return found == peers_.end() ? nullptr : &found->second;
}

void Sender::join(Channel& channel) {
  if (channel.peer != nullptr) return;
  const auto parent = parent_of_domain(channel.pair.remote.ascii());
  auto found = peers_.find(parent);
  if (found == peers_.end()) found = peers_.try_emplace(std::string(parent)).first;
  channel.peer = &found->second;
  ++channel.peer->channels;
}

// Precondition: nothing of the channel is in flight, and it is not busy.
void Sender::leave(Channel& channel) {
  if (--channel.peer->channels == 0) peers_.erase(peers_.find(parent_of_domain(channel.pair.remote.ascii())));
  channel.peer = nullptr;
}

void Sender::note_busy(Channel& channel, bool busy) {
  channel.peer->busy += busy ? 1 : -1;
  busy_ += busy ? 1 : -1;
}

bool Sender::has_room(const Channel* channel, const Peer* peer, std::uint32_t credit) const {
  if (!shared_.up || !peer_has_credit(peer, credit)) return false;
  const bool is_open = channel != nullptr && channel->id != 0;
  if (!is_open && open_.size() >= limits::kChannelsMax && idle_front_ == nullptr) return false;
  if ((!is_open || channel->idle) && !peer_has_channel(peer)) return false;
  if (channel == nullptr) return true;
  return channel->sent == channel->slots.size() && channel_has_room(*channel, credit);
}

Sender::Channel* Sender::find(const xmpp::Pair& pair) {
  auto* found = channels_.find(pair);
  return found == nullptr ? nullptr : &found->second;
}

bool Sender::can_send(const xmpp::Pair& pair, std::size_t stanza_bytes) {
  const std::uint32_t credit = credit_of(stanza_bytes);
  const Channel* channel = find(pair);
  Peer* peer = peer_of(pair, channel);
  if (has_room(channel, peer, credit)) return true;
  waiting_.insert_or_assign(pair, credit);
  note_waiting(peer, credit);
  return false;
}

// Records what a pair waits for besides its own channel: the link, or its peer's share. A peer that holds
// something will get settlements, so this is notified; not at each settlement, because most calls of
// `can_send` would then fail.
void Sender::note_waiting(Peer* peer, std::uint32_t credit) {
  if (!shared_.up) return;
  if (!link_has_room(credit) || open_.size() >= limits::kChannelsMax) link_was_full_ = true;
  if (peer == nullptr || !link_has_room(credit)) return;
  if (peer_has_credit(peer, credit) && peer_has_channel(peer)) return;
  peer->notify_at = std::max(peer->notify_at.value_or(0), peer->in_flight / 8 * 7);
}

std::uint64_t Sender::note_provenance(Channel& channel, const Provenance& provenance) {
  const Provenance& last = channel.provenances.back();
  if (provenance.method != last.method || provenance.peer_address != last.peer_address) {
    channel.provenances.push_back(provenance);
  }
  return channel.first_provenance + channel.provenances.size() - 1;
}

void Sender::forget_provenances(Channel& channel) {
  const std::uint64_t needed = channel.slots.empty()
                                   ? channel.first_provenance + channel.provenances.size() - 1
                                   : channel.slots.front().provenance;
  for (; channel.first_provenance < needed; ++channel.first_provenance) channel.provenances.pop_front();
}

void Sender::send(const xmpp::Pair& pair, xmpp::Stanza stanza, Ticket ticket, const Provenance& provenance,
                  Attempt attempt) {
  if (!fits_a_frame(stanza)) {
    Error error{Code::kXmlTooLarge, "the stanza is longer than the link allows"};
    shared_.events.emplace_back(Settled{ticket, std::move(error), std::move(stanza)});
    return;
  }
  Channel& channel = channels_.get(pair, pair).second;
  join(channel);
  stop_idling(channel);
  const std::uint64_t provenance_number = note_provenance(channel, provenance);
  const std::uint32_t credit = credit_of(stanza.xml().size());
  held_bytes_ += credit;
  channel.slots.push_back({.ticket = ticket,
                           .order = ++last_order_,
                           .stanza = std::move(stanza),
                           .credit = credit,
                           .provenance = provenance_number,
                           .sent_ever = false,
                           .attempt = attempt});
  pump(channel);
}

// --- writing

bool Sender::open(Channel& channel, std::uint64_t provenance) {
  if (channel.id == 0) {
    if (!peer_has_channel(channel.peer)) return false;
    if (open_.size() >= limits::kChannelsMax) {
      if (idle_front_ == nullptr) return false;
      close(*idle_front_);
    }
    channel.id = ++last_id_;
    open_[channel.id] = &channel;
    note_busy(channel, true);
  }
  const Provenance& p = channel.provenances[provenance - channel.first_provenance];
  shared_.append_numbered(
      frame::Open{.channel = channel.id,
                  .local = channel.pair.local.ascii(),
                  .remote = channel.pair.remote.ascii(),
                  .method = frame::cut(p.method, limits::kLinkStringBytesMax),
                  .peer_address = frame::cut(p.peer_address, limits::kLinkStringBytesMax)});
  channel.announced = provenance;
  return true;
}

// Precondition: the channel is idle. It is destroyed.
void Sender::close(Channel& channel) {
  shared_.append_numbered(frame::Close{channel.id});
  stop_idling(channel);
  note_busy(channel, false);
  if (channel.in_backlog) std::erase(backlog_, &channel);
  open_.erase(channel.id);
  leave(channel);
  const xmpp::Pair pair = channel.pair;
  channels_.erase(pair);
}

void Sender::write(Channel& channel, const Slot& slot) {
  if (!slot.stanza) {
    frame::append(shared_.out, frame::Void{channel.id});
    return;
  }
  const bool knows_attempts = shared_.version >= frame::kVersionAttempts;
  frame::append(shared_.out, frame_of(channel.id, *slot.stanza, knows_attempts ? slot.attempt : Attempt{0}));
}

// Sends as much as the channel's window and the link allow.
void Sender::pump(Channel& channel) {
  while (shared_.up && channel.sent < channel.slots.size()) {
    Slot& slot = channel.slots[channel.sent];
    if (!peer_has_credit(channel.peer, slot.credit) || !channel_has_room(channel, slot.credit)) break;
    if ((channel.id == 0 || channel.announced != slot.provenance) && !open(channel, slot.provenance)) break;
    write(channel, slot);
    shared_.log.add_stanza(channel.id, channel.first_sequence + channel.sent);
    slot.sent_ever = true;
    channel.in_flight += slot.credit;
    channel.peer->in_flight += slot.credit;
    in_flight_ += slot.credit;
    ++channel.sent;
  }
  if (channel.sent < channel.slots.size() && !channel.in_backlog) {
    channel.in_backlog = true;
    backlog_.push_back(&channel);
  }
}

void Sender::pump_backlog() {
  // A channel that its own settlements have emptied may be closed, and destroyed, before its turn.
  std::erase_if(backlog_, [](Channel* channel) {
    channel->in_backlog = channel->sent < channel->slots.size();
    return !channel->in_backlog;
  });
  if (backlog_.empty()) return;
  std::vector<Channel*> backlog;
  backlog.swap(backlog_);
  for (Channel* channel : backlog) {
    channel->in_backlog = false;
    pump(*channel);
    notify_writable(*channel);
  }
}

// --- frames

Result<void> Sender::handle_ack(std::uint64_t position) {
  if (!shared_.log.can_acknowledge(position))
    return frame_error("ACK of frames that were not sent or were acknowledged before");
  while (const auto channel = shared_.log.take_acknowledged(position)) {
    if (*channel == 0) continue;
    auto* found = open_.find(*channel);
    // A stanza is settled only when acknowledged, a channel closed only when settled: the channel exists.
    assert(found != nullptr);
    ++found->second->acked;
  }
  return {};
}

Result<void> Sender::handle_settle(const frame::Settle& settle_frame, Time now) {
  for (const frame::Run& run : settle_frame.runs) {
    if (auto done = settle(run, now); !done) return done;
  }
  pump_backlog();
  // All waiting owners are notified at once, and only when much is free: most calls would fail otherwise.
  if (std::exchange(peer_has_room_, false) ||
      (link_was_full_ && in_flight_ <= limits::kLinkCreditBytes / 8 * 7)) {
    notify_all_writable();
  }
  return {};
}

Result<void> Sender::settle(const frame::Run& run, Time now) {
  auto* found = open_.find(run.channel);
  if (found == nullptr) return frame_error(on_channel("SETTLE", run.channel) + ", which is not open");
  Channel& channel = *found->second;
  if (run.count > channel.acked)
    return frame_error(on_channel("SETTLE", run.channel) + " of more stanzas than were received");
  const Outcome outcome = outcome_of(run.outcome);
  Settled delivered{0, std::nullopt, std::nullopt, 0};
  const auto emit_delivered = [&] {
    if (delivered.count > 0) shared_.events.push_back(delivered);
    delivered.count = 0;
  };
  for (std::uint64_t i = 0; i < run.count; ++i) {
    Slot& slot = channel.slots.front();
    ++channel.first_sequence;
    --channel.sent;
    --channel.acked;
    channel.in_flight -= slot.credit;
    channel.peer->in_flight -= slot.credit;
    in_flight_ -= slot.credit;
    if (slot.stanza) {
      held_bytes_ -= slot.credit;
      if (outcome) {
        shared_.events.emplace_back(Settled{slot.ticket, outcome, std::move(slot.stanza), 1, slot.order});
      } else {
        if (slot.ticket != delivered.ticket) emit_delivered();
        delivered.ticket = slot.ticket;
        ++delivered.count;
      }
    }
    channel.slots.drop_front();
  }
  emit_delivered();
  forget_provenances(channel);
  pump(channel);
  if (channel.slots.empty()) become_idle(channel, now);
  Peer& peer = *channel.peer;
  if (peer.notify_at && peer.in_flight <= *peer.notify_at) {
    peer.notify_at.reset();
    peer_has_room_ = true;
  }
  notify_writable(channel);
  return {};
}

// The owner hears of these now; their places and their credit stay until a SETTLE counts them.
Result<void> Sender::handle_settle_ahead(const frame::SettleAhead& ahead) {
  if (shared_.version < frame::kVersionAhead) return frame_error("SETTLE_AHEAD in an earlier version");
  auto* found = open_.find(ahead.channel);
  if (found == nullptr) return frame_error(on_channel("SETTLE_AHEAD", ahead.channel) + ", which is not open");
  Channel& channel = *found->second;
  const std::uint64_t index = ahead.first - channel.first_sequence;
  if (ahead.first < channel.first_sequence || index >= channel.acked || ahead.count > channel.acked - index)
    return frame_error(on_channel("SETTLE_AHEAD", ahead.channel) + " of stanzas that are not unsettled");
  const Outcome outcome = outcome_of(ahead.outcome);
  for (std::uint64_t i = index; i < index + ahead.count; ++i) {
    Slot& slot = channel.slots[i];
    if (std::exchange(slot.told, true))
      return frame_error(on_channel("SETTLE_AHEAD", ahead.channel) + " of a stanza for the second time");
    if (!slot.stanza) continue;
    Settled settled{slot.ticket, outcome, std::nullopt, 1, slot.order};
    if (outcome) settled.stanza = std::move(slot.stanza);
    shared_.events.emplace_back(std::move(settled));
    abandon_slot(channel, i);
  }
  return {};
}

Result<void> Sender::handle_window(const frame::Window& window) {
  if (window.channel == 0 || window.channel > last_id_)
    return frame_error(on_channel("WINDOW", window.channel));
  if (window.bytes > limits::kChannelWindowMaxBytes) {
    return frame_error(on_channel("WINDOW", window.channel) + " above the limit");
  }
  auto* found = open_.find(window.channel);
  if (found == nullptr) return {};  // the frame crossed our CLOSE
  Channel& channel = *found->second;
  if (window.bytes < channel.window)
    return frame_error(on_channel("WINDOW", window.channel) + " lowers the window");
  channel.window = static_cast<std::uint32_t>(window.bytes);
  pump(channel);
  notify_writable(channel);
  return {};
}

// --- waiting owners

void Sender::notify_writable(const Channel& channel) {
  if (waiting_.empty()) return;
  const auto found = waiting_.find(channel.pair);
  if (found == waiting_.end() || !has_room(&channel, channel.peer, found->second)) return;
  shared_.events.push_back(Writable{channel.pair});
  waiting_.erase(found);
}

void Sender::notify_all_writable() {
  link_was_full_ = false;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const Channel* channel = find(at->first);
    Peer* peer = peer_of(at->first, channel);
    if (!has_room(channel, peer, at->second)) {
      note_waiting(peer, at->second);
      ++at;
      continue;
    }
    shared_.events.push_back(Writable{at->first});
    at = waiting_.erase(at);
  }
}

// --- idle channels

void Sender::become_idle(Channel& channel, Time now) {
  channel.idle = true;
  note_busy(channel, false);
  channel.idle_since = now;
  channel.idle_previous = idle_back_;
  channel.idle_next = nullptr;
  (idle_back_ != nullptr ? idle_back_->idle_next : idle_front_) = &channel;
  idle_back_ = &channel;
}

void Sender::stop_idling(Channel& channel) {
  if (!channel.idle) return;
  channel.idle = false;
  note_busy(channel, true);
  (channel.idle_previous != nullptr ? channel.idle_previous->idle_next : idle_front_) = channel.idle_next;
  (channel.idle_next != nullptr ? channel.idle_next->idle_previous : idle_back_) = channel.idle_previous;
}

void Sender::handle_timeout(Time now) {
  while (shared_.up && idle_front_ != nullptr && now >= idle_front_->idle_since + limits::kChannelIdle) {
    close(*idle_front_);
  }
}

std::optional<Time> Sender::poll_timeout() const {
  if (!shared_.up || idle_front_ == nullptr) return std::nullopt;
  return idle_front_->idle_since + limits::kChannelIdle;
}

}  // namespace sallyport::link
