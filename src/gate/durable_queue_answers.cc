// Messages of a durable queue that are answered: they stay on disk until the answer has arrived.
#include <algorithm>

#include "base/limits.h"
#include "gate/durable_queue.h"

namespace sallyport::gate {

void DurableQueue::begin_answering(Live& live) {
  live.answering = true;
  ++live.flow->answering.count;
  live.flow->answering.bytes += live.size;
  ++totals_.answering;
}

void DurableQueue::answer_row(FlowState& flow, const store::StoredMessage& row, Error error) {
  const std::size_t size = row.xml.size() + limits::kStanzaOverheadBytes;
  flow.verdicts.insert_or_assign(row.number, error);
  if (!bounce(flow, row, row.number, std::move(error))) return leave(flow, row.number, size, row.accepted);
  Live& live = live_.get(row.number, Live{&flow, size, row.accepted}).second;
  live.disk = Live::Disk::kStored;
  begin_answering(live);
}

bool DurableQueue::bounce(FlowState& flow, const store::StoredMessage& message, std::uint64_t answered,
                          Error error) {
  auto stanza = reader_.read(message.xml);
  if (stanza) {
    events_.emplace_back(Bounced{flow.flow, answered, *std::move(stanza), std::move(error)});
    return true;
  }
  setup_.log.log({LogLevel::kError,
                  "spool.unreadable",
                  {{"local", flow.flow.pair.local.ascii()},
                   {"remote", flow.flow.pair.remote.ascii()},
                   {"message", std::to_string(message.number)}}});
  return false;
}

bool DurableQueue::may_answer(const FlowState& flow, std::size_t size, Now now) {
  return fits(flow.answering, size) && (!flow.unanswered || flow.unanswered->until <= now.mono);
}

// Whether the answers to messages of the flow are sent once more. The next ones after a long silence begin
// anew: what kept others from arriving may be over.
bool DurableQueue::is_answered_again(FlowState& flow, const Error& lost, Now now) const {
  if (is_permanent(lost.code) || lost.code == Code::kDeliveryUncertain) return false;
  auto& unanswered = flow.unanswered;
  if (!unanswered || now.mono > unanswered->until + setup_.answer_patience + limits::kQueueRetryMax)
    unanswered = {now.mono, now.mono};
  const Duration tried = now.mono - unanswered->since;
  if (tried >= setup_.answer_patience) return false;
  if (unanswered->until <= now.mono)
    unanswered->until =
        now.mono + std::clamp<Duration>(tried, limits::kQueueRetryMin, limits::kQueueRetryMax);
  return true;
}

void DurableQueue::handle_answered(std::uint64_t message, const std::optional<Error>& lost, Now now) {
  auto* found = live_.find(message);
  if (found == nullptr || !found->second.answering) return;
  Live& live = found->second;
  FlowState& flow = *live.flow;
  --flow.answering.count;
  flow.answering.bytes -= live.size;
  --totals_.answering;
  live.answering = false;
  // Who purges wants them gone.
  const auto verdict = flow.verdicts.find(message);
  const bool was_purged = verdict != flow.verdicts.end() && verdict->second.code == Code::kDeliveryPurged;
  if (lost && !was_purged && live.disk != Live::Disk::kFailed && is_answered_again(flow, *lost, now)) {
    wait(flow, message);
    if (flow.waiting.next == message) flow.waiting.no_answer = live.size;
    if (live.disk == Live::Disk::kStored) live_.erase(message);
  } else {
    if (!lost) flow.unanswered.reset();
    tell_accepted(live);
    leave(flow, message, live.size, live.accepted);
  }
  read_on(flow, now);
  arm(flow, now);
}

void DurableQueue::read_on(FlowState& flow, Now now) {
  if (flow.waiting.no_answer == 0) {
    feed(flow);
  } else if (is_half_free(flow.answering) && may_answer(flow, flow.waiting.no_answer, now)) {
    read(flow);
  }
}

}  // namespace sallyport::gate
