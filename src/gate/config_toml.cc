#include "gate/config_toml.h"

#include <fmt/format.h>

#include "base/limits.h"

// No key of ours nests deeper; the library frees what it read by recursion.
#define TOML_MAX_NESTED_VALUES 4
#define TOML_EXCEPTIONS 0
// toml++ 3.3 asserts of a table header's first character what only its next lines check (`[[$a]]`).
#define TOML_ASSERT(expr) static_assert(true)
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace sallyport::gate {
namespace {

// Tables of tables of arrays of tables: what is deeper is in no contract, and reported by its key.
constexpr int kDepthMax = 6;

Place place_of(const toml::source_position& at) { return {std::max(at.line, 1U), std::max(at.column, 1U)}; }

TomlValue convert(toml::node& node, int depth);

TomlTable convert_table(toml::table& table, int depth) {
  TomlTable made;
  made.reserve(table.size());
  for (auto&& [key, node] : table) {
    made.push_back({std::string(key.str()), place_of(key.source().begin), convert(node, depth)});
  }
  return made;
}

TomlArray convert_array(toml::array& array, int depth) {
  TomlArray made;
  made.reserve(array.size());
  for (auto& node : array) made.push_back(convert(node, depth));
  return made;
}

UnixTime midnight(const toml::date& date) {
  const std::chrono::year_month_day day{std::chrono::year(date.year), std::chrono::month(date.month),
                                        std::chrono::day(date.day)};
  return std::chrono::sys_days(day);
}

TomlValue convert(toml::node& node, int depth) {
  TomlValue made{place_of(node.source().begin), TomlOther{}};
  if (auto* text = node.as_string()) {
    made.data = std::move(text->get());
  } else if (auto* integer = node.as_integer()) {
    made.data = integer->get();
  } else if (auto* boolean = node.as_boolean()) {
    made.data = boolean->get();
  } else if (auto* date = node.as_date()) {
    made.data = TomlDate{midnight(date->get())};
  } else if (auto* array = node.as_array(); array && depth < kDepthMax) {
    made.data = convert_array(*array, depth + 1);
  } else if (auto* table = node.as_table(); table && depth < kDepthMax) {
    made.data = convert_table(*table, depth + 1);
  }
  return made;
}

// The line that is too long, or nothing. The length of a line bounds how deep dotted keys can nest.
std::optional<std::uint32_t> overlong_line(std::string_view text) {
  std::uint32_t line = 1;
  while (text.size() > limits::kConfigLineBytesMax) {
    const auto end = text.find('\n');
    if (std::min(end, text.size()) > limits::kConfigLineBytesMax) return line;
    text.remove_prefix(end + 1);
    ++line;
  }
  return std::nullopt;
}

}  // namespace

TomlDocument parse_toml(std::string_view text) {
  TomlDocument document;
  if (text.size() > limits::kConfigFileBytesMax) {
    document.error = fmt::format("the file has more than {} bytes", limits::kConfigFileBytesMax);
    return document;
  }
  if (const auto line = overlong_line(text)) {
    document.error = fmt::format("the line has more than {} bytes", limits::kConfigLineBytesMax);
    document.error_place = {*line, 1};
    return document;
  }
  auto parsed = toml::parse(text);
  if (!parsed) {
    document.error = std::string(parsed.error().description());
    document.error_place = place_of(parsed.error().source().begin);
    return document;
  }
  document.root = convert_table(parsed.table(), 0);
  return document;
}

}  // namespace sallyport::gate
