// Faults that last: an edge that is drained while the other serves, clocks that are set, and ways on which
// all that is sent is lost for a while. Each has a stream of chance of its own.
#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/limits.h"
#include "world.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

double minutes(std::chrono::seconds time) {
  return std::chrono::duration<double, std::ratio<60>>(time).count();
}

}  // namespace

// --- drains

void World::plan_drain() {
  Chance chance(options_.seed, Chance::Stream::kDrain);
  if (edges_.size() < 2 || !chance.one_in(3) || options_.broken == "drain") return;
  const std::size_t edge = chance.up_to(1);
  schedule_.at(schedule_.now() + chance.between(1s, in_this_world(30s)), [this, edge] { drain(edge); });
}

// As `sallyport drain` asks, and some time later the edge is stopped and started again.
void World::drain(std::size_t edge) {
  auto& [role, node] = edges_[edge];
  if (!role) return;
  Chance chance(options_.seed * 2 + 1, Chance::Stream::kDrain);
  note(network_.node(node).name + " is drained");
  ledger_.drained();
  ledger_.link_failed();
  link_cuts_.push_back(schedule_.now());
  role->control(R"({"ask":"drain"})", network_.now_of(node));
  network_.touch(node);
  const Duration length = chance.between(0us, 20s);
  schedule_.in(length, [this, edge, starts = network_.node(node).starts] {
    stop_drained(edge, starts, schedule_.now() + limits::kDrainTimeout);
  });
}

// A process that is told to stop waits until it is drained, but not for ever.
void World::stop_drained(std::size_t edge, std::uint64_t starts, Time at_last) {
  auto& [role, node] = edges_[edge];
  if (!role || network_.node(node).starts != starts) return;
  const bool is_drained = role->is_drained();
  if (!is_drained && schedule_.now() < at_last) {
    schedule_.in(20ms, [this, edge, starts, at_last] { stop_drained(edge, starts, at_last); });
    return;
  }
  note(fmt::format("{} is stopped{}", network_.node(node).name,
                   is_drained ? "" : ", though it is not drained"));
  if (!is_drained) ledger_.died(Ledger::Process::kEdge);
  const Counted counted = counted_by(*role);
  of_stopped_.uncertain += counted.uncertain;
  of_stopped_.sent_again += counted.sent_again;
  network_.kill(node);
  role.reset();
  schedule_.in(chance_.between(100ms, 3s), [this, edge] {
    if (edges_[edge].edge) return;
    note(network_.node(edges_[edge].node).name + " is started");
    link_cuts_.push_back(schedule_.now());
    start_edge(edge);
  });
}

// --- clocks

// Time synchronisation steps a clock; the steady one, which all timers go by, is not concerned.
void World::plan_clocks() {
  Chance chance(options_.seed, Chance::Stream::kClock);
  if (!chance.one_in(3)) return;
  for (auto i = 1 + chance.up_to(2); i > 0; --i) {
    const bool of_core = !chance.one_in(4);
    const std::size_t node = of_core ? core_node_ : edges_[chance.up_to(edges_.size() - 1)].node;
    const auto ahead = std::chrono::seconds(60 + chance.up_to(chance.one_in(2) ? 3'600 : 30 * 3'600));
    const std::chrono::seconds offset = chance.one_in(2) ? ahead : -ahead / 4;
    schedule_.at(schedule_.now() + chance.between(0us, in_this_world(60s)), [this, of_core, node, offset] {
      note(fmt::format("the clock of {} is set to {:.1f} minutes from the true time",
                       network_.node(node).name, minutes(offset)));
      network_.node(node).clock = offset;
      if (of_core) ledger_.clock_set(offset);
    });
  }
}

// --- ways

// Shorter and longer than an acknowledgement, a link, and a session of a link may take.
void World::plan_black_holes() {
  Chance chance(options_.seed, Chance::Stream::kBlackHole);
  if ((options_.restarts && !options_.storm) || !chance.one_in(5)) return;
  const Duration length = chance.between(5s, chance.one_in(3) ? 90s : 40s);
  const bool of_link = chance.one_in(2);
  const std::size_t edge = edges_[chance.up_to(edges_.size() - 1)].node;
  const std::size_t other = of_link ? core_node_ : nodes_[2 + chance.up_to(nodes_.size() - 3)];
  const auto ways = chance.up_to(2);
  patience_ = length;
  schedule_.at(
      schedule_.now() + chance.between(0us, in_this_world(30s)), [this, length, of_link, edge, other, ways] {
        static constexpr const char* kWays[] = {"between {} and {}", "from {} to {}", "to {} from {}"};
        note(fmt::format(
            "all is lost {} for {} ms",
            fmt::format(fmt::runtime(kWays[ways]), network_.node(edge).name, network_.node(other).name),
            length.count() / 1000));
        const Time until = schedule_.now() + length;
        if (ways != 2) network_.part_one_way(edge, other, until);
        if (ways != 1) network_.part_one_way(other, edge, until);
        if (!of_link) return;
        ledger_.link_broke(until);
        if (edges_.size() > 1) ledger_.link_failed();
      });
}

}  // namespace sallyport::sim
