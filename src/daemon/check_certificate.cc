#include "daemon/check_certificate.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "base/limits.h"
#include "s2s/identity.h"

namespace sallyport::daemon {
namespace {

std::string date(UnixTime time) {
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(static_cast<std::time_t>(time.time_since_epoch().count())));
}

std::string names_of(const s2s::CertificateNames& names) {
  std::string out;
  for (const auto* list : {&names.dns, &names.srv, &names.xmpp_addr}) {
    for (const std::string& name : *list) out += (out.empty() ? "" : ", ") + name;
  }
  return out.empty() ? "no names" : out;
}

bool allows_server(const s2s::ExtendedUsage& usage) { return !usage.present || usage.server || usage.any; }
bool allows_client(const s2s::ExtendedUsage& usage) { return !usage.present || usage.client || usage.any; }

bool is_within(const s2s::TlsFacts& facts, UnixTime now) {
  return facts.not_before <= now && now <= facts.not_after;
}

constexpr std::string_view kDialbackRemedy =
    "Nothing to do while the policy accepts dialback from this domain; else its administrator must correct "
    "the certificate.";

// The steps about one peer's certificate, less severe where dialback is enough.
class PeerCertificate {
 public:
  PeerCertificate(const s2s::TlsFacts& facts, const std::optional<policy::PeerRules>& rules, UnixTime now,
                  CheckSteps& steps)
      : facts_(facts),
        now_(now),
        dialback_(rules && rules->authenticate == policy::Authenticate::kDialback),
        steps_(steps) {}

  void fail_or_warn(std::string_view what, const Error& error, std::string_view remedy = {}) {
    if (dialback_) return steps_.warn(what, error, kDialbackRemedy);
    steps_.fail(what, error, remedy);
  }

  // A chain that fails only for the dates or the use of the certificate is reported by their own steps.
  void check_chain() {
    if (facts_.chain) return steps_.pass(step::kChain, "leads to an authority that this gateway trusts");
    if (!is_within(facts_, now_) || !is_usable()) return;
    fail_or_warn(step::kChain, facts_.chain.error());
  }

  void check_dates() {
    const std::string dates = fmt::format("{} to {}", date(facts_.not_before), date(facts_.not_after));
    if (now_ < facts_.not_before) {
      fail_or_warn(step::kDates, {Code::kTlsUntrusted, fmt::format("It is not valid yet: {}.", dates)},
                   "Check the clock of this machine; else the peer's administrator must have the certificate "
                   "reissued.");
    } else if (now_ > facts_.not_after) {
      fail_or_warn(step::kDates, {Code::kTlsUntrusted, fmt::format("It has expired: {}.", dates)},
                   "The peer's administrator must renew the certificate.");
    } else if (facts_.not_after - now_ < limits::kCertificateExpiryWarning) {
      steps_.warn(step::kDates, fmt::format("{}: the certificate expires within 14 days", dates),
                  "Remind the peer's administrator to renew the certificate.");
    } else {
      steps_.pass(step::kDates, dates);
    }
  }

  void check_usage() {
    const std::string text = usage_text(facts_.usage);
    if (!is_usable()) {
      return fail_or_warn(
          step::kUsage,
          {Code::kTlsUntrusted, "Its extended key usage allows neither serverAuth nor clientAuth."},
          "The peer's administrator must use a certificate that is issued for TLS servers.");
    }
    if (!allows_server(facts_.usage)) {
      return steps_.warn(step::kUsage, text + ": servers that connect to it may reject it",
                         "The peer's administrator should use a certificate that allows serverAuth.");
    }
    if (!allows_client(facts_.usage)) {
      return steps_.pass(step::kUsage,
                         text + ", as public authorities issue today: accepted here in both directions");
    }
    steps_.pass(step::kUsage, text);
  }

 private:
  bool is_usable() const { return allows_server(facts_.usage) || allows_client(facts_.usage); }

  const s2s::TlsFacts& facts_;
  const UnixTime now_;
  const bool dialback_;
  CheckSteps& steps_;
};

}  // namespace

std::string usage_text(const s2s::ExtendedUsage& usage) {
  if (!usage.present) return "none: every use is allowed";
  if (usage.any) return "anyExtendedKeyUsage";
  if (usage.server && usage.client) return "serverAuth, clientAuth";
  if (usage.server) return "serverAuth only";
  if (usage.client) return "clientAuth only";
  return "neither serverAuth nor clientAuth";
}

bool check_peer_certificate(const s2s::TlsFacts& facts, const xmpp::Domain& name,
                            const std::optional<policy::PeerRules>& rules, UnixTime now, CheckSteps& steps) {
  PeerCertificate peer(facts, rules, now, steps);
  if (!facts.peer_certificate) {
    peer.fail_or_warn(step::kCertificate, {Code::kTlsNoCertificate, {}});
    return false;
  }
  steps.pass(step::kCertificate, fmt::format("{}; {}", names_of(facts.names), facts.key_pin));
  peer.check_chain();
  peer.check_dates();
  peer.check_usage();
  const Result<void> proved = s2s::certificate_names_domain(facts, name);
  if (proved) {
    steps.pass(step::kProvesDomain, name.ascii());
  } else {
    peer.fail_or_warn(step::kProvesDomain, proved.error());
  }
  return proved.has_value();
}

void check_own_certificate(const OfferedCertificate& offered, const s2s::TlsFacts& facts, UnixTime now,
                           CheckSteps& steps) {
  std::string text = fmt::format("{}, EKU {}", offered.own.ascii(), usage_text(offered.usage));
  if (now > offered.not_after) {
    return steps.warn(step::kOurCertificate,
                      fmt::format("{}: it expired on {}", text, date(offered.not_after)),
                      "Put a renewed certificate into the core's certificates directory.");
  }
  if (facts.own_certificate.empty()) {
    return steps.pass(step::kOurCertificate,
                      text + ": the peer did not ask for it, so only dialback can prove our domain");
  }
  if (!allows_client(offered.usage)) {
    text +=
        ": a peer that requires clientAuth rejects it for EXTERNAL, and dialback follows (public authorities "
        "issue serverAuth only; RFC 6120 requires neither)";
  }
  steps.pass(step::kOurCertificate, std::move(text));
}

}  // namespace sallyport::daemon
