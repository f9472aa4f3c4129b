// What commands print: answers to the standard output, complaints to the standard error.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "config/finding.h"
#include "daemon/command.h"

namespace sallyport::daemon {

inline constexpr const char* kEdgeFile = "/etc/sallyport/edge.toml";
inline constexpr const char* kCoreFile = "/etc/sallyport/core.toml";

void print(const std::string& text);
// "sallyport: <text>"
void complain(const std::string& text);
// Complains with the code's sentence and remedy; kFailed.
Exit failed(const Error& error);
// Prints every finding to the standard error; returns `good`.
bool report(const std::vector<config::Finding>& errors, const std::vector<config::Finding>& warnings,
            bool good);

// For a program that asked for JSON, where a command ended without an answer: {"error":{…}} as
// docs/control.md has it, a line, from the first complaint of this process. `code`, `sentence` and `remedy`
// are empty where the command line makes no sense. Empty after a print(): that was the answer.
std::string unanswered_json(Exit exit);

}  // namespace sallyport::daemon
