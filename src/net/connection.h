// One connection, from its first byte to its last: it owns its socket and its TLS and moves bytes between
// them and the role. It knows nothing of XMPP or of the link protocol.
//
// Its phases: opening (dialling, or waiting for the first byte), plain, handshake, secure, closing. A phase
// that happens once and in order (opening, handshake, closing) is a coroutine, and every wait in it has a
// deadline. A plain or secure connection has no coroutine and does not pay for one: the reactor calls `turn`
// when there is something to read, the role's timeouts apply, and TCP keepalive finds a vanished peer. The
// driver's orders (flush, hold, begin_tls, disconnect) change the state and wake whichever of the two is
// active; both never are.
//
// The role bounds the bytes that wait to be written: it learns what was written (handle_written) and adds at
// most limits::kWriteQueueBytesMax beyond that. The connection takes output from the role only when the
// socket has accepted everything taken before, so output produced meanwhile is joined into full TLS records.
//
// connection_opening.cc, connection_tls.cc and connection_handover.cc hold the first phases; connection.cc
// holds the rest.
#pragma once

#include <array>
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

#include "base/limits.h"
#include "gate/event.h"
#include "net/dialer.h"
#include "net/tls.h"

namespace sallyport::net {

class Connection;

// The resources that all connections of one loop use. Outlives them.
struct ConnectionResources {
  gate::Role& role;
  Dialer& dialer;
  S2sTls& s2s_tls;
  LinkTls& link_tls;
  std::size_t dead_peer_seconds;  // [limits]
  // Scratch for one read: its TLS records, and the end of one that began before. The role may look at the
  // content during handle_bytes only.
  std::array<char, limits::kReadBytes + kTlsRecordBytesMax> read_buffer{};
  // Scratch for one write, empty between two: connections take turns with its capacity.
  std::string write_buffer{};
};

// The driver as its connections see it. Outlives them.
class ConnectionHost {
 public:
  explicit ConnectionHost(ConnectionResources& shared) : shared_(shared) {}
  virtual ~ConnectionHost() = default;
  ConnectionHost(const ConnectionHost&) = delete;
  ConnectionHost& operator=(const ConnectionHost&) = delete;

  ConnectionResources& shared() { return shared_; }
  // The number of times that the role's outputs have been taken.
  std::uint64_t batch() const { return batch_; }

  virtual Now now() const = 0;
  // Takes the role's outputs and carries them out: now; at the end of this batch of events; now if the loop
  // is quiet, else at the end of the batch.
  virtual void take_outputs() = 0;
  virtual void take_outputs_soon() = 0;
  virtual void finish_event() = 0;
  // Runs a coroutine of the connection. A failure in it, or in `turn`, ends that connection alone.
  virtual void spawn(std::shared_ptr<Connection> connection, asio::awaitable<void> run) = 0;
  virtual void handle_failure(Connection& connection, std::exception_ptr failure) = 0;
  // The attribute of an accepted stream's header that decides its shard; empty where there is no choice.
  virtual std::string_view hint_attribute() const = 0;
  // Gives an accepted connection, which the role does not know yet, to its shard and forgets it. False: it
  // stays here. `hint`: the value of that attribute.
  virtual bool hand_over(Connection& connection, const std::string& hint) = 0;
  // The same for a link after its handshake, in which the link named its shard. An error: the link must be
  // refused.
  virtual Result<bool> hand_over_link(Connection& connection) = 0;
  // The role is about to learn of an accepted connection or a link: from now on the role counts it.
  virtual void handle_known(gate::ConnId conn) = 0;
  // The connection is over: forget it. `why`: the reason why a link failed to open.
  virtual void handle_end(gate::ConnId conn, const std::optional<Error>& why) = 0;

 protected:
  std::uint64_t batch_ = 0;

 private:
  ConnectionResources& shared_;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  enum class Phase : std::uint8_t { kOpening, kPlain, kHandshake, kSecure, kClosing };

  // `peer`: the address that was accepted; empty for a connection to be dialled.
  Connection(ConnectionHost& host, gate::ConnId id, tcp::socket socket, const dns::SocketAddress& peer);

  // --- how it begins: one of six coroutines, to be spawned with `cancellation()`

  // Accepted on an s2s listener: looks at the first byte, then announces itself to the role.
  static asio::awaitable<void> run_accepted(std::shared_ptr<Connection> self);
  static asio::awaitable<void> run_dialled(std::shared_ptr<Connection> self, gate::DialPlan plan);
  // Accepted by another host, which has looked at the first bytes or completed the handshake; after
  // `take_over`.
  static asio::awaitable<void> run_handed_over(std::shared_ptr<Connection> self);
  static asio::awaitable<void> run_link_handed_over(std::shared_ptr<Connection> self);
  // `rows` and `pins` outlive it.
  static asio::awaitable<void> run_link_accepted(std::shared_ptr<Connection> self,
                                                 std::span<const std::vector<std::string>> rows);
  static asio::awaitable<void> run_link_dialled(std::shared_ptr<Connection> self, gate::DialPlan plan,
                                                std::size_t edge, const std::vector<std::string>& pins);
  asio::cancellation_slot cancellation() { return cancelled_.slot(); }

