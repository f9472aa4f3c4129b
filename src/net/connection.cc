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
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/limits.h"
#include "net/deadline.h"
#include "net/socket_address.h"
#include "net/stream_socket.h"

namespace sallyport::net {

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);
// A buffer up to this size goes round between connections and their roles: it holds some stanzas.
constexpr std::size_t kSpareBytes = 4 * 1024;
// Until a write is tried again that waits for input of the peer and not for the socket.
constexpr auto kWriteAgainAfter = std::chrono::milliseconds(100);

Error lost(std::string_view doing, int error) {
  return Error{Code::kStreamLost, std::string(doing) + ": " + std::strerror(error)};
}

}  // namespace

Connection::Connection(ConnectionHost& host, gate::ConnId id, tcp::socket socket,
                       const dns::SocketAddress& peer)
    : host_(host), id_(id), socket_(std::move(socket)), peer_(peer) {
  boost::system::error_code ignored;
  if (socket_.is_open()) socket_.native_non_blocking(true, ignored);
}

asio::awaitable<void> Connection::run_close(std::shared_ptr<Connection> self) { co_await self->close(); }

// --- while it is plain or secure

void Connection::open() {
  // A Flush that came too early, while dialling or in the handshake, is carried out now.
  flush();
  turn();
}

void Connection::turn() {
  for (;;) {
    if (disconnect_wanted_) return host_.spawn(shared_from_this(), run_close(shared_from_this()));
    if (tls_wanted_) return host_.spawn(shared_from_this(), run_tls(shared_from_this()));
    // The role's reaction to its last input (TLS, a hold, the end) takes effect before more input.
    if (input_batch_ == host_.batch()) {
      host_.take_outputs();
      continue;
    }
    if (held_) {
      if (broken_ || has_hung_up()) return report_disconnect(broken_.value_or(lost("waiting", ECONNRESET)));
      // Only an error ends this wait, so the connection sleeps until it is woken and still notices a reset.
      return turn_on(tcp::socket::wait_error);
    }
    Read read = read_turn();
    if (read == Read::kEnded) return report_disconnect(*read_error_);
    if (read == Read::kDrained && broken_) return report_disconnect(*broken_);
    if (read == Read::kMore) {
      host_.take_outputs_soon();
      return turn_again();
    }
    // On a quiet node the resulting output is written before the next wait is set up.
    if (input_batch_ == host_.batch()) host_.finish_event();
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

// Queues behind other connections that have something to read.
void Connection::turn_again() {
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    try {
      self->turn();
    } catch (...) {
      self->host_.handle_failure(*self, std::current_exception());
    }
  });
}

// --- reading

