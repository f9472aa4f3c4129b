// Messages of a durable queue that are answered: they stay on disk until the answer has arrived.
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

void DurableQueue::handle_answered(std::uint64_t message, Now now) {
  auto* found = live_.find(message);
  if (found == nullptr || !found->second.answering) return;
  Live& live = found->second;
  FlowState& flow = *live.flow;
  --flow.answering.count;
  flow.answering.bytes -= live.size;
  --totals_.answering;
  tell_accepted(live);
  leave(flow, message, live.size, live.accepted);
  if (flow.waiting.for_answers && is_half_free(flow.answering)) read(flow);
  arm(flow, now);
}

}  // namespace sallyport::gate
