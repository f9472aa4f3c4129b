// How commands print: answers to the standard output, errors and warnings to the standard error.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/finding.h"
#include "daemon/command.h"

namespace sallyport::daemon {

inline constexpr const char* kEdgeFile = "/etc/sallyport/edge.toml";
inline constexpr const char* kCoreFile = "/etc/sallyport/core.toml";

void print(const std::string& text);
// Prints "sallyport: <text>" to the standard error. `code` and `remedy` (else the code's): for the JSON
// answer; no code for a usage error.
void complain(const std::string& text, std::optional<Code> code = std::nullopt, std::string_view remedy = {});
// Prints the error with its code's sentence and a remedy: the code's, unless one is given. kFailed.
Exit failed(const Error& error, std::string_view remedy = {});
// Prints every finding to the standard error; returns `good`.
bool report(const std::vector<config::Finding>& errors, const std::vector<config::Finding>& warnings,
            bool good);

// Adds the first of the errors to a JSON answer as its `error`.
void add_error_of(const std::vector<config::Finding>& errors, boost::json::object& answer);

// The JSON of a command that ended without an answer: {"error":{code,sentence,text,remedy}} (docs/control.md)
// and a line feed, from the first error of this process. `code` is empty for a usage error. Empty after a
// print(), which was the answer.
std::string error_json(Exit exit);
// The same for a command line that `parse_command_line` rejected.
std::string usage_json(std::string_view text);

}  // namespace sallyport::daemon
