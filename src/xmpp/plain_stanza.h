// The fast path: most stanzas from servers can be validated without the XML parser. PlainReader reads those
// and leaves every other to the parser. It may decline any input; if it accepts, the result is exactly what
// parser and CanonicalWriter would have made of these bytes. fuzz/plain_stanza.cc compares the two.
//
// A stanza is plain if everything after its root tag is in canonical form already (docs/canonical-form.md):
// no prefix except `xml:lang`, ASCII names, each namespace declared once and first, single quotes, no empty
// pair of tags, no reference except those of the canonical form. Of the root tag, only the values must be
// plain ASCII without references, and the addresses canonical; if its attributes are in another order or in
// double quotes, this tag alone is rewritten. Depth and attributes of an element are bounded more tightly
// than by `limits`.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "xmpp/stanza.h"
#include "xmpp/xml_scanner.h"

namespace sallyport::xmpp {

class PlainReader {
 public:
  struct Found {
    Stanza stanza;
    std::size_t size;  // of `bytes`, from the front
  };
  // `bytes` begins with a first-level element of a stream whose default namespace is jabber:server.
  // `stream_lang`: the header's xml:lang. Returns nothing unless there is a whole plain stanza within
  // `limits`.
  std::optional<Found> read(std::string_view bytes, const ParseLimits& limits, std::string_view stream_lang);

 private:
  // A stream has few domains on each side: the last one need not be validated again.
  class KnownDomain {
   public:
    std::optional<std::string_view> domain_of(std::string_view address);

   private:
    std::string last_;
  };
  struct Root;

  static Stanza copied(const Root& root, std::string_view from_domain, std::string_view to_domain,
                       std::string_view whole);
  static Stanza written(const Root& root, std::string_view from_domain, std::string_view to_domain,
                        std::string_view lang, std::string_view rest, std::size_t room);

  KnownDomain from_;
  KnownDomain to_;
};

}  // namespace sallyport::xmpp
