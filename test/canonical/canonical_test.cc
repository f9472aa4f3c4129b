// A peer's stream and the canonical form that we write of it, both read by libxml2, are the same tree: names
// and namespaces, attributes, text, order. The streams are random, from seeds, with every spelling that XML
// allows.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "xmpp/xml_stream.h"

namespace sallyport::xmpp {
namespace {

constexpr std::string_view kXmlSpace = "http://www.w3.org/XML/1998/namespace";

// --- reading

std::string text_of(const xmlChar* text) {
  return text == nullptr ? std::string() : reinterpret_cast<const char*>(text);
}

std::string name_of(const xmlNs* space, const xmlChar* local) {
  return fmt::format("{{{}}}{}", space == nullptr ? std::string() : text_of(space->href), text_of(local));
}

std::set<std::string> attributes_of(const xmlNode* node) {
  std::set<std::string> all;
  for (auto* at = node->properties; at != nullptr; at = at->next) {
    xmlChar* value = xmlNodeListGetString(node->doc, at->children, 1);
    all.insert(fmt::format("{}={:?}", name_of(at->ns, at->name), text_of(value)));
    xmlFree(value);
  }
  return all;
}

// Returns one spelling for each tree: expanded names, attributes sorted, adjacent text and CDATA joined.
std::string tree_of(const xmlNode* node, std::set<std::string> attributes) {
  std::string out = fmt::format("<{} {}>", name_of(node->ns, node->name), fmt::join(attributes, " "));
  std::string text;
  const auto end_text = [&] {
    if (!text.empty()) out += fmt::format("{:?}", std::exchange(text, {}));
  };
  for (auto* child = node->children; child != nullptr; child = child->next) {
    if (child->type == XML_TEXT_NODE || child->type == XML_CDATA_SECTION_NODE) {
      text += text_of(child->content);
    } else {
      end_text();
      out += child->type == XML_ELEMENT_NODE ? tree_of(child, attributes_of(child)) : "<something else>";
    }
  }
  end_text();
  return out + "</>";
}

struct FreeDocument {
  void operator()(xmlDoc* document) const { xmlFreeDoc(document); }
};
using Document = std::unique_ptr<xmlDoc, FreeDocument>;

Document read(const std::string& xml) {
  return Document(xmlReadMemory(xml.data(), static_cast<int>(xml.size()), "stream", nullptr,
                                XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_HUGE));
}

// Returns the stanzas of a stream, each as one line; `lang` is the header's, for stanzas without their own.
std::vector<std::string> stanzas_of(const std::string& stream, const std::string& lang) {
  std::vector<std::string> all;
  const Document document = read(stream);
  if (!document) return {"not well-formed"};
  for (auto* node = xmlDocGetRootElement(document.get())->children; node != nullptr; node = node->next) {
    if (node->type != XML_ELEMENT_NODE) {
      if (text_of(node->content).find_first_not_of(" \t\r\n") != std::string::npos)
        all.push_back("something else");
      continue;
    }
    auto attributes = attributes_of(node);
    const std::string own = fmt::format("{{{}}}lang=", kXmlSpace);
    const bool says =
        std::ranges::any_of(attributes, [&](const auto& each) { return each.starts_with(own); });
    if (!says && !lang.empty()) attributes.insert(fmt::format("{}{:?}", own, lang));
    all.push_back(tree_of(node, attributes));
  }
  return all;
}

// A stanza in canonical form is complete in any stream of `jabber:server`.
std::vector<std::string> read_canonical(const std::string& xml) {
  return stanzas_of(
      "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server'>" + xml + "</s:stream>",
      {});
}

// --- random streams

class Author {
 public:
  explicit Author(std::uint32_t seed) : chance_(seed) {}

  struct Stream {
    std::string xml;  // without the footer
    std::string footer;
    std::string lang;
  };

  Stream write(std::size_t stanzas) {
    Stream stream;
    const std::string prefix = one_in(2) ? "stream" : "p1";
    stream.footer = "</" + prefix + ":stream>";
    stream.xml =
        fmt::format("<{0}:stream xmlns:{0}='http://etherx.jabber.org/streams' xmlns='jabber:server'", prefix);
    bound_ = {{"", "jabber:server"}};
    // Declared by the header and used by stanzas that do not declare it: a plain copy would lose it.
    for (const char* name : {"h1", "h2"}) {
      stream.xml += fmt::format(" xmlns:{}='urn:header:{}'", name, name);
      bound_.push_back({name, std::string("urn:header:") + name});
    }
    if (one_in(2)) stream.xml += fmt::format(" xml:lang='{}'", stream.lang = "de");
    stream.xml += ">";
    for (std::size_t i = 0; i < stanzas; ++i) stream.xml += stanza() + pick({"", " ", "\n"});
    return stream;
  }

  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(chance_); }

