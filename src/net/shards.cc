#include "net/shards.h"

#include "net/endpoint.h"

namespace sallyport::net {

bool Counted::add(const dns::Ip& peer, std::size_t per_address_max, std::size_t all_max) {
  const std::string address = counted_as(peer).text();
  const std::lock_guard lock(mutex_);
  auto found = by_address_.find(address);
  if (all_ >= all_max || (found != by_address_.end() && found->second >= per_address_max)) return false;
  ++all_;
  ++by_address_[address];
  return true;
}

void Counted::remove(const dns::Ip& peer) {
  const std::string address = counted_as(peer).text();
  const std::lock_guard lock(mutex_);
  auto found = by_address_.find(address);
  if (found == by_address_.end()) return;
  if (--found->second == 0) by_address_.erase(found);
  --all_;
}

std::size_t Shards::in_use() const {
  std::size_t used = 1;
  while (used < count() && used_[used].load(std::memory_order_relaxed)) ++used;
  return used;
}

}  // namespace sallyport::net
