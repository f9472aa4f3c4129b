// A server whose stream was closed, because the link was lost for long, begins its next one while the rest of
// the old one is still on its way: what comes by the next one waits until the old one has been read to its
// end, so that the server does not overtake itself.
#include "gate/edge_impl.h"

namespace sallyport::gate {
namespace {

// How often is looked for old streams that have ended: very many servers may come back at once.
constexpr auto kLookEvery = std::chrono::milliseconds(100);

}  // namespace

void Edge::Impl::note_closing() {
  for (auto& [pair, in] : inward.map) {
    if (!reads_older(in)) in.behind.older = in.provenance_of;
    for (const ConnId conn : in.behind.held) endpoint.hold(conn, false);
    in.behind.held.clear();
  }
}

bool Edge::Impl::reads_older(const Inward& in) const {
  return in.behind.older != 0 && endpoint.is_open(in.behind.older);
}

void Edge::Impl::wait_behind(const Pair& pair, Inward& in, On<s2s::StanzaReceived>&& received, Now now) {
  auto& [conn, event] = received;
  auto& behind = in.behind;
  if (behind.box.empty()) behind.until = now.mono + limits::kCloseTimeout;
  behind.provenance_of = conn;
  behind.provenance = provenance_of(conn, event.proof);
  Queued queued{std::move(event.stanza), event.number ? inward.receipts.put({conn, *event.number}) : 0};
  const bool has_room = inward.outboxes.push(pair, behind.box, queued);
  answer_lost(now);
  if (!has_room) return refuse_inward(pair, queued, Code::kDeliveryQueueFull, now);
  if (inward.behind.pairs.empty()) inward.behind.looks_at = now.mono + kLookEvery;
  inward.behind.pairs.insert(pair);
  if (!served.is_dead && behind.held.insert(conn).second) endpoint.hold(conn, true);
}

// An old stream that is not read, because the core takes no more, is waited for; one that its server never
// ends is not.
bool Edge::Impl::pump_behind(Now now) {
  if (inward.behind.pairs.empty() || now.mono < inward.behind.looks_at) return false;
  inward.behind.looks_at = now.mono + kLookEvery;
  std::vector<Pair> free;
  for (const Pair& pair : inward.behind.pairs) {
    const auto* found = inward.map.find(pair);
    const bool waits =
        found != nullptr && reads_older(found->second) &&
        (now.mono < found->second.behind.until || found->second.held.contains(found->second.behind.older));
    if (!waits) free.push_back(pair);
  }
  for (const Pair& pair : free) {
    inward.behind.pairs.erase(pair);
    auto* found = inward.map.find(pair);
    if (found == nullptr) continue;
    pass_behind(found->first, found->second, now);
    pump_inward(found->first, now);
  }
  return !free.empty();
}

void Edge::Impl::pass_behind(const Pair& pair, Inward& in, Now now) {
  auto& behind = in.behind;
  behind.older = 0;
  in.provenance_of = behind.provenance_of;
  in.provenance = std::move(behind.provenance);
  while (!behind.box.empty()) {
    Queued queued = inward.outboxes.pop(behind.box);
    if (!inward.outboxes.push(pair, in.box, queued))
      refuse_inward(pair, queued, Code::kDeliveryQueueFull, now);
  }
  for (const ConnId conn : behind.held)
    if (served.is_dead || !in.held.insert(conn).second) endpoint.hold(conn, false);
  behind.held.clear();
}

}  // namespace sallyport::gate
