// Dialback requests of a peer that wait for an answer which somebody else gives, each with a deadline.
#pragma once

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/time.h"
#include "s2s/dialback.h"
#include "s2s/identity.h"

namespace sallyport::s2s {

class PendingRequests {
 public:
  static Pair pair_of(const DialbackElement& request) { return {request.to, request.from}; }

  void add(DialbackElement request, Time deadline) { list_.push_back({std::move(request), deadline}); }
  // By pair, and for `db:verify` by the id too; that of a `db:result` is empty. nullptr: none.
  const DialbackElement* find(const Pair& pair, std::string_view id = {}) const {
    const auto at = std::ranges::find_if(
        list_, [&](const Pending& each) { return pair_of(each.request) == pair && each.request.id == id; });
    return at == list_.end() ? nullptr : &at->request;
  }
  std::optional<DialbackElement> take(const Pair& pair, std::string_view id = {}) {
    return take_if(
        [&](const Pending& each) { return pair_of(each.request) == pair && each.request.id == id; });
  }
  // One whose deadline has come.
  std::optional<DialbackElement> take_expired(Time now) {
    return take_if([&](const Pending& each) { return each.deadline <= now; });
  }
  // The earlier of `at` and the deadlines.
  Time earliest(Time at) const {
    for (const Pending& each : list_) at = std::min(at, each.deadline);
    return at;
  }
  std::size_t size() const { return list_.size(); }
  bool empty() const { return list_.empty(); }
  void clear() { list_.clear(); }

 private:
  struct Pending {
    DialbackElement request;
    Time deadline;
  };
  template <typename Predicate>
  std::optional<DialbackElement> take_if(Predicate predicate) {
    const auto at = std::ranges::find_if(list_, predicate);
    if (at == list_.end()) return std::nullopt;
    std::optional<DialbackElement> request(std::move(at->request));
    list_.erase(at);
    return request;
  }

  std::vector<Pending> list_;
};

}  // namespace sallyport::s2s
