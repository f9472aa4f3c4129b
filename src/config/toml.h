// A TOML document as plain values, each with its place. Only toml.cc knows the TOML library.
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
// A value of a type that none of our keys has: a float, a time.
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
  // The reason why the text is not a TOML document; empty if it is one.
  std::string error;
  Place error_place;
};

// Errors are in the document: only the first one, because the parser stops there.
TomlDocument parse_toml(std::string_view text);

}  // namespace sallyport::config
