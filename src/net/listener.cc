#include "net/listener.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/limits.h"
#include "net/socket_address.h"
#include "net/stream_socket.h"

namespace sallyport::net {

namespace {

constexpr auto kAwait = asio::as_tuple(asio::use_awaitable);

bool is_short_of_descriptors(const boost::system::error_code& error) {
  return error == asio::error::no_descriptors || error.value() == ENFILE || error.value() == ENOBUFS ||
         error.value() == ENOMEM;
}

}  // namespace

Error listen_error(std::string_view what, const dns::SocketAddress& endpoint,
                   const boost::system::error_code& error) {
  Code code = Code::kNetListen;
  if (error == asio::error::address_in_use) code = Code::kNetAddressInUse;
  if (error.value() == EADDRNOTAVAIL) code = Code::kNetAddressAbsent;
  if (error == asio::error::access_denied || error.value() == EPERM) code = Code::kNetPermission;
  return {code, std::string(what) + " " + endpoint.text() + ": " + error.message()};
}

struct Listener::State {
  State(asio::io_context& io, Handler handler) : acceptor(io), accepted(std::move(handler)) {}
  tcp::acceptor acceptor;
  Handler accepted;
  bool is_open = false;
};

Listener::Listener(asio::io_context& io, dns::SocketAddress endpoint, std::size_t dead_peer_seconds,
                   Handler accepted)
    : io_(io), endpoint_(endpoint), dead_peer_seconds_(dead_peer_seconds), accepted_(std::move(accepted)) {}

Listener::~Listener() {
  if (!state_) return;
  state_->is_open = false;
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
}

Result<std::unique_ptr<Listener>> Listener::bind(asio::io_context& io, const dns::SocketAddress& endpoint,
                                                 std::size_t dead_peer_seconds, Handler accepted) {
  std::unique_ptr<Listener> listener(new Listener(io, endpoint, dead_peer_seconds, std::move(accepted)));
  if (auto bound = listener->bind_again(); !bound) return std::move(bound).error();
  return listener;
}

Result<void> Listener::bind_again() {
  state_ = std::make_shared<State>(io_, accepted_);
  tcp::endpoint endpoint = to_asio(endpoint_);
  boost::system::error_code error;
  auto failed = [&error] { return static_cast<bool>(error); };
  tcp::acceptor& acceptor = state_->acceptor;
  acceptor.open(endpoint.protocol(), error);
  // Connections of an earlier process must not block the port.
  if (!failed()) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  // "[::]:5269" and "0.0.0.0:5269" are two listeners, in whatever order they are written.
  if (!failed() && endpoint.protocol() == tcp::v6()) acceptor.set_option(asio::ip::v6_only(true), error);
  if (!failed()) set_stream_options(acceptor.native_handle(), dead_peer_seconds_);
  if (!failed()) acceptor.bind(endpoint, error);
  if (failed()) {
    boost::system::error_code ignored;
    acceptor.close(ignored);
    return listen_error("listening on", endpoint_, error);
  }
  endpoint_ = from_asio(acceptor.local_endpoint(error));
  return {};
}

Result<void> Listener::open() {
  if (state_->is_open) return {};
  // A socket that is not bound would listen on any port.
  if (!state_->acceptor.is_open()) {
    if (auto bound = bind_again(); !bound) return bound;
  }
  boost::system::error_code error;
  state_->acceptor.listen(limits::kListenBacklog, error);
  if (error) return listen_error("listening on", endpoint_, error);
  state_->is_open = true;
  asio::co_spawn(io_, accept_all(state_), asio::detached);
  return {};
}

void Listener::close() {
  if (!state_->is_open) return;
  state_->is_open = false;
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
  // Binds the same address again. If another process has taken it meanwhile, `open` reports that.
  if (auto bound = bind_again(); !bound) return;
}

bool Listener::is_open() const { return state_->is_open; }

asio::awaitable<void> Listener::accept_all(std::shared_ptr<State> state) {
  while (state->is_open) {
    auto [error, socket] = co_await state->acceptor.async_accept(kAwait);
    if (!state->is_open) co_return;
    if (!error) {
      state->accepted(std::move(socket));
    } else if (is_short_of_descriptors(error)) {
      // The connection stays in the system's queue: retrying at once would only use CPU time.
      asio::steady_timer rest(state->acceptor.get_executor(), limits::kAcceptRest);
      co_await rest.async_wait(kAwait);
    }
  }
}

}  // namespace sallyport::net
