// The policy decision for a pair and the route to a domain, with few rows and with many.
#include <benchmark/benchmark.h>

#include "policy/rules.h"
#include "route/static_route.h"

namespace {

using namespace sallyport;

xmpp::Domain domain(const std::string& text) { return *xmpp::Domain::parse(text); }

policy::RuleSet rules_with(std::size_t rows) {
  policy::RuleSet set;
  set.local.push_back({domain("l0.inside.example")});
  set.lists.push_back({*policy::DomainPattern::parse("*.outside.example"), true});
  for (std::size_t i = 0; i < rows; ++i)
    set.lists.push_back({*policy::DomainPattern::parse("p" + std::to_string(i) + ".partners.example"), true});
  return set;
}

void check_a_pair(benchmark::State& state) {
  policy::Rules rules(rules_with(static_cast<std::size_t>(state.range(0))));
  xmpp::Pair pair{domain("l0.inside.example"), domain("r0.outside.example")};
  for (auto _ : state) {
    auto verdict = rules.decide(pair, policy::Direction::kIn, UnixTime{});
    if (!verdict.result) state.SkipWithError("it is refused");
    benchmark::DoNotOptimize(verdict);
  }
}
BENCHMARK(check_a_pair)->Arg(0)->Arg(1'000)->Arg(100'000);

void build_the_rules(benchmark::State& state) {
  policy::RuleSet set = rules_with(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) benchmark::DoNotOptimize(policy::Rules(set));
}
BENCHMARK(build_the_rules)->Arg(100'000)->Unit(benchmark::kMillisecond);

void find_a_static_route(benchmark::State& state) {
  std::vector<route::StaticRoute> rows;
  auto address = *route::HostPort::parse("127.0.0.1:5269");
  for (std::int64_t i = 0; i < state.range(0); ++i)
    rows.push_back({domain("r" + std::to_string(i) + ".outside.example"), address});
  xmpp::Domain wanted = rows[rows.size() / 2].domain;
  route::StaticRoutes routes(std::move(rows));
  for (auto _ : state) benchmark::DoNotOptimize(routes.of(wanted).size());
}
BENCHMARK(find_a_static_route)->Arg(1)->Arg(1'000)->Arg(100'000);

}  // namespace
