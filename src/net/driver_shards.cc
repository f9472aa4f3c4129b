// A driver as one of several shards of a node: it finds the shard that a stream or a link belongs to, hands
// it over, and observes the limits and listeners that the shards share.
#include <algorithm>

#include "net/driver.h"
#include "net/socket_address.h"
#include "s2s/header_hint.h"

namespace sallyport::net {

// --- where a connection belongs

// Both directions of a pair belong to the shard of the remote domain, the same in both nodes: that is `from`
// of a stream that a remote server opens to an edge, and `to` of one that an internal server opens to a core.
std::string_view Driver::hint_attribute() const {
  if (parts_.shard != 0 || shards_.in_use() == 1) return {};
  return config_.listen_from_start ? "to" : "from";
}

bool Driver::hand_over(Connection& connection, const std::string& hint) {
  std::size_t in_use = shards_.in_use();
  std::size_t shard = hint.empty() ? round_robin_++ % in_use : s2s::shard_of(hint, in_use);
  // A connection that was abandoned meanwhile is no longer ours to hand over.
  if (shard == parts_.shard || connections_.find(connection.id()) == nullptr) return false;
  const Entry entry = connections_.take(connection.id());
  shards_.post(shard, [socket = connection.release_socket(shards_.io(shard)), peer = connection.peer(),
                       direct_tls = connection.is_direct_tls(),
                       places = Admitted{entry.ticket, entry.stream}](Driver& driver) mutable {
    driver.adopt_stream(std::move(socket), peer, direct_tls, places);
  });
  return true;
}

void Driver::adopt_stream(tcp::socket socket, const dns::SocketAddress& peer, bool direct_tls,
                          const Admitted& places) {
  // The shard that accepted it has counted it.
  shards_.connection_ends();
  const Counted::Where here{parts_.shard, next_accepted_};
  const bool counted = shards_.unproved().move(places.unproved, here);
  if (stopped_ || !shards_.streams().move(places.stream, here) || !counted) {
    shards_.unproved().remove(places.unproved);
    shards_.streams().remove(places.stream);
    return;
  }
  gate::ConnId conn = next_accepted_;
  next_accepted_ += 2;
  Entry& entry = add(conn, std::move(socket), peer);
  entry.counted = &shards_.unproved();
  entry.ticket = places.unproved;
  entry.stream = places.stream;
  entry.connection->take_over(direct_tls);
  spawn(entry.connection, Connection::run_handed_over(entry.connection));
}

// Each shard's role serves one core at a time (docs/link-protocol.md); this makes all shards serve the same
// one.
Result<bool> Driver::hand_over_link(Connection& connection) {
  auto* found = connections_.find(connection.id());
  if (!has_shards() || found == nullptr) return false;
  const link::Shard& shard = connection.tls().link_shard();
  std::size_t core = connection.tls().pinned_row();
  if (!links_by_core_.empty() && !links_by_core_.contains(core)) {
    return Error{Code::kLinkSecondCore, "another core has a link to a shard of this edge"};
  }
  ++links_by_core_[core];
  use_shards(shard.count);
  found->second.link_to = core;
  if (shard.number == parts_.shard) return false;
  uncount(found->second);
  const Counted::Ticket stream = connections_.take(connection.id()).stream;
  shards_.post(shard.number,
               [socket = connection.release_socket(shards_.io(shard.number)), tls = connection.release_tls(),
                peer = connection.peer(), stream](Driver& driver) mutable {
                 driver.adopt_link(std::move(socket), std::move(tls), peer, stream);
               });
  return true;
}

void Driver::adopt_link(tcp::socket socket, std::unique_ptr<Tls> tls, const dns::SocketAddress& peer,
                        Counted::Ticket stream) {
  shards_.connection_ends();
  if (stopped_) return shards_.streams().remove(stream);
  gate::ConnId conn = next_accepted_;
  next_accepted_ += 2;
  Entry& entry = add(conn, std::move(socket), peer);
  entry.stream = stream;
  entry.is_link = true;
  entry.link_to = tls->pinned_row();
  entry.connection->take_over(std::move(tls));
  spawn(entry.connection, Connection::run_link_handed_over(entry.connection));
}

void Driver::forget_link(std::size_t core) {
  auto found = links_by_core_.find(core);
  if (found != links_by_core_.end() && --found->second == 0) links_by_core_.erase(found);
}

// --- which shards carry streams

// On an edge: as many as the linked core has, at most its own.
void Driver::use_shards(std::size_t count) {
  for (std::size_t shard = 1; shard < shards_.count(); ++shard) shards_.use(shard, shard < count);
  listen_of(0, wants_to_listen_[0]);
}

// On a core: a shard is in use from its first link until no edge has a shard of its number.
void Driver::note_dialled_link(std::size_t edge, const std::optional<Error>& failed) {
  if (!failed) {
    edges_without_.erase(edge);
    shards_.use(parts_.shard, true);
  } else if (failed->code == Code::kLinkShard) {
    edges_without_.insert(edge);
    if (edges_without_.size() == config_.edges.size()) shards_.use(parts_.shard, false);
  }
}

// A stream may belong to any shard in use: the listeners are open while each of them serves.
void Driver::listen_of(std::size_t shard, bool on) {
  if (stopped_) return;
  wants_to_listen_[shard] = on;
  const bool wanted = std::all_of(wants_to_listen_.begin(),
                                  wants_to_listen_.begin() + static_cast<std::ptrdiff_t>(shards_.in_use()),
                                  [](bool wants) { return wants; });
  const auto opened = listen(wanted);
  if (!wanted) return;
  for (std::size_t each = 0; each < shards_.in_use(); ++each)
    shards_.post(each, [opened](Driver& driver) { driver.handle_listening(opened); });
}

}  // namespace sallyport::net
