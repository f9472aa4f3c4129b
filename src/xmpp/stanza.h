// Stanzas: what a gateway needs to know of one (RFC 6120 8), its canonical bytes,
// and the error that answers it.
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

// RFC 6120 8.2.3; RFC 6121 4.7.1, 5.2.2. Of a message every type is known: what is not understood is
// "normal".
bool is_type_known(StanzaKind kind, std::string_view type);
// Whether a stanza may say that of itself (RFC 6120 8.1.3, 8.2.3); empty: it does not. Errors:
// kStanzaTypeInvalid, kStanzaIdInvalid.
Result<void> check_type_and_id(StanzaKind kind, std::string_view type, std::string_view id);

// Where the parts of a text stand in it.
struct Span {
  std::uint32_t at = 0;
  std::uint32_t size = 0;
};

// A stanza in its one canonical, stream-independent form. Made only by
// xml_stream's parser (which judges every byte), by the link, and by the functions below.
//
// `xml` is the stanza as it stands in a stream whose default namespace is
// jabber:server and that declares nothing else: no prefix is used but `xml:` and
// prefixes declared where they are used; xml:lang is written out when it was
// inherited from the stream header; from and to are canonical addresses; attribute
// values stand in single quotes; empty elements are closed at once. The whole
// definition: docs/canonical-form.md.
//
// All of it lies in one block, so that a stanza moves through the doors for the price of a pointer. Views
// live as long as the stanza, wherever it moves. Of one that was moved away nothing may be asked.
class Stanza {
 public:
  Stanza(Stanza&&) noexcept = default;
  Stanza& operator=(Stanza&&) noexcept = default;
  Stanza(const Stanza& other);
  Stanza& operator=(const Stanza& other) { return *this = Stanza(other); }

  // By value: for what is not on the way of every stanza. `id`, `type` and `lang` as below.
  Stanza(StanzaKind kind, const Jid& from, const Jid& to, std::string_view id, std::string_view type,
         std::string_view lang, std::string_view xml);

  // What the link carries of a stanza, put together again.
  struct Parts {
    StanzaKind kind;
    std::string_view from;
    std::string_view to;
    std::string_view id;
    std::string_view type;
    std::string_view lang;
    std::string_view xml;
  };
  // Errors: kJidInvalid, where `from` and `to` are no addresses in these domains. `plain`: both are
  // (Domain::is_plain).
  static Result<Stanza> assemble(const Parts& parts, const Domain& from, const Domain& to, bool plain);

  StanzaKind kind() const { return head_->kind; }
  std::string_view xml() const { return view({0, head_->xml_size}); }
  std::string_view id() const { return view(head_->id); }  // empty when absent
  // Empty when absent: a message is "normal" then, a presence available.
  std::string_view type() const { return view(head_->type); }
  std::string_view lang() const { return view(head_->lang); }  // effective xml:lang, empty when none

  // The addresses, as canonical text (Jid::text) and their domainparts as identities (Domain::ascii).
  std::string_view from_text() const { return view(head_->from.text); }
  std::string_view to_text() const { return view(head_->to.text); }
  std::string_view from_domain() const { return view(head_->from.domain); }
  std::string_view to_domain() const { return view(head_->to.domain); }
  // Whether it goes from the one domain to the other.
  bool is_between(const Domain& from, const Domain& to) const {
    return from_domain() == from.ascii() && to_domain() == to.ascii();
  }
  // The same as values.
  Jid from() const { return Jid::of_canonical(from_text(), from_domain()); }
  Jid to() const { return Jid::of_canonical(to_text(), to_domain()); }
  bool to_has_resource() const { return to_text().find('/') != std::string_view::npos; }

  bool is_error() const { return type() == "error"; }
  // An IQ that wants an answer (RFC 6120 8.2.3).
  bool is_request() const { return kind() == StanzaKind::kIq && (type() == "get" || type() == "set"); }

 private:
  friend class PlainReader;

  struct Address {
    Span text;
    Span domain;  // as A-labels; within the text, unless that has U-labels
  };
  // What a stanza says of itself; its text stands behind it, in the same block.
  struct Head {
    std::uint32_t room;      // for text
    std::uint32_t size = 0;  // of the text: `xml`, then what stands in it otherwise than meant, or not at all
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
  // Precondition: there is room.
  Span append(std::string_view text);
  // `domain` is a part of `text`.
  Address append(std::string_view text, std::string_view domain);
  // What was appended so far is the XML.
  void end_xml() { head_->xml_size = head_->size; }

  std::unique_ptr<Head, Free> head_;
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
