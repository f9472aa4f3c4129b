// Alias translation: a canonical stanza becomes a canonical stanza with the addresses of its fields; a user's
// text in the first child stays unchanged; mapping again changes nothing; and input that was never parsed
// does not become a stanza that the parser would reject.
#include "alias/address_map.h"
#include "property.h"
#include "xmpp/xml_stream.h"

using namespace sallyport;

namespace {

// Returns the text directly in a <body/> or <subject/> that is the first child of a message; nothing if there
// is none.
std::string_view first_prose(std::string_view xml) {
  if (!xml.starts_with("<message ")) return {};
  const auto tag_end = xml.find('>');
  if (tag_end == std::string_view::npos) return {};
  const std::string_view content = xml.substr(tag_end + 1);
  for (const std::string_view tag : {"<body>", "<subject>"})
    if (content.starts_with(tag))
      return content.substr(tag.size(), content.find('<', tag.size()) - tag.size());
  return {};
}

const alias::AddressMap& map() {
  static const alias::AddressMap kMap(*xmpp::Domain::parse("a.b"), *xmpp::Domain::parse("räume.example"));
  return kMap;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = fuzz::text_of(data, size);
  static xmpp::StanzaReader reader;
  auto stanza = reader.read(bytes);
  if (!stanza) {
    // Bytes that were never validated: they may be rejected, nothing worse.
    static const auto kSome = *reader.read("<message from='a.b' to='c.d'/>");
    (void)map().map({kSome.kind(), kSome.from(), kSome.to(), {}, {}, {}, bytes});
    return 0;
  }
  const auto mapped = map().map(*stanza);
  fuzz::require(mapped.has_value(), "a canonical stanza is mapped");
  const auto from = stanza->from();
  if (from.has_resource() || from.domain().ascii() != "a.b")
    fuzz::require(first_prose(mapped->xml()) == first_prose(stanza->xml()), "what a user wrote stays");
  const auto twice = map().map(*mapped);
  if (twice) {  // otherwise the stanza has outgrown its limit
    fuzz::require(twice->xml() == mapped->xml(), "nothing that is mapped is left");
    fuzz::require(twice->id() == mapped->id(), "nothing that is mapped is left in the id");
  }
  const auto again = reader.read(mapped->xml());
  if (!again) {
    // The only valid reason to reject it: it has outgrown a limit.
    fuzz::require(mapped->xml().size() > stanza->xml().size(), "what has not grown stays a stanza");
    return 0;
  }
  fuzz::require(again->xml() == mapped->xml(), "the result is canonical");
  fuzz::require(again->from() == mapped->from() && again->to() == mapped->to(), "addresses and bytes agree");
  fuzz::require(again->id() == mapped->id() && again->type() == mapped->type(), "id, type and bytes agree");
  return 0;
}
