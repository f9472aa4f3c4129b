// sallyport-relay: the cost of a stanza in both nodes without sockets and TLS. Each run does the same work,
// so that instructions can be counted and compared:
//
//   valgrind --tool=callgrind --toggle-collect='relay_measured*' sallyport-relay in
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <time.h>

#include "nodes.h"

namespace {

constexpr std::size_t kBatch = 54;  // stanzas: a full TLS record
constexpr std::size_t kWarmBatches = 20;
constexpr std::size_t kBatches = 200;

double cpu_s() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

struct Source {
  bench::Nodes nodes;
  bench::Nodes::Line line;
  bench::Stanzas stanzas;
  std::uint32_t sent = 0;
  std::string batch;

  explicit Source(bool inward)
      : line(nodes.open(inward)),
        stanzas(0, inward ? "r0.outside.example" : "l0.inside.example",
                inward ? "l0.inside.example" : "r0.outside.example", 290) {}
  void make() {
    batch.clear();
    for (std::size_t i = 0; i < kBatch; ++i) stanzas.append(batch, sent++);
  }
};

}  // namespace

// With C linkage, so that callgrind can name it.
extern "C" __attribute__((noinline)) void relay_measured(Source* source) {
  source->nodes.feed(source->line, source->batch);
  // Settlements go back within limits::kSettleDelay.
  source->nodes.advance(std::chrono::milliseconds(50));
}

int main(int argc, char** argv) {
  std::string_view direction = argc == 2 ? argv[1] : "";
  if (direction != "in" && direction != "out") {
    std::fprintf(stderr, "usage: sallyport-relay in|out\n");
    return 2;
  }
  Source source(direction == "in");
  for (std::size_t i = 0; i < kWarmBatches; ++i) {
    source.make();
    source.nodes.feed(source.line, source.batch);
    source.nodes.advance(std::chrono::milliseconds(50));
  }
  double spent_s = 0;
  for (std::size_t i = 0; i < kBatches; ++i) {
    source.make();
    double begin_s = cpu_s();
    relay_measured(&source);
    spent_s += cpu_s() - begin_s;
  }
  if (source.nodes.delivered() != source.sent) {
    std::fprintf(stderr, "%llu of %u stanzas came out\n",
                 static_cast<unsigned long long>(source.nodes.delivered()), source.sent);
    return 1;
  }
  std::printf("{\"direction\": \"%s\", \"stanzas\": %zu, \"ns_per_stanza\": %.0f}\n", argv[1],
              kBatch * kBatches, 1e9 * spent_s / static_cast<double>(kBatch * kBatches));
  return 0;
}
