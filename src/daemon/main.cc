// One program, both doors and the commands that ask them: the first words choose.
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
  const Parsed parsed = parse_command_line(std::vector<std::string>(argv + 1, argv + argc));
  std::fputs(parsed.out.c_str(), stdout);
  std::fputs(parsed.err.c_str(), stderr);
  if (!parsed.invocation) return static_cast<int>(parsed.exit);
  const Exit exit = parsed.invocation->command->run(*parsed.invocation);
  // A program that reads JSON gets an answer of that form however the command ends.
  if (parsed.invocation->has("--json")) std::fputs(unanswered_json(exit).c_str(), stdout);
  // An answer that could not be written was not given.
  if (std::fflush(stdout) != 0 && exit == Exit::kGood) return static_cast<int>(Exit::kFailed);
  return static_cast<int>(exit);
}
