// Answers to stanzas that could not be moved.
#pragma once

#include <optional>

#include "base/result.h"
#include "xmpp/xml_stream.h"

namespace sallyport::gate {

// The error that answers a stanza whose `to` or `type` cannot be read: it comes from the domain that the
// stream is for. Nothing where none may be sent (RFC 6120 8.3.1).
std::optional<xmpp::Stanza> answer_bad(const xmpp::Pair& pair, const xmpp::BadStanza& bad);

// Whether a stanza only answers (results, errors, answers to presence), so that it passes against the direction
// of a policy row (policy.toml `direction`: who may START).
bool is_answer(const xmpp::Stanza& stanza);

}  // namespace sallyport::gate
