// The identity of a peer, and the only types that prove it.
//
// A stanza is moved only with a PeerProof. One can be made in two places: here, from a certificate, and in
// dialback.cc, from a verified key. No other code can construct one.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/peer_rules.h"
#include "s2s/tls_facts.h"
#include "xmpp/jid.h"

namespace sallyport::s2s {

using policy::PeerRules;

// On one stream, as this node sees it: `local` is the domain that this node speaks for there, `remote` the
// one that the peer speaks for. (On the internal side of a core the chat server is the peer: the gate turns
// the pair round.)
using xmpp::Pair;

enum class Method : std::uint8_t {
  kExternal,             // SASL EXTERNAL, or as server of an outgoing stream: its certificate
  kDialback,             // DNS alone: the authoritative server confirmed the key
  kDialbackCertificate,  // dialback, and a certificate valid for the domain (XEP-0344)
  kAddress,              // a chat server, reached at its configured address (internal side of a core only)
};
std::string_view method_name(Method method);  // "external", "dialback", "dialback+certificate", "address"

// Proof that the peer of one stream may speak for `pair().remote` towards `pair().local`. A value; one goes
// with every stanza, so copies share their facts, which never change.
class PeerProof {
 public:
  const Pair& pair() const { return facts_->pair; }
  Method method() const { return facts_->method; }

 private:
  struct Facts {
    Pair pair;
    Method method;
  };
  PeerProof(Pair pair, Method method)
      : facts_(std::make_shared<const Facts>(Facts{std::move(pair), method})) {}
  friend class CertificateIdentity;
  friend class DialbackIdentity;
  std::shared_ptr<const Facts> facts_;
};

// Whether a trusted chain names the domain: DNS-ID, SRV-ID `_xmpp-server`, or XmppAddr
// (RFC 6120 13.7.1.2, RFC 9525 6.3: one `*` as the whole left-most label, matching exactly one
// label; comparison in A-label form). Names that are not domains are ignored. Errors: the chain's;
// kTlsNameMismatch with the names found; kTlsUntrusted for more than limits::kCertificateNamesMax of them.
Result<void> certificate_names_domain(const TlsFacts& facts, const xmpp::Domain& domain);

class CertificateIdentity {
 public:
  // `method` is kExternal or kDialbackCertificate. Errors as certificate_names_domain.
  static Result<PeerProof> prove(const Pair& pair, const TlsFacts& facts, Method method);

  // For the internal side of a core: a server dialled at the address that the administrator configured for
  // its domain. Errors: kTlsNoCertificate where the rules do not say `address_proves`.
  static Result<PeerProof> trust_address(const Pair& pair, const PeerRules& rules);
};

}  // namespace sallyport::s2s
