// One program: both nodes and the commands that ask them. The first words choose.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "daemon/arguments.h"
#include "daemon/process.h"
#include "daemon/report.h"

int main(int argc, char** argv) {
  using namespace sallyport::daemon;
  SystemRandom random;
  draw_hash_key(random);
  const std::vector<std::string> words(argv + 1, argv + argc);
  const Parsed parsed = parse_command_line(words);
  std::fputs(parsed.out.c_str(), stdout);
  std::fputs(parsed.err.c_str(), stderr);
  if (!parsed.invocation) {
    if (parsed.exit == Exit::kUsage && std::ranges::find(words, "--json") != words.end())
      std::fputs(usage_json(parsed.err).c_str(), stdout);
    return static_cast<int>(parsed.exit);
  }
  const Exit exit = parsed.invocation->command->run(*parsed.invocation);
  // With --json there is a JSON answer however the command ends.
  if (parsed.invocation->has("--json")) std::fputs(error_json(exit).c_str(), stdout);
  // An answer that could not be written is a failure.
  if (std::fflush(stdout) != 0 && exit == Exit::kGood) return static_cast<int>(Exit::kFailed);
  return static_cast<int>(exit);
}
