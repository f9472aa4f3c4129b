#include "xmpp/xml_scanner.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/limits.h"

namespace sallyport::xmpp {
namespace {

constexpr std::string_view kXmlTarget = "xml";
constexpr std::string_view kCdataOpening = "[CDATA[";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool is_reference_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '#';
}

constexpr std::array<bool, 256> table_of(std::string_view members) {
  std::array<bool, 256> table{};
  for (const char c : members) table[static_cast<unsigned char>(c)] = true;
  return table;
}

constexpr auto kEndsText = table_of("<&");
constexpr auto kMattersInTag = table_of("'\"=>");

// Returns the index of the first byte in the table, or the size.
std::size_t find_in(const std::array<bool, 256>& table, std::string_view slice, std::size_t from) {
  while (from < slice.size() && !table[static_cast<unsigned char>(slice[from])]) ++from;
  return from;
}

}  // namespace

ParseLimits ParseLimits::unauthenticated() {
  return {limits::kElementBytesUnauthenticatedMax, limits::kDepthUnauthenticatedMax, limits::kAttributesMax,
          limits::kChildrenUnauthenticatedMax};
}

ParseLimits ParseLimits::authenticated() {
  return {limits::kStanzaBytesMax, limits::kDepthMax, limits::kAttributesMax, limits::kChildrenMax};
}

XmlScanner::Step XmlScanner::scan(std::string_view bytes) {
  Step step;
  boundary_ = false;
  while (step.scanned < bytes.size() && !boundary_) {
    const std::size_t left = room();
    if (left == 0) {
      step.error = Error{Code::kXmlTooLarge, {}};
      return step;
    }
    const auto slice = bytes.substr(step.scanned, left);
    const std::size_t taken = advance(slice);
    used_ += taken;
    step.scanned += taken;
    if (taken > 0) last_ = slice[taken - 1];
    if (error_) {
      step.error = std::move(error_);
      return step;
    }
    if (is_whole()) step.complete = step.scanned;
  }
  if (boundary_) used_ = 0;
  step.boundary = boundary_;
  return step;
}

std::size_t XmlScanner::room() const {
  // White space is counted where it is read: `<` ends it, and may follow the last allowed byte.
  if (state_ == State::kBetween || state_ == State::kEpilog)
    return limits::kWhitespaceRunBytesMax + 1 - used_;
  const std::size_t bound = depth_ == 0 ? limits::kStreamHeaderBytesMax : limits_.element_bytes;
  return bound - used_;
}

bool XmlScanner::is_whole() const {
  switch (state_) {
    case State::kProlog:
    case State::kBetween:
    case State::kEpilog:
    case State::kText:
    case State::kReference:
    case State::kCdata:
      return true;
    default:
      return false;
  }
}

std::size_t XmlScanner::advance(std::string_view slice) {
  switch (state_) {
    case State::kProlog:
      return in_prolog(slice);
    case State::kBetween:
    case State::kEpilog:
      return in_between(slice);
    case State::kText:
      return in_text(slice);
    case State::kReference:
      return in_reference(slice);
    case State::kMarkup:
      return in_markup(slice);
    case State::kTag:
      return in_tag(slice);
    case State::kSingleQuote:
      return in_quotes(slice, '\'');
    case State::kDoubleQuote:
      return in_quotes(slice, '"');
    case State::kDeclaration:
      return in_declaration(slice);
    case State::kBang:
      return in_bang(slice);
    case State::kCdata:
      return in_cdata(slice);
  }
  return refuse(Code::kInternal, 0);
}

std::size_t XmlScanner::refuse(Code code, std::size_t taken, std::string_view text) {
  error_ = Error{code, std::string(text)};
  return taken;
}

std::size_t XmlScanner::in_prolog(std::string_view slice) {
  const char c = slice.front();
  if (c == '<') {
    state_ = State::kMarkup;
    return 1;
  }
  if (is_space(c)) return 1;
  // A byte order mark, or the zero half of a 16-bit character (RFC 6120 11.6).
  const bool other_encoding = used_ == 0 && (c == 0 || static_cast<unsigned char>(c) >= 0x80);
  return refuse(other_encoding ? Code::kXmlEncoding : Code::kXmlNotWellFormed, 0,
                "text before the stream header");
}

std::size_t XmlScanner::in_between(std::string_view slice) {
  if (slice.front() == '<' && state_ == State::kBetween) {
    limits_ = next_limits_;
    used_ = 0;
    children_ = 0;
    state_ = State::kMarkup;
    return 1;
  }
  std::size_t run = 0;
  while (run < slice.size() && is_space(slice[run])) ++run;
  if (used_ + run > limits::kWhitespaceRunBytesMax) {
    return refuse(Code::kXmlTooLarge, limits::kWhitespaceRunBytesMax - used_, "too much white space");
  }
  if (run > 0) return run;
  return state_ == State::kEpilog ? refuse(Code::kXmlNotWellFormed, 0, "data after the end of the stream")
                                  : refuse(Code::kXmlTextBetween, 0);
}

