#include "network.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/limits.h"

namespace sallyport::sim {

using namespace std::chrono_literals;

namespace {

// What is shown for the domains of a push.
struct Shown : config::Credentials {
  std::vector<config::CertificatePem> certificates;
};

}  // namespace

std::size_t Network::add(Node node) {
  nodes_.push_back(std::move(node));
  return nodes_.size() - 1;
}

void Network::start(std::size_t number, gate::Role& role) {
  Node& n = nodes_[number];
  n.role = &role;
  ++n.starts;
  n.listening = !n.is_edge;
  n.pushed.clear();
  drain(number);
}

void Network::kill(std::size_t number) {
  Node& n = nodes_[number];
  if (n.spool != nullptr) lose_power(n);
  n.role = nullptr;
  n.listening = false;
  n.timer.reset();
  std::erase_if(dials_, [&](const auto& entry) { return entry.first.first == number; });
  std::vector<WireId> mine;
  for (auto& [id, w] : wires_)
    for (auto& end : w->ends)
      if (end.node == number) mine.push_back(id);
  for (const WireId id : mine) {
    Wire* w = wire(id);
    if (w == nullptr) continue;
    for (auto& end : w->ends) {
      if (end.node != number || !end.known) continue;
      conns_.erase({end.node, end.conn});
      end.known = false;
    }
    cut(id);
  }
}

void Network::touch(std::size_t number) { drain(number); }

Network::Wire* Network::wire(WireId id) {
  const auto it = wires_.find(id);
  return it == wires_.end() ? nullptr : it->second.get();
}

Now Network::now_of(std::size_t number) const {
  Now now = schedule_.both();
  now.civil += nodes_[number].clock;
  return now;
}

// --- a role's outputs, and its time

void Network::drain(std::size_t number) {
  Node& n = nodes_[number];
  if (n.draining) return;
  n.draining = true;
  while (n.role != nullptr) {
    auto output = n.role->poll();
    if (!output) break;
    obey(number, std::move(*output));
  }
  n.draining = false;
  arm(number);
}

void Network::obey(std::size_t number, gate::Output output) {
  Node& n = nodes_[number];
  const auto at = [&](ConnId conn) { return conns_.find({number, conn}); };
  if (auto* d = std::get_if<gate::Dial>(&output)) {
    watch_.dialled(n, d->plan);
    dial(number, d->conn, {.plan = std::move(d->plan)});
  } else if (auto* link = std::get_if<gate::DialLink>(&output)) {
    dial(number, link->conn, {.edge = link->edge});
  } else if (auto* tls = std::get_if<gate::BeginTls>(&output)) {
    if (const auto it = at(tls->conn); it != conns_.end())
      begin_tls(it->second.first, it->second.second, std::move(*tls));
  } else if (auto* flush = std::get_if<gate::Flush>(&output)) {
    if (const auto it = at(flush->conn); it != conns_.end())
      pump_soon(it->second.first, it->second.second, chance_.one_in(3) ? chance_.between(0us, 2000us) : 0us);
  } else if (auto* hold = std::get_if<gate::Hold>(&output)) {
    const auto it = at(hold->conn);
    if (it == conns_.end()) return;
    const auto [id, side] = it->second;
    wire(id)->ends[side].held = hold->on;
    if (!hold->on) schedule_.in(0us, [this, id = id, side = side] { read_some(id, side); });
  } else if (auto* gone = std::get_if<gate::Disconnect>(&output)) {
    if (dials_.erase({number, gone->conn}) != 0) return;
    const auto it = at(gone->conn);
    if (it == conns_.end()) return;
    const auto [id, side] = it->second;
    End& end = wire(id)->ends[side];
    for (const End& each : wire(id)->ends) watch_.ended(each.flow);
    // The role has forgotten the connection, but for its last words.
    std::string last;
    if (n.role->take_output(end.conn, last, now_of(number))) end.pending += last;
    if (gone->at_once) end.pending.clear();
    conns_.erase(it);
    end.known = false;
    end.leaving = true;
    pump_soon(id, side, 0us);
  } else if (auto* listen = std::get_if<gate::Listen>(&output)) {
    n.listening = listen->on;
    if (listen->on) n.role->handle_listening({}, now_of(number));
  } else if (auto* push = std::get_if<gate::Prepare>(&output)) {
    prepare(number, std::move(*push));
  } else if (auto* work = std::get_if<gate::SpoolWork>(&output)) {
    keep(number, std::move(work->batch));
  } else if (auto* use = std::get_if<gate::UseCredentials>(&output)) {
    const auto* pushed = static_cast<const Shown*>(use->credentials.get());
    n.pushed = pushed == nullptr ? std::vector<config::CertificatePem>() : pushed->certificates;
  }
}

// The first push of a process at once; each other one as long after it as a machine may need for a large one.
void Network::prepare(std::size_t number, gate::Prepare order) {
  const auto work = std::make_shared<config::PushWork>(std::move(order.work));
  const auto done = [this, number, id = order.id, starts = nodes_[number].starts, work] {
    Node& n = nodes_[number];
    if (n.role == nullptr || n.starts != starts) return;
    auto decoded = config::decode_push(std::move(*work));
    if (!decoded) {
      n.role->handle_prepared(id, decoded.error(), now_of(number));
    } else {
      const auto shown = std::make_shared<Shown>();
      shown->certificates = std::move(decoded->certificates);
      n.role->handle_prepared(id, config::PreparedPush{std::move(decoded->policy), shown}, now_of(number));
    }
    drain(number);
  };
  if (order.id == 1) return done();
  schedule_.in(300ms, done);
}

void Network::arm(std::size_t number) {
  Node& n = nodes_[number];
  if (n.role == nullptr) return;
  const auto next = n.role->poll_timeout();
  if (!next || (n.timer && *n.timer <= *next)) return;
  n.timer = std::max(*next, schedule_.now());
  schedule_.at(*n.timer, [this, number] { fire(number); });
}

void Network::fire(std::size_t number) {
  Node& n = nodes_[number];
  if (n.role == nullptr || n.timer != schedule_.now()) return;  // an older alarm
  n.timer.reset();
  for (int turns = 0; n.role != nullptr; ++turns) {
    const auto due = n.role->poll_timeout();
    if (!due || *due > schedule_.now()) break;
    if (turns > 20) throw Violation("progress", n.name + " asks for the same instant again and again");
    n.role->handle_timeout(now_of(number));
    drain(number);
  }
  arm(number);
}

// --- bytes

void Network::pump_soon(WireId id, int side, Duration delay) {
  schedule_.in(delay, [this, id, side] { pump(id, side); });
}

void Network::take_output(Wire& w, End& end) {
  const Node& n = nodes_[end.node];
  n.role->take_output(end.conn, end.pending, now_of(end.node));
  if (end.pending.size() > limits::kWriteQueueBytesMax + limits::kFrameBytesMax + limits::kPushTurnBytes)
    throw Violation("bounds", fmt::format("{} has {} bytes for one connection", n.name, end.pending.size()));
  static constexpr std::string_view kDrain("\x07\0\0\0", 4);
  if (!faults_.drains_unheard || !w.link || !n.is_edge) return;
  if (const auto at = end.pending.find(kDrain); at != end.pending.npos) end.pending.erase(at, kDrain.size());
}

void Network::pump(WireId id, int side) {
  while (Wire* w = wire(id)) {
    End& end = w->ends[side];
    End& peer = w->ends[1 - side];
    Node& n = nodes_[end.node];
    if (end.tls && !w->secure && end.pending.empty()) return shake_if_due(id);
    if (end.pending.empty() && end.known) take_output(*w, end);
    if (end.pending.empty()) {
      if (end.leaving && !peer.no_more) finish(id, side);
      return;
    }
    std::size_t room = w->capacity - std::min(w->capacity, peer.in_bytes);
    room = std::min(room, limits::kReadBytes);
    if (room == 0) return;  // the reader wakes us
    if (chance_.one_in(6)) room = 1 + chance_.up_to(room - 1);
    std::string bytes = end.pending.substr(0, room);
    end.pending.erase(0, bytes.size());
    end.written += bytes.size();
    watch_.wrote(n, nodes_[peer.node], end.flow, bytes);
    if (w->cut) {
      watch_.lost(end.flow, {}, bytes);  // the kernel took them, and nobody will have them
    } else {
      const Time at = schedule_.now() + w->latency + chance_.between(0us, jitter_);
      peer.last_at = std::max(peer.last_at, at);
      peer.in_bytes += bytes.size();
      peer.in_flight.push_back({peer.last_at, std::move(bytes)});
      schedule_.at(peer.last_at, [this, id, side] { arrive(id, 1 - side); });
    }
    if (!end.known) continue;
    const auto node = end.node;
    n.role->handle_written(end.conn, end.written, now_of(node));
    drain(node);
  }
}

// The writing end is done: the reader sees the end behind the bytes.
void Network::finish(WireId id, int side) {
  Wire* w = wire(id);
  End& peer = w->ends[1 - side];
  peer.no_more = true;
  End& end = w->ends[side];
  watch_.ended(end.flow);
  watch_.ended(peer.flow);
  const Time at = std::max(peer.last_at, schedule_.now() + w->latency);
  peer.last_at = at;
  schedule_.at(at, [this, id, side] { arrive(id, 1 - side); });
  // What comes for the one who left is read by nobody.
  for (auto& chunk : end.in_flight) watch_.lost(peer.flow, {}, chunk.bytes);
  if (!end.arrived.empty()) watch_.lost(peer.flow, {}, end.arrived);
  end.in_flight.clear();
  end.arrived.clear();
  end.in_bytes = 0;
  wake_leaving(id, 1 - side);
  if (!peer.known && !peer.leaving) drop_if_over(id);
}

// What a role has left to be written waits for a reader who is gone: it is written now, and nobody reads it.
void Network::wake_leaving(WireId id, int side) {
  const End& end = wire(id)->ends[side];
  if (end.leaving && !end.pending.empty()) pump_soon(id, side, 0us);
}

void Network::arrive(WireId id, int side) {
  Wire* w = wire(id);
  if (w == nullptr) return;
  End& end = w->ends[side];
  const Time healed = healed_towards(w->ends[1 - side].node, end.node);
  if (healed > schedule_.now()) {
    const Time at = healed + chance_.between(0us, 300'000us);
    schedule_.at(at, [this, id, side] { arrive(id, side); });
    return;
  }
  while (!end.in_flight.empty() && end.in_flight.front().at <= schedule_.now()) {
    end.arrived += end.in_flight.front().bytes;
    end.in_flight.pop_front();
  }
  read_some(id, side);
}

void Network::read_some(WireId id, int side) {
  Wire* w = wire(id);
  if (w == nullptr) return;
  End& end = w->ends[side];
  const std::uint64_t flow = w->ends[1 - side].flow;
  if (!end.known && end.conn != 0) {  // nobody reads here any more
    if (!end.arrived.empty()) watch_.lost(flow, {}, end.arrived);
    end.in_bytes -= end.arrived.size();
    end.arrived.clear();
    pump_soon(id, 1 - side, w->latency);
    if (end.no_more && end.in_flight.empty()) drop_if_over(id);
    return;
  }
  if (!end.known || end.held || nodes_[end.node].deaf) return;
  if (end.arrived.empty()) {
    if (end.no_more && end.in_flight.empty())
      end_known(id, side, {Code::kStreamLost, "closed by the other side"});
    return;
  }
  // Plain bytes where the TLS layer reads already.
  if (end.tls && !w->secure) return fail_tls(id, side);
  std::size_t size = std::min(end.arrived.size(), limits::kReadBytes);
  if (chance_.one_in(faults_.partial_read_one_in)) size = 1 + chance_.up_to(size - 1);
  const std::string bytes = end.arrived.substr(0, size);
  end.arrived.erase(0, size);
  end.in_bytes -= size;
  pump_soon(id, 1 - side, w->latency);
  if (!end.arrived.empty() || end.no_more)
    schedule_.in(chance_.between(0us, 300us), [this, id, side] { read_some(id, side); });
  watch_.read(nodes_[end.node], flow, bytes);
  const auto number = end.node;
  nodes_[number].role->handle_bytes(end.conn, bytes, now_of(number));
  drain(number);
  shake_if_due(id);
}

// The role learns that its connection is gone.
void Network::end_known(WireId id, int side, Error error) {
  Wire* w = wire(id);
  if (w == nullptr || !w->ends[side].known) return;
  End& end = w->ends[side];
  end.known = false;
  if (!end.arrived.empty()) watch_.lost(w->ends[1 - side].flow, {}, end.arrived);
  end.in_bytes -= end.arrived.size();
  end.arrived.clear();
  wake_leaving(id, 1 - side);
  const auto number = end.node;
  const ConnId conn = end.conn;
  conns_.erase({number, conn});
  if (!w->ends[1 - side].no_more) finish(id, side);
  nodes_[number].role->handle_disconnected(conn, std::move(error), now_of(number));
  drain(number);
  drop_if_over(id);
}

void Network::drop_if_over(WireId id) {
  Wire* w = wire(id);
  if (w == nullptr) return;
  for (const auto& end : w->ends) {
    if (end.known || end.conn == 0 || (end.leaving && !end.pending.empty())) return;
    if (!end.in_flight.empty() || !end.no_more) return;
  }
  wires_.erase(id);
}

}  // namespace sallyport::sim
