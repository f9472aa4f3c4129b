// Reads one TOML table by the keys that the caller asks for; any other key is unknown. Every error becomes a
// finding with its place, and reading continues, so that one run reports all of them.
#pragma once

#include <array>
#include <chrono>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/finding.h"
#include "config/identity_files.h"
#include "config/toml.h"
#include "route/static_route.h"

namespace sallyport::config {

using route::HostPort;

// The errors and warnings about one file. Outlives the readers that write into it.
class Findings {
 public:
  explicit Findings(std::string file) : file_(std::move(file)) {}
  void error(Place place, Code code, std::string text);
  void warn(Place place, Code code, std::string text);
  bool good() const { return errors_.empty(); }
  const std::string& file() const { return file_; }

  // Returns the value if there were no errors; errors and warnings in the order of the file.
  template <typename T>
  Loaded<T> finish(T value) && {
    sort();
    Loaded<T> loaded{std::nullopt, std::move(errors_), std::move(warnings_)};
    if (loaded.errors.empty()) loaded.value = std::move(value);
    return loaded;
  }

 private:
  void sort();
  std::string file_;
  std::vector<Finding> errors_;
  std::vector<Finding> warnings_;
};

enum class Need : std::uint8_t { kOptional, kRequired };

// Keys are string literals: the reader keeps views of them. The table outlives the reader.
class TableReader {
 public:
  // `shown` is the table's name in messages: "[edge]", "[[allow]]"; empty for the file itself.
  TableReader(const TomlTable& table, Place place, std::string_view shown, Findings& findings)
      : table_(&table), place_(place), shown_(shown), findings_(&findings) {}

  Place place() const { return place_; }
  // Returns the place of the key's value; of the table if the key is absent.
  Place place(std::string_view key) const;
  // Returns the places of the items of a list, or of the one value; none if the key is absent.
  std::vector<Place> places(std::string_view key) const;

  std::optional<bool> boolean(std::string_view key);
  std::optional<std::int64_t> integer(std::string_view key, std::int64_t min, std::int64_t max);
  std::optional<TomlDate> date(std::string_view key);
  // Read a size or a duration as text (config/quantity.h).
  std::optional<std::uint64_t> size(std::string_view key, std::uint64_t min, std::uint64_t max);
  std::optional<std::chrono::seconds> duration(std::string_view key, std::chrono::seconds min,
                                               std::chrono::seconds max);
  // Reads a string that is not empty.
  std::optional<std::string> text(std::string_view key, Need need = Need::kOptional);
  // Reads a path; a relative one is resolved against the file's folder. Returns an empty string if absent.
  std::string path(std::string_view key, Need need = Need::kOptional);
  std::vector<std::int64_t> integers(std::string_view key, std::int64_t min, std::int64_t max);

  template <typename T>
  std::optional<T> choice(std::string_view key, std::initializer_list<std::pair<std::string_view, T>> of) {
    const std::string* name = string_at(key, Need::kOptional);
    if (!name) return std::nullopt;
    std::string names;
    for (const auto& [known, value] : of) {
      if (*name == known) return value;
      names += (names.empty() ? "\"" : ", \"") + std::string(known) + '"';
    }
    bad_choice(key, *name, names);
    return std::nullopt;
  }

  // Reads a string that `parse` (std::string_view to Result<T>) accepts.
  template <typename Parse>
  auto parsed(std::string_view key, Need need, Parse parse)
      -> std::optional<std::decay_t<decltype(*parse(std::string_view()))>> {
    const std::string* string = string_at(key, need);
    if (!string) return std::nullopt;
    auto value = parse(std::string_view(*string));
    if (value) return *std::move(value);
    bad_value(key, place(key), value.error());
    return std::nullopt;
  }

  // Reads an array of strings that `parse` accepts; if required, of at least one.
  template <typename Parse>
  auto list(std::string_view key, Need need, Parse parse)
      -> std::vector<std::decay_t<decltype(*parse(std::string_view()))>> {
    std::vector<std::decay_t<decltype(*parse(std::string_view()))>> values;
    for (const auto& [string, at] : strings_at(key, need)) {
      auto value = parse(std::string_view(*string));
      if (value)
        values.push_back(*std::move(value));
      else
        bad_value(key, at, value.error());
    }
    return values;
  }

  // Reads [key] and [[key]]. `shown` is a literal. An absent required table is reported once, not for each
  // key that it requires.
  std::optional<TableReader> table(std::string_view key, std::string_view shown, Need need);
  std::vector<TableReader> tables(std::string_view key, std::string_view shown, Need need = Need::kOptional);

  // Reports the key, if present, as one that belongs to the other node's file, `where`.
  void only_in(std::string_view key, std::string_view where);

  // Reports every key that was not asked for. Call it once, after all other functions.
  void finish();

 private:
  const TomlValue* find(std::string_view key);
  const TomlValue* find(std::string_view key, Need need);
  const std::string* string_at(std::string_view key, Need need);
  std::vector<std::pair<const std::string*, Place>> strings_at(std::string_view key, Need need);
  void wrong_type(std::string_view key, Place at, std::string_view expected);
  void bad_value(std::string_view key, Place at, const Error& error);
  void bad_choice(std::string_view key, std::string_view written, std::string_view names);
  std::string known(std::string_view key) const;

  const TomlTable* table_;
  Place place_;
  std::string_view shown_;
  Findings* findings_;
  std::array<std::string_view, 16> asked_{};
  std::size_t asked_count_ = 0;
};

// --- forms of values that several files share

// Parses "sha256:" and the base64 of 32 bytes. Errors: kConfigValue.
Result<std::string> parse_pin(std::string_view text);
// Parses an address to listen on: an IP and a port. Errors: kConfigValue.
Result<HostPort> parse_listener(std::string_view text, std::uint16_t default_port);
// Parses an IP address and returns its canonical text. Errors: kConfigValue.
Result<std::string> parse_ip_text(std::string_view text);
// Returns `path` relative to the folder of `file`.
std::string resolve_path(std::string_view file, std::string_view path);
// Reads [identity].
IdentityFiles read_identity(TableReader& root);
// Placeholder for an invalid name, until the whole configuration is rejected because of it.
const xmpp::Domain& no_domain();

}  // namespace sallyport::config
