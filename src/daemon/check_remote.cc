// check dns, check tls, check domain: remote servers, as an edge sees them.
//
// A running edge carries out the check, because only its process has the public certificates
// (docs/security.md). Where no edge can be asked, this process opens the stream without a certificate.
#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <chrono>

#include "base/limits.h"
#include "daemon/check.h"
#include "daemon/check_steps.h"
#include "daemon/control_client.h"
#include "daemon/file.h"
#include "daemon/load.h"
#include "daemon/process.h"
#include "daemon/report.h"
#include "daemon/run.h"
#include "daemon/table.h"
#include "net/dial.h"
#include "net/dial_explain.h"
#include "net/resolver.h"

namespace sallyport::daemon {
namespace {

namespace json = boost::json;

std::optional<xmpp::Domain> domain_of(const std::string& name) {
  if (const Result<xmpp::Domain> domain = xmpp::Domain::parse(name)) return *domain;
  complain(fmt::format("`{}` is not a valid domain name", name));
  return std::nullopt;
}

// Takes the resolver and the dialling rules from the edge.toml of -c, if there is one.
std::optional<Exit> use_edge_file(const Invocation& invocation, CheckMeans& means) {
  if (!invocation.has("--config")) return std::nullopt;
  const std::string file = invocation.value("--config");
  if (const Result<std::string> text = read_file(file); text && file_role_of(*text) == FileRole::kCore) {
    failed({Code::kConfigRole,
            fmt::format("{} is the configuration of a core, which does not dial the internet.", file)},
           "Run the check where the edge runs, with -c and its edge.toml.");
    return Exit::kConfiguration;
  }
  const auto edge = load_edge_config(file);
  if (!report(edge.errors, {}, edge.value.has_value())) return Exit::kConfiguration;
  means.resolving = resolver_setup(*edge.value);
  means.dialling = dial_setup(*edge.value);
  return std::nullopt;
}

boost::asio::awaitable<void> explain_into(json::object& answer, net::DnsDialer& dialer, xmpp::Domain domain) {
  answer = net::to_json(co_await net::explain_dns(dialer, std::move(domain)));
}

// Finds the socket to ask: of several in the default folder, the edge's default one.
std::optional<AskFailed> find_edge(const Invocation& invocation, std::string& path) {
  auto lost = find_control(invocation, kRunDirectory, path);
  const std::string usual = std::string(kRunDirectory) + "/edge.sock";
  if (!lost || lost->exit != Exit::kUsage || !file_exists(usual)) return lost;
  path = usual;
  return std::nullopt;
}

// The edge's answer; nothing, and the reason in `why`, where there is none. An error about the order itself
// (`policy.not-local`) is an answer.
std::optional<json::object> ask_edge(const Invocation& invocation, const CheckOrder& order, Error& why) {
  std::string path;
  if (const auto lost = find_edge(invocation, path)) {
    why = {lost->code.value_or(Code::kControlAbsent), lost->text};
    return std::nullopt;
  }
  const json::object question = question_of(order);
  Result<json::object> answer = ask(path, question);
  if (!answer) {
    why = answer.error();
    return std::nullopt;
  }
  const json::object& refused = object_at(*answer, "error");
  if (refused.empty() || field(refused, "code") != code_row(Code::kControlRefused).name)
    return std::move(*answer);
  why = {Code::kControlRefused, field(refused, "text")};
  return std::nullopt;
}

Exit show_answer(const Invocation& invocation, const json::object& answer) {
  const bool refused = answer.contains("error");
  if (invocation.has("--json")) {
    print(json::serialize(answer) + "\n");
  } else if (refused) {
    complain(show_error(object_at(answer, "error")));
  } else {
    print(show_check(answer));
  }
  return !refused && field(answer, "result") == "ok" ? Exit::kGood : Exit::kFailed;
}

// Reads the options of both checks; then asks the edge, or runs the check in this process.
Exit check(const Invocation& invocation, CheckOrder order) {
  if (invocation.has("--as")) {
    order.own = domain_of(invocation.value("--as"));
    if (!order.own) return Exit::kUsage;
  }
  CheckMeans means;
  if (const auto ended = use_edge_file(invocation, means)) return *ended;
  if (invocation.has("--ca")) {
    Result<std::string> pem = read_file(invocation.value("--ca"));
    if (!pem) return failed(pem.error());
    if (const auto trusted = net::TrustStore::parse(*pem); !trusted) return failed(trusted.error());
    order.authorities = std::move(*pem);
  }
  if (const auto answer = ask_edge(invocation, order, means.why_alone))
    return show_answer(invocation, *answer);
  const Result<json::object> answer = run_check(order, means, {});
  if (!answer) return failed(answer.error());
  return show_answer(invocation, *answer);
}

}  // namespace

Exit run_check_dns(const Invocation& invocation) {
  const auto name = domain_of(invocation.arguments.front());
  if (!name) return Exit::kUsage;
  CheckMeans means;
  if (const auto ended = use_edge_file(invocation, means)) return *ended;
  boost::asio::io_context io{1};
  SystemRandom random;
  auto resolver = net::Resolver::make(io.get_executor(), means.resolving);
  if (!resolver) return failed(resolver.error());
  net::DnsDialer dialer(std::move(*resolver), means.dialling, random);
  json::object answer;
  boost::asio::co_spawn(io, explain_into(answer, dialer, *name), boost::asio::detached);
  io.run();
  print(invocation.has("--json") ? json::serialize(answer) + "\n" : show_dns(answer));
  return answer.contains("error") ? Exit::kFailed : Exit::kGood;
}

Exit run_check_tls(const Invocation& invocation) {
  const auto address = route::HostPort::parse(invocation.arguments.front());
  if (!address) {
    complain(fmt::format("`{}` is neither HOST nor HOST:PORT", invocation.arguments.front()));
    return Exit::kUsage;
  }
  const auto name = domain_of(invocation.value("--name"));
  if (!name) return Exit::kUsage;
  return check(invocation, {*name, *address, invocation.has("--direct"), {}, {}});
}

Exit run_check_domain(const Invocation& invocation) {
  const auto name = domain_of(invocation.arguments.front());
  if (!name) return Exit::kUsage;
  return check(invocation, {*name, {}, false, {}, {}});
}

}  // namespace sallyport::daemon
