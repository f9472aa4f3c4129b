// The interface between the driver and the dialler (net/dial.h), which connects to the server of a domain.
// Tests of the driver implement it without DNS.
#pragma once

#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "base/result.h"
#include "base/time.h"
#include "dns/address.h"
#include "gate/event.h"

namespace sallyport::net {

namespace asio = boost::asio;
using asio::ip::tcp;

// An established TCP connection. Nothing has been read from it or written to it.
struct Dialled {
  tcp::socket socket;       // of the dialler's executor
  dns::SocketAddress peer;  // as connected to; DialPlan::avoid may name it the next time
  bool direct_tls = false;  // the target came from `_xmpps-server` (XEP-0368)
  std::string how;          // "SRV xmpp.example.net:5269", "static route 192.0.2.1:5269", for people
};

class Dialer {
 public:
  virtual ~Dialer() = default;

  // Tries the plan's steps in order, then its DNS name, until one address accepts, within `time_max` (at most
  // limits::kDialTimeout) for the whole. Checks each address when it connects to it (THREATS C1).
  //
  // Errors: the most informative one of kDnsNoName, kDnsDecline, kDnsFailure, kDnsBogus,
  // kDnsMalformed, kDialPort, kDialAddress, kDialOwn, kDialRefused, kDialTimeout.
  //
  // Runs on the executor that awaits it. May be cancelled (terminal) at any await: then it either
  // throws operation_aborted or returns an error, and leaves no socket and no query behind. Many calls may be
  // under way at once. The Dialer outlives them. `plan` is moved into the coroutine's frame.
  virtual asio::awaitable<Result<Dialled>> dial(gate::DialPlan plan, Duration time_max) = 0;

  // Our own listeners, set when they are bound and whenever they change. They are never dialled (kDialOwn).
  // An unspecified address stands for every address of this machine.
  virtual void set_own_listeners(std::vector<dns::SocketAddress> own) = 0;
};

}  // namespace sallyport::net
