// Stanzas as a gateway sees them (RFC 6120 8): addressing, canonical bytes, and the error that answers one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "xmpp/jid.h"

namespace sallyport::xmpp {

enum class StanzaKind : std::uint8_t { kMessage, kPresence, kIq };
std::string_view kind_name(StanzaKind kind);  // "message", "presence", "iq"

// RFC 6120 8.2.3; RFC 6121 4.7.1, 5.2.2. Every type of a message is known: an unrecognised one means
// "normal".
bool is_type_known(StanzaKind kind, std::string_view type);
// Checks the two attributes (RFC 6120 8.1.3, 8.2.3); an empty one is absent. Errors: kStanzaTypeInvalid,
// kStanzaIdInvalid.
Result<void> check_type_and_id(StanzaKind kind, std::string_view type, std::string_view id);

// A part of a text.
struct Span {
  std::uint32_t at = 0;
  std::uint32_t size = 0;
};

// A stanza in its one canonical, stream-independent form. Made only by xml_stream's parser (which validates
// every byte), by the link, and by the functions below.
//
// `xml` is the stanza as it is written into a stream whose default namespace is jabber:server and that
// declares nothing else: the only prefixes are `xml:` and those declared where they are used; an xml:lang
// inherited from the stream header is written out; from and to are canonical addresses; attribute values are
// in single quotes; empty elements use the short form. The full definition is docs/canonical-form.md.
//
// A stanza is one block of memory, so that moving it through the nodes costs a pointer. Views live as long as
// the stanza, wherever it moves. A moved-from stanza must not be used.
class Stanza {
 public:
  Stanza(Stanza&&) noexcept = default;
  Stanza& operator=(Stanza&&) noexcept = default;
  Stanza(const Stanza& other);
  Stanza& operator=(const Stanza& other) { return *this = Stanza(other); }

  // The general constructor, not for the fast path. `id`, `type` and `lang` as below.
  Stanza(StanzaKind kind, const Jid& from, const Jid& to, std::string_view id, std::string_view type,
         std::string_view lang, std::string_view xml);

  // A stanza as the link carries it, for `assemble`.
  struct Parts {
    StanzaKind kind;
    std::string_view from;
    std::string_view to;
    std::string_view id;
    std::string_view type;
    std::string_view lang;
    std::string_view xml;
  };
  // Errors: kJidInvalid, if `from` and `to` are not addresses in these domains. `plain`: both domains are
  // Domain::is_plain.
  static Result<Stanza> assemble(const Parts& parts, const Domain& from, const Domain& to, bool plain);

  StanzaKind kind() const { return head_->kind; }
  std::string_view xml() const { return view({0, head_->xml_size}); }
  std::string_view id() const { return view(head_->id); }  // empty if absent
  // Empty if absent: then a message is "normal", a presence available.
  std::string_view type() const { return view(head_->type); }
  std::string_view lang() const { return view(head_->lang); }  // effective xml:lang, empty if none

  // The addresses, as canonical text (Jid::text), and their domainparts as identities (Domain::ascii).
  std::string_view from_text() const { return view(head_->from.text); }
  std::string_view to_text() const { return view(head_->to.text); }
  std::string_view from_domain() const { return view(head_->from.domain); }
  std::string_view to_domain() const { return view(head_->to.domain); }
  // Returns whether the stanza goes from the one domain to the other.
  bool is_between(const Domain& from, const Domain& to) const {
    return from_domain() == from.ascii() && to_domain() == to.ascii();
  }
  // The same addresses as values.
  Jid from() const { return Jid::of_canonical(from_text(), from_domain()); }
  Jid to() const { return Jid::of_canonical(to_text(), to_domain()); }
  bool to_has_resource() const { return to_text().find('/') != std::string_view::npos; }

  bool is_error() const { return type() == "error"; }
  // Returns whether the stanza is an IQ that requires an answer (RFC 6120 8.2.3).
  bool is_request() const { return kind() == StanzaKind::kIq && (type() == "get" || type() == "set"); }

 private:
  friend class PlainReader;

  struct Address {
    Span text;
    Span domain;  // as A-labels; a part of the text, unless that has U-labels
  };
  // The parsed attributes; the text follows in the same block.
  struct Head {
    std::uint32_t room;      // for text
    std::uint32_t size = 0;  // of the text: `xml`, then values that `xml` escapes or lacks
    std::uint32_t xml_size = 0;
    StanzaKind kind;
    Address from;
    Address to;
    Span id;
    Span type;
    Span lang;

    char* text() { return reinterpret_cast<char*>(this + 1); }
    const char* text() const { return reinterpret_cast<const char*>(this + 1); }
  };
  struct Free {
    void operator()(Head* head) const { ::operator delete(head); }
  };
  Stanza(StanzaKind kind, std::size_t room);
  std::string_view view(Span span) const { return {head_->text() + span.at, span.size}; }
  // Precondition: the block has room for it.
  Span append(std::string_view text);
  // Precondition: `domain` is a part of `text`.
  Address append(std::string_view text, std::string_view domain);
  // Everything appended so far is the XML.
  void end_xml() { head_->xml_size = head_->size; }

  std::unique_ptr<Head, Free> head_;
};

// A stanza that is well-formed XML, from one domain to another, but cannot be delivered: the rest of its
// `from` or `to` is not an address (RFC 7622 3.3, 3.4), its `id` is too long or, in a request, absent (RFC
// 6120 8.1.3), or it is an IQ or presence of unknown `type`. (A message of unknown type counts as normal, RFC
// 6121 5.2.2, if the link can carry the type.) One user's bad name is not a reason to end a stream that many
// share; a `from` or `to` that is absent or has no domain is (RFC 6120 8.1.1.2, 8.1.2.2:
// kStanzaAddressMissing, kStanzaFromInvalid, kStanzaToInvalid).
struct BadStanza {
  Error error;
  StanzaKind kind;
  Domain from_domain;
  std::optional<Jid> from;  // nothing if it is not an address: then nobody can be answered
  Domain to_domain;
  std::string to;  // as received
  std::string id;  // empty if absent, or too long to be echoed
  std::string type;
};

// Returns whether RFC 6120 8.3.3 defines this stanza error condition, with an error type for it.
bool is_stanza_condition(std::string_view name);
std::string_view stanza_error_type(std::string_view condition);
// Returns whether RFC 6120 4.9.3 defines this stream error condition.
bool is_stream_condition(std::string_view name);

// Returns the one error that answers `stanza`, with a condition of RFC 6120 8.3.3 and a text that names the
// leg; nothing if no error may be sent: to an error (RFC 6120 8.3.1), to an IQ result, or to a presence whose
// sender does not wait for an answer (RFC 6121: only subscription requests, directed available presence to a
// room's occupant address, and probes are answered). Precondition: is_stanza_condition.
std::optional<Stanza> bounce(const Stanza& stanza, std::string_view condition, std::string_view text);

// The same for a stanza that cannot be delivered. A `to` that is not an address cannot be a `from`: then the
// answer comes from its domain. Returns nothing if `from` is not an address.
std::optional<Stanza> bounce(const BadStanza& stanza, std::string_view condition, std::string_view text);

}  // namespace sallyport::xmpp
