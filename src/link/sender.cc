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

frame::Stanza frame_of(std::uint64_t channel, const xmpp::Stanza& stanza) {
  // A language tag longer than any real one is left to the bytes, where it stands too.
  const std::string_view lang =
      stanza.lang().size() <= limits::kLinkStringBytesMax ? stanza.lang() : std::string_view();
  return {.channel = channel,
          .kind = static_cast<std::uint8_t>(stanza.kind()),
          .from = stanza.from_text(),
          .to = stanza.to_text(),
          .id = stanza.id(),
          .type = stanza.type(),
          .lang = lang,
          .xml = stanza.xml()};
}

// What the parser accepts always fits; an alias that made a stanza longer may not.
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

// `channel`: of the pair, nullptr when it has none.
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
  if (!line_.up || !peer_has_credit(peer, credit)) return false;
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

// What a pair that is not told by its own channel waits for: the link, or its peer's share. A peer that holds
// something is settled something, so that this comes; not at each settlement, since owners would mostly ask
// in vain.
void Sender::note_waiting(Peer* peer, std::uint32_t credit) {
  if (!line_.up) return;
  if (!link_has_room(credit) || open_.size() >= limits::kChannelsMax) link_was_full_ = true;
  if (peer == nullptr || !link_has_room(credit)) return;
  if (peer_has_credit(peer, credit) && peer_has_channel(peer)) return;
  peer->tell_at = std::max(peer->tell_at.value_or(0), peer->in_flight / 8 * 7);
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

void Sender::send(const xmpp::Pair& pair, xmpp::Stanza stanza, Ticket ticket, const Provenance& provenance) {
  if (!fits_a_frame(stanza)) {
    Error error{Code::kXmlTooLarge, "longer than the link carries"};
    line_.events.emplace_back(Settled{ticket, std::move(error), std::move(stanza)});
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
                           .sent_ever = false});
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
  line_.append_numbered(frame::Open{.channel = channel.id,
                                    .local = channel.pair.local.ascii(),
                                    .remote = channel.pair.remote.ascii(),
                                    .method = frame::cut(p.method, limits::kLinkStringBytesMax),
                                    .peer_address = frame::cut(p.peer_address, limits::kLinkStringBytesMax)});
  channel.told = provenance;
  return true;
}

// Precondition: idle. The channel is gone afterwards.
void Sender::close(Channel& channel) {
  line_.append_numbered(frame::Close{channel.id});
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
    frame::append(line_.out, frame::Void{channel.id});
    return;
  }
  frame::append(line_.out, frame_of(channel.id, *slot.stanza));
}

// Sends what the channel's window and the link have room for.
void Sender::pump(Channel& channel) {
  while (line_.up && channel.sent < channel.slots.size()) {
    Slot& slot = channel.slots[channel.sent];
    if (!peer_has_credit(channel.peer, slot.credit) || !channel_has_room(channel, slot.credit)) break;
    if ((channel.id == 0 || channel.told != slot.provenance) && !open(channel, slot.provenance)) break;
    write(channel, slot);
    line_.log.add_stanza(channel.id, channel.first_sequence + channel.sent);
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
  // Those that a settlement of their own has emptied may be closed, and gone, before their turn.
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
    tell_writable(*channel);
  }
}

// --- frames

Result<void> Sender::handle_ack(std::uint64_t position) {
  if (!line_.log.can_acknowledge(position)) return frame_error("ACK of frames that were not sent, or again");
  while (const auto entry = line_.log.take_acknowledged(position)) {
    if (entry->channel == 0) continue;
    auto* found = open_.find(entry->channel);
    // Settled only when acknowledged, closed only when settled: the channel is there.
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
  // Everyone who waits is told at once, and not before much has room: each would ask in vain else.
  if (std::exchange(peer_has_room_, false) ||
      (link_was_full_ && in_flight_ <= limits::kLinkCreditBytes / 8 * 7)) {
    tell_all_writable();
  }
  return {};
}

Result<void> Sender::settle(const frame::Run& run, Time now) {
  auto* found = open_.find(run.channel);
  if (found == nullptr) return frame_error(on_channel("SETTLE", run.channel) + ", which is not open");
  Channel& channel = *found->second;
  if (run.count > channel.acked) return frame_error(on_channel("SETTLE", run.channel) + " of more than came");
  const Outcome outcome =
      run.outcome.code.empty() ? Outcome() : Outcome(error_of(run.outcome, Code::kInternal));
  Settled delivered{0, std::nullopt, std::nullopt, 0};
  const auto tell_delivered = [&] {
    if (delivered.count > 0) line_.events.push_back(delivered);
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
        line_.events.emplace_back(Settled{slot.ticket, outcome, std::move(slot.stanza)});
      } else {
        if (slot.ticket != delivered.ticket) tell_delivered();
        delivered.ticket = slot.ticket;
        ++delivered.count;
      }
    }
    channel.slots.drop_front();
  }
  tell_delivered();
  forget_provenances(channel);
  pump(channel);
  if (channel.slots.empty()) become_idle(channel, now);
  Peer& peer = *channel.peer;
  if (peer.tell_at && peer.in_flight <= *peer.tell_at) {
    peer.tell_at.reset();
    peer_has_room_ = true;
  }
  tell_writable(channel);
  return {};
}

