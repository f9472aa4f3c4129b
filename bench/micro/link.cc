// Stanzas over the link in memory, from one session to the other, until they are settled.
#include <benchmark/benchmark.h>

#include "base/limits.h"
#include "link/session.h"
#include "traffic.h"

namespace {

using namespace sallyport;

struct Link {
  Link() {
    core.handle_connected(now);
    edge.handle_connected(now);
    exchange();
    core.grant(pair, limits::kChannelWindowMaxBytes);
    edge.grant(pair, limits::kChannelWindowMaxBytes);
    exchange();
  }

  // Runs until neither has output; returns how many sent stanzas are settled.
  std::size_t exchange() {
    std::size_t settled = 0;
    for (bool any = true; any;) {
      any = pass(core, edge) | pass(edge, core);
      settled += take_events(core) + take_events(edge);
    }
    return settled;
  }
  bool pass(link::LinkSession& from, link::LinkSession& to) {
    bytes.clear();
    if (!from.take_output(bytes, now)) return false;
    to.handle_bytes(bytes, now);
    return true;
  }
  std::size_t take_events(link::LinkSession& session) {
    std::size_t settled = 0;
    while (auto event = session.poll()) {
      if (auto* received = std::get_if<link::Received>(&*event)) {
        session.settle(received->receipt, std::nullopt, now);
      } else if (const auto* done = std::get_if<link::Settled>(&*event)) {
        settled += done->count;
      }
    }
    return settled;
  }

  xmpp::Pair pair{*xmpp::Domain::parse("l0.inside.example"), *xmpp::Domain::parse("r0.outside.example")};
  Time now{};
  link::LinkSession core{{link::NodeRole::kCore, "core", "0", "c"}};
  link::LinkSession edge{{link::NodeRole::kEdge, "edge", "0", "e"}};
  std::string bytes;
};

void inward_and_settled(benchmark::State& state) {
  constexpr std::size_t kStanzas = 54;
  Link link;
  std::vector<xmpp::Stanza> stanzas = bench::stanzas(kStanzas);
  std::size_t sent = 0;
  std::size_t settled = 0;
  for (auto _ : state) {
    for (const xmpp::Stanza& stanza : stanzas) link.edge.send(link.pair, stanza, ++sent, link.now);
    settled += link.exchange();
    // Settlements are batched for at most this time.
    link.now += limits::kSettleDelay;
    link.core.handle_timeout(link.now);
    link.edge.handle_timeout(link.now);
    settled += link.exchange();
  }
  if (settled != sent) state.SkipWithError("not all are settled");
  bench::count(state, kStanzas, kStanzas * bench::kStanzaBytes);
}
BENCHMARK(inward_and_settled);

}  // namespace
