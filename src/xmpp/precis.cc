#include "xmpp/precis.h"

#include <fmt/format.h>
#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

#include <algorithm>
#include <optional>

namespace sallyport::xmpp::precis {
namespace {

const icu::Normalizer2& nfc() {
  UErrorCode status = U_ZERO_ERROR;
  return *icu::Normalizer2::getNFCInstance(status);
}

const icu::Normalizer2& nfkc() {
  UErrorCode status = U_ZERO_ERROR;
  return *icu::Normalizer2::getNFKCInstance(status);
}

icu::UnicodeString utf16(std::u32string_view text) {
  return icu::UnicodeString::fromUTF32(reinterpret_cast<const UChar32*>(text.data()),
                                       static_cast<int32_t>(text.size()));
}

std::u32string utf32(const icu::UnicodeString& text) {
  std::u32string out;
  out.reserve(static_cast<std::size_t>(text.length()));
  for (int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
    out.push_back(static_cast<char32_t>(text.char32At(i)));
  }
  return out;
}

std::u32string composed(std::u32string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  return utf32(nfc().normalize(utf16(text), status));
}

UChar32 icu_char(char32_t c) { return static_cast<UChar32>(c); }

// RFC 5892 2.6, adopted by RFC 8264 9.6.
std::optional<Property> exception(char32_t c) {
  switch (c) {
    case 0x00DF:
    case 0x03C2:
    case 0x06FD:
    case 0x06FE:
    case 0x0F0B:
    case 0x3007:
      return Property::kValid;
    case 0x00B7:
    case 0x0375:
    case 0x05F3:
    case 0x05F4:
    case 0x30FB:
      return Property::kContextO;
    case 0x0640:
    case 0x07FA:
    case 0x302E:
    case 0x302F:
    case 0x3031:
    case 0x3032:
    case 0x3033:
    case 0x3034:
    case 0x3035:
    case 0x303B:
      return Property::kDisallowed;
    default:
      break;
  }
  if ((c >= 0x0660 && c <= 0x0669) || (c >= 0x06F0 && c <= 0x06F9)) return Property::kContextO;
  return std::nullopt;
}

bool is_old_hangul_jamo(char32_t c) {
  const auto type = u_getIntPropertyValue(icu_char(c), UCHAR_HANGUL_SYLLABLE_TYPE);
  return type == U_HST_LEADING_JAMO || type == U_HST_VOWEL_JAMO || type == U_HST_TRAILING_JAMO;
}

bool has_compatibility_form(char32_t c) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::UnicodeString one(icu_char(c));
  return nfkc().normalize(one, status) != one;
}

bool has_script(char32_t c, UScriptCode script) {
  UErrorCode status = U_ZERO_ERROR;
  return uscript_getScript(icu_char(c), &status) == script;
}

bool is_virama(char32_t c) { return u_getCombiningClass(icu_char(c)) == 9; }

UJoiningType joining_type(char32_t c) {
  return static_cast<UJoiningType>(u_getIntPropertyValue(icu_char(c), UCHAR_JOINING_TYPE));
}

// RFC 5892 A.1: allowed after a virama, or between letters that join across it.
bool non_joiner_is_right(std::u32string_view text, std::size_t at) {
  if (at > 0 && is_virama(text[at - 1])) return true;
  std::size_t before = at;
  while (before > 0 && joining_type(text[before - 1]) == U_JT_TRANSPARENT) --before;
  std::size_t after = at + 1;
  while (after < text.size() && joining_type(text[after]) == U_JT_TRANSPARENT) ++after;
  if (before == 0 || after == text.size()) return false;
  const auto left = joining_type(text[before - 1]);
  const auto right = joining_type(text[after]);
  return (left == U_JT_LEFT_JOINING || left == U_JT_DUAL_JOINING) &&
         (right == U_JT_RIGHT_JOINING || right == U_JT_DUAL_JOINING);
}

bool any_between(std::u32string_view text, char32_t first, char32_t last) {
  return std::ranges::any_of(text, [&](char32_t c) { return c >= first && c <= last; });
}

// RFC 5892 A.3 to A.9.
bool other_is_right(std::u32string_view text, std::size_t at) {
  const char32_t c = text[at];
  const bool first = at == 0;
  const bool last = at + 1 == text.size();
  switch (c) {
    case 0x00B7:
      return !first && !last && text[at - 1] == U'l' && text[at + 1] == U'l';
    case 0x0375:
      return !last && has_script(text[at + 1], USCRIPT_GREEK);
    case 0x05F3:
    case 0x05F4:
      return !first && has_script(text[at - 1], USCRIPT_HEBREW);
    case 0x30FB:
      return std::ranges::any_of(text, [](char32_t other) {
        return has_script(other, USCRIPT_HIRAGANA) || has_script(other, USCRIPT_KATAKANA) ||
               has_script(other, USCRIPT_HAN);
      });
    default:
      break;
  }
  if (c >= 0x0660 && c <= 0x0669) return !any_between(text, 0x06F0, 0x06F9);
  if (c >= 0x06F0 && c <= 0x06F9) return !any_between(text, 0x0660, 0x0669);
  return false;
}

// RFC 5893 2, for a string with at least one right-to-left character.
bool bidi_rule_holds(std::u32string_view text) {
  const auto direction = [](char32_t c) { return u_charDirection(icu_char(c)); };
  const auto first = direction(text.front());
  const bool rtl = first == U_RIGHT_TO_LEFT || first == U_RIGHT_TO_LEFT_ARABIC;
  if (!rtl) return false;  // a left-to-right label has no right-to-left character (rules 1 and 5)
  bool european = false;
  bool arabic = false;
  bool good_end = false;
  for (const char32_t c : text) {
    switch (direction(c)) {
      case U_RIGHT_TO_LEFT:
      case U_RIGHT_TO_LEFT_ARABIC:
        good_end = true;
        break;
      case U_EUROPEAN_NUMBER:
        european = good_end = true;
        break;
      case U_ARABIC_NUMBER:
        arabic = good_end = true;
        break;
      case U_EUROPEAN_NUMBER_SEPARATOR:
      case U_COMMON_NUMBER_SEPARATOR:
      case U_EUROPEAN_NUMBER_TERMINATOR:
      case U_OTHER_NEUTRAL:
      case U_BOUNDARY_NEUTRAL:
        good_end = false;
        break;
      case U_DIR_NON_SPACING_MARK:
        break;
      default:
        return false;
    }
  }
  return good_end && !(european && arabic);
}

bool has_right_to_left(std::u32string_view text) {
  return std::ranges::any_of(text, [](char32_t c) {
    const auto d = u_charDirection(icu_char(c));
    return d == U_RIGHT_TO_LEFT || d == U_RIGHT_TO_LEFT_ARABIC || d == U_ARABIC_NUMBER;
  });
}

Result<void> check_class(std::u32string_view text, bool freeform) {
  for (const char32_t c : text) {
    const auto p = property(c);
    if (p == Property::kDisallowed || p == Property::kUnassigned || (p == Property::kFreeform && !freeform)) {
      return Error{Code::kJidInvalid, fmt::format("U+{:04X} is not allowed", static_cast<std::uint32_t>(c))};
    }
  }
  if (!context_is_right(text)) {
    return Error{Code::kJidInvalid, "a character is not allowed in its context"};
  }
  return {};
}

std::u32string width_mapped(std::u32string_view text) {
  icu::UnicodeString out;
  for (const char32_t c : text) {
    const auto type = u_getIntPropertyValue(icu_char(c), UCHAR_DECOMPOSITION_TYPE);
    icu::UnicodeString narrow;
    if ((type == U_DT_WIDE || type == U_DT_NARROW) && nfkc().getRawDecomposition(icu_char(c), narrow)) {
      out.append(narrow);
    } else {
      out.append(icu_char(c));
    }
  }
  return utf32(out);
}

Result<std::u32string> username_once(std::u32string_view text) {
  icu::UnicodeString lower = utf16(width_mapped(text));
  lower.toLower(icu::Locale::getRoot());
  auto out = composed(utf32(lower));
  if (auto allowed = check_class(out, false); !allowed) return allowed.error();
  if (has_right_to_left(out) && !bidi_rule_holds(out)) {
    return Error{Code::kJidInvalid, "right-to-left and left-to-right characters are mixed"};
  }
  return out;
}

Result<std::u32string> opaque_once(std::u32string_view text) {
  std::u32string spaced(text);
  for (char32_t& c : spaced) {
    if (u_charType(icu_char(c)) == U_SPACE_SEPARATOR) c = U' ';
  }
  auto out = composed(spaced);
  if (auto allowed = check_class(out, true); !allowed) return allowed.error();
  return out;
}

// RFC 8264 7: the rules are applied until they change nothing; a string that never becomes stable is
// rejected.
Result<std::string> settle(std::string_view text, Result<std::u32string> (*once)(std::u32string_view)) {
  constexpr int kPassesMax = 4;
  auto decoded = decode(text);
  if (!decoded) return decoded.error();
  std::u32string current = *std::move(decoded);
  for (int pass = 0; pass < kPassesMax; ++pass) {
    auto next = once(current);
    if (!next) return next.error();
    if (*next == current) {
      if (current.empty()) break;
      return encode(current);
    }
    current = *std::move(next);
  }
  return Error{Code::kJidInvalid, current.empty() ? "it is empty" : "its preparation does not become stable"};
}

}  // namespace

