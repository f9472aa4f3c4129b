#include "base/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "base/limits.h"

namespace sallyport {
namespace {

struct Decoded {
  char32_t code_point;
  std::size_t size;  // 0: the first byte begins no valid character
};

// The first character of `text`, which is not empty (RFC 3629 4: no overlong forms, no surrogates).
Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {0, 0};
  char32_t cp = lead & (0x7f >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {0, 0};
    cp = (cp << 6) | (byte(i) & 0x3f);
  }
  const bool overlong = (size == 3 && cp < 0x800) || (size == 4 && cp < 0x10000);
  if (overlong || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff)) return {0, 0};
  return {cp, size};
}

// Characters that move the cursor, end the line, change the direction of text, or cannot be in XML (the
// result may become part of a stanza error).
bool is_deceiving(char32_t cp) {
  return cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) ||                           // C0, DEL, C1
         cp == 0x061c || cp == 0x200e || cp == 0x200f ||                      // bidi marks
         (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069) ||  // bidi controls
         cp == 0x2028 || cp == 0x2029 || cp == 0xfffe || cp == 0xffff;        // separators, noncharacters
}

// Characters that get a backslash, besides those written as escapes.
constexpr std::string_view kQuotes = "\"'\\";
constexpr std::string_view kDelimiters = "\"\\";  // in a value of a log line
constexpr std::string_view kNone;

// Returns how many characters from the front need no escape, whatever follows them.
std::size_t plain_run(std::string_view text) {
  std::size_t size = 0;
  while (size < text.size() && text[size] >= 0x20 && text[size] < 0x7f &&
         kQuotes.find(text[size]) == std::string_view::npos)
    ++size;
  return size;
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      return "debug";
  }
  return "error";
}

// `text` is valid UTF-8 without control characters: only two characters are special in a JSON string.
void append_json_string(std::string& out, std::string_view text) {
  out.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  out.push_back('"');
}

// See `shown`.
std::string escaped(std::string_view text, std::string_view quotes) {
  std::string out;
  out.reserve(std::min(text.size(), limits::kShownBytesMax) + 8);
  std::size_t at = plain_run(text.substr(0, limits::kShownBytesMax));
  out.append(text.substr(0, at));
  while (at < text.size()) {
    const auto [cp, size] = decode(text.substr(at));
    const std::size_t step = std::max<std::size_t>(size, 1);
    if (at + step > limits::kShownBytesMax) {
      out += "…";
      break;
    }
    if (size == 0) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(text[at]));
    } else if (is_deceiving(cp)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<std::uint32_t>(cp));
    } else {
      if (size == 1 && quotes.find(text[at]) != std::string_view::npos) out.push_back('\\');
      out.append(text.substr(at, size));
    }
    at += step;
  }
  return out;
}

}  // namespace

std::string shown(std::string_view text) { return escaped(text, kQuotes); }

std::string legible(std::string_view text) { return escaped(text, kNone); }

std::string format_text(const LogEvent& event, std::string_view time) {
  std::string out;
  out.append(time).append(" ").append(level_name(event.level)).append(" ").append(event.name);
  for (const auto& [key, value] : event.fields) {
    const std::string safe = escaped(value, kDelimiters);
    // Unquoted if a reader that splits at spaces and `=` still gets one value.
    const bool plain = !safe.empty() && safe.find_first_of(" =\\") == std::string::npos;
    const std::string_view quote = plain ? "" : "\"";
    out.append(" ").append(key).append("=").append(quote).append(safe).append(quote);
  }
  return out;
}

std::string format_json(const LogEvent& event, std::string_view time) {
  std::string out = fmt::format(R"({{"time":"{}","level":"{}","event":)", time, level_name(event.level));
  append_json_string(out, event.name);
  for (const auto& [key, value] : event.fields) {
    out.push_back(',');
    append_json_string(out, key);
    out.push_back(':');
    append_json_string(out, legible(value));
  }
  out.push_back('}');
  return out;
}

}  // namespace sallyport
