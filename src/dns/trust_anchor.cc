#include "dns/trust_anchor.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace sallyport::dns {
namespace {

using Record = std::vector<std::string_view>;

// The next record of a zone file; parentheses join lines, and a semicolon begins a comment (RFC 1035 5.1).
Record next_record(std::string_view& text) {
  Record record;
  std::size_t at = 0;
  for (bool joined = false; at < text.size(); ++at) {
    const char c = text[at];
    if (c == ';') {
      while (at + 1 < text.size() && text[at + 1] != '\n') ++at;
    } else if (c == '(' || c == ')') {
      joined = c == '(';
    } else if (c == '\n') {
      if (!joined && !record.empty()) break;
    } else if (c != ' ' && c != '\t' && c != '\r') {
      const std::size_t end = std::min(text.find_first_of(" \t\r\n;()", at), text.size());
      record.push_back(text.substr(at, end - at));
      at = end - 1;
    }
  }
  text.remove_prefix(std::min(at, text.size()));
  return record;
}

std::optional<unsigned> number(std::string_view token) {
  unsigned value = 0;
  const auto [end, failed] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (failed != std::errc() || end != token.data() + token.size()) return std::nullopt;
  return value;
}

bool is_supported(std::optional<unsigned> algorithm) {
  constexpr std::array<unsigned, 8> kAlgorithms{5, 7, 8, 10, 13, 14, 15, 16};
  return algorithm && std::ranges::find(kAlgorithms, *algorithm) != kAlgorithms.end();
}

// KEY-TAG ALGORITHM DIGEST-TYPE DIGEST, the digest in one or more parts.
bool is_usable_ds(const Record& record, std::size_t at) {
  if (record.size() < at + 4 || !is_supported(number(record[at + 1]))) return false;
  constexpr std::array<std::pair<unsigned, std::size_t>, 3> kDigits{{{1, 40}, {2, 64}, {4, 96}}};
  const auto type =
      std::ranges::find(kDigits, number(record[at + 2]), &std::pair<unsigned, std::size_t>::first);
  if (type == kDigits.end()) return false;
  std::size_t digits = 0;
  for (std::size_t i = at + 3; i < record.size(); ++i) {
    if (record[i].find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) return false;
    digits += record[i].size();
  }
  return digits == type->second;
}

// FLAGS PROTOCOL ALGORITHM KEY.
bool is_usable_key(const Record& record, std::size_t at) {
  return record.size() >= at + 4 && number(record[at + 1]) == 3u && is_supported(number(record[at + 2]));
}

bool is_type(std::string_view token, std::string_view type) {
  return std::ranges::equal(token, type,
                            [](char a, char b) { return (a >= 'a' && a <= 'z' ? a - 32 : a) == b; });
}

}  // namespace

bool has_usable_anchor(std::string_view text) {
  while (!text.empty()) {
    const Record record = next_record(text);
    // NAME [TTL] [CLASS] TYPE DATA
    for (std::size_t i = 1; i < record.size() && i <= 3; ++i) {
      if (is_type(record[i], "DS") && is_usable_ds(record, i + 1)) return true;
      if (is_type(record[i], "DNSKEY") && is_usable_key(record, i + 1)) return true;
    }
  }
  return false;
}

}  // namespace sallyport::dns
