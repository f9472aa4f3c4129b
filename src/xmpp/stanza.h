// Stanzas: what a gateway needs to know of one (RFC 6120 8), its canonical bytes,
// and the error that answers it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "xmpp/jid.h"

namespace sallyport::xmpp {

enum class StanzaKind : std::uint8_t { kMessage, kPresence, kIq };
std::string_view kind_name(StanzaKind kind);  // "message", "presence", "iq"

// A stanza in its one canonical, stream-independent form. Made only by
// xml_stream's parser (which judges every byte) and by the functions below.
//
// `xml` is the stanza as it stands in a stream whose default namespace is
// jabber:server and that declares nothing else: no prefix is used but `xml:` and
// prefixes declared where they are used; xml:lang is written out when it was
// inherited from the stream header; from and to are canonical addresses; attribute
// values stand in single quotes; empty elements are closed at once. The whole
// definition: docs/canonical-form.md.
struct Stanza {
  StanzaKind kind = StanzaKind::kMessage;
  Jid from;
  Jid to;
  std::string id;    // empty when absent
  std::string type;  // empty when absent: message "normal", presence available
  std::string lang;  // effective xml:lang, empty when none
  std::string xml;

  bool is_error() const { return type == "error"; }
  // An IQ that wants an answer (RFC 6120 8.2.3).
  bool is_request() const { return kind == StanzaKind::kIq && (type == "get" || type == "set"); }
};

// A stanza that is well-formed XML, from one domain to another, but cannot be moved: the rest of its `from`
// or `to` is no address (RFC 7622 3.3, 3.4), its `id` is too long or, in a request, absent (RFC 6120 8.1.3),
// or it is an IQ or presence whose `type` is unknown. (A message of an unknown type is a normal one, RFC
// 6121 5.2.2, while the link can carry its name.) One user's bad name is no reason to end a stream that many
// share; a `from` or `to` that is missing or has no domain is (RFC 6120 8.1.1.2, 8.1.2.2:
// kStanzaAddressMissing, kStanzaFromInvalid, kStanzaToInvalid).
struct BadStanza {
  Error error;
  StanzaKind kind;
  Domain from_domain;
  std::optional<Jid> from;  // nothing when it is no address: then nobody can be answered
  Domain to_domain;
  std::string to;  // as received
  std::string id;  // empty when absent, or too long to be echoed
  std::string type;
};

// The stanza error conditions of RFC 6120 8.3.3, with the error type each goes with.
bool is_stanza_condition(std::string_view name);
std::string_view stanza_error_type(std::string_view condition);
// The stream error conditions of RFC 6120 4.9.3.
bool is_stream_condition(std::string_view name);

// The one error that answers `stanza`, with a condition of RFC 6120 8.3.3 and a text that
// names the leg, or nothing where no error may be sent: to an error (RFC 6120 8.3.1), to an IQ
// result, or to a presence that no one waits for an answer to (RFC 6121: only subscription
// requests, directed available presence to a room's occupant address, and probes are answered).
// Precondition: is_stanza_condition.
std::optional<Stanza> bounce(const Stanza& stanza, std::string_view condition, std::string_view text);

// The same for a stanza that cannot be moved. A `to` that is no address cannot stand in a `from`: then the
// answer comes from its domain. Nothing where `from` is no address.
std::optional<Stanza> bounce(const BadStanza& stanza, std::string_view condition, std::string_view text);

}  // namespace sallyport::xmpp
