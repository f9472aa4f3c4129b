// Decides whether an address may be connected to. Each address is checked when it is connected to, whatever
// name led there (THREATS C1).
#pragma once

#include <vector>

#include "base/result.h"
#include "config/network.h"
#include "dns/address.h"

namespace sallyport::net {

class AddressRules {
 public:
  // `allow_networks`: special ranges that names may lead to ([outbound] allow_networks). ::/0 allows all: a
  // core's servers are private, and only its administrator names them.
  // `refuse_networks`: networks of any kind that names may not lead to ([outbound] refuse_networks), such as
  // a network's own NAT64 prefix (RFC 6052 2.2), which contains IPv4 addresses of any kind. They take
  // precedence over `allow_networks`.
  explicit AddressRules(std::vector<config::Network> allow_networks,
                        std::vector<config::Network> refuse_networks = {})
      : allow_(std::move(allow_networks)), refuse_(std::move(refuse_networks)) {}

  // Our own listeners. An unspecified address stands for every address in `machine`.
  void set_own(std::vector<dns::SocketAddress> own) { own_ = std::move(own); }

  // `written_as_v6`: the address came from an AAAA record or IPv6 literal. `trusted`: our administrator wrote
  // it as an IP address. `machine`: this machine's addresses, now. Errors: kDialOwn (also if trusted),
  // kDialAddress.
  Result<void> check(const dns::SocketAddress& endpoint, bool written_as_v6, bool trusted,
                     const std::vector<dns::Ip>& machine) const;

 private:
  bool is_own(const dns::SocketAddress& endpoint, const std::vector<dns::Ip>& machine) const;
  std::vector<config::Network> allow_;
  std::vector<config::Network> refuse_;
  std::vector<dns::SocketAddress> own_;
};

}  // namespace sallyport::net
