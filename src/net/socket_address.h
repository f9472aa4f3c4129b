// Conversions between our addresses and Asio's.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "dns/address.h"

namespace sallyport::net {

namespace asio = boost::asio;
using asio::ip::tcp;

// An IPv4 address stays one: 127.0.0.1, not ::ffff:127.0.0.1.
tcp::endpoint to_asio(const dns::SocketAddress& endpoint);
// Both forms of an IPv4 address become the same dns::SocketAddress.
dns::SocketAddress from_asio(const tcp::endpoint& endpoint);

// The /64 or the IPv4 address that counts as one address where connections are counted: a host with an IPv6
// address usually has a whole /64.
dns::Ip counted_as(const dns::Ip& ip);

}  // namespace sallyport::net
