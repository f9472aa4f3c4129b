#include "xmpp/xml.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace sallyport::xmpp {
namespace {

// The replacement of each byte; an empty one: the byte itself.
using Escapes = std::array<std::string_view, 256>;

constexpr Escapes text_escapes() {
  Escapes e{};
  e['&'] = "&amp;";
  e['<'] = "&lt;";
  e['>'] = "&gt;";
  e['\r'] = "&#13;";  // a literal CR would be read as LF (XML 1.0 2.11)
  return e;
}

constexpr Escapes attribute_escapes() {
  Escapes e = text_escapes();
  e['\''] = "&apos;";
  e['\t'] = "&#9;";  // literal white space would be read as spaces (XML 1.0 3.3.3)
  e['\n'] = "&#10;";
  return e;
}

constexpr Escapes kTextEscapes = text_escapes();
constexpr Escapes kAttributeEscapes = attribute_escapes();

void append_escaped(std::string& out, std::string_view text, const Escapes& escapes) {
  std::size_t written = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto escape = escapes[static_cast<unsigned char>(text[i])];
    if (escape.empty()) continue;
    out.append(text.substr(written, i - written)).append(escape);
    written = i + 1;
  }
  out.append(text.substr(written));
}

// The namespaces declared where an element is written.
struct Scope {
  std::string_view default_space;
  bool stream_prefix = false;
  bool dialback_prefix = false;
};

void append_declaration(std::string& out, std::string_view prefix, std::string_view space) {
  out.append(prefix.empty() ? " xmlns" : " xmlns:").append(prefix).append("='");
  append_escaped_attribute(out, space);
  out.push_back('\'');
}

// Appends the attributes; a namespace gets its own prefix where it is used.
void append_attributes(std::string& out, const std::vector<Attribute>& attributes) {
  std::vector<std::string_view> spaces;
  for (const auto& a : attributes) {
    if (a.name.space.empty() || a.name.space == ns::kXml) continue;
    if (std::ranges::find(spaces, a.name.space) != spaces.end()) continue;
    spaces.push_back(a.name.space);
    append_declaration(out, fmt::format("ns{}", spaces.size()), a.name.space);
  }
  for (const auto& a : attributes) {
    out.push_back(' ');
    if (a.name.space == ns::kXml) {
      out.append("xml:");
    } else if (!a.name.space.empty()) {
      fmt::format_to(std::back_inserter(out),
                     "ns{}:", std::ranges::find(spaces, a.name.space) - spaces.begin() + 1);
    }
    out.append(a.name.local).append("='");
    append_escaped_attribute(out, a.value);
    out.push_back('\'');
  }
}

void append_element(std::string& out, const Element& element, Scope scope) {
  // Elements of the stream itself and of dialback are written with their traditional prefixes (RFC
  // 6120 4.8.5, XEP-0220 2.1.1): some servers recognise no others.
  std::string_view prefix;
  bool declared = true;
  if (element.name.space == ns::kStreams) {
    prefix = "stream";
    declared = std::exchange(scope.stream_prefix, true);
  } else if (element.name.space == ns::kDialback) {
    prefix = "db";
    declared = std::exchange(scope.dialback_prefix, true);
  } else if (element.name.space == ns::kXml) {
    prefix = "xml";
  } else {
    declared = element.name.space == scope.default_space;
    scope.default_space = element.name.space;
  }
  const std::string tag =
      prefix.empty() ? element.name.local : fmt::format("{}:{}", prefix, element.name.local);
  out.append("<").append(tag);
  if (!declared) append_declaration(out, prefix, element.name.space);
  append_attributes(out, element.attributes);
  if (element.text.empty() && element.children.empty()) {
    out.append("/>");
    return;
  }
  out.push_back('>');
  append_escaped_text(out, element.text);
  for (const auto& child : element.children) append_element(out, child, scope);
  out.append("</").append(tag).append(">");
}

}  // namespace

void append_escaped_text(std::string& out, std::string_view text) { append_escaped(out, text, kTextEscapes); }

void append_escaped_attribute(std::string& out, std::string_view text) {
  append_escaped(out, text, kAttributeEscapes);
}

const std::string* Element::attribute(std::string_view local) const {
  const auto found =
      std::ranges::find_if(attributes, [&](const Attribute& a) { return a.name.is("", local); });
  return found == attributes.end() ? nullptr : &found->value;
}

const Element* Element::child(std::string_view space, std::string_view local) const {
  const auto found =
      std::ranges::find_if(children, [&](const Element& c) { return c.name.is(space, local); });
  return found == children.end() ? nullptr : &*found;
}

std::string Element::xml(std::string_view default_space) const {
  std::string out;
  append_element(out, *this, Scope{default_space});
  return out;
}

}  // namespace sallyport::xmpp
