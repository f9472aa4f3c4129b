#include "config/quantity.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <span>

namespace sallyport::config {
namespace {

struct Unit {
  std::string_view suffix;
  std::uint64_t factor;
};
// The largest first.
constexpr Unit kSizes[] = {
    {" GiB", 1024ULL * 1024 * 1024}, {" MiB", 1024ULL * 1024}, {" KiB", 1024}, {" B", 1}};
constexpr Unit kDurations[] = {{"d", 86'400}, {"h", 3'600}, {"m", 60}, {"s", 1}};

std::optional<std::uint64_t> parse(std::string_view text, std::span<const Unit> units, std::uint64_t max) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, number);
  if (failed != std::errc()) return std::nullopt;
  const auto unit = std::ranges::find(units, std::string_view(rest, end), &Unit::suffix);
  if (unit == units.end() || number > max / unit->factor) return std::nullopt;
  return number * unit->factor;
}

std::string text_of(std::uint64_t value, std::span<const Unit> units) {
  const auto divides = [value](const Unit& unit) { return value >= unit.factor && value % unit.factor == 0; };
  const auto found = std::ranges::find_if(units, divides);
  const Unit& unit = found == units.end() ? units.back() : *found;
  return fmt::format("{}{}", value / unit.factor, unit.suffix);
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) { return parse(text, kSizes, UINT64_MAX); }

std::string size_text(std::uint64_t bytes) { return text_of(bytes, kSizes); }

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  const auto seconds = parse(text, kDurations, 1ULL << 31);
  if (!seconds) return std::nullopt;
  return std::chrono::seconds(static_cast<std::int64_t>(*seconds));
}

std::string duration_text(std::chrono::seconds duration) {
  return text_of(static_cast<std::uint64_t>(duration.count()), kDurations);
}

}  // namespace sallyport::config
