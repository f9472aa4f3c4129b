// A connection's way from plain to secure.
#include "base/limits.h"
#include "net/connection.h"
#include "net/deadline.h"

namespace sallyport::net {

asio::awaitable<void> Connection::run_tls(std::shared_ptr<Connection> self) {
  // GCC 12 lays the frame out wrongly when this await stands in the condition.
  bool is_secure = co_await self->start_tls();
  if (is_secure) self->open();
}

Result<std::unique_ptr<Tls>> Connection::make_tls() {
  int descriptor = socket_.native_handle();
  UnixTime now = host_.now().civil;
  if (!tls_wanted_) return shared().s2s_tls.accept_direct(descriptor, now, peer_.ip);
  const gate::BeginTls& order = *tls_wanted_;
  if (order.accepting) return shared().s2s_tls.accept(descriptor, order.own, now, peer_.ip);
  return shared().s2s_tls.connect(descriptor, order.own, order.server_name, order.direct, now, peer_.ip);
}

// RFC 6120 5.4.2.3: `<proceed/>` is with the socket before the handshake begins.
asio::awaitable<Result<void>> Connection::flush_before_tls() {
  Deadline deadline(socket_, limits::kTlsTimeout);
  while (!write_taken() && !broken_ && !disconnect_wanted_ && !deadline.has_passed()) {
    co_await wait(tcp::socket::wait_write);
  }
  if (broken_ || !unsent_.empty()) co_return broken_.value_or(Error{Code::kTlsHandshake, "timed out"});
  co_return Result<void>();
}

asio::awaitable<bool> Connection::start_tls() {
  Result<void> done;
  // Usually the output is already flushed; then no timer is armed.
  if (!write_taken() || broken_) done = co_await flush_before_tls();
  if (done && !disconnect_wanted_) {
    phase_ = Phase::kHandshake;
    Result<std::unique_ptr<Tls>> tls = make_tls();
    tls_wanted_.reset();
    if (tls) {
      tls_ = std::move(*tls);
      done = co_await handshake(limits::kTlsTimeout);
    } else {
      done = tls.error();
    }
  }
  tls_wanted_.reset();
  if (disconnect_wanted_) {
    co_await close();
    co_return false;
  }
  if (!done) {
    shared().role.handle_tls(id_, done.error(), host_.now());
    host_.take_outputs_soon();
    disconnect_wanted_ = true;
    phase_ = Phase::kHandshake;
    co_await close();
    co_return false;
  }
  phase_ = Phase::kSecure;
  shared().role.handle_tls(id_, tls_->facts(), host_.now());
  note_input();
  co_return true;
}

asio::awaitable<Result<void>> Connection::handshake(Duration time_max) {
  phase_ = Phase::kHandshake;
  Deadline deadline(socket_, time_max);
  for (;;) {
    TlsStep step = tls_->handshake();
    if (step == TlsStep::kDone) co_return Result<void>();
    if (step == TlsStep::kEnded || step == TlsStep::kFailed) co_return tls_->error();
    co_await wait(step == TlsStep::kWantWrite ? tcp::socket::wait_write : tcp::socket::wait_read);
    if (disconnect_wanted_) co_return Error{Code::kTlsHandshake, "abandoned"};
    if (deadline.has_passed()) co_return Error{Code::kTlsHandshake, "timed out"};
  }
}

}  // namespace sallyport::net
