#include "daemon/help.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <cstdio>
#include <iterator>
#include <set>

#include "daemon/arguments.h"
#include "daemon/run.h"

namespace sallyport::daemon {
namespace {

std::string arguments_of(const Command& command) {
  std::string out;
  for (const Argument& argument : command.arguments) {
    const std::string name = fmt::format("{}{}", argument.name, argument.many ? "..." : "");
    out += argument.required ? fmt::format(" {}", name) : fmt::format(" [{}]", name);
  }
  return out;
}

std::string heading_of(const Option& option) {
  std::string out = option.letter.empty() ? std::string{} : fmt::format("{}, ", option.letter);
  out += option.name;
  if (!option.value.empty()) out += fmt::format(" {}", option.value);
  return out;
}

// The synopsis names required options; the others are "[OPTIONS]".
std::string synopsis_of(const Command& command) {
  std::string out = fmt::format("sallyport {}{}", command.name, arguments_of(command));
  bool others = false;
  for (const Option& option : options_of(command)) {
    if (!option.required) {
      others = true;
      continue;
    }
    out += fmt::format(" {} {}", option.letter.empty() ? option.name : option.letter, option.value);
  }
  return others ? out + " [OPTIONS]" : out;
}

// Escapes text for roff, where a backslash, a hyphen and a dot at the start are special.
std::string roff(std::string_view text) {
  std::string out = text.starts_with('.') ? "\\&" : "";
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out.push_back(c);
    }
  }
  return out;
}

constexpr struct {
  Exit exit;
  std::string_view meaning;
} kExits[] = {{Exit::kGood, "Success."},
              {Exit::kFailed, "A check or an action failed."},
              {Exit::kUsage, "The command line is not valid."},
              {Exit::kConfiguration, "A configuration file is invalid or absent, or the spool is damaged."},
              {Exit::kNoDaemon, "No daemon answers on the control socket."}};

std::string join(const std::set<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

// The case of one command in the completion script: its options, and the choices of its argument.
std::string completion_case(const Command& command) {
  std::set<std::string> words{"--help"};
  for (const Option& option : options_of(command)) words.insert(std::string(option.name));
  for (const Argument& argument : command.arguments) {
    for (const std::string& choice : choices_of(argument.choices)) words.insert(choice);
    if (argument.name != "COMMAND") continue;
    for (const Command& one : command_table()) {
      const std::size_t space = one.name.find(' ');
      words.insert(std::string(one.name.substr(0, space)));
      if (space != std::string_view::npos) words.insert(std::string(one.name.substr(space + 1)));
    }
  }
  return fmt::format("    \"{}\") words=\"{}\" ;;\n", command.name, join(words));
}

// One case per option whose values are known.
std::string completion_values() {
  std::string out;
  std::set<std::string> seen;
  for (const Command& command : command_table()) {
    for (const Option& option : options_of(command)) {
      if (!seen.insert(std::string(option.name)).second) continue;
      const bool is_path = option.value == "FILE" || option.value == "PATH";
      const std::string label =
          option.letter.empty() ? std::string(option.name) : fmt::format("{}|{}", option.letter, option.name);
      if (is_path) {
        out += fmt::format("    {}) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n", label);
      } else if (!option.choices.empty()) {
        std::set<std::string> choices;
        for (const std::string& choice : choices_of(option.choices)) choices.insert(choice);
        out += fmt::format("    {}) COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); return ;;\n", label,
                           join(choices));
      }
    }
  }
  return out;
}

std::string manual_command(const Command& command) {
  std::string out = fmt::format(".SS {}\n{}\n", roff(synopsis_of(command)), roff(command.sentence));
  if (!command.about.empty()) out += fmt::format(".PP\n{}\n", roff(command.about));
  for (const Argument& argument : command.arguments) {
    out += fmt::format(".TP\n.I {}\n{}\n", roff(argument.name), roff(argument.sentence));
  }
  for (const Option& option : options_of(command)) {
    out += fmt::format(".TP\n.B {}\n{}\n", roff(heading_of(option)), roff(option.sentence));
  }
  return out;
}

}  // namespace

std::string program_version() { return SALLYPORT_VERSION; }

std::string manual_page() {
  std::string out =
      fmt::format(".TH SALLYPORT 8 \"\" \"sallyport {}\" \"System administration\"\n", program_version());
  out += ".SH NAME\nsallyport \\- gateway for XMPP federation in two nodes\n";
  out += ".SH SYNOPSIS\n.B sallyport\n.I COMMAND\n[OPTIONS]\n";
  out +=
      ".SH DESCRIPTION\nThe program is both nodes of the gateway: the core in the internal network, which "
      "opens "
      "the link, and the edge in the DMZ, which accepts it. The commands that ask a running node find it by "
      "\\-\\-control PATH, else by \\-c FILE, else by the only socket in /run/sallyport.\n.SH COMMANDS\n";
  for (const Command& command : command_table()) out += manual_command(command);
  out += ".SH EXIT STATUS\n";
  for (const auto& row : kExits)
    out += fmt::format(".TP\n.B {}\n{}\n", static_cast<int>(row.exit), row.meaning);
  out +=
      ".SH FILES\n/etc/sallyport/edge.toml, /etc/sallyport/core.toml, /etc/sallyport/policy.toml, "
      "/run/sallyport\n";
  return out;
}

