// PRECIS (RFC 8264): the preparation of localparts and resourceparts, and the character classes that it
// shares with IDNA2008.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::xmpp::precis {

// The property of a character in a string class (RFC 8264 8). IdentifierClass does not allow kFreeform.
enum class Property { kValid, kContextJ, kContextO, kFreeform, kDisallowed, kUnassigned };
Property property(char32_t code_point);

// Returns whether `text` (UTF-32) obeys the rules of RFC 5892 appendix A at every character whose property is
// kContextJ or kContextO.
bool context_is_right(std::u32string_view text);

// Returns `text` (UTF-32) with full-width and half-width characters mapped (RFC 8264 5.2.1), every character
// that case folding changes in lower case, and composed (NFC): RFC 5895 2.
std::u32string width_and_case_mapped(std::u32string_view text);

// Converts UTF-8 to UTF-32, and back; rejects ill-formed input.
Result<std::u32string> decode(std::string_view utf8);
std::string encode(std::u32string_view text);

// Apply the profiles of RFC 8265: 3.3 for localparts, 4.2 for resourceparts. Idempotent. The caller checks
// the length. Errors: kJidInvalid, with the reason.
Result<std::string> username_case_mapped(std::string_view text);
Result<std::string> opaque_string(std::string_view text);

}  // namespace sallyport::xmpp::precis
