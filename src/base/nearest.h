// Suggestions for mistyped words.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace sallyport {

// Returns the known word with the fewest insertions, deletions and replacements of a byte; nothing if they
// are more than a third of the longer word's bytes and more than two (one if either word has under four
// bytes).
std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace sallyport
