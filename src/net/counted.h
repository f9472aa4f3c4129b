// Connections counted against a limit, with a share for each address (docs/limits.md "Fair shares").
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/keyed_hash.h"
#include "base/shares.h"
#include "dns/address.h"
#include "gate/event.h"

namespace sallyport::net {

// May be used by all shards of a node at once. An address is an IPv4 address or an IPv6 /64.
class Counted {
 public:
  // The number of a counted connection; not used again. 0: none.
  using Ticket = std::uint64_t;
  // The shard whose driver has the connection, and its id there.
  struct Where {
    std::size_t shard = 0;
    gate::ConnId conn = 0;
    bool operator==(const Where&) const = default;
  };
  struct Entered {
    Ticket ticket = 0;  // 0: refused; nothing has changed
    // The connection that lost its place to this one. It is no longer counted; its driver must end it.
    std::optional<Where> loser;
  };

  Counted(std::size_t total, std::size_t share) { bound(total, share); }

  // Sets the limits. Precondition: nothing is counted.
  void bound(std::size_t total, std::size_t share);

  // Counts one more from that address. When all places are taken, the oldest connection of the address that
  // holds most loses its place, if that address holds more than this one.
  Entered add(const dns::Ip& peer, const Where& where);
  // Counts a connection that this node dials: for no address, and never refused.
  Ticket add_own(const Where& where);
  // Updates where the connection is. False: it has lost its place meanwhile and must end.
  bool move(Ticket ticket, const Where& where);
  void remove(Ticket ticket);

  std::size_t held() const;

 private:
  using Places = Shares<Ticket>;
  struct Entry {
    Places::Part part;
    Where where;
  };
  Ticket hold(const Places::Keys& keys, const Where& where);

  mutable std::mutex mutex_;
  std::optional<Places> places_;
  std::unordered_map<Ticket, Entry, KeyedHash> entries_;
  Ticket last_ = 0;
};

}  // namespace sallyport::net
