#include "link/receiver.h"

#include <algorithm>

namespace sallyport::link {
namespace {

Error frame_error(std::string_view frame, std::uint64_t channel, std::string_view what) {
  return {Code::kLinkFrame,
          std::string(frame) + " on channel " + std::to_string(channel) + ": " + std::string(what)};
}

}  // namespace

// --- frames

Result<void> Receiver::handle_open(const frame::Open& open) {
  auto local = xmpp::Domain::parse(open.local);
  auto remote = xmpp::Domain::parse(open.remote);
  if (!local || !remote) return frame_error("OPEN", open.channel, "a domain is not valid");
  const auto opening = std::make_shared<const Opening>(Opening{
      {*std::move(local), *std::move(remote)}, {std::string(open.method), std::string(open.peer_address)}});

  if (auto* found = channels_.find(open.channel)) {
    if (found->second.opening->pair != opening->pair)
      return frame_error("OPEN", open.channel, "it is open for another pair");
    found->second.opening = opening;
    shared_.events.emplace_back(Opened{opening->pair});
    return {};
  }
  if (open.channel != last_id_ + 1)
    return frame_error("OPEN", open.channel, "its number is not the next one");
  if (channels_.size() >= limits::kChannelsMax) return frame_error("OPEN", open.channel, "too many");
  if (!by_pair_.emplace(opening->pair, open.channel).second)
    return frame_error("OPEN", open.channel, "the pair already has a channel");
  last_id_ = open.channel;
  channels_.get(open.channel, opening);
  shared_.events.emplace_back(Opened{opening->pair});
  return {};
}

Result<void> Receiver::handle_close(const frame::Close& close) {
  const auto* found = channels_.find(close.channel);
  if (found == nullptr) return frame_error("CLOSE", close.channel, "not open");
  if (!found->second.slots.empty()) return frame_error("CLOSE", close.channel, "not settled");
  by_pair_.erase(found->second.opening->pair);
  channels_.erase(close.channel);
  return {};
}

// The sender counts stanzas whose settlement has not arrived, the receiver those that it has not settled. The
// second count is never larger, so a sender that exceeds it has ignored its credit.
Result<void> Receiver::admit(const Channel& channel, std::uint64_t id, std::uint32_t credit) const {
  if (channel.in_flight != 0 && channel.in_flight + credit > channel.window) {
    return frame_error("STANZA", id, "above its window");
  }
  if (in_flight_ + credit > limits::kLinkCreditBytes)
    return frame_error("STANZA", id, "above the credit of the link");
  return {};
}

// An invalid address, or one of another pair, only affects its stanza: if the link were closed for it, the
// stanza would come again after each reconnect.
Result<Receiver::Validated> Receiver::validate(const Channel& channel, const frame::Stanza& f) {
  const bool inward = shared_.role == NodeRole::kCore;
  const xmpp::Pair& pair = channel.opening->pair;
  const xmpp::Domain& from = inward ? pair.remote : pair.local;
  const xmpp::Domain& to = inward ? pair.local : pair.remote;
  if (inward) {
    // The bytes alone decide if they are sufficient; the other fields of an edge's frame are ignored.
    auto read = reader_.read_plain(f.xml);
    if (read && read->is_between(from, to)) return Validated{*std::move(read), true};
  }
  auto stanza = xmpp::Stanza::assemble(
      {static_cast<xmpp::StanzaKind>(f.kind), f.from, f.to, f.id, f.type, f.lang, f.xml}, from, to,
      channel.plain);
  if (!stanza) return std::move(stanza).error();
  return Validated{*std::move(stanza), false};
}

Result<void> Receiver::handle_stanza(const frame::Stanza& f, Time now) {
  auto* found = channels_.find(f.channel);
  if (found == nullptr) return frame_error("STANZA", f.channel, "not open");
  Channel& channel = found->second;
  if (f.attempt != 0 && shared_.version < frame::kVersionAttempts)
    return frame_error("STANZA", f.channel, "with an attempt");
  const auto credit = static_cast<std::uint32_t>(f.xml.size()) + limits::kStanzaOverheadBytes;
  if (auto admitted = admit(channel, f.channel, credit); !admitted) return admitted;

  channel.slots.push_back({credit, false, false, {}});
  channel.in_flight += credit;
  in_flight_ += credit;
  auto stanza = validate(channel, f);
  if (!stanza) {
    settle_slot(f.channel, channel, channel.slots.size() - 1, std::move(stanza).error(), now);
    return {};
  }
  const Receipt receipt{epoch_, f.channel, channel.first_sequence + channel.slots.size() - 1};
  shared_.events.emplace_back(std::in_place_type<Received>, channel.opening, receipt,
                              std::move(stanza->stanza), stanza->validated, f.attempt);
  return {};
}

Result<void> Receiver::handle_void(const frame::Void& f, Time now) {
  auto* found = channels_.find(f.channel);
  if (found == nullptr) return frame_error("VOID", f.channel, "not open");
  Channel& channel = found->second;
  // A VOID costs no credit, so the number of slots is bounded like that of empty stanzas on a full link.
  if (channel.slots.size() >= limits::kLinkCreditBytes / limits::kStanzaOverheadBytes) {
    return frame_error("VOID", f.channel, "too many");
  }
  channel.slots.push_back({0, false, false, {}});
  settle_slot(f.channel, channel, channel.slots.size() - 1, std::nullopt, now);
  return {};
}

// --- settlement

void Receiver::settle(const Receipt& receipt, Outcome outcome, Time now) {
  if (receipt.epoch != epoch_) return;
  auto* found = channels_.find(receipt.channel);
  if (found == nullptr) return;
  Channel& channel = found->second;
  if (receipt.sequence < channel.first_sequence) return;
  const std::uint64_t index = receipt.sequence - channel.first_sequence;
  if (index >= channel.slots.size() || channel.slots[index].settled) return;
  settle_slot(receipt.channel, channel, index, std::move(outcome), now);
}

void Receiver::settle_slot(std::uint64_t id, Channel& channel, std::size_t index, Outcome outcome, Time now) {
  channel.slots[index].settled = true;
  channel.slots[index].outcome = std::move(outcome);
  if (index != channel.ready) return note_ahead(id, channel, channel.first_sequence + index, now);
  if (channel.ready == 0) {
    if (ready_.empty()) deadline_ = now + limits::kSettleDelay;
    ready_.push_back(id);
  }
  for (; channel.ready < channel.slots.size() && channel.slots[channel.ready].settled; ++channel.ready) {
    channel.ready_bytes += channel.slots[channel.ready].credit;
    ready_bytes_ += channel.slots[channel.ready].credit;
  }
  // A sender that waits for this much does not wait for the delay.
  if (channel.ready_bytes >= channel.window / 4 || ready_bytes_ >= limits::kLinkCreditBytes / 4)
    deadline_ = now;
}

// A stanza in front may wait for its server for minutes; what stands behind it is told meanwhile.
void Receiver::note_ahead(std::uint64_t id, Channel& channel, std::uint64_t sequence, Time now) {
  if (shared_.version < frame::kVersionAhead) return;
  if (channel.ahead.empty()) {
    if (ahead_.empty()) ahead_deadline_ = now + limits::kSettleAheadDelay;
    ahead_.push_back(id);
  }
  channel.ahead.push_back(sequence);
}

std::optional<Time> Receiver::poll_timeout() const {
  if (!has_settlements()) return std::nullopt;
  if (ahead_.empty()) return deadline_;
  return ready_.empty() ? ahead_deadline_ : std::min(deadline_, ahead_deadline_);
}

void Receiver::flush(Time now) {
  flush_ready();
  if (now >= ahead_deadline_) flush_ahead();
}

void Receiver::flush_ahead() {
  std::erase_if(ahead_, [this](std::uint64_t id) {
    auto* found = channels_.find(id);  // nullptr: all were ready, and the channel was closed
    return found == nullptr || write_ahead(id, found->second);
  });
}

// As runs of equal outcomes, without those that are ready meanwhile. Returns false if the log is full before
// the last.
bool Receiver::write_ahead(std::uint64_t id, Channel& channel) {
  auto& ahead = channel.ahead;
  std::ranges::sort(ahead);
  auto next = std::ranges::lower_bound(ahead, channel.first_sequence + channel.ready);
  const auto slot_of = [&channel](std::uint64_t number) -> Slot& {
    return channel.slots[number - channel.first_sequence];
  };
  while (next != ahead.end() && log_has_room()) {
    const std::uint64_t first = *next;
    const Outcome outcome = slot_of(first).outcome;
    std::uint64_t count = 0;
    for (; next != ahead.end() && *next == first + count && slot_of(*next).outcome == outcome;
         ++next, ++count) {
      slot_of(*next).told = true;
      slot_of(*next).outcome.reset();
    }
    const frame::Verdict verdict = outcome ? shared_.verdict_on(*outcome) : frame::Verdict{};
    shared_.append_numbered(frame::SettleAhead{id, first, count, verdict}, true);
  }
  ahead.erase(ahead.begin(), next);
  return ahead.empty();
}

void Receiver::flush_ready() {
  std::size_t done = 0;
  while (done < ready_.size() && log_has_room()) {
    const std::size_t start = shared_.out.size();
    frame::SettleWriter writer(shared_.out);
    while (done < ready_.size()) {
      Channel& channel = channels_.find(ready_[done])->second;
      if (!write_runs(ready_[done], channel, writer)) break;
      ++done;
    }
    writer.finish();
    shared_.log.add_bytes(std::string_view(shared_.out).substr(start), true);
  }
  ready_.erase(ready_.begin(), ready_.begin() + static_cast<std::ptrdiff_t>(done));
}

// Moves a channel's ready settlements into the frame; returns false if the frame is full before the last.
bool Receiver::write_runs(std::uint64_t id, Channel& channel, frame::SettleWriter& writer) {
  while (channel.ready > 0) {
    if (writer.is_full()) return false;
    const Outcome outcome = std::move(channel.slots.front().outcome);
    std::uint64_t count = 0;
    do {
      const Slot slot = channel.slots.pop_front();
      ++count;
      --channel.ready;
      channel.in_flight -= slot.credit;
      channel.ready_bytes -= slot.credit;
      in_flight_ -= slot.credit;
      ready_bytes_ -= slot.credit;
    } while (channel.ready > 0 && (channel.slots.front().outcome == outcome || channel.slots.front().told));
    channel.first_sequence += count;
    writer.add({id, count, outcome ? shared_.verdict_on(*outcome) : frame::Verdict{}});
  }
  return true;
}

// --- credit, sessions

void Receiver::grant(const xmpp::Pair& pair, std::uint32_t window_bytes) {
  const auto found = by_pair_.find(pair);
  if (found == by_pair_.end()) return;
  Channel& channel = channels_.find(found->second)->second;
  const std::uint32_t window = std::min(window_bytes, limits::kChannelWindowMaxBytes);
  if (window <= channel.window) return;
  channel.window = window;
  const frame::Window f{found->second, window};
  if (shared_.up) {
    shared_.append_numbered(f);
    return;
  }
  // Sent at the next replay.
  std::string bytes;
  frame::append(bytes, f);
  shared_.log.add_bytes(bytes);
}

void Receiver::start_anew() {
  ++epoch_;
  last_id_ = 0;
  channels_.clear();
  by_pair_.clear();
  in_flight_ = 0;
  ready_.clear();
  ready_bytes_ = 0;
  ahead_.clear();
}

}  // namespace sallyport::link
