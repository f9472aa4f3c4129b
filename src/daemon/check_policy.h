// The steps of a check about policy: the local domain that it is for, and whether the pair may communicate.
// Pure.
#pragma once

#include <optional>

#include "base/result.h"
#include "daemon/check.h"
#include "daemon/check_certificate.h"
#include "daemon/check_steps.h"
#include "policy/rules.h"

namespace sallyport::daemon {

// The local domain that a check is made for, and its certificate.
struct CheckIdentity {
  std::optional<xmpp::Domain> own{};
  std::optional<OfferedCertificate> offered{};
};
// `--as`, else the first local domain that has a certificate (domains before aliases), else the first one.
// Adds the step `our certificate` where there is none to offer. Errors: kPolicyNotLocal for --as.
Result<CheckIdentity> choose_identity(const CheckOrder& order, const CheckMeans& means, UnixTime now,
                                      CheckSteps& steps);

// Adds the step `policy`. False where the remote domain must not be dialled: it is one of our own names, or
// federation is disabled.
bool check_policy(const CheckMeans& means, const std::optional<xmpp::Domain>& own, const xmpp::Domain& remote,
                  UnixTime now, CheckSteps& steps);

// How the remote domain is reached, as for a stanza: the order's own server, else static routes, else DNS.
gate::DialPlan plan_of(const CheckOrder& order, const CheckMeans& means);

}  // namespace sallyport::daemon
