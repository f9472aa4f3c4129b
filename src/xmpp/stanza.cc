#include "xmpp/stanza.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>

#include "base/limits.h"
#include "base/log.h"
#include "xmpp/precis.h"
#include "xmpp/xml.h"

namespace sallyport::xmpp {
namespace {

struct Condition {
  std::string_view name;
  std::string_view type;  // RFC 6120 8.3.2
};

// RFC 6120 8.3.3.
constexpr Condition kStanzaConditions[] = {
    {"bad-request", "modify"},
    {"conflict", "cancel"},
    {"feature-not-implemented", "cancel"},
    {"forbidden", "auth"},
    {"gone", "cancel"},
    {"internal-server-error", "cancel"},
    {"item-not-found", "cancel"},
    {"jid-malformed", "modify"},
    {"not-acceptable", "modify"},
    {"not-allowed", "cancel"},
    {"not-authorized", "auth"},
    {"policy-violation", "modify"},
    {"recipient-unavailable", "wait"},
    {"redirect", "modify"},
    {"registration-required", "auth"},
    {"remote-server-not-found", "cancel"},
    {"remote-server-timeout", "wait"},
    {"resource-constraint", "wait"},
    {"service-unavailable", "cancel"},
    {"subscription-required", "auth"},
    {"undefined-condition", "cancel"},
    {"unexpected-request", "wait"},
};

// RFC 6120 4.9.3.
constexpr std::string_view kStreamConditions[] = {
    "bad-format",
    "bad-namespace-prefix",
    "conflict",
    "connection-timeout",
    "host-gone",
    "host-unknown",
    "improper-addressing",
    "internal-server-error",
    "invalid-from",
    "invalid-namespace",
    "invalid-xml",
    "not-authorized",
    "not-well-formed",
    "policy-violation",
    "remote-connection-failed",
    "reset",
    "resource-constraint",
    "restricted-xml",
    "see-other-host",
    "system-shutdown",
    "undefined-condition",
    "unsupported-encoding",
    "unsupported-feature",
    "unsupported-stanza-type",
    "unsupported-version",
};

const Condition* find_condition(std::string_view name) {
  const auto* found = std::ranges::find(kStanzaConditions, name, &Condition::name);
  return found == std::end(kStanzaConditions) ? nullptr : found;
}

// Returns whether the sender waits for an answer, so that an error may be sent.
bool may_be_answered(StanzaKind kind, std::string_view type, bool to_occupant) {
  switch (kind) {
    case StanzaKind::kMessage:
      return type != "error";
    // RFC 6120 8.2.3: a request has exactly one answer, an answer has none.
    case StanzaKind::kIq:
      return type == "get" || type == "set";
    // RFC 6121 3.1.3, 4.3.2; XEP-0045 7.2: the user must learn that a join failed.
    case StanzaKind::kPresence:
      return type == "subscribe" || type == "probe" || (type.empty() && to_occupant);
  }
  return false;
}

// Returns whether XML can represent `text`: a peer's reason may hold other characters.
bool is_xml_text(std::string_view text) {
  const auto decoded = precis::decode(text);
  return decoded && std::ranges::none_of(*decoded, [](char32_t c) {
           return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0xFFFE || c == 0xFFFF;
         });
}

void append_attribute(std::string& out, std::string_view name, std::string_view value) {
  out.append(" ").append(name).append("='");
  append_escaped_attribute(out, value);
  out.push_back('\'');
}

// Makes the error in canonical form (RFC 6120 8.3.2).
Stanza make_error(StanzaKind kind, const Jid& from, const Jid& to, std::string_view id,
                  std::string_view condition, std::string_view text) {
  std::string xml = "<";
  xml.append(kind_name(kind));
  append_attribute(xml, "from", from.text());
  append_attribute(xml, "to", to.text());
  if (!id.empty()) append_attribute(xml, "id", id);
  append_attribute(xml, "type", "error");
  xml.append("><error type='").append(stanza_error_type(condition)).append("'><").append(condition);
  xml.append(" xmlns='").append(ns::kStanzaErrors).append("'/>");
  if (!text.empty()) {
    xml.append("<text xmlns='").append(ns::kStanzaErrors).append("' xml:lang='en'>");
    append_escaped_text(xml, is_xml_text(text) ? std::string(text) : shown(text));
    xml.append("</text>");
  }
  xml.append("</error></").append(kind_name(kind)).append(">");
  return {kind, from, to, id, "error", {}, xml};
}

}  // namespace

Stanza::Stanza(StanzaKind kind, std::size_t room)
    : head_(new (::operator new(sizeof(Head) + room)) Head{.room = static_cast<std::uint32_t>(room),
                                                           .kind = kind,
                                                           .from = {},
                                                           .to = {},
                                                           .id = {},
                                                           .type = {},
                                                           .lang = {}}) {}

Stanza::Stanza(const Stanza& other) : Stanza(other.kind(), other.head_->size) {
  const std::uint32_t room = head_->room;
  *head_ = *other.head_;
  head_->room = room;
  std::memcpy(head_->text(), other.head_->text(), head_->size);
}

Span Stanza::append(std::string_view text) {
  const Span span{head_->size, static_cast<std::uint32_t>(text.size())};
  assert(text.size() <= head_->room - head_->size);
  text.copy(head_->text() + span.at, text.size());
  head_->size += span.size;
  return span;
}

Stanza::Address Stanza::append(std::string_view text, std::string_view domain) {
  const Span whole = append(text);
  const auto begin = static_cast<std::uint32_t>(domain.data() - text.data());
  return {whole, {whole.at + begin, static_cast<std::uint32_t>(domain.size())}};
}

Stanza::Stanza(StanzaKind kind, const Jid& from, const Jid& to, std::string_view id, std::string_view type,
               std::string_view lang, std::string_view xml) {
  const std::string from_text = from.text();
  const std::string to_text = to.text();
  *this = Stanza(kind, xml.size() + from_text.size() + from.domain().ascii().size() + to_text.size() +
                           to.domain().ascii().size() + id.size() + type.size() + lang.size());
  append(xml);
  end_xml();
  head_->from = {append(from_text), append(from.domain().ascii())};
  head_->to = {append(to_text), append(to.domain().ascii())};
  head_->id = append(id);
  head_->type = append(type);
  head_->lang = append(lang);
}

Result<Stanza> Stanza::assemble(const Parts& parts, const Domain& from, const Domain& to, bool plain) {
  const auto from_domain = Jid::plain_domain_of(parts.from, plain ? std::string_view(from.ascii()) : "");
  const auto to_domain = Jid::plain_domain_of(parts.to, plain ? std::string_view(to.ascii()) : "");
  const auto made = [&]() -> Result<Stanza> {
    if (from_domain && to_domain) {
      Stanza stanza(parts.kind, parts.xml.size() + parts.from.size() + parts.to.size() + parts.id.size() +
                                    parts.type.size() + parts.lang.size());
      stanza.append(parts.xml);
      stanza.end_xml();
      Head& head = *stanza.head_;
      head.from = stanza.append(parts.from, *from_domain);
      head.to = stanza.append(parts.to, *to_domain);
      head.id = stanza.append(parts.id);
      head.type = stanza.append(parts.type);
      head.lang = stanza.append(parts.lang);
      return stanza;
    }
    auto from_jid = Jid::parse(parts.from);
    if (!from_jid) return std::move(from_jid).error();
    auto to_jid = Jid::parse(parts.to);
    if (!to_jid) return std::move(to_jid).error();
    return Stanza(parts.kind, *from_jid, *to_jid, parts.id, parts.type, parts.lang, parts.xml);
  };
  Result<Stanza> stanza = made();
  if (stanza && !stanza->is_between(from, to))
    return Error{Code::kJidInvalid, "an address is not of the domain that it should be of"};
  return stanza;
}

std::string_view kind_name(StanzaKind kind) {
  switch (kind) {
    case StanzaKind::kMessage:
      return "message";
    case StanzaKind::kPresence:
      return "presence";
    case StanzaKind::kIq:
      return "iq";
  }
  return {};
}

bool is_type_known(StanzaKind kind, std::string_view type) {
  switch (kind) {
    case StanzaKind::kMessage:
      return true;  // an unrecognised type means "normal"
    case StanzaKind::kIq:
      return type == "get" || type == "set" || type == "result" || type == "error";
    case StanzaKind::kPresence:
      return type.empty() || type == "error" || type == "probe" || type == "subscribe" ||
             type == "subscribed" || type == "unavailable" || type == "unsubscribe" || type == "unsubscribed";
  }
  return false;
}

Result<void> check_type_and_id(StanzaKind kind, std::string_view type, std::string_view id) {
  if (type.size() > limits::kLinkStringBytesMax || !is_type_known(kind, type))
    return Error{Code::kStanzaTypeInvalid, std::string(type.substr(0, limits::kShownBytesMax))};
  const bool request = kind == StanzaKind::kIq && (type == "get" || type == "set");
  if (request && id.empty()) return Error{Code::kStanzaIdInvalid, "no id"};
  if (id.size() > limits::kStanzaIdBytesMax) return Error{Code::kStanzaIdInvalid, "a long id"};
  return {};
}

bool is_stanza_condition(std::string_view name) { return find_condition(name) != nullptr; }

std::string_view stanza_error_type(std::string_view condition) {
  const auto* found = find_condition(condition);
  return found == nullptr ? "cancel" : found->type;
}

bool is_stream_condition(std::string_view name) {
  return std::ranges::find(kStreamConditions, name) != std::end(kStreamConditions);
}

std::optional<Stanza> bounce(const Stanza& stanza, std::string_view condition, std::string_view text) {
  assert(is_stanza_condition(condition));
  if (!may_be_answered(stanza.kind(), stanza.type(), stanza.to_has_resource())) return std::nullopt;
  return make_error(stanza.kind(), stanza.to(), stanza.from(), stanza.id(), condition, text);
}

std::optional<Stanza> bounce(const BadStanza& stanza, std::string_view condition, std::string_view text) {
  assert(is_stanza_condition(condition));
  if (!stanza.from) return std::nullopt;
  // The sender of an IQ of unknown type waits for an answer, as after a request.
  const bool occupant = stanza.to.find('/') != std::string::npos;
  const bool answered = stanza.kind == StanzaKind::kIq ? stanza.type != "result" && stanza.type != "error"
                                                       : may_be_answered(stanza.kind, stanza.type, occupant);
  if (!answered) return std::nullopt;
  // RFC 6120 8.3.1: the sender expects the answer from the address that it wrote.
  const auto to = Jid::parse(stanza.to);
  return make_error(stanza.kind, to ? *to : Jid::of(stanza.to_domain), *stanza.from, stanza.id, condition,
                    text);
}

}  // namespace sallyport::xmpp
