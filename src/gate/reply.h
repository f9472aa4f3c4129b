// Answers to stanzas that could not be moved.
#pragma once

#include <optional>

#include "base/result.h"
#include "xmpp/xml_stream.h"

namespace sallyport::gate {

// On which side of this gateway the sender of a stanza is, who is told that it was refused.
enum class Sender : std::uint8_t { kInside, kWorld };

// The condition (RFC 6120 8.3.3) of the error that answers a stanza refused with `code`. Every code has one:
// what a door settles a stanza with is the other door's word, and may be what ended a stream or a link. To a
// sender in the world the servers behind this gateway are no servers that DNS could find or not.
std::string_view stanza_condition(Code code, Sender sender);

// The error that answers a stanza that cannot be moved. Nothing where none may be sent (RFC 6120 8.3.1).
std::optional<xmpp::Stanza> answer_bad(const xmpp::BadStanza& bad, Sender sender);

}  // namespace sallyport::gate