  // --- the driver's orders
  void flush();
  void hold(bool on);
  void begin_tls(const gate::BeginTls& order);
  // Takes the role's remaining output, or with `at_once` drops what is not written; the role gets no more
  // input of the connection.
  void disconnect(bool at_once = false);
  // Closes at once without a message to the peer or the role: the driver stops.
  void abandon();

  gate::ConnId id() const { return id_; }
  // The role has released it, and its final bytes are being written.
  bool is_closing() const { return disconnect_wanted_; }
  const dns::SocketAddress& peer() const { return peer_; }
  bool is_direct_tls() const { return direct_tls_; }
  // Of a link: after its handshake.
  const Tls& tls() const { return *tls_; }

  // --- handing it to another host, on that host's loop: this connection is over afterwards and reports no
  // end; another one continues with what it had.
  tcp::socket release_socket(asio::io_context& io);
  std::unique_ptr<Tls> release_tls() { return std::move(tls_); }
  void take_over(bool direct_tls) { direct_tls_ = direct_tls; }
  void take_over(std::unique_ptr<Tls> tls) { tls_ = std::move(tls); }

 private:
  enum class Read : std::uint8_t { kMore, kDrained, kEnded };

  ConnectionResources& shared() const { return host_.shared(); }

  // --- while it is plain or secure
  // Begins that phase; also called after a handshake.
  void open();
  // Reads once, and does what the role or the end of the connection requires.
  void turn();
  void turn_on(tcp::socket::wait_type what);
  void turn_again();
  static asio::awaitable<void> run_tls(std::shared_ptr<Connection> self);
  static asio::awaitable<void> run_close(std::shared_ptr<Connection> self);

  asio::awaitable<Result<Dialled>> dial(gate::DialPlan plan, Duration time_max);
  // False when none arrives.
  asio::awaitable<bool> first_byte();
  // The attribute of the stream's header that decides the shard; consumes no bytes.
  asio::awaitable<std::string> header_hint();
  void announce_accepted();
  void announce_link(std::size_t peer);
  asio::awaitable<void> refuse_link(Error error);
  // Starts TLS, because the role ordered it or the first byte was a TLS record; false when the connection is
  // over.
  asio::awaitable<bool> start_tls();
  asio::awaitable<Result<void>> flush_before_tls();
  asio::awaitable<Result<void>> handshake(Duration time_max);
  asio::awaitable<void> write_all();
  asio::awaitable<void> close();
  asio::awaitable<void> linger();
  asio::awaitable<void> wait(tcp::socket::wait_type what);
  asio::awaitable<void> wait_to_write();
  static asio::awaitable<void> write_when_ready(std::shared_ptr<Connection> self);

  Result<std::unique_ptr<Tls>> make_tls();
  void adopt(tcp::socket socket);
  Read read_turn();
  Read read_plain(std::span<char> buffer, std::size_t& size);
  Read read_secure(std::span<char> buffer, std::size_t& size);
  // Takes from the role and writes until the socket accepts no more.
  void write_some();
  bool may_take() const;
  void take_rest();
  // Writes what was taken; false when some of it is left.
  bool write_taken();
  Tls::Moved write_bytes(std::string_view bytes);
  bool has_hung_up();
  void wake();
  // The role was given something of this connection: its outputs are taken before it gets more.
  void note_input();
  void fail(Error error);
  void report_disconnect(Error error);
  void end(std::optional<Error> why = std::nullopt);

  ConnectionHost& host_;
  gate::ConnId id_;
  tcp::socket socket_;
  asio::cancellation_signal cancelled_;
  dns::SocketAddress peer_;
  std::unique_ptr<Tls> tls_;
  Phase phase_ = Phase::kOpening;
  bool held_ = false;
  bool writer_waits_ = false;
  bool disconnect_wanted_ = false;
  bool direct_tls_ = false;
  std::optional<gate::BeginTls> tls_wanted_;
  // Writing failed; bytes that the peer sent before are still read first.
  std::optional<Error> broken_;
  std::optional<Error> read_error_;
  // The batch in which the role was last given bytes of this connection.
  std::uint64_t input_batch_ = ~std::uint64_t{0};
  std::string unsent_;
  std::size_t unsent_at_ = 0;
  std::uint64_t written_total_ = 0;
};

}  // namespace sallyport::net
