// check dns, check tls, check domain: remote servers, seen from this machine as an edge would see them.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <chrono>

#include "daemon/door.h"
#include "daemon/file.h"
#include "daemon/load.h"
#include "daemon/probe.h"
#include "daemon/report.h"
#include "daemon/run.h"
#include "daemon/table.h"
#include "net/dial.h"
#include "net/dial_explain.h"
#include "net/driver.h"
#include "net/resolver.h"
#include "net/tls.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

// What an edge would have: its resolver, its dialler, its trust.
class Outlook {
 public:
  Outlook() : log_(2, LogFormat::kText, LogLevel::kError), s2s_tls_(pushed_) { s2s_tls_.trust_system(); }

  // From the edge.toml and the authorities that the command names, if any.
  std::optional<Exit> prepare(const Invocation& invocation) {
    net::ResolverSetup resolving;
    net::DialSetup dialling;
    if (invocation.has("--config")) {
      const auto edge = load_edge_config(invocation.value("--config"));
      if (!report(edge.errors, {}, edge.value.has_value())) return Exit::kConfiguration;
      resolving = {edge.value->resolver_servers, edge.value->trust_anchor, edge.value->resolver_insecure};
      dialling = dial_setup(*edge.value);
    }
    if (invocation.has("--ca")) {
      const Result<std::string> pem = read_file(invocation.value("--ca"));
      if (!pem) return failed(pem.error());
      if (Result<void> trusted = s2s_tls_.trust(*pem); !trusted) return failed(trusted.error());
    }
    auto resolver = net::Resolver::make(io_.get_executor(), resolving);
    if (!resolver) return failed(resolver.error());
    resolver_ = std::move(*resolver);
    dialer_.emplace(resolver_, dialling, random_);
    return std::nullopt;
  }

  // Opens one stream and adds what it met to `steps`; false when something was not good.
  bool probe(ProbeTarget target, json::array& steps) {
    const auto identity = net::make_identity("check", Door::now().civil);
    if (!identity) return false;
    auto link_tls = net::LinkTls::make(identity->certificate, identity->key);
    if (!link_tls) return false;
    Probe probe(std::move(target), Door::now());
    net::Driver driver({io_, probe, *dialer_, s2s_tls_, **link_tls, nullptr, aside_, log_}, {});
    if (!driver.start()) return false;
    while (!probe.is_done() && io_.run_one() > 0) {
    }
    steps.insert(steps.end(), probe.steps().begin(), probe.steps().end());
    driver.stop();
    io_.restart();
    io_.run_for(limits::kStopTimeout);
    return probe.is_good();
  }

  boost::asio::io_context& io() { return io_; }
  net::DnsDialer& dialer() { return *dialer_; }

 private:
  boost::asio::io_context io_{1};
  SystemRandom random_;
  LogWriter log_;
  net::PushedCertificates pushed_;
  net::Aside aside_;
  net::S2sTls s2s_tls_;
  std::shared_ptr<net::Resolver> resolver_;
  std::optional<net::DnsDialer> dialer_;
};

boost::asio::awaitable<void> explain_into(json::object& answer, net::DnsDialer& dialer, xmpp::Domain domain) {
  answer = net::to_json(co_await net::explain_dns(dialer, std::move(domain)));
}

std::optional<xmpp::Domain> domain_of(const std::string& name) {
  const Result<xmpp::Domain> domain = xmpp::Domain::parse(name);
  if (domain) return *domain;
  complain(fmt::format("{}: {} {}", name, code_row(domain.error().code).sentence, domain.error().text));
  return std::nullopt;
}

Exit show_steps(const Invocation& invocation, const json::array& steps, bool good) {
  const json::object answer{{"steps", steps}, {"result", good ? "ok" : "failed"}};
  print(invocation.has("--json") ? json::serialize(answer) + "\n" : show_explain(answer));
  return good ? Exit::kGood : Exit::kFailed;
}

}  // namespace

Exit run_check_dns(const Invocation& invocation) {
  const auto name = domain_of(invocation.arguments.front());
  if (!name) return Exit::kUsage;
  Outlook outlook;
  if (const auto ended = outlook.prepare(invocation)) return *ended;
  json::object answer;
  boost::asio::co_spawn(outlook.io(), explain_into(answer, outlook.dialer(), *name), boost::asio::detached);
  outlook.io().run();
  print(invocation.has("--json") ? json::serialize(answer) + "\n" : show_dns(answer));
  return answer.contains("error") ? Exit::kFailed : Exit::kGood;
}

Exit run_check_tls(const Invocation& invocation) {
  const auto address = gate::HostPort::parse(invocation.arguments.front());
  if (!address) {
    complain(fmt::format("`{}` is neither HOST nor HOST:PORT", invocation.arguments.front()));
    return Exit::kUsage;
  }
  const auto name = domain_of(invocation.value("--name"));
  if (!name) return Exit::kUsage;
  Outlook outlook;
  if (const auto ended = outlook.prepare(invocation)) return *ended;
  // Named by whoever asks: it may be anywhere.
  ProbeTarget target{{{{*address, true}}, std::nullopt, {}}, *name, invocation.has("--direct")};
  json::array steps;
  const bool good = outlook.probe(std::move(target), steps);
  return show_steps(invocation, steps, good);
}

Exit run_check_domain(const Invocation& invocation) {
  const auto name = domain_of(invocation.arguments.front());
  if (!name) return Exit::kUsage;
  Outlook outlook;
  if (const auto ended = outlook.prepare(invocation)) return *ended;
  json::array steps;
  const bool good = outlook.probe({{{}, *name, {}}, *name, false}, steps);
  return show_steps(invocation, steps, good);
}

}  // namespace sallyport::daemon
