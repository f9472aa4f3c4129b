// For tests: rules written as short texts, and verdicts as the names of their codes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "policy/rules.h"

namespace sallyport::policy {

using namespace std::chrono_literals;

inline constexpr UnixTime kNow = UnixTime(1'800'000'000s);
inline constexpr Direction kIn = Direction::kIn;
inline constexpr Direction kOut = Direction::kOut;
inline constexpr Direction kBoth = Direction::kBoth;

inline xmpp::Domain domain(std::string_view text) { return xmpp::Domain::parse(text).value(); }
inline DomainPattern pattern(std::string_view text) { return DomainPattern::parse(text).value(); }

// "+in *.partner.example", "-both evil.example", "~both x.example" (an expired allow), "_..." (an expired
// deny).
inline ListRow row(std::string_view text, std::uint32_t line) {
  const char sign = text[0];
  const auto space = text.find(' ');
  const std::string_view way = text.substr(1, space - 1);
  ListRow made{.domain = pattern(text.substr(space + 1)), .allow = sign == '+' || sign == '~', .line = line};
  made.direction = way == "in" ? kIn : way == "out" ? kOut : kBoth;
  if (sign == '~' || sign == '_') made.expires = kNow;
  return made;
}

inline RuleSet rules_of(Privacy privacy, const std::vector<std::string>& rows,
                        const std::vector<std::string>& routed = {}) {
  RuleSet set{.privacy = privacy};
  set.local = {{domain("example.com"), false}, {domain("chatroom1.example.com"), true}};
  set.internal_names = {pattern("corp.example"), pattern("*.corp.example"), pattern("vcse.dmz.example")};
  std::uint32_t line = 0;
  for (const auto& text : rows) set.lists.push_back(row(text, ++line));
  for (const auto& name : routed) set.routed.push_back(domain(name));
  return set;
}

// Returns "ok" or the name of the code.
inline std::string answer(const Result<void>& result) {
  return result ? "ok" : std::string(code_row(result.error().code).name);
}

}  // namespace sallyport::policy
