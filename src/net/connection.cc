#include "net/connection.h"

#include <cerrno>
#include <cstring>

#include <poll.h>
#include <sys/socket.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/limits.h"
#include "net/deadline.h"
#include "net/endpoint.h"
#include "net/stream_socket.h"

namespace sallyport::net {

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// A TLS record of type handshake (RFC 8446 5.1); an XML stream begins with `<` or white space.
constexpr char kTlsHandshakeByte = 0x16;
// A buffer up to this size goes round between connections and their roles: it holds some stanzas.
constexpr std::size_t kSpareBytes = 4 * 1024;

Error lost(std::string_view doing, int error) {
  return Error{Code::kStreamLost, std::string(doing) + ": " + std::strerror(error)};
}

bool is_retry(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Connection::Connection(ConnectionHost& host, gate::ConnId id, tcp::socket socket, const dns::Endpoint& peer)
    : host_(host), id_(id), socket_(std::move(socket)), peer_(peer) {
  boost::system::error_code ignored;
  if (socket_.is_open()) socket_.native_non_blocking(true, ignored);
}

void Connection::adopt(tcp::socket socket) {
  socket_ = std::move(socket);
  boost::system::error_code ignored;
  socket_.native_non_blocking(true, ignored);
  set_stream_options(socket_.native_handle());
}

// --- its life

asio::awaitable<void> Connection::live_accepted(std::shared_ptr<Connection> self) {
  if (!co_await self->first_byte()) {
    self->end();
    co_return;
  }
  if (!self->host_.hint_attribute().empty()) {
    std::string hint = co_await self->header_hint();
    if (self->disconnect_wanted_) {
      self->end();
      co_return;
    }
    if (self->host_.hand_over(*self, hint)) co_return;
  }
  self->announce_accepted();
  if (self->direct_tls_ && !co_await self->secure()) co_return;
  self->open();
}

void Connection::announce_accepted() {
  boost::system::error_code ignored;
  phase_ = Phase::kPlain;
  gate::Accepted accepted{peer_, from_asio(socket_.local_endpoint(ignored)), direct_tls_};
  host_.handle_known(id_);
  host_.role().handle_accepted(id_, accepted, host_.now());
  fed();
}

asio::awaitable<void> Connection::live_dialled(std::shared_ptr<Connection> self, gate::DialPlan plan) {
  Result<Dialled> dialled = co_await self->dial(std::move(plan), limits::kDialTimeout);
  if (self->disconnect_wanted_) {
    self->end();
    co_return;
  }
  if (!dialled) {
    self->host_.role().handle_dial_failed(self->id_, dialled.error(), self->host_.now());
    self->host_.fed();
    self->end();
    co_return;
  }
  self->adopt(std::move(dialled->socket));
  self->peer_ = dialled->peer;
  self->phase_ = Phase::kPlain;
  gate::Connected connected{dialled->peer, dialled->direct_tls, std::move(dialled->how)};
  self->host_.role().handle_connected(self->id_, connected, self->host_.now());
  self->fed();
  self->open();
}

asio::awaitable<void> Connection::live_link_accepted(std::shared_ptr<Connection> self,
                                                     std::span<const std::vector<std::string>> rows) {
  self->tls_ = self->host_.link_tls().accept(self->socket_.native_handle(), rows);
  Result<void> shaken = co_await self->shake_hands(limits::kLinkTlsTimeout);
  if (!shaken) {
    self->end(shaken.error());
    co_return;
  }
  Result<bool> handed = self->host_.hand_over_link(*self);
  if (!handed) {
    co_await self->refuse_link(handed.error());
    co_return;
  }
  if (*handed) co_return;
  self->announce_link(self->tls_->pinned_row());
  self->open();
}

void Connection::announce_link(std::size_t peer) {
  phase_ = Phase::kSecure;
  host_.handle_known(id_);
  host_.role().handle_link(id_, peer, peer_, host_.now());
  fed();
}

asio::awaitable<void> Connection::live_link_dialled(std::shared_ptr<Connection> self, gate::DialPlan plan,
                                                    std::size_t edge, const std::vector<std::string>& pins) {
  Result<Dialled> dialled = co_await self->dial(std::move(plan), limits::kConnectTimeout);
  Result<void> shaken;
  if (dialled && !self->disconnect_wanted_) {
    self->adopt(std::move(dialled->socket));
    self->peer_ = dialled->peer;
    self->tls_ = self->host_.link_tls().connect(self->socket_.native_handle(), pins);
    shaken = co_await self->shake_hands(limits::kLinkTlsTimeout);
  } else if (!dialled) {
    shaken = dialled.error();
  }
  if (self->disconnect_wanted_) {
    self->end();
    co_return;
  }
  if (!shaken) {
    self->host_.role().handle_dial_failed(self->id_, shaken.error(), self->host_.now());
    self->host_.fed();
    self->end(shaken.error());
    co_return;
  }
  self->announce_link(edge);
  self->open();
}

asio::awaitable<void> Connection::live_secured(std::shared_ptr<Connection> self) {
  // GCC 12 lays the frame out wrongly when this await stands in the condition.
  bool is_secure = co_await self->secure();
  if (is_secure) self->open();
}

asio::awaitable<void> Connection::live_closing(std::shared_ptr<Connection> self) { co_await self->close(); }

asio::awaitable<Result<Dialled>> Connection::dial(gate::DialPlan plan, Duration time_max) {
  if (disconnect_wanted_) co_return Error{Code::kDialRefused, "given up"};
  try {
    co_return co_await host_.dialer().dial(std::move(plan), time_max);
  } catch (const boost::system::system_error& error) {
    // Cancelled: `disconnect` says so too. Anything else is the dialler's word for a lost connection.
    co_return Error{Code::kDialRefused, error.what()};
  }
}

asio::awaitable<bool> Connection::first_byte() {
  Deadline deadline(socket_, limits::kTlsTimeout);
  for (;;) {
    char byte = 0;
    ssize_t size = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK);
    if (size == 1) {
      direct_tls_ = byte == kTlsHandshakeByte;
      co_return true;
    }
    if (size == 0 || !is_retry(errno) || deadline.has_passed()) co_return false;
    co_await wait(tcp::socket::wait_read);
  }
}

// --- while it is plain or secure

void Connection::open() {
  // A Flush that came too early, while dialling or in the handshake, is made good.
  flush();
  turn();
}

void Connection::turn() {
  for (;;) {
    if (disconnect_wanted_) return host_.spawn(shared_from_this(), live_closing(shared_from_this()));
    if (tls_wanted_) return host_.spawn(shared_from_this(), live_secured(shared_from_this()));
    // The role's answer to what it was last given (TLS, a hold, the end) comes before more of it.
    if (fed_batch_ == host_.batch()) {
      host_.drain();
      continue;
    }
    if (held_) {
      if (broken_ || has_hung_up()) return disconnected(broken_.value_or(lost("waiting", ECONNRESET)));
      // Nothing comes with this but an error, so it sleeps until woken, and still notices a reset.
      return turn_on(tcp::socket::wait_error);
    }
    Read read = read_turn();
    if (read == Read::kEnded) return disconnected(*read_error_);
    if (read == Read::kDrained && broken_) return disconnected(*broken_);
    if (read == Read::kMore) {
      host_.fed();
      return turn_again();
    }
    // What it leads to is written, on a quiet door, before the next wait is set up.
    if (fed_batch_ == host_.batch()) host_.settle();
    if (disconnect_wanted_ || tls_wanted_ || held_ || broken_) continue;
    return turn_on(tcp::socket::wait_read);
  }
}

void Connection::turn_on(tcp::socket::wait_type what) {
  socket_.async_wait(what, [self = shared_from_this()](const boost::system::error_code&) {
    try {
      self->turn();
    } catch (...) {
      self->host_.handle_failure(*self, std::current_exception());
    }
  });
}

// Behind the others that have something to read.
void Connection::turn_again() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    try {
      self->turn();
    } catch (...) {
      self->host_.handle_failure(*self, std::current_exception());
    }
  });
}

