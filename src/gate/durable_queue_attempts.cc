// The attempts of a durable queue's flows: when each begins and ends, and who may hasten it.
#include <algorithm>
#include <unordered_map>

#include "base/limits.h"
#include "gate/durable_queue.h"

namespace sallyport::gate {

void DurableQueue::note_refused(FlowState& flow, const Error& refused) {
  auto& attempts = flow.attempts;
  const bool is_first = !std::exchange(attempts.refusing, true);
  attempts.unlinked = refused.code == Code::kLinkDown && (is_first || attempts.unlinked);
  attempts.last_error = refused;
  attempts.refused = attempts.current;
}

void DurableQueue::end_attempt(FlowState& flow, Now now) {
  auto& attempts = flow.attempts;
  attempts.refusing = false;
  attempts.current = other(attempts.current);
  if (attempts.backoff.count() == 0) {
    attempts.backoff = limits::kQueueRetryMin;
  } else if (!attempts.woken) {
    attempts.backoff = std::min<Duration>(2 * attempts.backoff, limits::kQueueRetryMax);
  }
  attempts.woken = false;
  attempts.ended = now.mono;
  const auto jitter = setup_.random.below(static_cast<std::uint64_t>(attempts.backoff.count()) / 4 + 1);
  attempts.retry_at = now.mono + attempts.backoff + Duration(jitter);
}

bool DurableQueue::try_again(FlowState& flow) {
  if (!flow.attempts.retry_at) return false;
  flow.attempts.retry_at.reset();
  feed(flow);
  return true;
}

// Reads the next messages that wait, when about half of the window is free.
void DurableQueue::feed(FlowState& flow) {
  if (flow.is_open() && is_half_free(flow.on_way) && has_window(flow, flow.waiting.no_window) &&
      flow.waiting.no_answer == 0)
    read(flow);
}

void DurableQueue::read(FlowState& flow) {
  if (flow.waiting.count == 0 || flow.waiting.reading) return;
  flow.waiting.reading = true;
  flow.waiting.no_window = flow.waiting.no_answer = 0;
  const auto left = [](std::size_t window, std::size_t used) { return window - std::min(window, used); };
  writer_.read({flow.number, flow.waiting.next, left(limits::kFlowWindowMessages, flow.on_way.count),
                left(limits::kFlowWindowBytes, flow.on_way.bytes)});
}

void DurableQueue::wake(FlowState& flow, Now now) {
  auto& attempts = flow.attempts;
  if (!attempts.retry_at) return;
  attempts.woken = true;
  const Time soonest = attempts.ended + limits::kQueueRetryMin;
  if (soonest > now.mono) {
    attempts.retry_at = std::min(*attempts.retry_at, soonest);
  } else {
    try_again(flow);
  }
  arm(flow, now);
}

void DurableQueue::wake(policy::Direction direction, const xmpp::Domain& remote, Now now) {
  if (is_empty()) return;
  const auto found = remotes_.flows.find(remote.ascii());
  if (found == remotes_.flows.end()) return;
  for (FlowState* flow : found->second)
    if (flow->flow.direction == direction) wake(*flow, now);
}

void DurableQueue::wake_local(policy::Direction direction, const xmpp::Domain& local, Now now) {
  for (auto& [pair, flow] : flows_of(direction))
    if (pair.local == local) wake(flow, now);
}

void DurableQueue::wake_all(policy::Direction direction, Now now) {
  std::unordered_map<const FlowState*, std::uint64_t> last;  // of the messages that are on their way
  for (const auto& [number, live] : live_)
    if (live.on_way && live.flow->attempts.unlinked) last[live.flow] = std::max(last[live.flow], number);
  for (auto& [pair, flow] : flows_of(direction)) {
    const auto found = last.find(&flow);
    if (found != last.end()) go_on(flow, found->second);
    wake(flow, now);
  }
}

// The attempt need not end first: that takes until the last message on its way is settled, which a silent
// peer delays. An edge that has refused one of it, because its core was away, refuses these, too.
void DurableQueue::go_on(FlowState& flow, std::uint64_t last) {
  if (!flow.attempts.refusing || !flow.attempts.unlinked || flow.waiting.next <= last) return;
  flow.attempts.refusing = false;
  feed(flow);
}

template <typename Act>
void DurableQueue::for_each(const std::optional<xmpp::Domain>& remote, Act act) {
  for (Flows& flows : flows_) {
    for (auto& [pair, flow] : flows)
      if (!remote || pair.remote == *remote) act(flow);
  }
}

std::size_t DurableQueue::retry(const std::optional<xmpp::Domain>& remote, UnixTime cutoff) {
  std::size_t tried = 0;
  for_each(remote, [&](FlowState& flow) {
    const bool is_old = !flow.minutes.empty() && flow.minutes.front().minute < cutoff;
    tried += is_old && try_again(flow) ? 1 : 0;
  });
  return tried;
}

std::uint64_t DurableQueue::purge(const std::optional<xmpp::Domain>& remote, UnixTime cutoff) {
  std::uint64_t messages = 0;
  for_each(remote, [&](FlowState& flow) {
    for (const auto& each : flow.minutes)
      if (each.minute < cutoff) messages += each.count;
    std::erase_if(flow.purges, [&](const auto& purge) { return purge.before <= cutoff; });
    flow.purges.push_back({cutoff, last_.message});
    read(flow);
  });
  return messages;
}

}  // namespace sallyport::gate
