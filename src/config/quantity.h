// Sizes and durations as text with one unit: "64 MiB", "2m".
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sallyport::config {

// Parses a number of bytes: digits, one space, and B, KiB, MiB or GiB. Returns nothing for any other form,
// and for a number that 64 bits do not hold.
std::optional<std::uint64_t> parse_size(std::string_view text);
// Returns the size in the largest unit in which it is a whole number.
std::string size_text(std::uint64_t bytes);

// Parses digits and, without a space, s, m (minutes), h or d. Returns nothing for any other form, and for
// more than 2^31 seconds.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);
std::string duration_text(std::chrono::seconds duration);

}  // namespace sallyport::config
