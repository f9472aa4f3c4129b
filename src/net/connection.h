// One connection, from its first byte to its last: it owns its socket and its TLS and moves bytes between
// them and the role. It knows nothing of XMPP or of the link protocol.
//
// Its life: opening (dialling, or waiting for the first byte), plain, handshake, secure, closing. What comes
// once and in an order (opening, handshake, closing) is a coroutine, and every wait in it has a deadline.
// While the connection is plain or secure there is none, neither its frames nor its cost: the reactor calls
// `turn` when there is something to read; the role's timeouts rule, and the system's probes find an end that
// vanished. The driver's orders (flush, hold, begin_tls, disconnect) change its state and wake whichever of
// the two has it; never both.
//
// What waits to be written is bounded by the role, which is told what was written (handle_written) and gives
// no more than limits::kWriteQueueBytesMax beyond that. The connection takes from the role only when all that
// it took before is with the socket, so that what is produced meanwhile is joined into full TLS records.
#pragma once

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "gate/event.h"
#include "net/dialer.h"
#include "net/tls.h"

namespace sallyport::net {

class Connection;

// What a connection needs of the driver around it, which outlives it.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual gate::Role& role() = 0;
  virtual Dialer& dialer() = 0;
  virtual S2sTls& s2s_tls() = 0;
  virtual LinkTls& link_tls() = 0;
  virtual Now now() const = 0;
  // Scratch for one read; what is in it is the role's to look at during handle_bytes only.
  virtual std::span<char> read_buffer() = 0;
  // Scratch for one write, empty: its room goes round instead of being kept by each connection.
  virtual std::string& write_buffer() = 0;
  // The role was given something: drain it at the end of this batch of events.
  virtual void fed() = 0;
  // The same at the end of what one event was: drain it now if there is no batch to speak of.
  virtual void settle() = 0;
  // Runs a part of the connection's life. A failure in it, or in `turn`, ends that connection alone.
  virtual void spawn(std::shared_ptr<Connection> connection, asio::awaitable<void> life) = 0;
  virtual void handle_failure(Connection& connection, std::exception_ptr failure) = 0;
  // Drains it now.
  virtual void drain() = 0;
  // Counts drains.
  virtual std::uint64_t batch() const = 0;
  // Which attribute of an accepted stream's header says to which shard it belongs; empty where that makes no
  // difference.
  virtual std::string_view hint_attribute() const = 0;
  // Gives an accepted connection, of which the role has not heard, to the shard that it belongs to, and
  // forgets it. False: it stays here. `hint`: that attribute's value.
  virtual bool hand_over(Connection& connection, const std::string& hint) = 0;
  // The same with a link after its handshake, which says itself where it belongs. An error, when it must not
  // be taken at all.
  virtual Result<bool> hand_over_link(Connection& connection) = 0;
  // The role is about to hear of an accepted connection, or of a link: from now on it is the role's to count.
  virtual void handle_known(gate::ConnId conn) = 0;
  // The connection is over: forget it. A link that failed to open says why.
  virtual void handle_end(gate::ConnId conn, const std::optional<Error>& why) = 0;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  enum class Phase : std::uint8_t { kOpening, kPlain, kHandshake, kSecure, kClosing };

  // `peer`: who was accepted; of a connection to be dialled nobody yet.
  Connection(ConnectionHost& host, gate::ConnId id, tcp::socket socket, const dns::Endpoint& peer);

  // --- how it begins, as one of six coroutines, to be spawned with `cancellation()`

  // Accepted on an s2s listener: looks at the first byte, then is announced to the role.
  static asio::awaitable<void> live_accepted(std::shared_ptr<Connection> self);
  static asio::awaitable<void> live_dialled(std::shared_ptr<Connection> self, gate::DialPlan plan);
  // Accepted by another host, which has looked at its first bytes, or shaken hands; after `take_over`.
  static asio::awaitable<void> live_handed_over(std::shared_ptr<Connection> self);
  static asio::awaitable<void> live_link_handed_over(std::shared_ptr<Connection> self);
  // `rows`, `pins`: outlive it.
  static asio::awaitable<void> live_link_accepted(std::shared_ptr<Connection> self,
                                                  std::span<const std::vector<std::string>> rows);
  static asio::awaitable<void> live_link_dialled(std::shared_ptr<Connection> self, gate::DialPlan plan,
                                                 std::size_t edge, const std::vector<std::string>& pins);
  asio::cancellation_slot cancellation() { return cancelled_.slot(); }

