#include "net/dial.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "base/limits.h"

namespace sallyport::net {
namespace {

using Clock = std::chrono::steady_clock;

int telling(Code code) {
  constexpr Code order[] = {Code::kDnsNoName,   Code::kDnsDecline, Code::kDnsMalformed, Code::kDnsFailure,
                            Code::kDnsBogus,    Code::kDialPort,   Code::kDialAddress,  Code::kDialOwn,
                            Code::kDialRefused, Code::kDialTimeout};
  return static_cast<int>(std::ranges::find(order, code) - std::begin(order));
}

}  // namespace

void MostTelling::add(Error error) {
  if (!error_ || telling(error.code) > telling(error_->code)) error_ = std::move(error);
}

Error lookup_error(const dns::AddressAnswer& v6, const dns::AddressAnswer& v4, const std::string& host) {
  for (const auto outcome : {dns::LookupOutcome::kBogus, dns::LookupOutcome::kFailure}) {
    for (const auto* answer : {&v4, &v6}) {
      if (answer->outcome != outcome) continue;
      const auto code = outcome == dns::LookupOutcome::kBogus ? Code::kDnsBogus : Code::kDnsFailure;
      return {code, host + ": " + answer->text};
    }
  }
  return {Code::kDnsNoName, host + " has no address"};
}

// The state of one dial: its deadline, what it must avoid, and its errors so far.
struct DnsDialer::Attempt {
  Clock::time_point deadline;
  std::vector<dns::SocketAddress> avoid;
  std::string domain;  // the remote domain, for which the resolver is asked; empty: an internal server
  MostTelling met;

