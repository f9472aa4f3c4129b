// The answering resolver's sockets (core.toml [dns]): UDP and TCP towards internal servers, UDP and TCP
// upstream. dns/answer.h decides which questions are answered here and which are forwarded.
//
// Open questions and TCP connections have limits of their own, each with a share for each client
// (docs/limits.md "Fair shares"). When all places are taken, the client that holds most loses its oldest
// question, or its oldest connection, preferably one without a question.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"
#include "config/network.h"
#include "dns/answer.h"

namespace sallyport::net {

struct DnsServerSetup {
  std::vector<dns::SocketAddress> listen;
  std::vector<dns::SocketAddress> upstream;  // tried in order, each for limits::kDnsUpstreamTimeout
  std::vector<config::Network> clients;      // may ask; others get REFUSED. Empty: nobody may ask
  std::size_t questions_max = limits::kDnsInFlightMax;  // open at once
};

struct DnsServerCounters {
  std::uint64_t answered = 0;   // by the core itself
  std::uint64_t forwarded = 0;  // answered by an upstream
  std::uint64_t failed = 0;     // no upstream answered: SERVFAIL
  std::uint64_t refused = 0;    // not a client, or too many at once
  std::uint64_t displaced = 0;  // questions and connections that lost their place to another client
};

// Runs on `io`'s one thread from `start` until it is destroyed. `io` and `random` outlive it; once it is
// destroyed, `io` must be stopped before it runs again.
class DnsServer {
 public:
  // Binds every address, UDP and TCP. Errors: as `listen_error`.
  static Result<std::unique_ptr<DnsServer>> start(boost::asio::io_context& io, DnsServerSetup setup,
                                                  dns::Answering answering, Random& random);
  ~DnsServer();
  DnsServer(const DnsServer&) = delete;
  DnsServer& operator=(const DnsServer&) = delete;

  // The policy has changed, and with it which names are internal or renamed.
  void use(dns::Answering answering);
  const DnsServerCounters& counters() const;
  // The bound UDP addresses, with the real port where 0 was asked for.
  std::vector<dns::SocketAddress> endpoints() const;

 private:
  struct State;
  explicit DnsServer(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::net
