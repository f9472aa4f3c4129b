// A core that is to end: what it holds is settled, stays in the spool, or is answered.
#include "gate/core_impl.h"

namespace sallyport::gate {

namespace {

// How often a core that drains looks for what has lost its way to an edge: there may be very many pairs.
constexpr auto kLookEvery = std::chrono::milliseconds(100);

}  // namespace

void Core::drain(Now now) {
  impl_->report.draining = true;
  impl_->endpoint.drain_all({Code::kStreamShutdown, {}}, now);
  impl_->turn(now);
}

bool Core::is_drained() const {
  if (!impl_->report.draining || !impl_->endpoint.is_empty() || impl_->has_more_to_send()) return false;
  for (std::size_t i = 0; i < impl_->links.ends.size(); ++i) {
    const auto& session = impl_->links.ends.at(i).session();
    if (session.is_up() && session.owes_settlements()) return false;
  }
  return impl_->durable.queue.is_quiet();
}

bool Core::Impl::can_leave(const Pair& pair, const PairState& out) const {
  if (out.edge && !links.state[*out.edge].is_to_be_left()) return links.state[*out.edge].ready;
  return choose_edge(pair).has_value();
}

bool Core::Impl::has_more_to_send() const {
  return outward.unsettled > 0 || std::ranges::any_of(outward.map, [](const auto& entry) {
           return !entry.second.box.empty() || !entry.second.handed_back.empty();
         });
}

bool Core::Impl::answer_stranded(Now now) {
  if (now.mono < report.looks_at) return false;
  report.looks_at = now.mono + kLookEvery;
  std::vector<Queued> stranded;
  for (auto& [pair, out] : outward.map) {
    if ((out.box.empty() && out.handed_back.empty()) || can_leave(pair, out)) continue;
    if (out.unsettled == 0) put_handed_back(pair, out);
    for (std::size_t left = out.box.size(); left > 0; --left) {
      Queued queued = outward.outboxes.pop(out.box);
      if (presence.outward.erase(queued.ticket) != 0) {
        outward.tickets.take(queued.ticket);  // a question of ours, which says nothing of the other server
        continue;
      }
      if (queued.owes) {
        // What it answers stays with the edge, whose server sends it again.
        outward.owed.erase(queued.ticket);
        outward.tickets.take(queued.ticket);
      } else if (const auto receipt = take_receipt(queued.ticket)) {
        endpoint.leave_unacknowledged(*receipt, now);
      } else {
        stranded.push_back(std::move(queued));
      }
    }
    release(out);
  }
  for (const Queued& queued : stranded)
    answer_queued(queued, {Code::kStreamShutdown, {}}, setup.config.name.ascii(), now);
  return !stranded.empty();
}

}  // namespace sallyport::gate
