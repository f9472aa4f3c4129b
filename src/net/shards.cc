#include "net/shards.h"

namespace sallyport::net {

std::size_t Shards::in_use() const {
  std::size_t used = 1;
  while (used < count() && used_[used].load(std::memory_order_relaxed)) ++used;
  return used;
}

}  // namespace sallyport::net
