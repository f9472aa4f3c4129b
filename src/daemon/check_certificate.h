// The steps of a check about certificates: the peer's, and the one that we offer to it. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "daemon/check_steps.h"
#include "s2s/stream_policy.h"
#include "s2s/tls_facts.h"
#include "xmpp/jid.h"

namespace sallyport::daemon {

// "serverAuth, clientAuth", "serverAuth only", "none: every use is allowed".
std::string usage_text(const s2s::ExtendedUsage& usage);

// Adds the steps `certificate`, `chain`, `dates`, `EKU` and `proves the domain`. A failure becomes a warning
// where `rules` accept dialback from the peer. `rules`: absent where no policy is known; then a certificate
// is required, as by default. Returns whether the peer's certificate proves `name`.
bool check_peer_certificate(const s2s::TlsFacts& facts, const xmpp::Domain& name,
                            const std::optional<policy::PeerRules>& rules, UnixTime now, CheckSteps& steps);

// The certificate that we offer for a local domain.
struct OfferedCertificate {
  xmpp::Domain own;
  s2s::ExtendedUsage usage;
  UnixTime not_after{};
};
// Adds the step `our certificate` after a handshake in which `offered` could be shown.
void check_own_certificate(const OfferedCertificate& offered, const s2s::TlsFacts& facts, UnixTime now,
                           CheckSteps& steps);

}  // namespace sallyport::daemon
