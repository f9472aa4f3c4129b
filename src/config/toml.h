// A TOML document as plain values, each with its place. The one place that knows the TOML library.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/time.h"

namespace sallyport::config {

struct Place {
  std::uint32_t line = 1;  // both from 1
  std::uint32_t column = 1;
  auto operator<=>(const Place&) const = default;
};

struct TomlValue;
struct TomlEntry;
using TomlArray = std::vector<TomlValue>;
using TomlTable = std::vector<TomlEntry>;  // each key once

// `expires = 2027-01-31`: a local date, as the first second of that day (UTC).
struct TomlDate {
  UnixTime midnight;
};
// A value of a type that no key of ours has: a float, a time.
struct TomlOther {};

struct TomlValue {
  Place place;
  std::variant<TomlOther, std::string, std::int64_t, bool, TomlDate, TomlArray, TomlTable> data;
};
struct TomlEntry {
  std::string key;
  Place place;  // the key's
  TomlValue value;
};

struct TomlDocument {
  TomlTable root;
  // Why the text is no TOML document, empty when it is one.
  std::string error;
  Place error_place;
};

// Errors are told in the document: the first one, as a parser knows no second.
TomlDocument parse_toml(std::string_view text);

}  // namespace sallyport::config
