// The fast path: an accepted stanza is byte for byte the one that the parser makes of the same bytes; and it
// stays canonical.
//
// The first byte of an input selects the header's language and the limits.
#include <string>

#include "property.h"
#include "xmpp/plain_stanza.h"
#include "xmpp/xml_stream.h"

namespace sallyport::xmpp {
namespace {

using fuzz::require;

void require_same(const Stanza& plain, const Stanza& parsed) {
  require(plain.xml() == parsed.xml(), "the bytes are the parser's");
  require(plain.kind() == parsed.kind(), "the kind is the parser's");
  require(plain.from_text() == parsed.from_text() && plain.from_domain() == parsed.from_domain(),
          "the sender is the parser's");
  require(plain.to_text() == parsed.to_text() && plain.to_domain() == parsed.to_domain(),
          "the recipient is the parser's");
  require(plain.id() == parsed.id() && plain.type() == parsed.type() && plain.lang() == parsed.lang(),
          "the attributes are the parser's");
}

// Uses the parser, because an element in pieces bypasses the fast path.
void check_against_parser(std::string_view element, const Stanza& plain, const ParseLimits& limits,
                          std::string_view lang) {
  XmlStream stream({1 << 20, 1000, 1000, 100'000});
  std::string header =
      "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xmlns:p='urn:p'";
  if (!lang.empty()) header.append(" xml:lang='").append(lang).append("'");
  stream.handle_bytes(header + ">");
  (void)stream.poll();
  stream.raise_limits(limits);
  stream.handle_bytes(element.substr(0, 1));
  require(!stream.poll(), "one byte is no element");
  stream.handle_bytes(element.substr(1));
  const auto event = stream.poll();
  require(event && event->has_value(), "the parser takes it, too");
  const auto* parsed = std::get_if<Stanza>(&**event);
  require(parsed != nullptr, "to the parser it is a stanza, too");
  require(!stream.poll() && stream.between_elements(), "it ends where the parser ends");
  require_same(plain, *parsed);
}

}  // namespace
}  // namespace sallyport::xmpp

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport::xmpp;
  if (size == 0) return 0;
  const auto text = sallyport::fuzz::text_of(data + 1, size - 1);
  const std::string_view lang = (data[0] & 1) != 0 ? "de" : "";
  const auto limits = (data[0] & 2) != 0 ? ParseLimits{200, 4, 6, 8} : ParseLimits::authenticated();

  PlainReader reader;
  const auto found = reader.read(text, limits, lang);
  if (!found) return 0;
  sallyport::fuzz::require(found->size <= text.size(), "it takes no more than there is");
  check_against_parser(text.substr(0, found->size), found->stanza, limits, lang);
  // Neither the following bytes nor earlier input of the reader may have an effect.
  const auto alone = PlainReader().read(text.substr(0, found->size), limits, lang);
  sallyport::fuzz::require(alone && alone->size == found->size, "it is taken alone, too");
  // An inherited language may be one attribute too many for the fast path: then the parser decides.
  const auto again = StanzaReader().read(found->stanza.xml());
  sallyport::fuzz::require(again && again->xml() == found->stanza.xml(), "canonical for good");
  return 0;
}