std::size_t XmlScanner::in_text(std::string_view slice) {
  const std::size_t end = find_in(kEndsText, slice, 0);
  if (end == slice.size()) return end;
  if (slice[end] == '&') {
    state_ = State::kReference;
    matched_ = 0;
    return end + 1;
  }
  // The text before it is passed on first: `<` begins a piece that is held back until it is whole.
  if (end > 0) return end;
  state_ = State::kMarkup;
  return 1;
}

std::size_t XmlScanner::in_reference(std::string_view slice) {
  const char c = slice.front();
  if (c == ';') {
    state_ = State::kText;
    return 1;
  }
  if (!is_reference_char(c)) {
    state_ = State::kText;  // ill-formed: the parser will reject it
    return 0;
  }
  if (++matched_ > limits::kReferenceBytesMax)
    return refuse(Code::kXmlRestricted, 0, "a long entity reference");
  return 1;
}

std::size_t XmlScanner::in_markup(std::string_view slice) {
  const char c = slice.front();
  end_tag_ = c == '/';
  attributes_ = 0;
  matched_ = 0;
  if (end_tag_) {
    state_ = State::kTag;
    return 1;
  }
  const bool at_start = depth_ == 0 && used_ == 1;
  if (c == '?' && at_start) {
    state_ = State::kDeclaration;
    return 1;
  }
  if (c == '?') return refuse(Code::kXmlRestricted, 0, "a processing instruction");
  if (c == '!' && depth_ >= 2) {
    state_ = State::kBang;
    return 1;
  }
  if (c == '!')
    return refuse(Code::kXmlRestricted, 0, depth_ == 0 ? "a DTD or comment" : "a comment or CDATA");
  // The other half of a 16-bit character; the parser would wait for the end of the tag.
  if (c == 0) return refuse(at_start ? Code::kXmlEncoding : Code::kXmlNotWellFormed, 0);
  open_tag();
  return 0;
}

void XmlScanner::open_tag() {
  state_ = State::kTag;
  if (depth_ == 0) return;
  if (depth_ > limits_.depth) {
    error_ = Error{Code::kXmlTooDeep, {}};
  } else if (++children_ > limits_.children) {
    error_ = Error{Code::kXmlTooManyChildren, {}};
  }
}

std::size_t XmlScanner::in_tag(std::string_view slice) {
  for (std::size_t i = find_in(kMattersInTag, slice, 0); i < slice.size();
       i = find_in(kMattersInTag, slice, i + 1)) {
    switch (slice[i]) {
      case '\'':
        state_ = State::kSingleQuote;
        return i + 1;
      case '"':
        state_ = State::kDoubleQuote;
        return i + 1;
      case '>':
        close_tag((i == 0 ? last_ : slice[i - 1]) == '/');
        return i + 1;
      default:
        break;
    }
    if (++attributes_ > limits_.attributes) return refuse(Code::kXmlTooManyAttributes, i);
  }
  return slice.size();
}

void XmlScanner::close_tag(bool self_closing) {
  if (end_tag_) {
    depth_ -= depth_ > 0 ? 1 : 0;
  } else if (!self_closing) {
    ++depth_;
  }
  boundary_ = depth_ <= 1;
  state_ = depth_ == 0 ? State::kEpilog : depth_ == 1 ? State::kBetween : State::kText;
}

std::size_t XmlScanner::in_quotes(std::string_view slice, char quote) {
  const auto end = slice.find(quote);
  if (end == std::string_view::npos) return slice.size();
  state_ = State::kTag;
  return end + 1;
}

std::size_t XmlScanner::in_declaration(std::string_view slice) {
  const char c = slice.front();
  if (matched_ < kXmlTarget.size()) {
    return c == kXmlTarget[matched_++] ? 1 : refuse(Code::kXmlRestricted, 0, "a processing instruction");
  }
  if (matched_ == kXmlTarget.size()) {
    ++matched_;
    return is_space(c) ? 1 : refuse(Code::kXmlRestricted, 0, "a processing instruction");
  }
  if (c == '>' && last_ == '?') state_ = State::kProlog;
  return 1;
}

std::size_t XmlScanner::in_bang(std::string_view slice) {
  if (slice.front() != kCdataOpening[matched_]) return refuse(Code::kXmlRestricted, 0, "a comment or DTD");
  if (++matched_ < kCdataOpening.size()) return 1;
  state_ = State::kCdata;
  matched_ = 0;
  return 1;
}

std::size_t XmlScanner::in_cdata(std::string_view slice) {
  for (std::size_t i = 0; i < slice.size(); ++i) {
    if (slice[i] == ']') {
      ++matched_;
    } else if (slice[i] == '>' && matched_ >= 2) {
      state_ = State::kText;
      return i + 1;
    } else {
      matched_ = 0;
    }
  }
  return slice.size();
}

}  // namespace sallyport::xmpp
