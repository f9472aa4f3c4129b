#include "daemon/check.h"

#include <fmt/format.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <chrono>

#include "base/limits.h"
#include "base/log.h"
#include "daemon/check_policy.h"
#include "daemon/check_steps.h"
#include "daemon/node_process.h"
#include "daemon/probe.h"
#include "net/dial_explain.h"
#include "net/driver.h"

namespace sallyport::daemon {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;

// A check reports in its answer, not in the log.
class NoLog : public LogSink {
 public:
  void log(LogEvent) override {}
};

std::string text_at(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string{};
}

// "SRV xmpp.example.net:5269 at 198.51.100.7:5269; ...": where a dial would go.
std::string plan_text(const net::DnsExplained& explained) {
  constexpr std::size_t kTargetsShown = 4;
  std::string out;
  std::size_t shown_count = 0;
  for (const net::TargetExplained& target : explained.plan) {
    std::string addresses;
    for (const net::AddressExplained& address : target.addresses) {
      if (!address.refused) addresses += (addresses.empty() ? "" : ", ") + address.endpoint.text();
    }
    if (addresses.empty()) continue;
    if (++shown_count > kTargetsShown) continue;
    out += fmt::format("{}{} at {}", out.empty() ? "" : "; ", target.target.text(), addresses);
  }
  if (shown_count > kTargetsShown) out += fmt::format("; and {} more", shown_count - kTargetsShown);
  if (!explained.skipped.empty()) out += fmt::format("; {} not tried", explained.skipped.size());
  return out;
}

// The loop, resolver, dialler and TLS of one check.
class CheckRun {
 public:
  CheckRun(const CheckMeans& means, std::stop_token stop)
      : means_(means), stop_(std::move(stop)), deadline_(NodeProcess::now().mono + limits::kCheckTimeout) {}

  Result<void> prepare(const CheckOrder& order) {
    if (!order.authorities.empty()) {
      if (Result<void> trusted = s2s_tls_.trust(order.authorities); !trusted) return trusted;
    } else if (means_.trust) {
      s2s_tls_.trust(*means_.trust);
    } else {
      s2s_tls_.trust_system();
    }
    pushed_.use(means_.certificates);
    auto resolver = net::Resolver::make(io_.get_executor(), means_.resolving);
    if (!resolver) return std::move(resolver).error();
    net::DialSetup dialling = means_.dialling;
    if (order.host) dialling.step_name = "given address";
    dialer_.emplace(std::move(*resolver), std::move(dialling), random_);
    dialer_->set_own_listeners(means_.own_listeners);
    return {};
  }

  // Adds the step `DNS`. Returns the error of a dial by DNS alone.
  std::optional<Error> look_up(const xmpp::Domain& name, bool has_route, CheckSteps& steps) {
    asio::co_spawn(io_, look(*dialer_, name, found_),
                   asio::bind_cancellation_slot(cancel_.slot(), [](std::exception_ptr) {}));
    run_until([this] { return found_.has_value(); });
    if (!found_) {
      cancel_.emit(asio::cancellation_type::terminal);
      io_.run_for(limits::kStopTimeout);
    }
    io_.restart();
    std::optional<Error> error =
        found_ ? found_->error
               : std::optional<Error>({Code::kDnsFailure, "The resolver did not answer in time."});
    if (!error) {
      steps.pass(step::kDns, (has_route ? "used after the static route: " : "") + plan_text(*found_));
    } else if (has_route) {
      steps.warn(step::kDns, *error);
    } else {
      steps.fail(step::kDns, *error);
    }
    return error;
  }

  Result<void> probe(ProbeTarget target, CheckSteps& steps) {
    const auto identity = net::make_identity("check", NodeProcess::now().civil);
    if (!identity) return identity.error();
    auto link_tls = net::LinkTls::make(identity->certificate, identity->key);
    if (!link_tls) return std::move(link_tls).error();
    Probe probe(std::move(target), steps, deadline_);
    net::Driver driver({io_, probe, *dialer_, s2s_tls_, **link_tls, nullptr, worker_, log_}, {});
    if (Result<void> started = driver.start(); !started) return started;
    // The driver told the dialler that there are none.
    dialer_->set_own_listeners(means_.own_listeners);
    run_until([&probe] { return probe.is_done(); });
    const bool done = probe.is_done();
    // Lets the end of the stream be written and answered.
    const Time patience =
        NodeProcess::now().mono + std::chrono::duration_cast<Duration>(limits::kStopTimeout);
    while (driver.connections() > 0 && !io_.stopped() && NodeProcess::now().mono < patience)
      io_.run_one_for(limits::kCheckStopLook);
    driver.stop();
    io_.restart();
    io_.run_for(limits::kStopTimeout);
    return done ? Result<void>{} : Error{Code::kInternal, "The check was stopped before its deadline."};
  }

