// Translation of mapped domains in one text: an attribute value, the text of an element, or a sentence that a
// room service wrote. Part of alias/address_map.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "alias/address_map.h"

namespace sallyport::alias {

// How a text is written.
enum class Written : std::uint8_t {
  kCanonical,  // as in canonical XML: some characters are references (docs/canonical-form.md)
  kPlain,      // characters stand for themselves
};

// Appends `value`. Where all of it, apart from white space around, is an address or an xmpp: URI (RFC 5122)
// in a mapped domain, that domain is replaced; otherwise it stays as it is.
void append_mapped(std::string& out, std::string_view value, const AddressMap::Names& names, Written written);

// Whether `address`, canonical, is a mapped domain or a bare address in one: a room service or one of its
// rooms.
bool is_bare_mapped(std::string_view address, const AddressMap::Names& names);

// Appends `text`, canonical XML, with the mapped domain replaced in each token that is an address in it or
// the domain itself.
//
// A token is as long as its characters may belong to an address: letters, digits and other characters that a
// domain may have (RFC 5892), `-`, `.`, `_`, `%`, `@`, `/`, `+`, `~`, `#`, `$`, `^` and `\`. All others end
// it, also those that punctuation and brackets of a sentence are and a localpart might have. Dots at its end
// belong to the sentence. `xmpp:` and the token behind it are a URI, with percent-encoding. In what has
// several `@` the domain is behind the last.
void append_mapped_sentence(std::string& out, std::string_view text, const AddressMap::Names& names);

}  // namespace sallyport::alias
