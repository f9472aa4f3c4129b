// The dialler: a plan's steps, then SRV and addresses of its DNS name. Each address is checked when it is
// connected to, and address families are raced (RFC 8305).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "dns/targets.h"
#include "net/address_rules.h"
#include "net/dial_race.h"
#include "net/dialer.h"
#include "net/resolver.h"

namespace sallyport::net {

// [outbound] in edge.toml.
struct DialSetup {
  std::vector<std::uint16_t> ports{5269};        // the ports that SRV may name
  std::vector<config::Network> allow_networks;   // see AddressRules
  std::vector<config::Network> refuse_networks;  // the same
  std::vector<dns::Ip> bind;                     // source addresses; empty: the system chooses
  // The name of a plan's steps, for people: "static route" on an edge, "internal server" on a core.
  std::string step_name = "static route";
};

// Chooses the most informative error of a dial: that of a connection attempt before a reason not to try, and
// that before a missing DNS answer.
class MostTelling {
 public:
  void add(Error error);
  // Replaces all errors so far.
  void replace(Error error) { error_ = std::move(error); }
  const std::optional<Error>& error() const { return error_; }

 private:
  std::optional<Error> error_;
};

// Why a host name has no address: kDnsBogus, kDnsFailure or kDnsNoName.
Error lookup_error(const dns::AddressAnswer& v6, const dns::AddressAnswer& v4, const std::string& host);

class DnsDialer : public Dialer {
 public:
  // `random` outlives it.
  DnsDialer(std::shared_ptr<Resolver> resolver, DialSetup setup, Random& random);
  // Replaces the resolver; the earlier one still answers pending questions.
  void use(std::shared_ptr<Resolver> resolver) { resolver_ = std::move(resolver); }

  asio::awaitable<Result<Dialled>> dial(gate::DialPlan plan, Duration time_max) override;
  void set_own_listeners(std::vector<dns::SocketAddress> own) override;

  // Whether a dial would connect to this address now.
  Result<void> check(const dns::SocketAddress& endpoint, bool written_as_v6) const;
  const DialSetup& setup() const { return setup_; }
  Resolver& resolver() { return *resolver_; }
  Random& random() { return random_; }

 private:
  struct Attempt;
  asio::awaitable<std::optional<Dialled>> try_step(const gate::DialPlan::Step& step, Attempt& attempt);
  asio::awaitable<std::optional<Dialled>> try_dns(const xmpp::Domain& domain, Attempt& attempt);
  asio::awaitable<std::optional<Dialled>> try_host(const dns::Target& target, Attempt& attempt);
  asio::awaitable<std::optional<Dialled>> try_addresses(std::vector<std::pair<dns::Ip, bool>> ips,
                                                        const dns::Target& target, bool trusted,
                                                        Attempt& attempt);

  std::shared_ptr<Resolver> resolver_;
  DialSetup setup_;
  Random& random_;
  AddressRules address_rules_;
};

// This machine's addresses, now.
std::vector<dns::Ip> machine_addresses();

}  // namespace sallyport::net