// --- TLS

Result<std::unique_ptr<Tls>> Connection::make_tls() {
  int descriptor = socket_.native_handle();
  UnixTime now = host_.now().civil;
  if (!tls_wanted_) return host_.s2s_tls().accept_direct(descriptor, now, peer_.ip);
  const gate::BeginTls& order = *tls_wanted_;
  if (order.accepting) return host_.s2s_tls().accept(descriptor, order.own, now, peer_.ip);
  return host_.s2s_tls().connect(descriptor, order.own, order.server_name, order.direct, now, peer_.ip);
}

// RFC 6120 5.4.2.3: `<proceed/>` is with the socket before the handshake begins.
asio::awaitable<Result<void>> Connection::say_before_tls() {
  Deadline deadline(socket_, limits::kTlsTimeout);
  while (!write_taken() && !broken_ && !disconnect_wanted_ && !deadline.has_passed()) {
    co_await wait(tcp::socket::wait_write);
  }
  if (broken_ || !unsent_.empty()) co_return broken_.value_or(Error{Code::kTlsHandshake, "timed out"});
  co_return Result<void>();
}

asio::awaitable<bool> Connection::secure() {
  Result<void> shaken;
  // Mostly it is there already, and no deadline is needed.
  if (!write_taken() || broken_) shaken = co_await say_before_tls();
  if (shaken && !disconnect_wanted_) {
    phase_ = Phase::kHandshake;
    Result<std::unique_ptr<Tls>> tls = make_tls();
    tls_wanted_.reset();
    if (tls) {
      tls_ = std::move(*tls);
      shaken = co_await shake_hands(limits::kTlsTimeout);
    } else {
      shaken = tls.error();
    }
  }
  tls_wanted_.reset();
  if (disconnect_wanted_) {
    co_await close();
    co_return false;
  }
  if (!shaken) {
    host_.role().handle_tls(id_, shaken.error(), host_.now());
    host_.fed();
    disconnect_wanted_ = true;
    phase_ = Phase::kHandshake;
    co_await close();
    co_return false;
  }
  phase_ = Phase::kSecure;
  host_.role().handle_tls(id_, tls_->facts(), host_.now());
  fed();
  co_return true;
}