  // --- the driver's orders
  void flush();
  void hold(bool on);
  void begin_tls(const gate::BeginTls& order);
  // Takes what the role has left; the role hears no more of the connection.
  void disconnect();
  // Closes at once and says nothing to anybody: the driver stops.
  void abandon();

  gate::ConnId id() const { return id_; }
  // The role is done with it, what it said last is on its way.
  bool is_closing() const { return disconnect_wanted_; }
  const dns::Endpoint& peer() const { return peer_; }
  bool is_direct_tls() const { return direct_tls_; }
  // Of a link: after its handshake.
  const Tls& tls() const { return *tls_; }

  // --- for a host that gives it to another: what it has, on that loop. It is over then, without an end;
  // there another begins with it.
  tcp::socket release_socket(asio::io_context& io);
  std::unique_ptr<Tls> release_tls() { return std::move(tls_); }
  void take_over(bool direct_tls) { direct_tls_ = direct_tls; }
  void take_over(std::unique_ptr<Tls> tls) { tls_ = std::move(tls); }

 private:
  enum class Read : std::uint8_t { kMore, kDrained, kEnded };

  // --- while it is plain or secure
  // Begins that, and goes on with it after a handshake.
  void open();
  // Reads once, and does what the role or the end of the connection asks for.
  void turn();
  void turn_on(tcp::socket::wait_type what);
  void turn_again();
  static asio::awaitable<void> live_secured(std::shared_ptr<Connection> self);
  static asio::awaitable<void> live_closing(std::shared_ptr<Connection> self);

  asio::awaitable<Result<Dialled>> dial(gate::DialPlan plan, Duration time_max);
  // False when none comes.
  asio::awaitable<bool> first_byte();
  // What the stream's header says where it belongs; nothing is read.
  asio::awaitable<std::string> header_hint();
  void announce_accepted();
  void announce_link(std::size_t peer);
  asio::awaitable<void> refuse_link(Error error);
  // Hands the socket to TLS, as the role ordered or as the first byte did; false when the connection is over.
  asio::awaitable<bool> secure();
  asio::awaitable<Result<void>> say_before_tls();
  asio::awaitable<Result<void>> shake_hands(Duration time_max);
  asio::awaitable<void> write_all();
  asio::awaitable<void> close();
  asio::awaitable<void> linger();
  asio::awaitable<void> wait(tcp::socket::wait_type what);
  static asio::awaitable<void> write_when_ready(std::shared_ptr<Connection> self);

  Result<std::unique_ptr<Tls>> make_tls();
  void adopt(tcp::socket socket);
  Read read_turn();
  Read read_plain(std::span<char> buffer, std::size_t& size);
  Read read_secure(std::span<char> buffer, std::size_t& size);
  // Takes from the role and writes until the socket takes no more.
  void write_some();
  bool may_take() const;
  void take_rest();
  // Writes what was taken; false when something is left of it.
  bool write_taken();
  Tls::Moved write_bytes(std::string_view bytes);
  bool has_hung_up();
  void wake();
  void fed();
  void fail(Error error);
  void disconnected(Error error);
  void end(std::optional<Error> why = std::nullopt);

  ConnectionHost& host_;
  gate::ConnId id_;
  tcp::socket socket_;
  asio::cancellation_signal cancelled_;
  dns::Endpoint peer_;
  std::unique_ptr<Tls> tls_;
  Phase phase_ = Phase::kOpening;
  bool held_ = false;
  bool writer_waits_ = false;
  bool disconnect_wanted_ = false;
  bool direct_tls_ = false;
  std::optional<gate::BeginTls> tls_wanted_;
  // Writing failed; what the peer said before that is read first.
  std::optional<Error> broken_;
  std::optional<Error> read_error_;
  // The drain after which the role was last given bytes of this connection.
  std::uint64_t fed_batch_ = ~std::uint64_t{0};
  std::string unsent_;
  std::size_t unsent_at_ = 0;
  std::uint64_t written_total_ = 0;
};

}  // namespace sallyport::net
