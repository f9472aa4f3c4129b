// STARTTLS (RFC 6120 5): the offer, the request and the answer. The owner does the handshake.
#pragma once

#include <string>
#include <string_view>

#include "s2s/stream_policy.h"
#include "xmpp/xml.h"

namespace sallyport::s2s {

// Inside `<stream:features/>`; empty for TlsRule::kNone.
std::string starttls_feature_xml(TlsRule rule);

struct StarttlsOffer {
  bool offered = false;
  bool required = false;
};
StarttlsOffer starttls_offer(const xmpp::Element& features);

// `<starttls/>`, `<proceed/>`, `<failure/>` with nothing in them (RFC 6120 5.4.2).
std::string starttls_xml(std::string_view name);
bool is_starttls(const xmpp::Element& element, std::string_view name);

}  // namespace sallyport::s2s
