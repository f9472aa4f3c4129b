#include "daemon/arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>
#include <ranges>

#include "base/nearest.h"

namespace sallyport::daemon {
namespace {

// CLI11 writes the parsed values of one command here; lives as long as the App.
struct ParsedOptions {
  std::map<std::string, std::vector<std::string>> values;
  std::map<std::string, bool> switches;
};

std::string named(const Option& option) {
  return option.letter.empty() ? std::string(option.name) : fmt::format("{},{}", option.letter, option.name);
}

void add_options(CLI::App& app, const Command& command, ParsedOptions& parsed) {
  for (const Option& option : options_of(command)) {
    const std::string name(option.name);
    const std::string sentence(option.sentence);
    if (option.value.empty()) {
      app.add_flag(named(option), parsed.switches[name], sentence);
      continue;
    }
    CLI::Option* made = app.add_option(named(option), parsed.values[name], sentence);
    // One value each time, so that the following words are arguments.
    made->type_name(std::string(option.value))
        ->expected(1)
        ->allow_extra_args(false)
        ->required(option.required);
    made->multi_option_policy(option.many ? CLI::MultiOptionPolicy::TakeAll : CLI::MultiOptionPolicy::Throw);
    if (!option.choices.empty())
      made->check(CLI::IsMember(choices_of(option.choices)))->type_name(std::string(option.value));
  }
}

void add_arguments(CLI::App& app, const Command& command, std::vector<std::vector<std::string>>& slots) {
  slots.resize(command.arguments.size());
  for (std::size_t i = 0; i < command.arguments.size(); ++i) {
    const Argument& argument = command.arguments[i];
    CLI::Option* made = app.add_option(std::string(argument.name), slots[i], std::string(argument.sentence));
    made->type_name("")->required(argument.required)->expected(1)->allow_extra_args(argument.many);
    made->option_text(argument.many ? "..." : " ");
    if (argument.many) made->expected(argument.required ? 1 : 0, 1024);
    if (!argument.choices.empty()) made->check(CLI::IsMember(choices_of(argument.choices)))->type_name("");
  }
}

// The App of one command, built from its row only when the command is used.
struct CommandApp {
  explicit CommandApp(const Command& row)
      : command(row), app(std::string(row.sentence), fmt::format("sallyport {}", row.name)) {
    if (!row.about.empty()) app.description(fmt::format("{}\n\n{}", row.sentence, row.about));
    app.get_formatter()->column_width(28);
    add_options(app, row, options);
    add_arguments(app, row, arguments);
  }
  const Command& command;
  CLI::App app;
  ParsedOptions options;
  std::vector<std::vector<std::string>> arguments;
};

Invocation invocation_of(const CommandApp& parsed) {
  Invocation invocation{&parsed.command, {}, {}};
  for (const auto& values : parsed.arguments) {
    invocation.arguments.insert(invocation.arguments.end(), values.begin(), values.end());
  }
  for (const auto& [name, values] : parsed.options.values) {
    if (!values.empty()) invocation.options[name] = values;
  }
  for (const auto& [name, on] : parsed.options.switches) {
    if (on) invocation.options[name] = {""};
  }
  return invocation;
}

// "Did you mean …? " for the first option that the command does not have.
std::string meant_option(const Command& command, const std::vector<std::string>& words) {
  std::vector<std::string_view> known{"--help"};
  const std::vector<Option> options = options_of(command);
  for (const Option& option : options) known.push_back(option.name);
  for (const std::string& word : words) {
    if (!word.starts_with("--") || word.size() == 2) continue;
    const std::string_view name = std::string_view(word).substr(0, word.find('='));
    if (std::ranges::find(known, name) != known.end()) continue;
    const auto near = nearest(name, known);
    return near ? fmt::format("Did you mean `{}`? ", *near) : std::string();
  }
  return {};
}

Parsed parse_command(const Command& command, std::vector<std::string> words) {
  CommandApp parsed(command);
  const std::vector<std::string> given = words;
  // CLI11 takes its words from the end.
  std::ranges::reverse(words);
  try {
    parsed.app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    return {std::nullopt, Exit::kGood, parsed.app.help(), {}};
  } catch (const CLI::Error& wrong) {
    return {std::nullopt,
            Exit::kUsage,
            {},
            fmt::format("sallyport {}: {}\n{}Try `sallyport {} --help`.\n", command.name, wrong.what(),
                        meant_option(command, given), command.name)};
  }
  return {invocation_of(parsed), Exit::kGood, {}, {}};
}

// The command that the first one or two words name.
const Command* named_by(const std::vector<std::string>& words, std::size_t& taken) {
  if (words.size() >= 2) {
    taken = 2;
    if (const Command* command = command_named(words[0] + " " + words[1])) return command;
  }
  taken = 1;
  return words.empty() ? nullptr : command_named(words[0]);
}

// "Did you mean …? " for words that begin no command of one word or two.
std::string meant_command(const std::vector<std::string>& words) {
  std::vector<std::string_view> known;
  for (const Command& command : command_table()) known.push_back(command.name);
  const std::string two = words.size() > 1 ? words[0] + " " + words[1] : words[0];
  auto near = nearest(two, known);
  if (!near) near = nearest(words[0], known);
  return near ? fmt::format("Did you mean `sallyport {}`? ", *near) : std::string();
}

Parsed unknown(const std::vector<std::string>& words) {
  std::string group;
  for (const Command& command : command_table()) {
    if (command.name.starts_with(words[0] + " ")) group += fmt::format("  sallyport {}\n", command.name);
  }
  if (group.empty()) {
    return {std::nullopt,
            Exit::kUsage,
            {},
            fmt::format("sallyport: The command `{}` does not exist.\n{}Try `sallyport --help`.\n", words[0],
                        meant_command(words))};
  }
  const bool asked = words.size() > 1 && (words[1] == "--help" || words[1] == "-h");
  if (asked) return {std::nullopt, Exit::kGood, group, {}};
  return {std::nullopt,
          Exit::kUsage,
          {},
          fmt::format("sallyport: `{}` is one of:\n{}{}", words[0], group,
                      words.size() > 1 ? meant_command(words) + "\n" : std::string())};
}

}  // namespace

Parsed parse_command_line(std::vector<std::string> words) {
  if (words.empty()) return {std::nullopt, Exit::kUsage, {}, help_of_all()};
  if (words[0] == "--help" || words[0] == "-h") return {std::nullopt, Exit::kGood, help_of_all(), {}};
  if (words[0] == "--version") words[0] = "version";
  std::size_t taken = 0;
  const Command* command = named_by(words, taken);
  if (command == nullptr) return unknown(words);
  words.erase(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(taken));
  return parse_command(*command, std::move(words));
}

std::string help_of(const Command& command) { return CommandApp(command).app.help(); }

std::string help_of_all() {
  std::string out =
      "Sallyport, a gateway for XMPP federation in two nodes: core and edge.\n\nUsage: sallyport COMMAND "
      "[OPTIONS]\n\n";
  for (const Command& command : command_table())
    out += fmt::format("  {:<14}{}\n", command.name, command.sentence);
  out += "\n`sallyport COMMAND --help` explains a command; `sallyport help --man` is the manual page.\n";
  return out;
}

}  // namespace sallyport::daemon
