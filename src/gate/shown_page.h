// How an edge tells a core what is shown across its pairs (docs/link-protocol.md, CONTROL): page by page, as
// an answer over the link. A core's new process remembers none of it. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "policy/rules.h"

namespace sallyport::gate {

// One presence that is shown: kOut from a local user, kIn to one. Addresses of the public side.
struct ShownPresence {
  policy::Direction direction;
  std::string from;
  std::string to;
};

struct ShownPage {
  std::vector<ShownPresence> shown;  // in the order in which it was shown
  std::uint64_t last = 0;            // the next page begins behind this number
  bool more = false;
};

// The question for what stands behind that number, and its number again; nothing where it is another
// question.
std::string shown_question(std::uint64_t after);
std::optional<std::uint64_t> shown_after(std::string_view question);

std::string shown_answer(const ShownPage& page);
// Errors: kControlRefused if it is no such page. Addresses are not parsed here.
Result<ShownPage> parse_shown(std::string_view answer);

}  // namespace sallyport::gate