 private:
  static asio::awaitable<void> look(net::DnsDialer& dialer, xmpp::Domain name,
                                    std::optional<net::DnsExplained>& found) {
    found = co_await net::explain_dns(dialer, std::move(name));
  }

  // The probe ends by itself at the deadline; a lookup does not.
  template <typename IsDone>
  void run_until(IsDone is_done) {
    const Time give_up = deadline_ + std::chrono::duration_cast<Duration>(limits::kCheckStopLook);
    while (!is_done() && !stop_.stop_requested() && !io_.stopped() && NodeProcess::now().mono < give_up)
      io_.run_one_for(limits::kCheckStopLook);
  }

  const CheckMeans& means_;
  std::stop_token stop_;
  const Time deadline_;
  // A lookup that did not end in time refers to these two until the loop is destroyed.
  asio::cancellation_signal cancel_;
  std::optional<net::DnsExplained> found_;
  asio::io_context io_{1};
  SystemRandom random_;
  NoLog log_;
  net::PushedCertificates pushed_;
  net::Worker worker_;
  net::S2sTls s2s_tls_{pushed_};
  std::optional<net::DnsDialer> dialer_;
};

std::string routes_text(const gate::DialPlan& plan) {
  std::string out = "not used: a static route leads to";
  for (const gate::DialPlan::Step& step : plan.steps) out += " " + step.address.text();
  return out;
}

// Checks DNS, then the stream. Faults of the remote side are steps; errors concern this machine.
Result<void> check_remote(CheckRun& run, const CheckOrder& order, const CheckMeans& means,
                          CheckIdentity identity, CheckSteps& steps) {
  gate::DialPlan plan = plan_of(order, means);
  if (plan.dns) {
    if (const auto error = run.look_up(order.name, !plan.steps.empty(), steps); error && plan.steps.empty()) {
      steps.fail(step::kConnection, *error);
      return {};
    }
  } else if (!order.host) {
    steps.pass(step::kDns, routes_text(plan));
  }
  ProbeTarget target{
      std::move(plan), order.name, order.direct, std::move(identity.own), std::move(identity.offered), {}};
  if (means.policy) target.rules = means.policy->rules().peer(order.name);
  return run.probe(std::move(target), steps);
}

}  // namespace

json::object question_of(const CheckOrder& order) {
  json::object question{{"ask", order.host ? "check tls" : "check domain"}, {"domain", order.name.ascii()}};
  if (order.host) question["host"] = order.host->text();
  if (order.direct) question["direct"] = true;
  if (order.own) question["as"] = order.own->ascii();
  if (!order.authorities.empty()) question["authorities"] = order.authorities;
  return question;
}

Result<CheckOrder> order_of(const json::object& question) {
  const auto refused = [](std::string text) { return Error{Code::kControlRefused, std::move(text)}; };
  const Result<xmpp::Domain> name = xmpp::Domain::parse(text_at(question, "domain"));
  if (!name) return refused("`domain` is not a valid domain name.");
  CheckOrder order{*name};
  if (text_at(question, "ask") == "check tls") {
    const auto host = route::HostPort::parse(text_at(question, "host"));
    if (!host) return refused("`host` is neither HOST nor HOST:PORT.");
    order.host = *host;
    const json::value* direct = question.if_contains("direct");
    order.direct = direct != nullptr && direct->is_bool() && direct->get_bool();
  }
  if (const std::string own = text_at(question, "as"); !own.empty()) {
    const Result<xmpp::Domain> domain = xmpp::Domain::parse(own);
    if (!domain) return refused("`as` is not a valid domain name.");
    order.own = *domain;
  }
  order.authorities = text_at(question, "authorities");
  return order;
}

Result<json::object> run_check(const CheckOrder& order, const CheckMeans& means, std::stop_token stop) {
  const UnixTime now = NodeProcess::now().civil;
  CheckSteps steps;
  auto identity = choose_identity(order, means, now, steps);
  if (!identity) return std::move(identity).error();
  json::object answer{
      {"domain", order.name.ascii()}, {"local", nullptr}, {"by", means.policy ? "edge" : "command"}};
  if (identity->own) answer["local"] = identity->own->ascii();
  if (check_policy(means, identity->own, order.name, now, steps)) {
    CheckRun run(means, std::move(stop));
    if (Result<void> ready = run.prepare(order); !ready) return std::move(ready).error();
    if (Result<void> done = check_remote(run, order, means, std::move(*identity), steps); !done)
      return std::move(done).error();
  }
  answer["steps"] = steps.list();
  answer["result"] = steps.result();
  return answer;
}

}  // namespace sallyport::daemon