Connection::Read Connection::read_turn() {
  if (read_error_) return Read::kEnded;
  std::span<char> buffer = shared().read_buffer;
  std::size_t size = 0;
  Read read = phase_ == Phase::kSecure ? read_secure(buffer, size) : read_plain(buffer, size);
  if (size > 0) {
    shared().role.handle_bytes(id_, std::string_view(buffer.data(), size), host_.now());
    input_batch_ = host_.batch();
    // The role gets the bytes before the end first; the next turn reports the end.
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

// Bytes written now would go out unencrypted before a handshake, or corrupt it; a flush follows it.
bool Connection::may_take() const {
  bool can_write = phase_ == Phase::kPlain || phase_ == Phase::kSecure;
  return can_write && !tls_wanted_ && !broken_ && !disconnect_wanted_;
}

// Appends all remaining output of the role: the last time before TLS, or before the end.
void Connection::take_rest() {
  std::string more;
  while (may_take() && shared().role.take_output(id_, more, host_.now())) {
    unsent_ += more;
    more.clear();
  }
}

void Connection::write_some() {
  std::uint64_t before = written_total_;
  if (unsent_.empty()) unsent_.swap(shared().write_buffer);
  while (write_taken() && may_take()) {
    if (!shared().role.take_output(id_, unsent_, host_.now())) break;
  }
  // An idle connection keeps no buffer.
  if (unsent_.empty() && unsent_.capacity() <= kSpareBytes) unsent_.swap(shared().write_buffer);
  if (unsent_.empty()) unsent_.shrink_to_fit();
  if (written_total_ != before && !disconnect_wanted_) {
    shared().role.handle_written(id_, written_total_, host_.now());
    host_.take_outputs_soon();
  }
  if (unsent_.empty() || broken_ || writer_waits_) return;
  writer_waits_ = true;
  asio::co_spawn(socket_.get_executor(), write_when_ready(shared_from_this()), asio::detached);
}

// Runs only while something is unsent.
asio::awaitable<void> Connection::write_when_ready(std::shared_ptr<Connection> self) {
  while (!self->unsent_.empty() && !self->broken_ && self->phase_ != Phase::kHandshake) {
    std::uint64_t before = self->written_total_;
    Deadline deadline(self->socket_, std::chrono::seconds(self->shared().dead_peer_seconds));
    while (self->written_total_ == before && !self->broken_ && !self->unsent_.empty()) {
      co_await self->wait_to_write();
      self->write_some();
      if (deadline.has_passed()) self->fail({Code::kStreamLost, "the peer does not accept data"});
    }
  }
  self->writer_waits_ = false;
}

void Connection::note_input() {
  input_batch_ = host_.batch();
  host_.take_outputs_soon();
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
  // A connection that waits to read notices the hold when there is something to read.
  if (!on) wake();
}

void Connection::begin_tls(const gate::BeginTls& order) {
  if (phase_ != Phase::kPlain || disconnect_wanted_) return;
  take_rest();
  write_some();
  tls_wanted_ = order;
  wake();
}

void Connection::disconnect(bool at_once) {
  if (disconnect_wanted_) return;
  if (at_once) {
    fail({Code::kStreamLost, "given up"});
  } else {
    take_rest();
  }
  disconnect_wanted_ = true;
  // Dialling is cancelled; any later wait is only woken, because closing has waits of its own.
  if (phase_ == Phase::kOpening) cancelled_.emit(asio::cancellation_type::terminal);
  wake();
}

// --- the end

asio::awaitable<void> Connection::write_all() {
  Deadline deadline(socket_, limits::kCloseTimeout);
  while (!write_taken() && !broken_ && !deadline.has_passed()) co_await wait_to_write();
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

// Closing a socket with unread bytes in it resets the connection, and the reset can overtake our final bytes.
asio::awaitable<void> Connection::linger() {
  Deadline deadline(socket_, limits::kLingerTimeout);
  std::span<char> buffer = shared().read_buffer;
  std::size_t discarded = 0;
  while (!deadline.has_passed() && discarded < limits::kLingerBytesMax) {
    ssize_t received = ::recv(socket_.native_handle(), buffer.data(), buffer.size(), 0);
    if (received == 0 || (received < 0 && !is_retry(errno))) co_return;
    if (received > 0) {
      discarded += static_cast<std::size_t>(received);
    } else {
      co_await wait(tcp::socket::wait_read);
    }
  }
}

void Connection::report_disconnect(Error error) {
  disconnect_wanted_ = true;
  shared().role.handle_disconnected(id_, std::move(error), host_.now());
  host_.take_outputs_soon();
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
  // The descriptor's number may soon belong to another connection: nothing may be left to write to it.
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

// The socket is not what a write waits for that needs input first: it is writable all the time, and of a
// connection that is held readable all the time. Waiting for it would use all of a processor.
asio::awaitable<void> Connection::wait_to_write() {
  if (tls_ && tls_->writes_wait_for_input()) {
    asio::steady_timer timer(socket_.get_executor(), kWriteAgainAfter);
    co_await timer.async_wait(kAwait);
  } else {
    co_await wait(tcp::socket::wait_write);
  }
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
