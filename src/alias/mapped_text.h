// Translation of mapped domains in one text: an attribute value, the text of an element, or a sentence of a
// room service. Part of alias/address_map.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "alias/address_map.h"

namespace sallyport::alias {

// The encoding of a text.
enum class Written : std::uint8_t {
  kCanonical,  // as in canonical XML: some characters are references (docs/canonical-form.md)
  kPlain,      // no references
};

// Appends `value`. If the whole value, apart from white space around it, is an address or an xmpp: URI (RFC
// 5122) in a mapped domain, that domain is replaced; otherwise the value stays unchanged.
void append_mapped(std::string& out, std::string_view value, const AddressMap::Names& names, Written written);

// Returns whether the canonical `address` is a mapped domain or a bare address in one: a room service or one
// of its rooms.
bool is_bare_mapped(std::string_view address, const AddressMap::Names& names);

// Appends `text`, canonical XML, with the mapped domain replaced in each token that is an address in it or
// the domain itself.
//
// A token consists of characters that may belong to an address: letters, digits and other characters that a
// domain may have (RFC 5892), `-`, `.`, `_`, `%`, `@`, `/`, `+`, `~`, `#`, `$`, `^` and `\`. All others end
// it, including those that a localpart may have but that are punctuation or brackets in a sentence. Dots at
// its end belong to the sentence. `xmpp:` and the token after it are a URI, with percent-encoding. If a token
// has several `@`, the domain follows the last.
void append_mapped_sentence(std::string& out, std::string_view text, const AddressMap::Names& names);

}  // namespace sallyport::alias