asio::awaitable<Result<void>> Connection::shake_hands(Duration time_max) {
  phase_ = Phase::kHandshake;
  Deadline deadline(socket_, time_max);
  for (;;) {
    TlsStep step = tls_->handshake();
    if (step == TlsStep::kDone) co_return Result<void>();
    if (step == TlsStep::kEnded || step == TlsStep::kFailed) co_return tls_->error();
    co_await wait(step == TlsStep::kWantWrite ? tcp::socket::wait_write : tcp::socket::wait_read);
    if (disconnect_wanted_) co_return Error{Code::kTlsHandshake, "given up"};
    if (deadline.has_passed()) co_return Error{Code::kTlsHandshake, "timed out"};
  }
}

// --- reading

Connection::Read Connection::read_turn() {
  if (read_error_) return Read::kEnded;
  std::span<char> buffer = host_.read_buffer();
  std::size_t size = 0;
  Read read = phase_ == Phase::kSecure ? read_secure(buffer, size) : read_plain(buffer, size);
  if (size > 0) {
    host_.role().handle_bytes(id_, std::string_view(buffer.data(), size), host_.now());
    fed_batch_ = host_.batch();
    // What came before the end is the role's first; the next turn says the end.
    if (read == Read::kEnded) return Read::kMore;
  }
  return read;
}

