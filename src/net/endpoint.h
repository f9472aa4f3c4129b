// Our addresses and Asio's.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "dns/address.h"

namespace sallyport::net {

namespace asio = boost::asio;
using asio::ip::tcp;

// An IPv4 address stays one: 127.0.0.1, not ::ffff:127.0.0.1.
tcp::endpoint to_asio(const dns::Endpoint& endpoint);
// Both forms of an IPv4 address become the same Endpoint.
dns::Endpoint from_asio(const tcp::endpoint& endpoint);

// The same /64, or the same IPv4 address: what counts as one address where connections are counted, since
// whoever has an IPv6 address has a /64 of them.
dns::Ip counted_as(const dns::Ip& ip);

}  // namespace sallyport::net