  bool is_over() const { return Clock::now() >= deadline; }
};

std::vector<dns::Ip> machine_addresses() {
  ifaddrs* first = nullptr;
  if (::getifaddrs(&first) != 0) return {};
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> list(first, &::freeifaddrs);
  std::vector<dns::Ip> out;
  for (const auto* row = list.get(); row != nullptr; row = row->ifa_next) {
    if (row->ifa_addr == nullptr) continue;
    if (row->ifa_addr->sa_family == AF_INET) {
      const auto* in = reinterpret_cast<const sockaddr_in*>(row->ifa_addr);
      std::array<std::uint8_t, 4> four{};
      std::copy_n(reinterpret_cast<const std::uint8_t*>(&in->sin_addr), 4, four.begin());
      out.push_back(dns::Ip::v4(four));
    } else if (row->ifa_addr->sa_family == AF_INET6) {
      const auto* in = reinterpret_cast<const sockaddr_in6*>(row->ifa_addr);
      dns::Ip ip;
      std::copy_n(in->sin6_addr.s6_addr, 16, ip.bytes.begin());
      out.push_back(ip);
    }
  }
  return out;
}

DnsDialer::DnsDialer(std::shared_ptr<Resolver> resolver, DialSetup setup, Random& random)
    : resolver_(std::move(resolver)),
      setup_(std::move(setup)),
      random_(random),
      address_rules_(setup_.allow_networks, setup_.refuse_networks) {}

void DnsDialer::set_own_listeners(std::vector<dns::SocketAddress> own) {
  address_rules_.set_own(std::move(own));
}

Result<void> DnsDialer::check(const dns::SocketAddress& endpoint, bool written_as_v6) const {
  return address_rules_.check(endpoint, written_as_v6, false, machine_addresses());
}

asio::awaitable<Result<Dialled>> DnsDialer::dial(gate::DialPlan plan, Duration time_max) {
  Attempt attempt{Clock::now() + std::min<Duration>(time_max, limits::kDialTimeout),
                  std::move(plan.avoid),
                  plan.dns ? plan.dns->ascii() : std::string(),
                  {}};
  for (const auto& step : plan.steps) {
    if (attempt.is_over()) break;
    if (auto dialled = co_await try_step(step, attempt)) co_return *std::move(dialled);
  }
  if (plan.dns && !attempt.is_over()) {
    if (auto dialled = co_await try_dns(*plan.dns, attempt)) co_return *std::move(dialled);
  }
  if (attempt.met.error()) co_return *attempt.met.error();
  if (attempt.is_over()) co_return Error{Code::kDialTimeout, {}};
  co_return Error{Code::kDialRefused, "every address was tried before"};
}

asio::awaitable<std::optional<Dialled>> DnsDialer::try_step(const gate::DialPlan::Step& step,
                                                            Attempt& attempt) {
  dns::Target target{step.address.host, step.address.port, false, false, false};
  std::optional<Dialled> dialled;
  if (const auto ip = dns::Ip::parse(step.address.host)) {
    const bool written_as_v6 = step.address.host.find(':') != std::string::npos;
    // A name of its own: GCC 12 cannot build such a temporary inside co_await.
    std::vector<std::pair<dns::Ip, bool>> ips(1, std::pair(*ip, written_as_v6));
    dialled = co_await try_addresses(std::move(ips), target, step.trusted_address, attempt);
  } else {
    dialled = co_await try_host(target, attempt);
  }
  if (dialled) dialled->how = setup_.step_name + " " + step.address.text();
  co_return dialled;
}

asio::awaitable<std::optional<Dialled>> DnsDialer::try_dns(const xmpp::Domain& domain, Attempt& attempt) {
  dns::Targets targets;
  {
    Resolver::Questions questions(*resolver_, attempt.domain);
    using enum dns::RecordType;
    const auto direct =
        questions.ask(std::string(dns::kDirectTlsService) + domain.ascii(), kSrv, attempt.deadline);
    const auto starttls =
        questions.ask(std::string(dns::kStartTlsService) + domain.ascii(), kSrv, attempt.deadline);
    co_await questions.wait_all();
    targets =
        dns::order_targets(domain, questions.srv(direct), questions.srv(starttls), setup_.ports, random_);
  }
  if (targets.refusal) {
    attempt.met.add(*std::move(targets.refusal));
    co_return std::nullopt;
  }
  for (const auto& target : targets.list) {
    if (attempt.is_over()) break;
    if (auto dialled = co_await try_host(target, attempt)) co_return dialled;
  }
  // Without an SRV answer the target was only a guess, so its error explains nothing.
  if (targets.srv_failure) attempt.met.replace(*std::move(targets.srv_failure));
  co_return std::nullopt;
}

asio::awaitable<std::optional<Dialled>> DnsDialer::try_host(const dns::Target& target, Attempt& attempt) {
  Resolver::Questions questions(*resolver_, attempt.domain);
  const auto six = questions.ask(target.host, dns::RecordType::kAaaa, attempt.deadline);
  const auto four = questions.ask(target.host, dns::RecordType::kA, attempt.deadline);
  co_await questions.wait(Clock::time_point::max());
  // RFC 8305 3: a family whose answer is late does not delay the other.
  if (!questions.is_all_done() &&
      !(questions.addresses(six).ips.empty() && questions.addresses(four).ips.empty())) {
    co_await questions.wait(Clock::now() + limits::kResolutionDelay);
  }
  const bool late_six = !questions.is_done(six);
  const bool late_four = !questions.is_done(four);
  if (questions.addresses(six).outcome == dns::LookupOutcome::kBogus ||
      questions.addresses(four).outcome == dns::LookupOutcome::kBogus) {
    attempt.met.add(lookup_error(questions.addresses(six), questions.addresses(four), target.host));
    co_return std::nullopt;
  }
  auto ips = dns::take_turns(questions.addresses(six).ips, questions.addresses(four).ips);
  auto dialled = co_await try_addresses(std::move(ips), target, false, attempt);
  if (dialled) co_return dialled;
  if (late_six || late_four) {
    co_await questions.wait_all();
    ips = dns::take_turns(late_six ? questions.addresses(six).ips : std::vector<dns::Ip>(),
                          late_four ? questions.addresses(four).ips : std::vector<dns::Ip>());
    dialled = co_await try_addresses(std::move(ips), target, false, attempt);
    if (dialled) co_return dialled;
  }
  if (questions.addresses(six).ips.empty() && questions.addresses(four).ips.empty()) {
    attempt.met.add(lookup_error(questions.addresses(six), questions.addresses(four), target.host));
  }
  co_return std::nullopt;
}

asio::awaitable<std::optional<Dialled>> DnsDialer::try_addresses(std::vector<std::pair<dns::Ip, bool>> ips,
                                                                 const dns::Target& target, bool trusted,
                                                                 Attempt& attempt) {
  std::vector<dns::SocketAddress> endpoints;
  const auto machine = ips.empty() ? std::vector<dns::Ip>() : machine_addresses();
  for (const auto& [ip, written_as_v6] : ips) {
    const dns::SocketAddress endpoint{ip, target.port};
    if (std::ranges::find(attempt.avoid, endpoint) != attempt.avoid.end()) continue;
    if (auto ok = address_rules_.check(endpoint, written_as_v6, trusted, machine); !ok) {
      attempt.met.add(std::move(ok).error());
    } else {
      endpoints.push_back(endpoint);
    }
  }
  if (endpoints.empty()) co_return std::nullopt;
  auto won = co_await race(std::move(endpoints), setup_.bind, attempt.deadline);
  if (!won) {
    attempt.met.add(std::move(won).error());
    co_return std::nullopt;
  }
  co_return Dialled{std::move(won->socket), won->peer, target.direct_tls, target.text()};
}

}  // namespace sallyport::net
