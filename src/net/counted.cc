#include "net/counted.h"

#include <utility>

namespace sallyport::net {

void Counted::bound(std::size_t total, std::size_t share) {
  const std::lock_guard lock(mutex_);
  places_.emplace(Places::Bounds{total, {share}});
}

Counted::Ticket Counted::hold(const Places::Keys& keys, const Where& where) {
  const Ticket ticket = ++last_;
  entries_.emplace(ticket, Entry{places_->hold(keys, ticket), where});
  return ticket;
}

Counted::Entered Counted::add(const dns::Ip& peer, const Where& where) {
  const Places::Keys keys{source_of_address(peer.bytes)};
  const std::lock_guard lock(mutex_);
  Entered admission;
  Places::Place place = places_->place(keys);
  if (place.room == Places::Room::kYields) {
    const auto loser = entries_.find(*place.loser);
    admission.loser = loser->second.where;
    entries_.erase(loser);
    place = places_->place(keys);
  }
  if (place.room == Places::Room::kFree) admission.ticket = hold(keys, where);
  return admission;
}

Counted::Ticket Counted::add_own(const Where& where) {
  const std::lock_guard lock(mutex_);
  return hold({}, where);
}

bool Counted::move(Ticket ticket, const Where& where) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(ticket);
  if (found == entries_.end()) return false;
  found->second.where = where;
  return true;
}

void Counted::remove(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  entries_.erase(ticket);
}

std::size_t Counted::held() const {
  const std::lock_guard lock(mutex_);
  return places_->held();
}

}  // namespace sallyport::net