std::string commands_markdown() {
  std::string out =
      "# Commands\n\nWritten from the program's own table by `sallyport help --markdown`; a test compares "
      "the two.\n\n"
      "| exit code | meaning |\n|---|---|\n";
  for (const auto& row : kExits) out += fmt::format("| {} | {} |\n", static_cast<int>(row.exit), row.meaning);
  for (const Command& command : command_table()) {
    out += fmt::format("\n## `{}`\n\n{}", synopsis_of(command), command.sentence);
    out += command.about.empty() ? "\n" : fmt::format(" {}\n", command.about);
    const std::vector<Option> options = options_of(command);
    if (command.arguments.empty() && options.empty()) continue;
    out += "\n";
    for (const Argument& argument : command.arguments) {
      out += fmt::format("- `{}`: {}\n", argument.name, argument.sentence);
    }
    for (const Option& option : options) {
      out += fmt::format("- `{}`: {}", heading_of(option), option.sentence);
      if (!option.choices.empty()) out += fmt::format(" One of `{}`.", option.choices);
      out += "\n";
    }
  }
  return out;
}

std::string bash_completion() {
  std::set<std::string> first;
  std::map<std::string, std::set<std::string>> second;
  std::string cases;
  for (const Command& command : command_table()) {
    const std::size_t space = command.name.find(' ');
    first.insert(std::string(command.name.substr(0, space)));
    if (space != std::string_view::npos) {
      second[std::string(command.name.substr(0, space))].insert(std::string(command.name.substr(space + 1)));
    }
    cases += completion_case(command);
  }
  std::string groups;
  for (const auto& [group, words] : second)
    groups += fmt::format("    {}) words=\"{}\" ;;\n", group, join(words));
  return fmt::format(
      "# bash completion for sallyport; written by `sallyport help --completion bash`\n_sallyport() {{\n"
      "  local cur=\"${{COMP_WORDS[COMP_CWORD]}}\" prev=\"${{COMP_WORDS[COMP_CWORD-1]}}\" words=\"\"\n"
      "  case \"$prev\" in\n{}  esac\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words=\"{}\"\n"
      "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return\n  fi\n"
      "  if [ \"$COMP_CWORD\" -eq 2 ]; then\n    case \"${{COMP_WORDS[1]}}\" in\n{}    esac\n"
      "    if [ -n \"$words\" ]; then COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")); return; fi\n  fi\n"
      "  local name=\"${{COMP_WORDS[1]}}\"\n"
      "  case \"$name\" in\n    {}) name=\"$name ${{COMP_WORDS[2]}}\" ;;\n  esac\n"
      "  case \"$name\" in\n{}  esac\n"
      "  case \"$cur\" in\n    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\")) ;;\n"
      "    *) COMPREPLY=($(compgen -W \"$words\" -- \"$cur\") $(compgen -f -- \"$cur\")) ;;\n  esac\n}}\n"
      "complete -o filenames -F _sallyport sallyport\n",
      completion_values(), join(first), groups,
      [&second] {
        std::string all;
        for (const auto& [group, words] : second) all += (all.empty() ? "" : "|") + group;
        return all;
      }(),
      cases);
}

Exit run_help(const Invocation& invocation) {
  if (invocation.has("--man")) {
    std::fputs(manual_page().c_str(), stdout);
    return Exit::kGood;
  }
  if (invocation.has("--markdown")) {
    std::fputs(commands_markdown().c_str(), stdout);
    return Exit::kGood;
  }
  if (invocation.has("--completion")) {
    std::fputs(bash_completion().c_str(), stdout);
    return Exit::kGood;
  }
  std::vector<std::string> words = invocation.arguments;
  words.emplace_back("--help");
  const Parsed parsed = parse_command_line(std::move(words));
  std::fputs(parsed.out.c_str(), stdout);
  std::fputs(parsed.err.c_str(), stderr);
  return parsed.exit;
}

Exit run_version(const Invocation& invocation) {
  if (invocation.has("--json")) {
    const boost::json::object answer{{"version", program_version()}};
    std::puts(boost::json::serialize(answer).c_str());
  } else {
    std::puts(fmt::format("sallyport {}", program_version()).c_str());
  }
  return Exit::kGood;
}

}  // namespace sallyport::daemon
