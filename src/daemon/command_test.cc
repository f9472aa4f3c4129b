#include <gtest/gtest.h>

#include <set>

#include "daemon/arguments.h"
#include "daemon/command.h"
#include "daemon/help.h"

namespace sallyport::daemon {
namespace {

TEST(Commands, each_has_a_name_of_its_own_a_sentence_and_something_to_run) {
  std::set<std::string_view> names;
  for (const Command& command : command_table()) {
    SCOPED_TRACE(command.name);
    EXPECT_TRUE(names.insert(command.name).second);
    EXPECT_TRUE(command.sentence.ends_with('.'));
    EXPECT_NE(command.run, nullptr);
    std::set<std::string_view> options;
    for (const Option& option : options_of(command)) {
      EXPECT_TRUE(options.insert(option.name).second) << option.name;
      EXPECT_TRUE(option.name.starts_with("--"));
      EXPECT_TRUE(option.sentence.ends_with('.') || option.sentence.ends_with('-')) << option.name;
    }
  }
}

TEST(Commands, none_is_also_the_first_word_of_another) {
  for (const Command& one : command_table()) {
    for (const Command& other : command_table()) {
      EXPECT_FALSE(other.name.starts_with(std::string(one.name) + " ")) << one.name;
    }
  }
}

TEST(Commands, each_can_be_explained) {
  for (const Command& command : command_table()) {
    const std::string help = help_of(command);
    EXPECT_NE(help.find(std::string(command.sentence)), std::string::npos) << command.name;
    for (const Option& option : options_of(command)) {
      EXPECT_NE(help.find(std::string(option.name)), std::string::npos) << command.name << option.name;
    }
  }
}

struct LineCase {
  std::vector<std::string> words;
  Exit exit;
  std::string command;  // empty: none is run
};

TEST(CommandLine, is_run_or_refused) {
  const LineCase cases[] = {
      {{}, Exit::kUsage, ""},
      {{"--help"}, Exit::kGood, ""},
      {{"frobnicate"}, Exit::kUsage, ""},
      {{"check"}, Exit::kUsage, ""},
      {{"check", "--help"}, Exit::kGood, ""},
      {{"check", "everything"}, Exit::kUsage, ""},
      {{"check", "config", "a.toml", "b.toml"}, Exit::kGood, "check config"},
      {{"check", "config", "--role", "proxy", "a.toml"}, Exit::kUsage, ""},
      {{"edge"}, Exit::kUsage, ""},
      {{"edge", "-c", "edge.toml"}, Exit::kGood, "edge"},
      {{"edge", "--config=edge.toml"}, Exit::kGood, "edge"},
      {{"edge", "-c", "edge.toml", "-c", "other.toml"}, Exit::kUsage, ""},
      {{"edge", "-c", "edge.toml", "--log-level", "loud"}, Exit::kUsage, ""},
      {{"status", "--control", "/x.sock", "--json"}, Exit::kGood, "status"},
      {{"status", "now"}, Exit::kUsage, ""},
      {{"explain", "a@x.example"}, Exit::kUsage, ""},
      {{"explain", "a@x.example", "b@y.example"}, Exit::kGood, "explain"},
      {{"log", "level", "debug"}, Exit::kGood, "log level"},
      {{"log", "level", "loud"}, Exit::kUsage, ""},
      {{"queue", "list"}, Exit::kGood, "queue list"},
      {{"queue", "list", "a.example", "b.example"}, Exit::kUsage, ""},
      {{"queue", "list", "a.example", "--older-than", "1h"}, Exit::kGood, "queue list"},
      {{"queue", "shape", "a.example", "--direction", "in"}, Exit::kGood, "queue shape"},
      {{"queue", "shape", "--direction", "both"}, Exit::kUsage, ""},
      {{"queue", "retry", "--older-than", "1h"}, Exit::kGood, "queue retry"},
      {{"queue", "show"}, Exit::kUsage, ""},
      {{"queue", "show", "17", "--count", "5"}, Exit::kGood, "queue show"},
      {{"queue", "purge", "a.example", "--older-than", "1h"}, Exit::kGood, "queue purge"},
      {{"keygen", "--json", "--unknown"}, Exit::kUsage, ""},
      {{"ports", "-c", "edge.toml", "-c", "core.toml"}, Exit::kGood, "ports"},
      {{"version"}, Exit::kGood, "version"},
      {{"--version"}, Exit::kGood, "version"},
      {{"help", "check", "config"}, Exit::kGood, "help"},
  };
  for (const LineCase& one : cases) {
    std::string line;
    for (const std::string& word : one.words) line += word + " ";
    SCOPED_TRACE(line);
    const Parsed parsed = parse_command_line(one.words);
    EXPECT_EQ(parsed.exit, one.exit);
    EXPECT_EQ(parsed.invocation.has_value(), !one.command.empty());
    if (parsed.invocation && !one.command.empty()) {
      EXPECT_EQ(parsed.invocation->command->name, one.command);
    } else {
      EXPECT_NE(parsed.out.empty(), parsed.err.empty());
    }
  }
}

TEST(CommandLine, suggests_what_was_meant) {
  const struct {
    std::vector<std::string> words;
    const char* meant;
  } cases[] = {{{"statsu"}, "Did you mean `sallyport status`?"},
               {{"polcy", "show"}, "Did you mean `sallyport policy show`?"},
               {{"policy", "shwo"}, "Did you mean `sallyport policy show`?"},
               {{"log", "levle", "debug"}, "Did you mean `sallyport log level`?"},
               {{"status", "--jsn"}, "Did you mean `--json`?"},
               {{"edge", "--cofnig=edge.toml"}, "Did you mean `--config`?"},
               {{"frobnicate"}, nullptr},
               {{"status", "--frobnicate"}, nullptr}};
  for (const auto& one : cases) {
    const Parsed parsed = parse_command_line(one.words);
    EXPECT_EQ(parsed.exit, Exit::kUsage) << one.words[0];
    if (one.meant != nullptr) {
      EXPECT_NE(parsed.err.find(one.meant), std::string::npos) << parsed.err;
    } else {
      EXPECT_EQ(parsed.err.find("Did you mean"), std::string::npos) << parsed.err;
    }
  }
}

TEST(CommandLine, gives_arguments_in_order_and_options_by_name) {
  const Parsed parsed = parse_command_line({"explain", "a@x", "--json", "b@y", "--control", "/c.sock"});
  ASSERT_TRUE(parsed.invocation);
  EXPECT_EQ(parsed.invocation->arguments, (std::vector<std::string>{"a@x", "b@y"}));
  EXPECT_TRUE(parsed.invocation->has("--json"));
  EXPECT_EQ(parsed.invocation->value("--control"), "/c.sock");
  EXPECT_FALSE(parsed.invocation->has("--config"));
  EXPECT_EQ(parsed.invocation->value("--config", "else"), "else");
}

TEST(CommandLine, an_option_for_several_values_keeps_them_all) {
  const Parsed parsed = parse_command_line({"ports", "-c", "a", "--config", "b", "--nft"});
  ASSERT_TRUE(parsed.invocation);
  EXPECT_EQ(parsed.invocation->values("--config"), (std::vector<std::string>{"a", "b"}));
}

TEST(Help, the_manual_and_the_markdown_name_every_command_and_option) {
  for (const std::string& text : {manual_page(), commands_markdown()}) {
    std::string plain;
    for (const char c : text) {
      if (c != '\\') plain.push_back(c);
    }
    for (const Command& command : command_table()) {
      EXPECT_NE(plain.find("sallyport " + std::string(command.name)), std::string::npos) << command.name;
      for (const Option& option : options_of(command)) {
        EXPECT_NE(plain.find(std::string(option.name)), std::string::npos) << option.name;
      }
    }
  }
}

TEST(Help, completion_knows_every_command) {
  const std::string script = bash_completion();
  for (const Command& command : command_table()) {
    EXPECT_NE(script.find("\"" + std::string(command.name) + "\") words="), std::string::npos)
        << command.name;
  }
}

TEST(Commands, choices_are_split_at_bars) {
  EXPECT_EQ(choices_of("a|b|c"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_TRUE(choices_of("").empty());
}

}  // namespace
}  // namespace sallyport::daemon
