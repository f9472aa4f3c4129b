// Findings about a configuration file, and the result of reading one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace sallyport::config {

// One error (or, for warnings, one setting without effect) in a file.
struct Finding {
  Code code;
  std::string file{};
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  std::string text{};
  // "edge.toml:3:1: unknown key `nmae`; did you mean `name`? [config.key]"; line 0: the whole file
  std::string shown() const;
};
// Either a value or errors; warnings in both cases.
template <typename T>
struct Loaded {
  std::optional<T> value{};
  std::vector<Finding> errors{};
  std::vector<Finding> warnings{};
};

}  // namespace sallyport::config
