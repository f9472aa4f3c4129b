// Servers that were there, are not, and are expected back: what can wait does, and they are dialled again and
// again. Requests are answered instead, because somebody waits for that, and messages of the durable queue go
// back there.
#include <utility>

#include "gate/endpoint.h"

namespace sallyport::gate {

bool Endpoint::may_wait(const Outgoing& out, const Queued& queued, Now now) const {
  return queued.attempt == 0 && !queued.stanza.is_request() &&
         (out.ready || out.redial.expects_return(setup_.policy.patience(), now));
}

Time Endpoint::deadline_of(const Outgoing& out, const Queued& queued, Now now) const {
  return now.mono +
         (may_wait(out, queued, now) ? setup_.policy.patience() : Duration(limits::kDeliveryTimeout));
}

void Endpoint::await_return(const Pair& pair, Outgoing& out, Now now) {
  for (std::size_t left = out.box.size(); left > 0; --left) {
    Queued queued = outboxes_.pop(out.box);
    if (may_wait(out, queued, now)) {
      outboxes_.put_back(pair, out.box, std::move(queued));
    } else {
      give_back(out, queued, out.redial.reason());
    }
  }
  if (!out.box.empty()) set_return_timer(pair, out);
}

void Endpoint::set_return_timer(const Pair& pair, Outgoing& out) {
  if (!std::exchange(out.awaits_return, true)) outgoing_.returning.emplace(out.redial.dials_at(), pair);
}

void Endpoint::dial_returning(Now now) {
  while (!outgoing_.returning.empty() && outgoing_.returning.begin()->first <= now.mono) {
    const Pair pair = outgoing_.returning.extract(outgoing_.returning.begin()).value().second;
    auto* found = outgoing_.map.find(pair);
    if (found == nullptr) continue;
    found->second.awaits_return = false;
    pump(found->first, found->second, now);
  }
}

}  // namespace sallyport::gate
