// SASL EXTERNAL between servers (RFC 6120 6, XEP-0178 3): the certificate of the TLS handshake is the
// credential; the elements here only name the domain that it shall stand for.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "xmpp/jid.h"
#include "xmpp/xml.h"

namespace sallyport::s2s {

// `<mechanisms/>` for `<stream:features/>`.
std::string external_feature_xml();
bool is_external_offered(const xmpp::Element& features);

// The reason why an attempt fails: the condition of RFC 6120 6.5 for the peer, the error for us.
struct SaslRefusal {
  std::string_view condition;
  Error error;
};
// Checks `<auth/>` on a stream whose header says `from`: unset where the peer may speak for that
// domain. Accepts the authorization identities "=" and none (derived from `from`), and `from` itself as a
// bare domain in any spelling (RFC 6120 6.3.8, XEP-0178 3 step 11).
std::optional<SaslRefusal> check_external(const xmpp::Element& auth, const xmpp::Domain& from);

// XEP-0178 3 step 10: the authorization identity is sent, for compatibility.
std::string external_auth_xml(const xmpp::Domain& own);
std::string sasl_success_xml();
std::string sasl_failure_xml(std::string_view condition);

}  // namespace sallyport::s2s
