// Answers to stanzas that could not be moved.
#pragma once

#include <optional>

#include "base/result.h"
#include "xmpp/xml_stream.h"

namespace sallyport::gate {

// The side of this gateway on which the sender of a refused stanza is.
enum class SenderSide : std::uint8_t { kInternal, kPublic };

// The condition (RFC 6120 8.3.3) of the error that answers a stanza refused with `code`. Every code has one:
// a node settles a stanza with a code of the other node, which may be the one that ended a stream or a link.
// A remote sender is not told of the servers behind this gateway: for it they are not found by DNS.
std::string_view stanza_condition(Code code, SenderSide sender);

// The error that answers a stanza that cannot be moved. Nothing where none may be sent (RFC 6120 8.3.1).
std::optional<xmpp::Stanza> answer_bad(const xmpp::BadStanza& bad, SenderSide sender);

}  // namespace sallyport::gate
