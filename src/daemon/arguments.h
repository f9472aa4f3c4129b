// Parses the command line by the table of commands.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/command.h"

namespace sallyport::daemon {

// Either an invocation to run, or a text to print and an exit code.
struct Parsed {
  std::optional<Invocation> invocation;
  Exit exit = Exit::kGood;
  std::string out;  // for the standard output: help that was asked for
  std::string err;  // for the standard error: the fault of the command line
};

// `words` are the arguments without the program's name. Never throws.
Parsed parse_command_line(std::vector<std::string> words);

// The text of `sallyport COMMAND --help`.
std::string help_of(const Command& command);
// The text of `sallyport --help`.
std::string help_of_all();

}  // namespace sallyport::daemon
