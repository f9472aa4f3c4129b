// The stanza reader: an accepted stanza stays canonical, and a reader with earlier input gives the same
// result as a new one.
#include "property.h"
#include "xmpp/xml_stream.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sallyport::xmpp;
  using sallyport::fuzz::require;
  static StanzaReader used;
  const auto text = sallyport::fuzz::text_of(data, size);
  const auto first = used.read(text);
  const auto fresh = StanzaReader().read(text);
  require(first.has_value() == fresh.has_value(), "a used reader accepts what a fresh one accepts");
  if (!first) {
    require(first.error() == fresh.error(), "a used reader refuses for the same reason");
    return 0;
  }
  require(first->xml() == fresh->xml(), "a used reader writes what a fresh one writes");
  const auto again = used.read(first->xml());
  require(again.has_value() && again->xml() == first->xml(), "a canonical stanza is read as itself");
  return 0;
}
