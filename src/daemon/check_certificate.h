// What a check says about certificates: the peer's, and the one that we offer to it. Pure.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "daemon/check_steps.h"
#include "s2s/judge.h"
#include "s2s/tls_facts.h"
#include "xmpp/jid.h"

namespace sallyport::daemon {

// "serverAuth, clientAuth", "serverAuth only", "none: every use is allowed".
std::string usage_text(const s2s::ExtendedUsage& usage);

// Adds the steps `certificate`, `chain`, `dates`, `EKU` and `proves the domain`. What would fail is a warning
// where `rules` let the peer prove itself by dialback. `rules`: absent where no policy is known; a
// certificate is required then, as it is by default. Returns whether the peer's certificate proves `name`.
bool judge_peer_certificate(const s2s::TlsFacts& facts, const xmpp::Domain& name,
                            const std::optional<policy::PeerRules>& rules, UnixTime now, CheckSteps& steps);

// The certificate that we offer for a local domain.
struct OfferedCertificate {
  xmpp::Domain own;
  s2s::ExtendedUsage usage;
  UnixTime not_after{};
};
// Adds the step `our certificate` after the handshake in which `offered` was at hand.
void judge_own_certificate(const OfferedCertificate& offered, const s2s::TlsFacts& facts, UnixTime now,
                           CheckSteps& steps);

}  // namespace sallyport::daemon
