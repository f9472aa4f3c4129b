// How a connection begins: dialled or accepted, as an s2s stream or as a link, until the role hears of it.
#include <sys/socket.h>

#include "base/limits.h"
#include "net/connection.h"
#include "net/deadline.h"
#include "net/socket_address.h"
#include "net/stream_socket.h"

namespace sallyport::net {

namespace {

// A TLS record of type handshake (RFC 8446 5.1); an XML stream begins with `<` or white space.
constexpr char kTlsHandshakeByte = 0x16;

}  // namespace

void Connection::adopt(tcp::socket socket) {
  socket_ = std::move(socket);
  boost::system::error_code ignored;
  socket_.native_non_blocking(true, ignored);
  set_stream_options(socket_.native_handle(), shared().dead_peer_seconds);
}

asio::awaitable<void> Connection::run_accepted(std::shared_ptr<Connection> self) {
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
  if (self->direct_tls_ && !co_await self->start_tls()) co_return;
  self->open();
}

void Connection::announce_accepted() {
  boost::system::error_code ignored;
  phase_ = Phase::kPlain;
  gate::Accepted accepted{peer_, from_asio(socket_.local_endpoint(ignored)), direct_tls_};
  host_.handle_known(id_);
  shared().role.handle_accepted(id_, accepted, host_.now());
  note_input();
}

asio::awaitable<void> Connection::run_dialled(std::shared_ptr<Connection> self, gate::DialPlan plan) {
  Result<Dialled> dialled = co_await self->dial(std::move(plan), limits::kDialTimeout);
  if (self->disconnect_wanted_) {
    self->end();
    co_return;
  }
  if (!dialled) {
    self->shared().role.handle_dial_failed(self->id_, dialled.error(), self->host_.now());
    self->host_.take_outputs_soon();
    self->end();
    co_return;
  }
  self->adopt(std::move(dialled->socket));
  self->peer_ = dialled->peer;
  self->phase_ = Phase::kPlain;
  gate::Connected connected{dialled->peer, dialled->direct_tls, std::move(dialled->how)};
  self->shared().role.handle_connected(self->id_, connected, self->host_.now());
  self->note_input();
  self->open();
}

asio::awaitable<void> Connection::run_link_accepted(std::shared_ptr<Connection> self,
                                                    std::span<const std::vector<std::string>> rows) {
  self->tls_ = self->shared().link_tls.accept(self->socket_.native_handle(), rows);
  Result<void> done = co_await self->handshake(limits::kLinkTlsTimeout);
  if (!done) {
    self->end(done.error());
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
  shared().role.handle_link(id_, peer, peer_, host_.now());
  note_input();
}

asio::awaitable<void> Connection::run_link_dialled(std::shared_ptr<Connection> self, gate::DialPlan plan,
                                                   std::size_t edge, const std::vector<std::string>& pins) {
  Result<Dialled> dialled = co_await self->dial(std::move(plan), limits::kConnectTimeout);
  Result<void> done;
  if (dialled && !self->disconnect_wanted_) {
    self->adopt(std::move(dialled->socket));
    self->peer_ = dialled->peer;
    self->tls_ = self->shared().link_tls.connect(self->socket_.native_handle(), pins);
    done = co_await self->handshake(limits::kLinkTlsTimeout);
  } else if (!dialled) {
    done = dialled.error();
  }
  if (self->disconnect_wanted_) {
    self->end();
    co_return;
  }
  if (!done) {
    self->shared().role.handle_dial_failed(self->id_, done.error(), self->host_.now());
    self->host_.take_outputs_soon();
    self->end(done.error());
    co_return;
  }
  self->announce_link(edge);
  self->open();
}

asio::awaitable<Result<Dialled>> Connection::dial(gate::DialPlan plan, Duration time_max) {
  if (disconnect_wanted_) co_return Error{Code::kDialRefused, "abandoned"};
  try {
    co_return co_await shared().dialer.dial(std::move(plan), time_max);
  } catch (const boost::system::system_error& error) {
    // Cancelled by `disconnect`, or the dialler's error for a lost connection.
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

}  // namespace sallyport::net
