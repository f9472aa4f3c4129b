#include "net/socket_address.h"

#include <algorithm>

namespace sallyport::net {

tcp::endpoint to_asio(const dns::SocketAddress& endpoint) {
  asio::ip::address_v6::bytes_type bytes;
  std::copy(endpoint.ip.bytes.begin(), endpoint.ip.bytes.end(), bytes.begin());
  asio::ip::address_v6 address(bytes);
  if (!endpoint.ip.is_v4()) return {address, endpoint.port};
  return {asio::ip::make_address_v4(asio::ip::v4_mapped, address), endpoint.port};
}

dns::SocketAddress from_asio(const tcp::endpoint& endpoint) {
  dns::SocketAddress out;
  out.port = endpoint.port();
  if (endpoint.address().is_v4()) {
    out.ip = dns::Ip::v4(endpoint.address().to_v4().to_bytes());
  } else {
    auto bytes = endpoint.address().to_v6().to_bytes();
    std::copy(bytes.begin(), bytes.end(), out.ip.bytes.begin());
  }
  return out;
}

dns::Ip counted_as(const dns::Ip& ip) {
  dns::Ip network = ip;
  if (!ip.is_v4()) std::fill(network.bytes.begin() + 8, network.bytes.end(), 0);
  return network;
}

}  // namespace sallyport::net
