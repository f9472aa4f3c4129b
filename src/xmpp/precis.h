// PRECIS (RFC 8264): the preparation of localparts and resourceparts, and the classes
// of characters that it shares with IDNA2008.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace sallyport::xmpp::precis {

// What a character is in a string class (RFC 8264 8). For IdentifierClass, kFreeform is not allowed.
enum class Property { kValid, kContextJ, kContextO, kFreeform, kDisallowed, kUnassigned };
Property property(char32_t code_point);

// `text` as it is valid under the rules of appendix A of RFC 5892 at every character whose property is
// kContextJ or kContextO. `text` is UTF-32.
bool context_is_right(std::u32string_view text);

// `text`, full-width and half-width characters replaced by what they stand for (RFC 8264 5.2.1), each
// character that case folding changes in lower case, and composed (NFC): RFC 5895 2. `text` is UTF-32.
std::u32string width_and_case_mapped(std::u32string_view text);

// UTF-8 to UTF-32; refuses ill-formed input. And back.
Result<std::u32string> decode(std::string_view utf8);
std::string encode(std::u32string_view text);

// Profiles of RFC 8265: 3.3 for localparts, 4.2 for resourceparts. Idempotent. Errors: kJidInvalid,
// with what is wrong. Bounds are the caller's.
Result<std::string> username_case_mapped(std::string_view text);
Result<std::string> opaque_string(std::string_view text);

}  // namespace sallyport::xmpp::precis
