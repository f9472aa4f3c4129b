// The table of commands. The parser of the command line, `--help`, the manual page, docs/commands.md and the
// shell completion are all made from it.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::daemon {

// How a command ends (the contract's exit codes; stable).
enum class Exit : int {
  kGood = 0,
  kFailed = 1,         // a check or an action failed
  kUsage = 2,          // the command line is not valid
  kConfiguration = 3,  // a configuration file is invalid or absent, or the spool is damaged
  kNoDaemon = 4,       // no daemon answers
};

struct Option {
  std::string_view name;      // "--config"
  std::string_view letter;    // "-c", or empty
  std::string_view value;     // "FILE"; empty: a switch
  std::string_view sentence;  // what it does, for people
  bool required = false;
  bool many = false;           // may be given several times
  std::string_view choices{};  // "text|json": all that is accepted; empty: anything
};

struct Argument {
  std::string_view name;  // "FILE"
  std::string_view sentence;
  bool required = true;
  bool many = false;  // takes all that follow
  std::string_view choices{};
};

struct Command;

// A valid command line. Its command is a row of the table, which is static.
struct Invocation {
  const Command* command = nullptr;
  std::vector<std::string> arguments;
  // By long name with the dashes; a switch that is on has one empty value.
  std::map<std::string, std::vector<std::string>, std::less<>> options;

  bool has(std::string_view option) const { return options.contains(option); }
  // The option's (last) value, else `otherwise`.
  std::string value(std::string_view option, std::string_view otherwise = {}) const;
  std::vector<std::string> values(std::string_view option) const;
};

struct Command {
  std::string_view name;      // "check config": one or two words
  std::string_view sentence;  // one line, for lists
  std::string_view about;     // a paragraph, for its own help; may be empty
  std::span<const Argument> arguments;
  std::span<const Option> options;  // besides those that the two flags below bring
  bool asks_daemon;                 // brings --control and -c/--config
  bool json;                        // brings --json
  Exit (*run)(const Invocation&);
};

// All commands, in the order in which people are shown them.
std::span<const Command> command_table();
// The options of a command, with those that its flags bring.
std::vector<Option> options_of(const Command& command);
// Null when there is none of that name.
const Command* command_named(std::string_view name);

// "text|json" -> {"text", "json"}.
std::vector<std::string> choices_of(std::string_view choices);

}  // namespace sallyport::daemon
