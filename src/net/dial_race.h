// The race of RFC 8305: connects to several addresses of one server, each a little later than the one before;
// the first established connection wins.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "dns/address.h"

namespace sallyport::net {

namespace asio = boost::asio;
using asio::ip::tcp;

struct Winner {
  tcp::socket socket;
  dns::SocketAddress peer;
};

// Begins the next connection limits::kConnectStagger after the one before, or at once when one fails. Each
// has limits::kConnectTimeout, and all of them until `deadline`. `bind`: source addresses; the first of the
// family is used. Losers are closed. Errors: kDialRefused (every one was refused), kDialTimeout (at least one
// did not answer).
asio::awaitable<Result<Winner>> race(std::vector<dns::SocketAddress> endpoints, std::vector<dns::Ip> bind,
                                     std::chrono::steady_clock::time_point deadline);

}  // namespace sallyport::net