 private:
  struct Binding {
    std::string prefix;  // empty: the default namespace
    std::string space;
  };

  bool one_in(std::size_t n) { return below(n) == 0; }
  std::string pick(std::initializer_list<const char*> of) { return std::data(of)[below(of.size())]; }

  // Returns the prefixes in force, each with its innermost binding.
  std::vector<Binding> in_force(bool for_attribute) const {
    std::vector<Binding> seen;
    for (auto it = bound_.rbegin(); it != bound_.rend(); ++it) {
      const bool hidden = std::ranges::find(seen, it->prefix, &Binding::prefix) != seen.end();
      if (!hidden && !(for_attribute && it->prefix.empty())) seen.push_back(*it);
    }
    return seen;
  }

  std::string character() {
    return pick({"a",      "z",      "7",      " ",         "\t",     "\n",      "\r\n",   "\r",
                 "\"",     "&amp;",  "&lt;",   "&gt;",      "&apos;", "&quot;",  "&#13;",  "&#xA;",
                 "&#9;",   "&#x20;", "&#65;",  "&#x1F600;", "\u00e9", "e\u0301", "\u4e2d", "\U0001F600",
                 "\u200f", "\u0085", "\u2028", "]]&gt;",    "-->"});
  }

  std::string text() {
    std::string out;
    for (std::size_t i = below(8); i > 0; --i)
      out +=
          one_in(8) ? "<![CDATA[" + pick({"", "<b>&amp;", "]", "]]", "\r\n", "x > y"}) + "]]>" : character();
    return out;
  }

  std::string attribute(const std::string& name) {
    const std::string quote = one_in(2) ? "\"" : "'";
    std::string value;
    for (std::size_t i = below(5); i > 0; --i) {
      const std::string next = one_in(4) ? "'" : character();
      if (next != quote) value += next;
    }
    return pick({" ", "\n", "  ", "\t"}) + name + pick({"=", " = ", "="}) + quote + value + quote;
  }

  // Attributes of one element: no expanded name twice.
  std::string attributes() {
    std::string out;
    std::set<std::pair<std::string, std::string>> taken;
    for (std::size_t i = below(4); i > 0; --i) {
      const auto bindings = in_force(true);
      const std::string local = pick({"a", "b", "from", "to", "id", "xmlnsx", "\u00fc"});
      std::string prefix;
      std::string space;
      if (one_in(2)) {
        const auto& binding = bindings[below(bindings.size())];
        prefix = binding.prefix + ":";
        space = binding.space;
      } else if (local != "id" && one_in(6)) {  // xml:id has rules of its own
        prefix = "xml:", space = kXmlSpace;
      }
      if (taken.emplace(space, local).second) out += attribute(prefix + local);
    }
    return out;
  }

  // New bindings, also over existing ones, and resets of the default namespace.
  std::string declarations() {
    std::string out;
    std::set<std::string> said;
    for (std::size_t i = below(3); i > 0; --i) {
      const std::string prefix = pick({"", "p", "q", "h1", "ns1"});
      if (!said.insert(prefix).second) continue;
      const std::string space = prefix.empty()
                                    ? pick({"", "urn:a", "jabber:server", "urn:b&amp;c"})
                                    : pick({"urn:a", "urn:b&amp;c", "jabber:server", "jabber:client"});
      out += " xmlns" + (prefix.empty() ? "" : ":" + prefix) + "='" + space + "'";
      bound_.push_back({prefix, space});
    }
    return out;
  }

  std::string element(std::size_t depth) {
    const std::size_t scope = bound_.size();
    const std::string declared = declarations();
    const auto bindings = in_force(false);
    const auto& binding = bindings[below(bindings.size())];
    const std::string name =
        (binding.prefix.empty() ? "" : binding.prefix + ":") + pick({"x", "body", "Item", "a.b-c", "\u00fc"});
    std::string out = "<" + name + declared + attributes() + content(name, depth);
    bound_.resize(scope);
    return out;
  }

  std::string content(const std::string& name, std::size_t depth) {
    std::string inner;
    for (std::size_t i = depth < 6 ? below(4) : 0; i > 0; --i)
      inner += one_in(2) ? element(depth + 1) : text();
    if (inner.empty() && one_in(2)) return "/>";
    return pick({"", " "}) + ">" + inner + "</" + name + pick({"", " "}) + ">";
  }