Property property(char32_t c) {
  if (const auto p = exception(c)) return *p;
  const auto type = u_charType(icu_char(c));
  const bool noncharacter = u_hasBinaryProperty(icu_char(c), UCHAR_NONCHARACTER_CODE_POINT) != 0;
  if (type == U_UNASSIGNED && !noncharacter) return Property::kUnassigned;
  if (c >= 0x21 && c <= 0x7E) return Property::kValid;
  if (u_hasBinaryProperty(icu_char(c), UCHAR_JOIN_CONTROL)) return Property::kContextJ;
  if (is_old_hangul_jamo(c)) return Property::kDisallowed;
  if (noncharacter || u_hasBinaryProperty(icu_char(c), UCHAR_DEFAULT_IGNORABLE_CODE_POINT)) {
    return Property::kDisallowed;
  }
  if (type == U_CONTROL_CHAR) return Property::kDisallowed;
  if (has_compatibility_form(c)) return Property::kFreeform;
  const auto mask = U_GET_GC_MASK(icu_char(c));
  constexpr auto kLetterDigits =
      U_GC_LL_MASK | U_GC_LU_MASK | U_GC_LO_MASK | U_GC_ND_MASK | U_GC_LM_MASK | U_GC_MN_MASK | U_GC_MC_MASK;
  if ((mask & kLetterDigits) != 0) return Property::kValid;
  constexpr auto kOthers =
      U_GC_LT_MASK | U_GC_NL_MASK | U_GC_NO_MASK | U_GC_ME_MASK | U_GC_ZS_MASK | U_GC_S_MASK | U_GC_P_MASK;
  return (mask & kOthers) != 0 ? Property::kFreeform : Property::kDisallowed;
}