Connection::Read Connection::read_plain(std::span<char> buffer, std::size_t& size) {
  ssize_t received = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), 0);
  if (received > 0) {
    size = static_cast<std::size_t>(received);
    return size == buffer.size() ? Read::kMore : Read::kDrained;
  }
  if (received < 0 && is_retry(errno)) return Read::kDrained;
  read_error_ =
      received == 0 ? Error{Code::kStreamLost, "the peer closed the connection"} : lost("reading", errno);
  return Read::kEnded;
}

Connection::Read Connection::read_secure(std::span<char> buffer, std::size_t& size) {
  Tls::Moved moved = tls_->read(buffer.data(), buffer.size());
  size = moved.bytes;
  if (moved.step == TlsStep::kDone) return Read::kMore;
  if (moved.step == TlsStep::kWantRead) return Read::kDrained;
  read_error_ = tls_->error();
  return Read::kEnded;
}

// --- writing

Tls::Moved Connection::write_bytes(std::string_view bytes) {
  if (tls_ && phase_ != Phase::kPlain) return tls_->write(bytes);
  ssize_t sent = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) return {TlsStep::kDone, static_cast<std::size_t>(sent)};
  return {is_retry(errno) ? TlsStep::kWantWrite : TlsStep::kFailed, 0};
}

bool Connection::write_taken() {
  while (unsent_at_ < unsent_.size()) {
    int saved_errno = 0;
    Tls::Moved moved = write_bytes(std::string_view(unsent_).substr(unsent_at_));
    saved_errno = errno;
    if (moved.step == TlsStep::kWantRead || moved.step == TlsStep::kWantWrite) return false;
    if (moved.step != TlsStep::kDone) {
      fail(phase_ == Phase::kPlain ? lost("writing", saved_errno) : tls_->error());
      return true;
    }
    unsent_at_ += moved.bytes;
    written_total_ += moved.bytes;
  }
  unsent_at_ = 0;
  unsent_.clear();
  return true;
}

// Before the handshake its bytes would be plain, during it they would be part of it; a flush follows it.
bool Connection::may_take() const {
  bool can_write = phase_ == Phase::kPlain || phase_ == Phase::kSecure;
  return can_write && !tls_wanted_ && !broken_ && !disconnect_wanted_;
}

// Everything the role has, behind what waits already: for the last time before TLS, or before the end.
void Connection::take_rest() {
  std::string more;
  while (may_take() && host_.role().take_output(id_, more, host_.now())) {
    unsent_ += more;
    more.clear();
  }
}

void Connection::write_some() {
  std::uint64_t before = written_total_;
  if (unsent_.empty()) unsent_.swap(host_.write_buffer());
  while (write_taken() && may_take()) {
    if (!host_.role().take_output(id_, unsent_, host_.now())) break;
  }
  // A connection keeps no buffer, least of all one of a busier time.
  if (unsent_.empty() && unsent_.capacity() <= kSpareBytes) unsent_.swap(host_.write_buffer());
  if (unsent_.empty()) unsent_.shrink_to_fit();
  if (written_total_ != before && !disconnect_wanted_) {
    host_.role().handle_written(id_, written_total_, host_.now());
    host_.fed();
  }
  if (unsent_.empty() || broken_ || writer_waits_) return;
  writer_waits_ = true;
  asio::co_spawn(socket_.get_executor(), write_when_ready(shared_from_this()), asio::detached);
}

// Lives only while something is unsent.
asio::awaitable<void> Connection::write_when_ready(std::shared_ptr<Connection> self) {
  while (!self->unsent_.empty() && !self->broken_ && self->phase_ != Phase::kHandshake) {
    std::uint64_t before = self->written_total_;
    Deadline deadline(self->socket_, limits::kWriteStallTimeout);
    while (self->written_total_ == before && !self->broken_ && !self->unsent_.empty()) {
      co_await self->wait(tcp::socket::wait_write);
      self->write_some();
      if (deadline.has_passed()) self->fail({Code::kStreamLost, "the peer takes nothing"});
    }
  }
  self->writer_waits_ = false;
}

void Connection::fed() {
  fed_batch_ = host_.batch();
  host_.fed();
}

