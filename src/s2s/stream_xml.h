// The text that every stream writes and reads: headers, stream errors, conditions (RFC 6120 4.7-4.9).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "xmpp/jid.h"
#include "xmpp/xml.h"

namespace sallyport::s2s {

// RFC 6120 4.7. Declares the prefixes `stream` and `db` (XEP-0220 2.3.1). `to`, `id` and `lang` are left out
// when empty; `from` is written even so (RFC 6120 4.9.1.2: empty where no name of ours is known).
struct HeaderFields {
  std::string from;
  std::string to;
  std::string id;
  std::string lang;
};
std::string stream_header_xml(const HeaderFields& fields);
// RFC 6120 4.9.1: the condition of the code's row and its sentence. `error.text` stays here: it may hold
// what the peer must not learn.
std::string stream_error_xml(const Error& error);
// A ping (XEP-0199) from the pair's local domain to its remote one.
std::string ping_xml(const xmpp::Pair& pair, std::string_view id);
// RFC 6120 4.7.5: at least 1.0, compared as numbers.
bool is_version_supported(std::string_view version);
// Text of a peer, cut at limits::kShownBytesMax on a character boundary, otherwise raw.
std::string bounded(std::string_view text);
// The condition and text of an element with children in the namespace `space`: "host-unknown: we left".
std::string peer_condition(const xmpp::Element& element, std::string_view space);

}  // namespace sallyport::s2s
