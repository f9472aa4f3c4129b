// The policy that a stream consults while it negotiates. Implemented by the gate over an immutable snapshot;
// pure; consulted for each pair when it is proved, against the stream as it then is.
#pragma once

#include "base/result.h"
#include "policy/peer_rules.h"
#include "s2s/identity.h"

namespace sallyport::s2s {

using policy::Authenticate;
using policy::PeerRules;
using policy::TlsRule;

// Whether a refusal of a pair has a temporary reason, such as that nobody could be asked.
inline bool is_temporary(Code code) {
  return code != Code::kStreamHostUnknown && !code_row(code).name.starts_with("policy.");
}

class StreamPolicy {
 public:
  virtual ~StreamPolicy() = default;
  // Whether streams to this domain are accepted here. Errors: kStreamHostUnknown and its reasons.
  virtual Result<void> serves(const xmpp::Domain& local) const = 0;
  // Whether the peer may start towards us for this pair. Errors: kPolicy*.
  virtual Result<void> admits(const Pair& pair) const = 0;
  // Whether `admits` cannot tell: it knows no reason against the pair, but does not know every name. Another
  // node has to be asked before the pair is offered or granted anything (AskAdmission); pairs that are proved
  // keep what they have until the answer.
  virtual bool must_ask(const Pair&) const { return false; }
  // The way in which the peer of this pair must prove itself, and whether with TLS.
  virtual PeerRules rules(const Pair& pair) const = 0;
  // The least strict TLS rule that a stream whose header says `from`, `to` might live under: whether
  // STARTTLS is advertised as required. Proving each pair applies the pair's own rule again.
  virtual TlsRule minimum_tls(const xmpp::Domain& local, const std::optional<xmpp::Domain>& remote) const = 0;
};

}  // namespace sallyport::s2s