void Connection::fail(Error error) {
  if (!broken_) broken_ = std::move(error);
  unsent_.clear();
  unsent_at_ = 0;
  wake();
}

// --- orders

void Connection::flush() {
  if (may_take() && unsent_.empty()) write_some();
}

void Connection::hold(bool on) {
  if (held_ == on) return;
  held_ = on;
  // One that waits to read finds out when there is something to read.
  if (!on) wake();
}

void Connection::begin_tls(const gate::BeginTls& order) {
  if (phase_ != Phase::kPlain || disconnect_wanted_) return;
  take_rest();
  write_some();
  tls_wanted_ = order;
  wake();
}

void Connection::disconnect() {
  if (disconnect_wanted_) return;
  take_rest();
  disconnect_wanted_ = true;
  // Dialling is cancelled; any later wait is only woken, since closing still has to wait for things.
  if (phase_ == Phase::kOpening) cancelled_.emit(asio::cancellation_type::terminal);
  wake();
}

// --- the end

asio::awaitable<void> Connection::write_all() {
  Deadline deadline(socket_, limits::kCloseTimeout);
  while (!write_taken() && !broken_ && !deadline.has_passed()) co_await wait(tcp::socket::wait_write);
  if (broken_ || deadline.has_passed() || !tls_) co_return;
  while (tls_->close() == TlsStep::kWantWrite && !deadline.has_passed())
    co_await wait(tcp::socket::wait_write);
}

asio::awaitable<void> Connection::close() {
  if (phase_ == Phase::kPlain || phase_ == Phase::kSecure) co_await write_all();
  phase_ = Phase::kClosing;
  boost::system::error_code error;
  socket_.shutdown(tcp::socket::shutdown_send, error);
  if (!error && !broken_) co_await linger();
  end();
}

// Closing a socket with unread bytes in it resets the connection, and the reset can overtake what we said
// last.
asio::awaitable<void> Connection::linger() {
  Deadline deadline(socket_, limits::kLingerTimeout);
  std::span<char> buffer = host_.read_buffer();
  std::size_t thrown_away = 0;
  while (!deadline.has_passed() && thrown_away < limits::kLingerBytesMax) {
    ssize_t received = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), 0);
    if (received == 0 || (received < 0 && !is_retry(errno))) co_return;
    if (received > 0) {
      thrown_away += static_cast<std::size_t>(received);
    } else {
      co_await wait(tcp::socket::wait_read);
    }
  }
}

void Connection::disconnected(Error error) {
  disconnect_wanted_ = true;
  host_.role().handle_disconnected(id_, std::move(error), host_.now());
  host_.fed();
  end();
}

void Connection::abandon() {
  bool is_opening = phase_ == Phase::kOpening;
  disconnect_wanted_ = true;
  unsent_.clear();
  unsent_at_ = 0;
  boost::system::error_code ignored;
  // Not closed: the coroutine, if it is in a handshake, still holds the descriptor's number.
  socket_.shutdown(tcp::socket::shutdown_both, ignored);
  if (is_opening) cancelled_.emit(asio::cancellation_type::terminal);
  wake();
}

void Connection::end(std::optional<Error> why) {
  phase_ = Phase::kClosing;
  disconnect_wanted_ = true;
  // The descriptor's number may be another connection's soon: nothing may be left that would write to it.
  unsent_.clear();
  unsent_at_ = 0;
  tls_.reset();
  boost::system::error_code ignored;
  socket_.close(ignored);
  host_.handle_end(id_, why);
}

asio::awaitable<void> Connection::wait(tcp::socket::wait_type what) {
  co_await socket_.async_wait(what, kAwait);
}

void Connection::wake() {
  boost::system::error_code ignored;
  socket_.cancel(ignored);
}

bool Connection::has_hung_up() {
  pollfd poll{socket_.native_handle(), 0, 0};
  return ::poll(&poll, 1, 0) > 0 && (poll.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace sallyport::net
