#include "config/table_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>

#include "base/bytes.h"
#include "base/log.h"
#include "base/nearest.h"
#include "config/quantity.h"
#include "dns/address.h"

namespace sallyport::config {
std::string Finding::shown() const {
  // A finding about a whole file has no line.
  if (line == 0) return fmt::format("{}: {} [{}]", file, text, code_row(code).name);
  return fmt::format("{}:{}:{}: {} [{}]", file, line, column, text, code_row(code).name);
}

void Findings::error(Place place, Code code, std::string text) {
  errors_.push_back({code, file_, place.line, place.column, std::move(text)});
}

void Findings::warn(Place place, Code code, std::string text) {
  warnings_.push_back({code, file_, place.line, place.column, std::move(text)});
}

void Findings::sort() {
  const auto where = [](const Finding& finding) { return std::pair(finding.line, finding.column); };
  std::ranges::stable_sort(errors_, {}, where);
  std::ranges::stable_sort(warnings_, {}, where);
}

const TomlValue* TableReader::find(std::string_view key) {
  assert(asked_count_ < asked_.size());
  asked_[asked_count_++] = key;
  const auto at = std::ranges::find(*table_, key, &TomlEntry::key);
  return at == table_->end() ? nullptr : &at->value;
}

const TomlValue* TableReader::find(std::string_view key, Need need) {
  const TomlValue* value = find(key);
  if (!value && need == Need::kRequired)
    findings_->error(place_, Code::kConfigMissing, known(key) + " is missing");
  return value;
}

Place TableReader::place(std::string_view key) const {
  const auto at = std::ranges::find(*table_, key, &TomlEntry::key);
  return at == table_->end() ? place_ : at->value.place;
}

std::vector<Place> TableReader::places(std::string_view key) const {
  const auto at = std::ranges::find(*table_, key, &TomlEntry::key);
  if (at == table_->end()) return {};
  const auto* array = std::get_if<TomlArray>(&at->value.data);
  if (!array) return {at->value.place};
  std::vector<Place> all;
  for (const TomlValue& item : *array) all.push_back(item.place);
  return all;
}

std::string TableReader::known(std::string_view key) const {
  return shown_.empty() ? fmt::format("`{}`", key) : fmt::format("`{}` in {}", key, shown_);
}

void TableReader::wrong_type(std::string_view key, Place at, std::string_view expected) {
  findings_->error(at, Code::kConfigValue, fmt::format("{} must be {}", known(key), expected));
}

void TableReader::bad_value(std::string_view key, Place at, const Error& error) {
  findings_->error(at, Code::kConfigValue, fmt::format("{}: {}", known(key), error.text));
}

void TableReader::bad_choice(std::string_view key, std::string_view written, std::string_view names) {
  findings_->error(
      place(key), Code::kConfigValue,
      fmt::format("{} is `{}`; expected one of {}", known(key), sallyport::shown(written), names));
}

const std::string* TableReader::string_at(std::string_view key, Need need) {
  const TomlValue* value = find(key, need);
  if (!value) return nullptr;
  const auto* string = std::get_if<std::string>(&value->data);
  if (string && !string->empty()) return string;
  wrong_type(key, value->place, string ? "a string that is not empty" : "a string");
  return nullptr;
}

std::vector<std::pair<const std::string*, Place>> TableReader::strings_at(std::string_view key, Need need) {
  std::vector<std::pair<const std::string*, Place>> strings;
  const TomlValue* value = find(key, need);
  if (!value) return strings;
  const auto* array = std::get_if<TomlArray>(&value->data);
  if (!array || (array->empty() && need == Need::kRequired)) {
    wrong_type(key, value->place, array ? "a list of at least one string" : "a list of strings: [\"...\"]");
    return strings;
  }
  for (const auto& item : *array) {
    const auto* string = std::get_if<std::string>(&item.data);
    if (string)
      strings.emplace_back(string, item.place);
    else
      wrong_type(key, item.place, "a list of strings only");
  }
  return strings;
}

std::optional<bool> TableReader::boolean(std::string_view key) {
  const TomlValue* value = find(key);
  if (!value) return std::nullopt;
  if (const auto* found = std::get_if<bool>(&value->data)) return *found;
  wrong_type(key, value->place, "true or false");
  return std::nullopt;
}

std::optional<std::int64_t> TableReader::integer(std::string_view key, std::int64_t min, std::int64_t max) {
  const TomlValue* value = find(key);
  if (!value) return std::nullopt;
  const auto* found = std::get_if<std::int64_t>(&value->data);
  if (found && *found >= min && *found <= max) return *found;
  wrong_type(key, value->place, fmt::format("a number from {} to {}", min, max));
  return std::nullopt;
}

std::vector<std::int64_t> TableReader::integers(std::string_view key, std::int64_t min, std::int64_t max) {
  std::vector<std::int64_t> found;
  const TomlValue* value = find(key);
  if (!value) return found;
  const std::string expected = fmt::format("a list of numbers from {} to {}, at least one", min, max);
  const auto* array = std::get_if<TomlArray>(&value->data);
  if (!array || array->empty()) {
    wrong_type(key, value->place, expected);
    return found;
  }
  for (const auto& item : *array) {
    const auto* number = std::get_if<std::int64_t>(&item.data);
    if (number && *number >= min && *number <= max)
      found.push_back(*number);
    else
      wrong_type(key, item.place, expected);
  }
  return found;
}

std::optional<TomlDate> TableReader::date(std::string_view key) {
  const TomlValue* value = find(key);
  if (!value) return std::nullopt;
  if (const auto* found = std::get_if<TomlDate>(&value->data)) return *found;
  wrong_type(key, value->place, "a date without quotes: 2027-01-31");
  return std::nullopt;
}

std::optional<std::uint64_t> TableReader::size(std::string_view key, std::uint64_t min, std::uint64_t max) {
  const TomlValue* value = find(key);
  if (!value) return std::nullopt;
  const auto* string = std::get_if<std::string>(&value->data);
  const auto found = string ? parse_size(*string) : std::nullopt;
  if (found && *found >= min && *found <= max) return found;
  wrong_type(
      key, value->place,
      fmt::format("a size from \"{}\" to \"{}\", in B, KiB, MiB or GiB", size_text(min), size_text(max)));
  return std::nullopt;
}

std::optional<std::chrono::seconds> TableReader::duration(std::string_view key, std::chrono::seconds min,
                                                          std::chrono::seconds max) {
  const TomlValue* value = find(key);
  if (!value) return std::nullopt;
  const auto* string = std::get_if<std::string>(&value->data);
  const auto found = string ? parse_duration(*string) : std::nullopt;
  if (found && *found >= min && *found <= max) return found;
  wrong_type(key, value->place,
             fmt::format("a duration from \"{}\" to \"{}\", in s, m, h or d", duration_text(min),
                         duration_text(max)));
  return std::nullopt;
}

std::optional<std::string> TableReader::text(std::string_view key, Need need) {
  const std::string* string = string_at(key, need);
  return string ? std::optional(*string) : std::nullopt;
}

std::string TableReader::path(std::string_view key, Need need) {
  const std::string* string = string_at(key, need);
  return string ? resolve_path(findings_->file(), *string) : std::string();
}

std::optional<TableReader> TableReader::table(std::string_view key, std::string_view shown, Need need) {
  const TomlValue* value = find(key);
  if (!value) {
    if (need == Need::kRequired)
      findings_->error(place_, Code::kConfigMissing, fmt::format("{} is missing", shown));
    return std::nullopt;
  }
  if (const auto* found = std::get_if<TomlTable>(&value->data)) {
    return TableReader(*found, value->place, shown, *findings_);
  }
  wrong_type(key, value->place, fmt::format("one table, {}", shown));
  return std::nullopt;
}

std::vector<TableReader> TableReader::tables(std::string_view key, std::string_view shown, Need need) {
  std::vector<TableReader> readers;
  const TomlValue* value = find(key);
  if (!value) {
    if (need == Need::kRequired)
      findings_->error(place_, Code::kConfigMissing, fmt::format("{} is missing", shown));
    return readers;
  }
  const auto* array = std::get_if<TomlArray>(&value->data);
  if (!array) {
    wrong_type(key, value->place, fmt::format("a row of a list, {}", shown));
    return readers;
  }
  readers.reserve(array->size());
  for (const auto& item : *array) {
    if (const auto* row = std::get_if<TomlTable>(&item.data)) {
      readers.emplace_back(*row, item.place, shown, *findings_);
    } else {
      wrong_type(key, item.place, fmt::format("a row of a list, {}", shown));
    }
  }
  return readers;
}

void TableReader::only_in(std::string_view key, std::string_view where) {
  const auto at = std::ranges::find(*table_, key, &TomlEntry::key);
  if (at == table_->end()) return;
  find(key);
  findings_->error(at->place, Code::kConfigKey, fmt::format("{} is only valid in {}", known(key), where));
}

void TableReader::finish() {
  const auto asked = std::span(asked_).first(asked_count_);
  for (const auto& entry : *table_) {
    if (std::ranges::find(asked, entry.key) != asked.end()) continue;
    const std::string where = shown_.empty() ? std::string() : fmt::format(" in {}", shown_);
    std::string meant;
    if (const auto near = nearest(entry.key, asked)) {
      meant = fmt::format("did you mean `{}`?", *near);
    } else {
      meant = fmt::format("known here: {}", fmt::join(asked, ", "));
    }
    findings_->error(entry.place, Code::kConfigKey,
                     fmt::format("unknown key `{}`{}; {}", sallyport::shown(entry.key), where, meant));
  }
}

Result<std::string> parse_pin(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  if (text.starts_with(kPrefix)) {
    const auto digest = from_base64(text.substr(kPrefix.size()));
    if (digest && digest->size() == sizeof(Digest256)) return std::string(text);
  }
  return Error{Code::kConfigValue, fmt::format("`{}` is not a valid pin; expected sha256: and the base64 of "
                                               "32 bytes, as `sallyport keygen` prints it",
                                               shown(text))};
}

Result<HostPort> parse_listener(std::string_view text, std::uint16_t default_port) {
  auto address = HostPort::parse(text, default_port);
  if (!address || address->is_ip) return address;
  return Error{Code::kConfigValue,
               fmt::format("`{}` is a name; an IP address is expected here", shown(text))};
}

Result<std::string> parse_ip_text(std::string_view text) {
  if (const auto ip = dns::Ip::parse(text)) return ip->text();
  return Error{Code::kConfigValue, fmt::format("`{}` is not an IP address", shown(text))};
}

std::string resolve_path(std::string_view file, std::string_view path) {
  const auto slash = file.rfind('/');
  if (path.starts_with('/') || slash == std::string_view::npos) return std::string(path);
  return std::string(file.substr(0, slash + 1)).append(path);
}

IdentityFiles read_identity(TableReader& root) {
  IdentityFiles files;
  auto identity = root.table("identity", "[identity]", Need::kRequired);
  if (!identity) return files;
  files.certificate = identity->path("certificate", Need::kRequired);
  files.key = identity->path("key", Need::kRequired);
  identity->finish();
  return files;
}

const xmpp::Domain& no_domain() {
  static const xmpp::Domain kNone = xmpp::Domain::parse("invalid").value();
  return kNone;
}

}  // namespace sallyport::config
