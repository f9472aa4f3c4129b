// What goes wrong on the wires of the simulation, and on its disks.
#include <algorithm>

#include <fmt/format.h>

#include "network.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

// --- connections

std::optional<bool> Network::cut_one(Kind kind) {
  std::vector<WireId> choice;
  for (const auto& [id, w] : wires_)
    if (!w->cut && (kind == Kind::kAny || w->link)) choice.push_back(id);
  if (choice.empty()) return std::nullopt;
  const WireId id = choice[chance_.up_to(choice.size() - 1)];
  const Wire& w = *wire(id);
  watch_.note(fmt::format("cut {} {}", nodes_[w.ends[0].node].name, nodes_[w.ends[1].node].name));
  const bool link = w.link;
  cut(id);
  return link;
}

// Each end still gets a part of what was on its way to it, and learns of the end in its own time.
void Network::cut(WireId id) {
  Wire* w = wire(id);
  if (w == nullptr || w->cut) return;
  w->cut = true;
  for (const End& end : w->ends) watch_.ended(end.flow);
  for (int side = 0; side < 2; ++side) {
    End& end = w->ends[side];
    std::string rest;
    // A record of TLS comes whole or not at all.
    std::size_t whole = chance_.up_to(end.in_flight.size());
    for (auto& chunk : end.in_flight) {
      if (whole > 0) {
        --whole;
        end.arrived += chunk.bytes;
      } else {
        rest += chunk.bytes;
      }
    }
    end.in_flight.clear();
    if (!w->secure && !rest.empty()) {
      const std::size_t some = chance_.up_to(rest.size());
      end.arrived += rest.substr(0, some);
      rest.erase(0, some);
    }
    end.in_bytes = end.arrived.size();
    end.no_more = true;
    // Even empty: the last stanza that was read may have been cut short.
    watch_.lost(w->ends[1 - side].flow, end.arrived, rest);
    if (!end.known) {
      if (!end.arrived.empty()) watch_.lost(w->ends[1 - side].flow, {}, end.arrived);
      end.arrived.clear();
      end.in_bytes = 0;
      wake_leaving(id, 1 - side);
      continue;
    }
    schedule_.in(chance_.between(0us, 3000us), [this, id, side] { read_some(id, side); });
    schedule_.in(chance_.between(0us, chance_.one_in(5) ? 400'000us : 20'000us), [this, id, side] {
      if (Wire* again = wire(id); again != nullptr && !again->ends[side].held) read_some(id, side);
      end_known(id, side, {Code::kStreamLost, "connection reset"});
    });
  }
  drop_if_over(id);
}

void Network::part(std::size_t a, std::size_t b, Time until) {
  part_one_way(a, b, until);
  part_one_way(b, a, until);
}

void Network::part_one_way(std::size_t from, std::size_t to, Time until) {
  auto& entry = parted_[{from, to}];
  entry = std::max(entry, until);
}

Time Network::healed_towards(std::size_t from, std::size_t to) const {
  const auto it = parted_.find({from, to});
  return it == parted_.end() ? Time{} : it->second;
}

Time Network::healed(std::size_t a, std::size_t b) const {
  return std::max(healed_towards(a, b), healed_towards(b, a));
}

void Network::deafen(std::size_t number, Time until) {
  nodes_[number].deaf = true;
  schedule_.at(until, [this, number] {
    nodes_[number].deaf = false;
    std::vector<std::pair<WireId, int>> mine;
    for (const auto& [key, where] : conns_)
      if (key.first == number) mine.push_back(where);
    for (const auto& [id, side] : mine) read_some(id, side);
  });
}

// --- disks

void Network::keep(std::size_t number, std::shared_ptr<const store::SpoolBatch> batch) {
  const auto lives = [this, number, starts = nodes_[number].starts] {
    return nodes_[number].role != nullptr && nodes_[number].starts == starts;
  };
  const auto some_time = [this] { return chance_.between(100us, chance_.one_in(20) ? 500'000us : 10'000us); };
  nodes_[number].writing = batch;
  schedule_.in(some_time(), [this, number, lives, some_time, batch] {
    if (!lives()) return;
    std::string ids;
    for (const auto& message : batch->messages) ids += fmt::format(" +{}", message.number);
    for (const auto message : batch->removed) ids += fmt::format(" -{}", message);
    for (const auto& read : batch->reads) ids += fmt::format(" read {}/{}", read.flow, read.from);
    watch_.note("disk:" + ids);
    const auto answer = std::make_shared<store::SpoolAnswer>(nodes_[number].spool->carry_out(*batch));
    nodes_[number].writing.reset();
    schedule_.in(some_time(), [this, number, lives, answer] {
      if (!lives()) return;
      nodes_[number].role->handle_spooled(std::move(*answer), now_of(number));
      drain(number);
    });
  });
}

// A batch is one transaction, and a core gives its disk the next one when it has the answer to the last: one
// that the disk has not written when the process dies is on it as a whole, or not at all. Of a batch that is
// on it the process may not have learnt.
void Network::lose_power(Node& n) {
  if (const auto batch = std::exchange(n.writing, nullptr); batch && death_.one_in(2)) {
    watch_.note("the disk has the last batch");
    n.spool->carry_out(*batch);
  }
}

}  // namespace sallyport::sim
