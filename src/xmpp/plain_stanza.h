// The quick road: most stanzas that servers write need no XML parser to be judged. This reads those and
// leaves every other to the parser, so it may say "no" as it likes; where it says "yes", the stanza is
// the very one that parser and CanonicalWriter would have made of these bytes. fuzz/plain_stanza.cc holds the
// two against each other.
//
// Plain is what is, from behind the stanza's own tag to its end, in canonical form already
// (docs/canonical-form.md): no prefix but `xml:lang`, names of ASCII, each namespace said once and first,
// single quotes, no empty pair of tags, no reference but those that the form writes. Of the stanza's own tag,
// only the values must be plain ASCII without references, the addresses canonical; where it is not in the
// form itself (attributes in another order, or in double quotes), it alone is written anew. Depth and
// attributes of an element are bounded more tightly than by `limits`.
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
  // `stream_lang`: the header's xml:lang. Nothing where no whole plain stanza within `limits` stands there.
  std::optional<Found> read(std::string_view bytes, const ParseLimits& limits, std::string_view stream_lang);

 private:
  // A stream has few domains on each side: the last one need not be judged again.
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