bool context_is_right(std::u32string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto p = property(text[i]);
    if (p == Property::kContextO && !other_is_right(text, i)) return false;
    if (p != Property::kContextJ) continue;
    // RFC 5892 A.2: a joiner is allowed after a virama.
    const bool right = text[i] == 0x200C ? non_joiner_is_right(text, i) : i > 0 && is_virama(text[i - 1]);
    if (!right) return false;
  }
  return true;
}

std::u32string width_and_case_mapped(std::u32string_view text) {
  auto out = width_mapped(text);
  for (char32_t& c : out) {
    // Cherokee folds to its capitals, so that these are stable in IDNA2008 (RFC 5892 2.2).
    if (u_foldCase(icu_char(c), U_FOLD_CASE_DEFAULT) != icu_char(c))
      c = static_cast<char32_t>(u_tolower(icu_char(c)));
  }
  return composed(out);
}

Result<std::u32string> decode(std::string_view utf8) {
  std::u32string out;
  out.reserve(utf8.size());
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(utf8.data());
  const auto size = static_cast<int32_t>(utf8.size());
  for (int32_t i = 0; i < size;) {
    UChar32 c = 0;
    U8_NEXT(bytes, i, size, c);
    if (c < 0) return Error{Code::kJidInvalid, "it is not UTF-8"};
    out.push_back(static_cast<char32_t>(c));
  }
  return out;
}

std::string encode(std::u32string_view text) {
  std::string out;
  utf16(text).toUTF8String(out);
  return out;
}

Result<std::string> username_case_mapped(std::string_view text) { return settle(text, username_once); }
Result<std::string> opaque_string(std::string_view text) { return settle(text, opaque_once); }

}  // namespace sallyport::xmpp::precis
