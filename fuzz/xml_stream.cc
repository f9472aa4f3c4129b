// The stream parser: its events do not depend on how the bytes are split; an accepted stanza stays canonical;
// an accepted element reads back as itself.
//
// The first byte of an input selects the split and the limits; bytes that do not begin with `<?` or `<s`
// follow a usual header.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "property.h"
#include "xmpp/xml_stream.h"

namespace sallyport::xmpp {
namespace {

using fuzz::require;

constexpr std::string_view kHeader =
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    "xmlns:db='jabber:server:dialback' xmlns:p='urn:p' xml:lang='en'>";

std::string line(const StreamEvent& event) {
  struct Visitor {
    std::string operator()(const StreamHeader& h) const {
      return fmt::format("header {} {} {} {} {} {}", h.from, h.to, h.id, h.version, h.lang, h.dialback);
    }
    std::string operator()(const Element& e) const { return e.xml(); }
    std::string operator()(const Stanza& s) const { return std::string(s.xml()); }
    std::string operator()(const BadStanza& b) const {
      return fmt::format("bad {} {} {} {} {}", code_row(b.error.code).name,
                         b.from ? b.from->text() : b.from_domain.ascii(), b.to, b.id, b.type);
    }
    std::string operator()(const StreamFooter&) const { return "footer"; }
  };
  return std::visit(Visitor(), event);
}

struct Told {
  std::vector<std::string> lines;
  std::vector<Stanza> stanzas;
  std::vector<Element> elements;
  std::size_t pending = 0;
  bool operator==(const Told& other) const { return lines == other.lines && pending == other.pending; }
};

void drain(XmlStream& stream, Told& told) {
  while (auto event = stream.poll()) {
    if (!*event) {
      told.lines.push_back(fmt::format("error {}", code_row(event->error().code).name));
      continue;
    }
    told.lines.push_back(line(**event));
    if (auto* stanza = std::get_if<Stanza>(&**event)) told.stanzas.push_back(std::move(*stanza));
    if (auto* element = std::get_if<Element>(&**event)) told.elements.push_back(std::move(*element));
  }
}

// In one piece, or split into pieces of 1 to 16 bytes derived from `seed`.
Told read(std::string_view bytes, const ParseLimits& limits, std::optional<std::uint32_t> seed) {
  XmlStream stream(limits);
  Told told;
  while (!bytes.empty()) {
    std::size_t piece = bytes.size();
    if (seed) {
      *seed = *seed * 1664525 + 1013904223;
      piece = std::min<std::size_t>(piece, 1 + (*seed >> 28));
    }
    stream.handle_bytes(bytes.substr(0, piece));
    drain(stream, told);
    bytes.remove_prefix(piece);
  }
  // The bytes held after an error do not matter.
  if (told.lines.empty() || !told.lines.back().starts_with("error")) told.pending = stream.pending_bytes();
  return told;
}

void check_stanza(const Stanza& stanza) {
  static StanzaReader reader;
  const auto again = reader.read(stanza.xml());
  require(again.has_value(), "a canonical stanza is read");
  require(again->xml() == stanza.xml(), "a canonical stanza is read as itself");
  require(again->from() == stanza.from() && again->to() == stanza.to() && again->kind() == stanza.kind(),
          "addresses are kept");
  require(again->id() == stanza.id() && again->type() == stanza.type() && again->lang() == stanza.lang(),
          "attributes are kept");
}

void check_element(const Element& element) {
  XmlStream stream({1 << 22, 1000, 1000, 100'000});
  stream.handle_bytes(kHeader);
  (void)stream.poll();
  const auto xml = element.xml();
  stream.handle_bytes(xml);
  auto again = stream.poll();
  require(again && again->has_value(), "an element that was written is read");
  const auto* read = std::get_if<Element>(&**again);
  require(read != nullptr && read->xml() == xml, "an element that was written is read as itself");
}

}  // namespace
}  // namespace sallyport::xmpp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport::xmpp;
  if (size == 0) return 0;
  const auto text = sallyport::fuzz::text_of(data + 1, size - 1);
  const bool whole_stream = text.starts_with("<?") || text.starts_with("<s");
  const std::string bytes = whole_stream ? std::string(text) : std::string(kHeader).append(text);
  const auto limits = (data[0] & 1) != 0 ? ParseLimits::authenticated() : ParseLimits{200, 4, 6, 8};

  const auto whole = read(bytes, limits, std::nullopt);
  const auto cut = read(bytes, limits, data[0]);
  sallyport::fuzz::require(whole == cut, "what is found does not depend on how the bytes are cut");
  for (const auto& stanza : whole.stanzas) check_stanza(stanza);
  for (const auto& element : whole.elements) check_element(element);
  return 0;
}
