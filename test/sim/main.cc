// sim: whole worlds in one process and virtual time, each from one seed.
#include <cstdlib>
#include <iostream>
#include <map>
#include <set>
#include <string>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "base/keyed_hash.h"
#include "world.h"

using sallyport::sim::Options;
using sallyport::sim::Summary;
using sallyport::sim::Violation;
using sallyport::sim::World;

namespace {

// What can be broken, and the invariant whose checker must notice.
const std::map<std::string, std::string> kCanaries{
    {"lost", "delivered or answered"},
    {"twice", "exactly once"},
    {"order", "order"},
    {"forged", "proof"},
    {"leak", "inside names"},
    {"stall", "progress"},
    {"ghost", "presence"},
    {"answer", "answers"},
    {"address", "addresses"},
    {"keeps", "the spool empties"},
    {"drain", "drain"},  // the core does not hear of it
    {"believes", "a lie ends the stream"},
    {"waits", "silence ends the stream"},
    {"hasty", "expires"},  // the core's lifetime is shorter
};

struct Outcomes {
  std::uint64_t failed = 0;
  std::set<std::string> violated;
};

void run(const Options& options, Summary& sum, Outcomes& outcomes) {
  try {
    const Summary one = World(options).run();
    sum.stanzas += one.stanzas;
    sum.delivered += one.delivered;
    sum.answered += one.answered;
    sum.missing += one.missing;
    sum.steps += one.steps;
  } catch (const Violation& violation) {
    std::cout << fmt::format("seed {}: violated: {}\n  {}\n  replay: sim --seed {}{}{}{} --trace\n",
                             options.seed, violation.invariant, violation.what(), options.seed,
                             options.storm      ? " --storm"
                             : options.restarts ? " --restarts"
                                                : "",
                             options.brief ? " --brief" : "",
                             options.broken.empty() ? "" : " --break " + options.broken);
    ++outcomes.failed;
    outcomes.violated.insert(violation.invariant);
  }
}

}  // namespace

int main(int argc, char** argv) {
  // One fixed key, so that a seed replays: the order of tables depends on it.
  if (!sallyport::set_hash_key({1, 2})) return EXIT_FAILURE;
  CLI::App app{"Seeded simulation of servers, nodes, users and faults"};
  Options options;
  std::uint64_t seeds = 1000;
  std::uint64_t first = 1;
  app.add_option("--seeds", seeds, "how many seeds, from --first on");
  app.add_option("--first", first, "the first seed");
  auto* one = app.add_option("--seed", options.seed, "this seed only");
  app.add_flag("--trace", options.trace, "tell what happens");
  app.add_flag("--restarts", options.restarts,
               "kill and start the nodes' processes; then fewer connections break");
  app.add_flag("--storm", options.storm, "kill processes while everything else goes wrong, too");
  app.add_flag("--brief", options.brief,
               "worlds of a quarter of the size: many more of them in the same time");
  app.add_option("--break", options.broken,
                 "break something; succeeds where its checker, and no other, notices")
      ->check(CLI::IsMember(kCanaries));
  CLI11_PARSE(app, argc, argv);

  options.restarts = options.restarts || options.storm;
  Summary sum;
  if (one->count() != 0) first = options.seed, seeds = 1;
  Outcomes outcomes;
  for (std::uint64_t seed = first; seed < first + seeds && outcomes.failed < 5; ++seed) {
    options.seed = seed;
    run(options, sum, outcomes);
  }
  std::cout << fmt::format(
      "{} seeds, {} failed; {} stanzas: {} delivered, {} answered, {} uncertain; {} turns\n", seeds,
      outcomes.failed, sum.stanzas, sum.delivered, sum.answered, sum.missing, sum.steps);
  std::set<std::string> wanted;
  if (!options.broken.empty()) wanted.insert(kCanaries.at(options.broken));
  return outcomes.violated == wanted ? EXIT_SUCCESS : EXIT_FAILURE;
}
