// The command line, judged by the table of commands.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "daemon/command.h"

namespace sallyport::daemon {

// Either an invocation to run, or what to print and how to end.
struct Parsed {
  std::optional<Invocation> invocation;
  Exit exit = Exit::kGood;
  std::string out;  // for the standard output: help that was asked for
  std::string err;  // for the standard error: what is wrong with the command line
};

// `words` are the arguments without the program's name. Never throws.
Parsed parse_command_line(std::vector<std::string> words);

// What `sallyport COMMAND --help` prints.
std::string help_of(const Command& command);
// What `sallyport --help` prints.
std::string help_of_all();

}  // namespace sallyport::daemon
