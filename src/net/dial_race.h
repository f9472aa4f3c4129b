// The race of RFC 8305: connections to several addresses of one server, begun one after the other,
// the first that stands wins.
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
  dns::Endpoint peer;
};

// Begins the next connection limits::kConnectStagger after the one before, or at once when one has failed;
// gives each limits::kConnectTimeout, and all of them until `deadline`. `bind`: source addresses; the first
// of the family is used. Losers are closed. Errors: kDialRefused (each of them at once), kDialTimeout (at
// least one was silent).
asio::awaitable<Result<Winner>> race(std::vector<dns::Endpoint> endpoints, std::vector<dns::Ip> bind,
                                     std::chrono::steady_clock::time_point deadline);

}  // namespace sallyport::net
