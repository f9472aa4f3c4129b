// What a stream asks of policy while it negotiates. Implemented by the gate over an
// immutable snapshot; pure; consulted for each pair when it is proved, against the stream as it then is.
#pragma once

#include "base/result.h"
#include "s2s/identity.h"

namespace sallyport::s2s {

enum class Authenticate : std::uint8_t { kCertificate, kDialback };
enum class TlsRule : std::uint8_t { kRequired, kOptional, kNone };

// What differs per peer (policy.toml [federation] and [[peer]]).
struct PeerRules {
  Authenticate authenticate = Authenticate::kCertificate;
  TlsRule tls = TlsRule::kRequired;
  // The peer's address alone proves it (core's inside face: a server dialled at its configured address).
  bool address_proves = false;
  // Prove ourselves by EXTERNAL when the peer offers it; else, and always when false, by dialback.
  bool use_external = true;
};

class Judge {
 public:
  virtual ~Judge() = default;
  // Whether streams to this domain are accepted here. Errors: kStreamHostUnknown and its reasons.
  virtual Result<void> serves(const xmpp::Domain& local) const = 0;
  // Whether the peer may start towards us for this pair. Errors: kPolicy*.
  virtual Result<void> admits(const Pair& pair) const = 0;
  virtual PeerRules rules(const Pair& pair) const = 0;
  // The least strict TLS rule that a stream whose header says `from`, `to` might live under: whether
  // STARTTLS is advertised as required. Proving each pair applies the pair's own rule again.
  virtual TlsRule tls_floor(const xmpp::Domain& local, const std::optional<xmpp::Domain>& remote) const = 0;
};

}  // namespace sallyport::s2s