  std::string stanza() {
    const std::size_t scope = bound_.size();
    const std::string kind = pick({"message", "presence", "iq"});
    std::string name = kind;
    std::string declared;
    if (one_in(3)) {
      name = "s:" + kind;
      declared = " xmlns:s='jabber:server'";
      bound_.push_back({"s", "jabber:server"});
    }
    std::vector<std::string> own = {"from='u@a.example/r\u00e9'", "to=\"v@b.example\"", "id='&lt;1&gt;'"};
    if (kind == "iq") own.push_back("type='set'");
    if (one_in(3)) own.push_back("xml:lang='en'");
    if (one_in(3)) own.push_back("h1:id=' x '");
    if (one_in(3)) own.push_back("other='\"'");
    std::ranges::shuffle(own, chance_);
    std::string out = "<" + name + declared;
    for (const auto& each : own) out += pick({" ", "\n"}) + each;
    out += content(name, 0);
    bound_.resize(scope);
    return out;
  }

  std::mt19937 chance_;
  std::vector<Binding> bound_;
};

// Returns the canonical bytes of every stanza of the stream, fed in pieces of any size.
std::vector<std::string> canonical(const Author::Stream& stream, Author& author) {
  std::vector<std::string> all;
  XmlStream parser(ParseLimits::authenticated());
  for (std::string_view rest = stream.xml; !rest.empty();) {
    const std::size_t size = std::min(rest.size(), 1 + author.below(40));
    parser.handle_bytes(rest.substr(0, size));
    rest.remove_prefix(size);
    while (auto event = parser.poll()) {
      if (!*event) return {fmt::format("{}: {}", code_row(event->error().code).name, event->error().text)};
      if (const auto* stanza = std::get_if<Stanza>(&**event)) all.push_back(std::string(stanza->xml()));
    }
  }
  return all;
}

TEST(Canonical, another_parser_reads_the_tree_that_the_peer_sent) {
  constexpr std::uint32_t kSeeds = 1000;
  constexpr std::size_t kStanzas = 5;
  for (std::uint32_t seed = 1; seed <= kSeeds; ++seed) {
    Author author(seed);
    const auto stream = author.write(kStanzas);
    const auto meant = stanzas_of(stream.xml + stream.footer, stream.lang);
    const auto written = canonical(stream, author);
    ASSERT_EQ(meant.size(), kStanzas) << "seed " << seed << "\n" << stream.xml << "\n" << meant.front();
    ASSERT_EQ(written.size(), kStanzas) << "seed " << seed << "\n" << stream.xml << "\n" << written.front();
    for (std::size_t i = 0; i < kStanzas; ++i) {
      ASSERT_EQ(read_canonical(written[i]), std::vector<std::string>{meant[i]}) << "seed " << seed << "\n"
                                                                                << stream.xml << "\nbecame\n"
                                                                                << written[i];
    }
  }
}

// The comparison can fail: each of these differs from the first in one detail.
TEST(Canonical, what_differs_is_told_apart) {
  const auto same = read_canonical("<message to='b'><x xmlns='urn:a' c='1'>t<y/>u</x></message>");
  EXPECT_EQ(
      read_canonical("<message  to=\"b\"><p:x c='1' xmlns:p='urn:a'>&#116;<p:y></p:y>u</p:x></message>"),
      same);
  for (const char* other : {"<message to='b'><x xmlns='urn:b' c='1'>t<y/>u</x></message>",
                            "<message to='b'><x xmlns='urn:a' c='2'>t<y/>u</x></message>",
                            "<message to='b'><x xmlns='urn:a' c='1' d=''>t<y/>u</x></message>",
                            "<message to='b'><x xmlns='urn:a' xmlns:p='urn:p' p:c='1'>t<y/>u</x></message>",
                            "<message to='b'><x xmlns='urn:a' c='1'>t<y xmlns=''/>u</x></message>",
                            "<message to='b'><x xmlns='urn:a' c='1'>u<y/>t</x></message>",
                            "<message to='b'><x xmlns='urn:a' c='1'>tu<y/></x></message>",
                            "<message to='b'><x xmlns='urn:a' c='1'>t<y/>u </x></message>",
                            "<message to='b'><x xmlns='urn:a' c='1'>t<y/><!----></x></message>",
                            "<message to='b'><x xmlns='urn:a' c='1'>t<y/>u</x></message><iq/>",
                            "<message to='b'><x xmlns='urn:a' c='1'>t<y/>u</x></message>t",
                            "<message to='b'>", "<p:message to='b'/>"})
    EXPECT_NE(read_canonical(other), same) << other;
}

}  // namespace
}  // namespace sallyport::xmpp
