// XML as values: well-known namespaces, escaping, and a small tree for negotiation elements. A forwarded
// stanza never becomes a tree.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::xmpp {

namespace ns {
inline constexpr std::string_view kStreams = "http://etherx.jabber.org/streams";
inline constexpr std::string_view kServer = "jabber:server";
inline constexpr std::string_view kDialback = "jabber:server:dialback";
inline constexpr std::string_view kDialbackFeature = "urn:xmpp:features:dialback";
inline constexpr std::string_view kTls = "urn:ietf:params:xml:ns:xmpp-tls";
inline constexpr std::string_view kSasl = "urn:ietf:params:xml:ns:xmpp-sasl";
inline constexpr std::string_view kStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams";
inline constexpr std::string_view kStanzaErrors = "urn:ietf:params:xml:ns:xmpp-stanzas";
inline constexpr std::string_view kXml = "http://www.w3.org/XML/1998/namespace";
inline constexpr std::string_view kLimits = "urn:xmpp:stream-limits:0";  // XEP-0478
inline constexpr std::string_view kPing = "urn:xmpp:ping";
}  // namespace ns

// Appends `text` escaped for element content or for an attribute value in single quotes, in canonical form:
// `&`,
// `<`, `>` always; `'` (and tab, LF, CR as character references) in attributes; CR as a reference in content.
void append_escaped_text(std::string& out, std::string_view text);
void append_escaped_attribute(std::string& out, std::string_view text);

// The name of an element or attribute: two fields, never joined (THREATS A4).
struct QName {
  std::string space;  // namespace name; empty for none
  std::string local;
  bool operator==(const QName&) const = default;
  bool is(std::string_view s, std::string_view l) const { return space == s && local == l; }
};

struct Attribute {
  QName name;
  std::string value;
};

// A whole first-level element that is not a stanza: features, STARTTLS, SASL, dialback, errors.
struct Element {
  QName name;
  std::vector<Attribute> attributes;
  std::vector<Element> children;
  std::string text;  // all character data directly inside, concatenated

  // Returns the value of the attribute without a namespace, or nullptr. Valid as long as the element.
  const std::string* attribute(std::string_view local) const;
  // Returns the first child of that name, or nullptr.
  const Element* child(std::string_view space, std::string_view local) const;
  // Returns the element as XML, with the namespace declarations that it needs where `default_space` is the
  // default namespace.
  std::string xml(std::string_view default_space = ns::kServer) const;
};

}  // namespace sallyport::xmpp
