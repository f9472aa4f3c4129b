// Fair places among the streams that an endpoint is opening at one time (limits::kDialsMax): no peer holds
// more than its share of them, the peer that holds most loses its oldest first, and pairs that find no place
// wait in a queue of their peer. Pure; one for each endpoint.
#pragma once

#include <deque>
#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "base/limits.h"
#include "base/shares.h"
#include "gate/event.h"
#include "xmpp/jid.h"

namespace sallyport::gate {

class DialQueue {
 public:
  using Places = Shares<ConnId>;

  // Whether a stream for `peer` may be opened now. `end(conn)` ends a stream that has to give up its place.
  template <typename End>
  bool may_dial(const std::string& peer, End end) {
    // A stream that ends here gives its place to this peer, not to a pair that waits.
    const bool was_busy = std::exchange(busy_, true);
    auto place = places_.place({peer});
    for (; place.room == Places::Room::kYields; place = places_.place({peer})) end(ConnId(*place.loser));
    busy_ = was_busy;
    return place.room == Places::Room::kFree;
  }
  // The place of a stream that is being opened, until it is reset.
  Places::Part hold(const std::string& peer, ConnId conn) { return places_.hold({peer}, conn); }
  void wait(const std::string& peer, xmpp::Pair pair) { waiting_[peer].push_back(std::move(pair)); }

  // Calls `open(pair)` for pairs that wait, as far as there are places; `open` takes them with `hold`.
  template <typename Open>
  void open_waiting(Open open) {
    if (waiting_.empty() || busy_) return;
    busy_ = true;
    for (auto at = waiting_.begin(); at != waiting_.end() && places_.held() < limits::kDialsMax;) {
      auto& [peer, queue] = *at;
      while (!queue.empty() && places_.place({peer}).room == Places::Room::kFree) {
        const xmpp::Pair pair = std::move(queue.front());
        queue.pop_front();
        open(pair);
      }
      at = queue.empty() ? waiting_.erase(at) : std::next(at);
    }
    busy_ = false;
  }

 private:
  Places places_{{.total = limits::kDialsMax, .share = {limits::peer_share(limits::kDialsMax)}}};
  std::map<std::string, std::deque<xmpp::Pair>> waiting_;
  bool busy_ = false;
};

}  // namespace sallyport::gate