Result<void> Sender::handle_window(const frame::Window& window) {
  if (window.channel == 0 || window.channel > last_id_)
    return frame_error(on_channel("WINDOW", window.channel));
  if (window.bytes > limits::kChannelWindowMaxBytes) {
    return frame_error(on_channel("WINDOW", window.channel) + " above the limit");
  }
  auto* found = open_.find(window.channel);
  if (found == nullptr) return {};  // it crossed our CLOSE
  Channel& channel = *found->second;
  if (window.bytes < channel.window) return frame_error(on_channel("WINDOW", window.channel) + " lowered");
  channel.window = static_cast<std::uint32_t>(window.bytes);
  pump(channel);
  tell_writable(channel);
  return {};
}

// --- connections and sessions

void Sender::replay() {
  for (std::size_t i = 0; i < line_.log.size(); ++i) {
    const LogEntry& entry = line_.log[i];
    if (entry.channel == 0) {
      line_.out.append(entry.bytes);
      continue;
    }
    Channel& channel = *open_.find(entry.channel)->second;
    write(channel, channel.slots[entry.sequence - channel.first_sequence]);
  }
}

void Sender::start_anew() {
  open_.clear();
  backlog_.clear();
  idle_front_ = idle_back_ = nullptr;
  last_id_ = 0;
  in_flight_ = busy_ = 0;
  for (auto& [parent, peer] : peers_) peer.in_flight = peer.busy = 0, peer.tell_at.reset();
  for (auto at = channels_.begin(); at != channels_.end();) {
    Channel old = std::move(at->second);
    Channel anew(at->first);
    anew.provenances = std::move(old.provenances);
    anew.first_provenance = old.first_provenance;
    anew.peer = old.peer;
    while (!old.slots.empty()) {
      if (Slot slot = old.slots.pop_front(); slot.stanza) anew.slots.push_back(std::move(slot));
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
}

void Sender::resume() {
  pump_backlog();
  tell_all_writable();
}

// --- giving up

// The receiver may have it, so it keeps its place and its credit until it is settled.
void Sender::give_up(Channel& channel, std::size_t index) {
  Slot& slot = channel.slots[index];
  held_bytes_ -= slot.credit;
  slot.stanza.reset();
}

std::vector<Unsettled> Sender::abandon() {
  std::vector<std::pair<std::uint64_t, Unsettled>> given_up;
  for (auto& [pair, channel] : channels_) {
    for (std::size_t i = 0; i < channel.slots.size(); ++i) {
      Slot& slot = channel.slots[i];
      if (!slot.stanza) continue;
      given_up.emplace_back(slot.order,
                            Unsettled{pair, std::move(*slot.stanza), slot.ticket, slot.sent_ever});
      give_up(channel, i);
    }
  }
  std::ranges::sort(given_up, {}, &std::pair<std::uint64_t, Unsettled>::first);
  std::vector<Unsettled> result;
  result.reserve(given_up.size());
  for (auto& [order, unsettled] : given_up) result.push_back(std::move(unsettled));
  return result;
}

bool Sender::withdraw(const xmpp::Pair& pair, Ticket ticket) {
  auto* found = channels_.find(pair);
  if (found == nullptr) return false;
  Channel& channel = found->second;
  for (std::size_t i = line_.up ? channel.sent : 0; i < channel.slots.size(); ++i) {
    if (!channel.slots[i].stanza || channel.slots[i].ticket != ticket) continue;
    give_up(channel, i);
    return true;
  }
  return false;
}

// --- owners who wait

void Sender::tell_writable(const Channel& channel) {
  if (waiting_.empty()) return;
  const auto found = waiting_.find(channel.pair);
  if (found == waiting_.end() || !has_room(&channel, channel.peer, found->second)) return;
  line_.events.push_back(Writable{channel.pair});
  waiting_.erase(found);
}

void Sender::tell_all_writable() {
  link_was_full_ = false;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    const Channel* channel = find(at->first);
    Peer* peer = peer_of(at->first, channel);
    if (!has_room(channel, peer, at->second)) {
      note_waiting(peer, at->second);
      ++at;
      continue;
    }
    line_.events.push_back(Writable{at->first});
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
  while (line_.up && idle_front_ != nullptr && now >= idle_front_->idle_since + limits::kChannelIdle) {
    close(*idle_front_);
  }
}

std::optional<Time> Sender::poll_timeout() const {
  if (!line_.up || idle_front_ == nullptr) return std::nullopt;
  return idle_front_->idle_since + limits::kChannelIdle;
}

}  // namespace sallyport::link
