// A TCP socket that is bound from the start and listens only between `open` and `close`. While it does not, a
// peer is refused at once and continues with its next target.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "dns/address.h"

namespace sallyport::net {

namespace asio = boost::asio;
using asio::ip::tcp;

class Listener {
 public:
  using Handler = std::function<void(tcp::socket)>;

  // Binds, without listening. `accepted` is called for each connection, whose options are those of
  // set_stream_options(). Errors: as `listen_error`.
  static Result<std::unique_ptr<Listener>> bind(asio::io_context& io, const dns::SocketAddress& endpoint,
                                                std::size_t dead_peer_seconds, Handler accepted);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // Binds again where `close` could not. May be repeated after an error. Errors: as `listen_error`.
  Result<void> open();
  bool is_open() const;
  // Resets connections that the system has accepted and we have not. Stays bound.
  void close();
  const dns::SocketAddress& endpoint() const { return endpoint_; }

 private:
  struct State;
  Listener(asio::io_context& io, dns::SocketAddress endpoint, std::size_t dead_peer_seconds,
           Handler accepted);
  Result<void> bind_again();
  static asio::awaitable<void> accept_all(std::shared_ptr<State> state);

  asio::io_context& io_;
  dns::SocketAddress endpoint_;
  std::size_t dead_peer_seconds_;
  Handler accepted_;
  std::shared_ptr<State> state_;  // shared with the accepting coroutine, which may outlive a close
};

// Why `what` cannot be opened at an address: kNetAddressInUse, kNetAddressAbsent, kNetPermission, else
// kNetListen. The text names `what`, the address and the system's reason.
Error listen_error(std::string_view what, const dns::SocketAddress& endpoint,
                   const boost::system::error_code& error);

}  // namespace sallyport::net
