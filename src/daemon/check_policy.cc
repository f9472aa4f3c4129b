#include "daemon/check_policy.h"

#include <fmt/format.h>

namespace sallyport::daemon {
namespace {

constexpr std::string_view kRunOnEdge =
    "Run the check where an edge runs, linked to its core, as a user who may open the edge's control socket.";

std::optional<OfferedCertificate> certificate_for(const CheckMeans& means, const xmpp::Domain& own,
                                                  UnixTime now) {
  if (!means.certificates) return std::nullopt;
  const auto credential = means.certificates->credential_for(own, now);
  if (!credential) return std::nullopt;
  return OfferedCertificate{own, net::extended_usage((*credential)->leaf()), (*credential)->not_after()};
}

// The peer's obligations, in the words of policy.toml.
std::string demands_of(const policy::PeerRules& rules) {
  std::string out = rules.authenticate == policy::Authenticate::kCertificate
                        ? "it must prove its domain by a certificate"
                        : "it may prove its domain by dialback";
  if (rules.tls != policy::TlsRule::kRequired) out += ", and TLS is optional";
  return out;
}

}  // namespace

Result<CheckIdentity> choose_identity(const CheckOrder& order, const CheckMeans& means, UnixTime now,
                                      CheckSteps& steps) {
  if (!means.policy) {
    steps.warn(step::kOurCertificate, means.why_alone, kRunOnEdge);
    return CheckIdentity{order.own, std::nullopt};
  }
  const policy::Rules& rules = means.policy->rules();
  if (order.own) {
    if (const Result<void> local = rules.is_local(*order.own); !local) return local.error();
    CheckIdentity identity{order.own, certificate_for(means, *order.own, now)};
    if (!identity.offered)
      steps.warn(step::kOurCertificate, Error{Code::kTlsNoLocalCertificate, order.own->ascii()});
    return identity;
  }
  std::optional<xmpp::Domain> first;
  for (const bool is_alias : {false, true}) {
    for (const policy::LocalName& local : rules.set().local) {
      if (local.is_alias != is_alias) continue;
      if (!first) first = local.name;
      if (auto offered = certificate_for(means, local.name, now))
        return CheckIdentity{local.name, std::move(offered)};
    }
  }
  steps.warn(step::kOurCertificate,
             Error{Code::kTlsNoLocalCertificate, "No local domain has a certificate on this edge."});
  return CheckIdentity{first, std::nullopt};
}

bool check_policy(const CheckMeans& means, const std::optional<xmpp::Domain>& own, const xmpp::Domain& remote,
                  UnixTime now, CheckSteps& steps) {
  if (!means.policy) {
    steps.warn(step::kPolicy, "not asked: no edge with a policy answers here",
               "Ask the core: `sallyport policy test LOCAL REMOTE`.");
    return true;
  }
  if (!own) {
    steps.fail(step::kPolicy, {Code::kPolicyNotLocal, "The policy serves no domain."});
    return false;
  }
  if (means.core_refuses) {
    steps.fail(step::kPolicy, *means.core_refuses);
    return false;
  }
  const policy::Rules& rules = means.policy->rules();
  const xmpp::Pair pair{*own, remote};
  const policy::Verdict out = rules.decide(pair, policy::Direction::kOut, now);
  const policy::Verdict in = rules.decide(pair, policy::Direction::kIn, now);
  const std::string demands = demands_of(rules.peer(remote));
  if (out.result && in.result) {
    steps.pass(step::kPolicy,
               fmt::format("{} and {}: {}; {}", own->ascii(), remote.ascii(), out.because, demands));
  } else if (out.result || in.result) {
    const policy::Verdict& verdict = out.result ? out : in;
    steps.pass(step::kPolicy,
               fmt::format("only {} may start with {}: {}; {}", out.result ? own->ascii() : remote.ascii(),
                           out.result ? remote.ascii() : own->ascii(), verdict.because, demands));
  } else {
    Error error = out.result.error();
    error.text = fmt::format("{} and {}: {}", own->ascii(), remote.ascii(), out.because);
    steps.fail(step::kPolicy, error);
    return error.code != Code::kPolicyDisabled && error.code != Code::kPolicyInsideName &&
           error.code != Code::kPolicyBelowLocal;
  }
  return true;
}

gate::DialPlan plan_of(const CheckOrder& order, const CheckMeans& means) {
  gate::DialPlan plan;
  if (order.host) {
    // Our own user names it: any address is allowed.
    plan.steps.push_back({*order.host, true});
    return plan;
  }
  if (means.policy) {
    for (const route::StaticRoute& row : means.policy->routes().of(order.name))
      plan.steps.push_back({row.address, row.address.is_ip});
    if (!plan.steps.empty() && !means.policy->routes().falls_back(order.name)) return plan;
  }
  plan.dns = order.name;
  return plan;
}

}  // namespace sallyport::daemon
