// How a driver admits accepted connections, and which one ends when the node is full (docs/limits.md "Fair
// shares").
#include <algorithm>

#include "net/driver.h"
#include "net/socket_address.h"

namespace sallyport::net {

void Driver::bound_connections() {
  const limits::Configured& max = config_.limits;
  const bool is_internal = config_.listen_from_start;
  const auto part = [](std::size_t total, std::size_t of) { return std::max<std::size_t>(1, total / of); };
  shards_.streams().bound(max.streams, part(max.streams, is_internal ? limits::kStreamsPerServerPart
                                                                     : limits::kStreamsPerAddressPart));
  shards_.unproved().bound(max.unauthenticated,
                           is_internal ? part(max.unauthenticated, limits::kUnauthenticatedPerServerPart)
                                       : max.unauthenticated_per_address);
}

void Driver::uncount(Entry& entry) {
  if (Counted* counted = std::exchange(entry.counted, nullptr)) counted->remove(entry.ticket);
}

void Driver::refuse(const dns::SocketAddress& peer, std::string_view listener) {
  ++counters_.refused;
  log_limited({LogLevel::kWarning,
               "net.refused",
               {{"code", std::string(code_row(Code::kStreamTooMany).name)},
                {"peer", peer.text()},
                {"listener", std::string(listener)}}});
}

// Takes places for the connection that is admitted next.
Driver::Admitted Driver::find_room(const dns::SocketAddress& peer) {
  const Counted::Where next{parts_.shard, next_accepted_};
  const Counted::Entered stream = shards_.streams().add(peer.ip, next);
  if (stream.loser) displace(*stream.loser, false);
  if (stream.ticket == 0) return {};
  const Counted::Entered unproved = shards_.unproved().add(peer.ip, next);
  if (unproved.loser) displace(*unproved.loser, true);
  if (unproved.ticket != 0) return {unproved.ticket, stream.ticket};
  shards_.streams().remove(stream.ticket);
  return {};
}

void Driver::handle_s2s_accepted(tcp::socket socket) {
  boost::system::error_code error;
  tcp::endpoint remote = socket.remote_endpoint(error);
  if (error) return;
  dns::SocketAddress peer = from_asio(remote);
  if (const Admitted places = find_room(peer)) return admit(std::move(socket), peer, places);
  count_again();
  if (const Admitted places = find_room(peer)) return admit(std::move(socket), peer, places);
  if (!decide_later(socket, peer)) refuse(peer, "s2s");
}

void Driver::admit(tcp::socket socket, const dns::SocketAddress& peer, const Admitted& places) {
  ++counters_.accepted;
  gate::ConnId conn = next_accepted_;
  next_accepted_ += 2;
  Entry& entry = add(conn, std::move(socket), peer);
  entry.counted = &shards_.unproved();
  entry.ticket = places.unproved;
  entry.stream = places.stream;
  spawn(entry.connection, Connection::run_accepted(entry.connection));
}

void Driver::handle_traversal_accepted(tcp::socket socket) {
  boost::system::error_code error;
  tcp::endpoint remote = socket.remote_endpoint(error);
  if (error) return;
  dns::SocketAddress peer = from_asio(remote);
  const Counted::Entered handshake = handshakes_.add(peer.ip, {parts_.shard, next_accepted_});
  if (handshake.loser) displace(*handshake.loser, false);
  if (handshake.ticket == 0) return refuse(peer, "traversal");
  gate::ConnId conn = next_accepted_;
  next_accepted_ += 2;
  Entry& entry = add(conn, std::move(socket), peer);
  entry.counted = &handshakes_;
  entry.ticket = handshake.ticket;
  entry.stream = shards_.streams().add_own({parts_.shard, conn});
  entry.is_link = true;
  spawn(entry.connection, Connection::run_link_accepted(entry.connection, config_.core_pins));
}

void Driver::count_again() {
  // Only when a limit is reached, and not for each of a flood of refused connections.
  Time now = this->now().mono;
  if (now < counted_again_ + limits::kCountAgainAfter) return;
  counted_again_ = now;
  std::erase_if(unproved_ids_, [this](gate::ConnId conn) {
    auto* found = connections_.find(conn);
    if (found == nullptr) return true;
    if (!parts_.role.is_proved(conn)) return false;
    uncount(found->second);
    return true;
  });
}

// --- displacing a connection

void Driver::displace(const Counted::Where& loser, bool unproved) {
  if (loser.shard == parts_.shard) return give_way(loser.conn, unproved);
  shards_.post(loser.shard,
               [conn = loser.conn, unproved](Driver& driver) { driver.give_way(conn, unproved); });
}

void Driver::give_way(gate::ConnId conn, bool unproved) {
  auto* found = connections_.find(conn);
  if (stopped_ || found == nullptr) return;
  if (unproved) {
    // The limit applies to unauthenticated connections; this one has authenticated since and may stay.
    found->second.counted = nullptr;
    if (unproved_ids_.contains(conn) && parts_.role.is_proved(conn)) {
      unproved_ids_.erase(conn);
      return;
    }
  }
  const std::shared_ptr<Connection> connection = found->second.connection;
  ++counters_.displaced;
  log_limited({LogLevel::kWarning,
               "net.displaced",
               {{"code", std::string(code_row(Code::kStreamTooMany).name)},
                {"peer", connection->peer().text()},
                {"listener", found->second.is_link ? "traversal" : "s2s"}}});
  const Error why{Code::kStreamTooMany, "the place was given to an address that holds fewer connections"};
  parts_.role.handle_disconnected(conn, why, now());
  connection->abandon();
  handle_end(conn, std::nullopt);
  take_outputs_soon();
}

// --- several shards

// Only the other shards know which of their connections have authenticated since they were counted. They are
// asked, at most as often as this shard counts its own, and the connection waits for the answer.
bool Driver::decide_later(tcp::socket& socket, const dns::SocketAddress& peer) {
  if (!has_shards() || !has_room_undecided(peer)) return false;
  if (undecided_.empty()) {
    Time now = this->now().mono;
    if (now < asked_to_count_ + limits::kCountAgainAfter) return false;
    asked_to_count_ = now;
    auto count = [](Driver& driver) {
      driver.count_again();
      return true;
    };
    shards_.ask_all(count, [this](const std::vector<bool>&) { admit_undecided(); });
  }
  undecided_.push_back({std::move(socket), peer});
  return true;
}

// Whether one more from that address may wait; one of the address that has most waiting may be refused in its
// place. There are few, so they are counted each time.
bool Driver::has_room_undecided(const dns::SocketAddress& peer) {
  const auto waiting_from = [this](const dns::SocketAddress& from) {
    return std::ranges::count(undecided_, counted_as(from.ip),
                              [](const Undecided& u) { return counted_as(u.peer.ip); });
  };
  const auto own = waiting_from(peer);
  if (own >= static_cast<std::ptrdiff_t>(limits::kAcceptedUndecidedPerAddressMax)) return false;
  if (undecided_.size() < limits::kAcceptedUndecidedMax) return true;
  const auto largest = std::ranges::max_element(
      undecided_, {}, [&waiting_from](const Undecided& u) { return waiting_from(u.peer); });
  if (waiting_from(largest->peer) <= own) return false;
  refuse(largest->peer, "s2s");
  undecided_.erase(largest);
  return true;
}

void Driver::admit_undecided() {
  if (stopped_) return;
  for (Undecided& waiting : std::exchange(undecided_, {})) {
    if (const Admitted places = find_room(waiting.peer)) {
      admit(std::move(waiting.socket), waiting.peer, places);
    } else {
      refuse(waiting.peer, "s2s");
    }
  }
}

}  // namespace sallyport::net
