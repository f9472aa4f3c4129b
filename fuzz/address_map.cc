// Translation of a node's name: of a canonical stanza it makes a canonical stanza again, with the addresses
// that its fields say; from somebody else's bytes it makes none that the parser would not have accepted.
#include "gate/address_map.h"
#include "property.h"
#include "xmpp/xml_stream.h"

using namespace sallyport;

namespace {

const gate::AddressMap& map() {
  static const gate::AddressMap kMap(*xmpp::Domain::parse("a.b"), *xmpp::Domain::parse("räume.example"));
  return kMap;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = fuzz::text_of(data, size);
  static xmpp::StanzaReader reader;
  auto stanza = reader.read(bytes);
  if (!stanza) {
    // Bytes that nobody judged: refused or not, but nothing worse.
    static const auto kSome = *reader.read("<message from='a.b' to='c.d'/>");
    (void)map().map({kSome.kind(), kSome.from(), kSome.to(), {}, {}, {}, bytes});
    return 0;
  }
  const auto mapped = map().map(*stanza);
  fuzz::require(mapped.has_value(), "a canonical stanza is mapped");
  const auto again = reader.read(mapped->xml());
  if (!again) {
    // The only thing that can become wrong: something grew past its limit.
    fuzz::require(mapped->xml().size() > stanza->xml().size(), "what has not grown stays a stanza");
    return 0;
  }
  fuzz::require(again->xml() == mapped->xml(), "the result is canonical");
  fuzz::require(again->from() == mapped->from() && again->to() == mapped->to(), "addresses and bytes agree");
  fuzz::require(again->id() == mapped->id() && again->type() == mapped->type(), "id, type and bytes agree");
  return 0;
}
