// What waits in a core for credit: one memory for all pairs, of which no remote peer and no internal server
// has more than its share.
#include <algorithm>

#include "gate/core_impl.h"

namespace sallyport::gate {
namespace {

std::uint64_t size_of(const xmpp::Stanza& stanza) {
  return stanza.xml().size() + limits::kStanzaOverheadBytes;
}

}  // namespace

std::size_t Core::Impl::feed_of(const Pair& pair, PairState& out, std::optional<ConnId> from) {
  std::string server = from ? side.peer_source(*from) : std::string();
  const auto known = std::ranges::find(out.feeds, server, &Feed::server);
  if (known != out.feeds.end()) return static_cast<std::size_t>(known - out.feeds.begin());
  // Servers come and go; those of which nothing waits are not told from each other for ever.
  if (out.queue.empty()) out.feeds.clear();
  const WaitingShares::Keys keys{std::string(parent_of_domain(pair.remote.ascii())), server};
  out.feeds.push_back({std::move(server), waiting_shares.hold(keys, &pair, 0)});
  return out.feeds.size() - 1;
}

bool Core::Impl::may_wait(PairState& out, std::size_t feed, std::size_t size, Now now) {
  for (;;) {
    const auto place = waiting_shares.place(out.feeds[feed].part, size + limits::kStanzaOverheadBytes);
    if (place.room == WaitingShares::Room::kFree) return true;
    if (place.loser == nullptr) return false;
    // Of who holds most the pair that has waited longest; it gives up its oldest stanza.
    PairState& loser = pairs.find(**place.loser)->second;
    const Waiting lost = loser.queue.pop_front();
    uncount(loser, lost);
    answer_inside(lost.stanza, {Code::kDeliveryQueueFull, "it gave way to another peer"},
                  setup.config.name.ascii(), now);
    if (loser.bytes <= limits::kPairQueueHoldBytes / 2) release(loser);
  }
}

void Core::Impl::count(PairState& out, const Waiting& what) {
  out.bytes += what.stanza.xml().size();
  waiting_shares.add(out.feeds[what.feed].part, size_of(what.stanza));
}

void Core::Impl::uncount(PairState& out, const Waiting& what) {
  out.bytes -= what.stanza.xml().size();
  waiting_shares.remove(out.feeds[what.feed].part, size_of(what.stanza));
}

}  // namespace sallyport::gate
