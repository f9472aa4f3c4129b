#include "gate/durable_queue.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"
#include "base/shares.h"

namespace sallyport::gate {
namespace {

std::size_t cost(std::size_t xml) { return xml + limits::kStanzaOverheadBytes; }

UnixTime minute_of(UnixTime time) { return std::chrono::floor<std::chrono::minutes>(time); }

// XEP-0203 2: when the message came here, in the name of the domain that it was for or from on our side.
std::string stamped(const std::string& xml, const store::Flow& flow, UnixTime accepted) {
  constexpr std::string_view kEnd = "</message>";
  if (!xml.ends_with(kEnd)) return xml;
  const std::string delay = fmt::format("<delay xmlns='urn:xmpp:delay' from='{}' stamp='{}'/>",
                                        flow.pair.local.ascii(), rfc3339(accepted));
  if (xml.size() + delay.size() > limits::kStanzaBytesMax) return xml;
  return xml.substr(0, xml.size() - kEnd.size()) + delay + std::string(kEnd);
}

}  // namespace

bool may_be_stored(const xmpp::Stanza& stanza) {
  if (stanza.kind() != xmpp::StanzaKind::kMessage || stanza.is_error()) return false;
  const auto has = [&](std::string_view hint) { return stanza.xml().find(hint) != std::string_view::npos; };
  return !has("<no-store xmlns='urn:xmpp:hints'") && !has("<no-permanent-store xmlns='urn:xmpp:hints'");
}

std::uint64_t shard_of_flow(std::uint64_t number) { return number % limits::kShardsMax; }

DurableQueue::DurableQueue(const Setup& setup) : setup_(setup) {}

std::uint64_t DurableQueue::next_number(std::uint64_t& last) const {
  return last = (last / limits::kShardsMax + 1) * limits::kShardsMax + setup_.shard;
}

// --- flows

void DurableQueue::restore(const store::SpoolContents& contents, Now now) {
  last_ = {contents.last_message, contents.last_flow, contents.last_message};
  for (const auto& held : contents.flows) {
    FlowState& flow = add_flow(held.flow);
    for (const auto& minute : held.minutes) {
      flow.minutes.push_back(minute);
      flow.waiting.count += minute.count;
      const std::uint64_t bytes = minute.bytes + minute.count * limits::kStanzaOverheadBytes;
      totals_.count += minute.count;
      totals_.bytes += bytes;
      flow.of_peer->bytes += bytes;
    }
    flow.waiting.next = held.first;
    flow.attempts.retry_at =
        now.mono + Duration(setup_.random.below(Duration(limits::kQueueRetryMin).count()));
    arm(flow, now);
  }
}

DurableQueue::FlowState& DurableQueue::add_flow(const store::NumberedFlow& flow) {
  FlowState& state = flows_of(flow.flow.direction).get(flow.flow.pair, flow).second;
  const std::string& remote = flow.flow.pair.remote.ascii();
  state.of_peer = &remotes_.peers[std::string(parent_of_domain(remote))];
  ++state.of_peer->flows;
  remotes_.flows[remote].push_back(&state);
  by_number_[state.number] = &state;
  return state;
}

DurableQueue::FlowState& DurableQueue::flow_of(const store::Flow& flow) {
  if (auto* found = flows_of(flow.direction).find(flow.pair)) return found->second;
  const store::NumberedFlow numbered{next_number(last_.flow), flow};
  writer_.add_flow(numbered);
  FlowState& made = add_flow(numbered);
  auto& refused = remotes_.refused[index_of(flow.direction)];
  if (const auto* known = refused.find(flow.pair)) {
    made.attempts.refused = known->second;
    made.attempts.current = other(known->second);
    refused.erase(xmpp::Pair(flow.pair));
  }
  return made;
}

void DurableQueue::forget(FlowState& flow) {
  if (flow.armed) timers_.erase({*flow.armed, flow.number});
  by_number_.erase(flow.number);
  writer_.forget_flow(flow.number);
  auto& refused = remotes_.refused[index_of(flow.flow.direction)];
  if (flow.attempts.refused != 0 && refused.size() < limits::kPairsRememberedMax)
    refused.get(flow.flow.pair).second = flow.attempts.refused;
  const std::string& remote = flow.flow.pair.remote.ascii();
  if (--flow.of_peer->flows == 0) remotes_.peers.erase(std::string(parent_of_domain(remote)));
  auto& of_remote = remotes_.flows.find(remote)->second;
  std::erase(of_remote, &flow);
  if (of_remote.empty()) remotes_.flows.erase(remote);
  flows_of(flow.flow.direction).erase(xmpp::Pair(flow.flow.pair));
}

bool DurableQueue::fits(const FlowState::Part& part, std::size_t size) {
  return part.count == 0 ||
         (part.count < limits::kFlowWindowMessages && part.bytes + size <= limits::kFlowWindowBytes);
}

bool DurableQueue::is_half_free(const FlowState::Part& part) {
  return 2 * part.count <= limits::kFlowWindowMessages && 2 * part.bytes <= limits::kFlowWindowBytes;
}

void DurableQueue::count(FlowState& flow, UnixTime accepted, std::size_t size) {
  const UnixTime minute = minute_of(accepted);
  if (flow.minutes.empty() || flow.minutes.back().minute < minute) flow.minutes.push_back({minute, 0, 0});
  ++flow.minutes.back().count;
  flow.minutes.back().bytes += size - limits::kStanzaOverheadBytes;
  ++totals_.count;
  totals_.bytes += size;
  flow.of_peer->bytes += size;
}

// A message has left the queue.
void DurableQueue::leave(FlowState& flow, std::uint64_t number, std::size_t size, UnixTime accepted) {
  writer_.remove(number);
  if (flow.waiting.reading && number >= flow.waiting.next) flow.waiting.outdated = true;
  if (auto* live = live_.find(number)) set_disk(live->second, Live::Disk::kStored);
  live_.erase(number);
  flow.verdicts.erase(number);
  --totals_.count;
  totals_.bytes -= size;
  flow.of_peer->bytes -= size;
  // A clock that was set back may have put it into a later minute.
  auto at = std::ranges::lower_bound(flow.minutes, minute_of(accepted), {}, &store::SpoolMinute::minute);
  if (at == flow.minutes.end() || at->minute != minute_of(accepted)) at = flow.minutes.end() - 1;
  at->bytes -= std::min<std::uint64_t>(at->bytes, size - limits::kStanzaOverheadBytes);
  if (--at->count == 0) flow.minutes.erase(at);
}

// --- messages

Result<void> DurableQueue::accept(const store::Flow& to, xmpp::Stanza& stanza, Ticket receipt, Now now) {
  const std::size_t size = cost(stanza.xml().size());
  if (totals_.bytes + size > setup_.bytes_max) return {Code::kSpoolFull};
  FlowState& flow = flow_of(to);
  if (flow.of_peer->bytes + size > limits::waiting_share(setup_.bytes_max)) {
    arm(flow, now);
    return {Code::kSpoolFull, "as much as one peer may have in it"};
  }
  const std::uint64_t number = next_number(last_.message);
  Live& live = live_.get(number, Live{&flow, size, now.civil, receipt}).second;
  writer_.add({number, flow.number, now.civil, std::string(stanza.xml())});
  count(flow, now.civil, size);
  if (flow.waiting.count == 0 && flow.is_open() && has_window(flow, size)) {
    send(flow, number, live, std::move(stanza), true);
  } else {
    wait(flow, number);
  }
  arm(flow, now);
  return {};
}

void DurableQueue::send(FlowState& flow, std::uint64_t number, Live& live, xmpp::Stanza stanza, bool is_new) {
  if (number <= last_.restored) ++totals_.sent_again;
  if (flow.attempts.refused != flow.attempts.current) flow.attempts.refused = 0;
  live.on_way = true;
  ++flow.on_way.count;
  flow.on_way.bytes += live.size;
  events_.emplace_back(Send{flow.flow, number, flow.attempts.current, is_new, std::move(stanza)});
}

void DurableQueue::wait(FlowState& flow, std::uint64_t number) {
  if (flow.waiting.count == 0 || number < flow.waiting.next) {
    flow.waiting.next = number;
    flow.waiting.no_window = flow.waiting.no_answer = 0;
  }
  ++flow.waiting.count;
}

void DurableQueue::tell_accepted(Live& live) {
  if (live.receipt != 0)
    events_.emplace_back(Accepted{live.flow->flow.direction, std::exchange(live.receipt, 0)});
}

const Error* DurableQueue::refused_with(std::uint64_t message) {
  const auto* live = live_.find(message);
  if (live == nullptr || !live->second.flow->attempts.refusing) return nullptr;
  const FlowState& flow = *live->second.flow;
  const bool is_behind = flow.waiting.count > 0 && flow.waiting.next < message;
  return is_behind ? &*flow.attempts.last_error : nullptr;
}

bool DurableQueue::handle_settled(std::uint64_t message, const std::optional<Error>& refused, Now now) {
  auto* found = live_.find(message);
  if (found == nullptr || !found->second.on_way) return true;
  Live& live = found->second;
  FlowState& flow = *live.flow;
  live.on_way = false;
  --flow.on_way.count;
  flow.on_way.bytes -= live.size;
  const bool leaves = !refused || is_permanent(refused->code) || live.disk == Live::Disk::kFailed;
  const bool stays_for_answer = leaves && refused && live.disk != Live::Disk::kFailed;
  if (refused && !is_permanent(refused->code)) note_refused(flow, *refused);
  if (stays_for_answer) {
    flow.verdicts.insert_or_assign(message, *refused);
    begin_answering(live);
  } else if (leaves) {
    if (!refused) flow.attempts.backoff = {};
    if (!refused && !flow.attempts.refusing) flow.attempts.last_error.reset();
    tell_accepted(live);
    leave(flow, message, live.size, live.accepted);
  } else {
    wait(flow, message);
    if (live.disk == Live::Disk::kStored) live_.erase(message);
  }
  if (flow.attempts.refusing && flow.on_way.count == 0) end_attempt(flow, now);
  feed(flow);
  arm(flow, now);
  return leaves;
}

Error DurableQueue::answer_to(const Error& refused) {
  if (is_permanent(refused.code)) return refused;
  return {Code::kSpoolUnwritable, std::string(code_row(refused.code).name)};
}

// --- the spool

void DurableQueue::handle_answer(store::SpoolAnswer answer, Now now) {
  const auto batch = writer_.handle_answer(answer, now.mono);
  if (!answer.stored) {
    if (!failing_) {
      const Error& error = answer.stored.error();
      setup_.log.log({LogLevel::kError,
                      "spool.failed",
                      {{"code", std::string(code_row(error.code).name)}, {"text", error.text}}});
    }
    failing_ = answer.stored.error();
    handle_failed(*batch, *failing_, now);
    for (const auto& read : batch->reads) handle_rows({read, {}}, now);
    return;
  }
  if (std::exchange(failing_, std::nullopt)) setup_.log.log({LogLevel::kInfo, "spool.works", {}});
  for (const auto& message : batch->messages) {
    auto* found = live_.find(message.number);
    if (found == nullptr) continue;
    tell_accepted(found->second);
    set_disk(found->second, Live::Disk::kStored);
    if (!found->second.on_way && !found->second.answering) live_.erase(message.number);
  }
  for (auto& rows : answer.rows) handle_rows(std::move(rows), now);
}

void DurableQueue::set_disk(Live& live, Live::Disk disk) {
  if (live.disk == Live::Disk::kFailed) totals_.unkept -= live.size;
  live.disk = disk;
  if (disk == Live::Disk::kFailed) totals_.unkept += live.size;
}

// A message on its way goes on without the spool, as one of policy "memory" does, and is given to it again
// with the next batch: what follows it must not be on disk without it. The same holds for one that awaits its
// answer. The others are answered; their senders need not know which file it was.
void DurableQueue::handle_failed(const store::SpoolBatch& batch, const Error& error, Now now) {
  for (const auto& message : batch.messages) {
    auto* found = live_.find(message.number);
    if (found == nullptr) continue;
    Live& live = found->second;
    if (live.on_way || live.answering) {
      set_disk(live, Live::Disk::kFailed);
      writer_.add(message);
      continue;
    }
    FlowState& flow = *live.flow;
    --flow.waiting.count;
    bounce(flow, message, 0, {error.code, {}});
    tell_accepted(live);
    leave(flow, message.number, live.size, live.accepted);
    arm(flow, now);
  }
}

bool DurableQueue::is_purged(const FlowState& flow, std::uint64_t number, UnixTime accepted) {
  return std::ranges::any_of(
      flow.purges, [&](const auto& purge) { return number <= purge.up_to && accepted < purge.before; });
}

bool DurableQueue::is_over(const FlowState& flow, std::uint64_t number, UnixTime accepted, Now now) const {
  return is_purged(flow, number, accepted) || accepted + setup_.lifetime <= now.civil ||
         flow.verdicts.contains(number);
}

Error DurableQueue::verdict_on(const FlowState& flow, const store::StoredMessage& row) const {
  const auto known = flow.verdicts.find(row.number);
  if (known != flow.verdicts.end()) return known->second;
  if (is_purged(flow, row.number, row.accepted)) return {Code::kDeliveryPurged, {}};
  const auto& last = flow.attempts.last_error;
  return {Code::kDeliveryExpired, last ? std::string(code_row(last->code).name) : std::string()};
}

void DurableQueue::handle_rows(store::SpoolRows rows, Now now) {
  auto* found = by_number_.find(rows.read.flow);
  if (found == nullptr) return;
  FlowState& flow = *found->second;
  flow.waiting.reading = false;
  const bool is_outdated = std::exchange(flow.waiting.outdated, false);
  if (failing_) {
    if (!flow.attempts.retry_at) flow.attempts.retry_at = now.mono + limits::kSpoolRetry;
    return arm(flow, now);
  }
  // Read before the removal: a message that has left would be sent or answered once more.
  if (is_outdated) {
    read(flow);
    return arm(flow, now);
  }
  bool took_all = flow.waiting.count > 0 && rows.read.from == flow.waiting.next;
  if (took_all && rows.messages.empty()) {
    setup_.log.log({LogLevel::kError,
                    "spool.unreadable",
                    {{"local", flow.flow.pair.local.ascii()},
                     {"remote", flow.flow.pair.remote.ascii()},
                     {"messages", std::to_string(flow.waiting.count)}}});
    lose_waiting(flow);
  }
  // Where a refused message came back meanwhile, what was read is behind it.
  for (auto& row : rows.messages) took_all = took_all && take_row(flow, std::move(row), now);
  if (took_all && flow.waiting.count > 0 &&
      is_over(flow, flow.waiting.next, flow.minutes.front().minute, now))
    read(flow);
  read_on(flow, now);
  arm(flow, now);
}

// False where it and those behind it have to wait on.
bool DurableQueue::take_row(FlowState& flow, store::StoredMessage row, Now now) {
  if (flow.waiting.count == 0) return false;
  if (const auto* live = live_.find(row.number)) {
    if (!live->second.answering && !live->second.on_way) return false;
    flow.waiting.next = row.number + 1;
    return true;
  }
  const std::size_t size = cost(row.xml.size());
  if (is_over(flow, row.number, row.accepted, now)) {
    if (!may_answer(flow, size, now)) {
      flow.waiting.no_answer = size;
      return false;
    }
    answer_row(flow, row, verdict_on(flow, row));
  } else {
    if (!flow.is_open()) return false;
    if (!has_window(flow, size)) {
      flow.waiting.no_window = size;
      return false;
    }
    const bool is_late = now.civil - row.accepted > limits::kDelayStampAfter;
    auto stanza = reader_.read(is_late ? stamped(row.xml, flow.flow, row.accepted) : row.xml);
    if (stanza) {
      Live& live = live_.get(row.number, Live{&flow, size, row.accepted}).second;
      live.disk = Live::Disk::kStored;
      send(flow, row.number, live, *std::move(stanza), false);
    } else {
      answer_row(flow, row, stanza.error());
    }
  }
  --flow.waiting.count;
  flow.waiting.next = row.number + 1;
  return true;
}

// The spool does not have what it was given: somebody else changed it.
void DurableQueue::lose_waiting(FlowState& flow) {
  flow.waiting.count = 0;
  if (flow.on_way.count + flow.answering.count > 0) return;
  for (const auto& minute : flow.minutes) {
    const std::uint64_t bytes = minute.bytes + minute.count * limits::kStanzaOverheadBytes;
    totals_.count -= minute.count;
    totals_.bytes -= bytes;
    flow.of_peer->bytes -= bytes;
  }
  flow.minutes.clear();
}

// What a full disk did not take is on its way, and its outcome may come by a stream that is not read
// meanwhile.
bool DurableQueue::presses() const {
  return writer_.pending_bytes() > limits::kSpoolBatchBytes + totals_.unkept;
}

// --- time

// A flow without messages is forgotten; another one is looked at when its next attempt is due, or when its
// oldest message expires.
void DurableQueue::arm(FlowState& flow, Now now) {
  if (flow.minutes.empty() && !flow.waiting.reading) return forget(flow);
  std::optional<Time> due = flow.attempts.retry_at;
  if (flow.waiting.count > 0 && !flow.waiting.reading && flow.on_way.count + flow.answering.count == 0) {
    const auto expires = flow.minutes.front().minute + setup_.lifetime + std::chrono::minutes(1);
    const Time at = now.mono + std::max<Duration>(expires - now.civil, std::chrono::seconds(1));
    due = due ? std::min(*due, at) : at;
  }
  const bool waits_to_answer = flow.waiting.count > 0 && flow.waiting.no_answer > 0 && !flow.waiting.reading;
  if (waits_to_answer && flow.unanswered && fits(flow.answering, flow.waiting.no_answer))
    due = due ? std::min(*due, flow.unanswered->until) : flow.unanswered->until;
  if (due == flow.armed) return;
  if (flow.armed) timers_.erase({*flow.armed, flow.number});
  flow.armed = due;
  if (due) timers_.insert({*due, flow.number});
}

void DurableQueue::handle_timeout(Now now) {
  while (!timers_.empty() && timers_.begin()->first <= now.mono) {
    FlowState& flow = *by_number_.find(timers_.begin()->second)->second;
    timers_.erase(timers_.begin());
    flow.armed.reset();
    if (flow.attempts.retry_at && *flow.attempts.retry_at <= now.mono) {
      try_again(flow);
    } else {
      read(flow);
    }
    arm(flow, now);
  }
}

std::optional<Time> DurableQueue::poll_timeout() const {
  auto next = writer_.poll_timeout();
  if (!timers_.empty() && (!next || timers_.begin()->first < *next)) next = timers_.begin()->first;
  return next;
}

std::optional<DurableQueue::Event> DurableQueue::poll() {
  if (events_.empty()) return std::nullopt;
  return events_.pop_front();
}

std::vector<DurableQueue::View> DurableQueue::flows() const {
  std::vector<View> views;
  for (const Flows& flows : flows_) {
    for (const auto& [pair, flow] : flows)
      views.push_back(
          {flow.flow, flow.minutes, flow.on_way.count, flow.attempts.retry_at, flow.attempts.last_error});
  }
  return views;
}

}  // namespace sallyport::gate
