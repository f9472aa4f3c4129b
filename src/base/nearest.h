// Which of the words that are known somebody may have meant by one that is not.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace sallyport {

// The known word with the fewest insertions, deletions and replacements of a byte; nothing when all are so
// far that none of them is likely (more than a third of the longer word's bytes, but two are always near
// where a word has four or more).
std::optional<std::string_view> nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace sallyport
