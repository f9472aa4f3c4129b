// What goes wrong in the simulation, and what is looked at besides the stanzas.
#include <algorithm>

#include <fmt/format.h>
#include <boost/json.hpp>

#include "base/limits.h"
#include "world.h"

namespace sallyport::sim {

using namespace std::chrono_literals;
namespace json = boost::json;

namespace {

constexpr const char* kNode = "conference-2.corp.example";

}  // namespace

void World::plan_faults() {
  Faults& faults = network_.faults();
  faults.partial_read_one_in = 2 + chance_.up_to(6);
  faults.direct_tls_one_in = chance_.up_to(4);
  if (chance_.one_in(6)) return;  // a calm world
  const auto some_time = [this] { return schedule_.now() + chance_.between(0us, in_this_world(35s)); };
  for (auto i = chance_.up_to(3); i > 0; --i)
    schedule_.at(some_time(), [this] {
      if (!network_.cut_one(Network::Kind::kLink)) return;
      link_cuts_.push_back(schedule_.now());
      ledger_.link_broke(schedule_.now());
      if (edges_.size() > 1) ledger_.link_failed();
    });
  plan_policy();
  // How fast traffic resumes is measured where processes die: there nothing else makes a node back off.
  if (!options_.restarts || options_.storm) plan_cuts();
}

void World::plan_cuts() {
  Faults& faults = network_.faults();
  const auto some_time = [this] { return schedule_.now() + chance_.between(0us, in_this_world(35s)); };
  faults.refuse_dial_one_in = chance_.one_in(2) ? 3 + chance_.up_to(20) : 0;
  faults.fail_tls_one_in = chance_.one_in(2) ? 5 + chance_.up_to(20) : 0;
  for (auto i = chance_.up_to(12); i > 0; --i)
    schedule_.at(some_time(), [this] {
      const auto cut = network_.cut_one(Network::Kind::kAny);
      if (cut && edges_.size() > 1) ledger_.link_failed();
      if (cut && *cut) ledger_.link_broke(schedule_.now());
    });
  plan_silence();
}

void World::plan_policy() {
  if (!chance_.one_in(3)) return;
  for (auto i = 1 + chance_.up_to(3); i > 0; --i)
    schedule_.at(schedule_.now() + chance_.between(0us, in_this_world(35s)), [this] { change_policy(); });
}

// Nothing is lost, but nothing comes either.
void World::plan_silence() {
  const auto some_time = [this] { return schedule_.now() + chance_.between(0us, in_this_world(35s)); };
  if (chance_.one_in(3)) {
    // Shorter and longer than a link may be silent (limits::kLinkDeadAfter).
    schedule_.at(some_time(), [this] {
      const Duration length = chance_.one_in(2) ? chance_.between(500ms, 8s) : chance_.between(9s, 30s);
      note(fmt::format("the nodes are parted for {} ms", length.count() / 1000));
      network_.part(core_node_, some_edge(), schedule_.now() + length);
      ledger_.link_broke(schedule_.now() + length);
      if (edges_.size() > 1) ledger_.link_failed();
    });
  }
  if (chance_.one_in(3)) {
    schedule_.at(some_time(), [this] {
      const std::size_t server = chance_.up_to(servers_.size() - 1);
      note(servers_[server]->config().name + " is parted from its node");
      const bool is_internal = servers_[server]->config().next_hop.has_value();
      network_.part(nodes_[server], is_internal ? core_node_ : some_edge(),
                    schedule_.now() + chance_.between(1s, 15s));
    });
  }
  if (chance_.one_in(3)) {
    schedule_.at(some_time(), [this] {
      const std::size_t server = chance_.up_to(servers_.size() - 1);
      note(servers_[server]->config().name + " does not read");
      network_.deafen(nodes_[server], schedule_.now() + chance_.between(1s, 10s));
    });
  }
}

void World::change_policy() {
  if (!core_) return;
  dial_refused_ = !dial_refused_;
  ++generation_;
  note(dial_refused_ ? "policy: dial.example is refused" : "policy: dial.example is allowed");
  ledger_.refuse("dial.example", dial_refused_);
  core_->apply(config::PreparedPolicy::make(core_config(), policy()), network_.now_of(core_node_));
  network_.touch(core_node_);
}

void World::plan_restarts() {
  for (auto i = 1 + chance_.up_to(1); i > 0; --i) {
    std::optional<std::size_t> edge;
    if (chance_.one_in(2)) edge = chance_.up_to(edges_.size() - 1);
    schedule_.at(schedule_.now() + chance_.between(in_this_world(3s), in_this_world(25s)), [this, edge] {
      // Half of the cores die while their disk is at work.
      if (!edge && is_durable_ && options_.seed % 2 == 0) return restart_while_writing(schedule_.now() + 3s);
      restart(edge);
    });
  }
}

void World::restart_while_writing(Time until) {
  const auto& writing = network_.node(core_node_).writing;
  if (schedule_.now() >= until || (writing && !writing->messages.empty())) return restart(std::nullopt);
  schedule_.in(2ms, [this, until] { restart_while_writing(until); });
}

void World::plan_full_disk() {
  if (!chance_.one_in(4)) return;
  const Time full = schedule_.now() + chance_.between(0us, in_this_world(30s));
  schedule_.at(full, [this] {
    note("the disk is full");
    disk_.fails = true;
  });
  schedule_.at(full + chance_.between(10ms, 10s), [this] {
    note("the disk has room");
    disk_.fails = false;
    disk_works_ = schedule_.now();
  });
}

void World::restart(std::optional<std::size_t> edge) {
  if (edge ? edges_[*edge].edge == nullptr : core_ == nullptr) return;
  const std::size_t node = edge ? edges_[*edge].node : core_node_;
  note(network_.node(node).name + " is killed");
  ledger_.died(edge ? Ledger::Process::kEdge : Ledger::Process::kCore);
  const Time died = schedule_.now();
  network_.kill(node);
  edge ? edges_[*edge].edge.reset() : core_.reset();
  schedule_.in(chance_.between(100ms, 3s), [this, edge, node, died] {
    note(network_.node(node).name + " is started");
    edge ? start_edge(*edge) : start_core();
    restarts_.emplace_back(died, schedule_.now());
    for (int i = 0; i < 15; ++i) schedule_.in(Duration(1s) * i, [this] { probe(); });
  });
}

// --- looked at each second

void World::check_bounds() {
  for (gate::Role* role : roles()) {
    const auto answer = json::parse(role->control(R"({"ask":"status"})", schedule_.both()));
    const auto& waiting = answer.at("waiting");
    const auto bytes = waiting.at("bytes").to_number<std::uint64_t>();
    const auto stanzas = waiting.at("stanzas").to_number<std::uint64_t>();
    // A pair's queue and window each way, and the link's credit over all (limits.h).
    const std::uint64_t pairs = inside_.size() * (outside_.size() + 8);
    const std::uint64_t most =
        std::min<std::uint64_t>(2 * limits::kLinkCreditBytes,
                                pairs * 2 * (limits::kPairQueueBytesMax + limits::kChannelWindowMaxBytes));
    if (bytes > most) throw Violation("bounds", fmt::format("{} bytes wait", bytes));
    // A ping of a server's own may stand behind each.
    if (stanzas > ledger_.size() * 4) throw Violation("bounds", fmt::format("{} stanzas wait", stanzas));
  }
}

World::Counted World::counted_by(gate::Role& role) const {
  const auto stanzas = json::parse(role.control(R"({"ask":"status"})", schedule_.both())).at("stanzas");
  return {stanzas.at("uncertain").to_number<std::uint64_t>(),
          stanzas.at("sent_again").to_number<std::uint64_t>()};
}

// What is missing was counted by somebody, and what came again (DESIGN invariant 6).
void World::check_uncertain() {
  if (options_.restarts || ledger_.any_died()) return;
  auto [counted, again] = of_stopped_;
  for (gate::Role* role : roles()) {
    const Counted by_role = counted_by(*role);
    counted += by_role.uncertain;
    again += by_role.sent_again;
  }
  if (ledger_.missing_by_nodes() > counted)
    throw Violation("uncertain is counted", fmt::format("{} lost on the nodes' streams, {} counted",
                                                        ledger_.missing_by_nodes(), counted));
  again += counted;
  for (const auto& server : servers_) again += server->counters().sent_again + server->counters().uncertain;
  if (ledger_.repeated() > again)
    throw Violation("what is sent again is counted",
                    fmt::format("{} came again, {} counted", ledger_.repeated(), again));
}

// Every message was delivered or answered: none is kept.
void World::check_disk() {
  if (disk_.messages() != 0 || disk_.flows() != 0)
    throw Violation(
        "the spool empties",
        fmt::format("{} messages of {} flows are left: {}", disk_.messages(), disk_.flows(),
                    core_ ? core_->control(R"({"ask":"queue list"})", network_.now_of(core_node_)) : ""));
}

void World::check_resumed() {
  if (options_.storm) return;
  const auto check = [this](Time up, const std::string& from, const std::string& to) {
    const auto first = ledger_.first_arrival_of_those_sent_since(up, from, to);
    if (!first || *first > up + 15s)
      throw Violation("resumes", fmt::format("{} -> {} did not resume within 15 s from {:.6f} s on", from, to,
                                             std::chrono::duration<double>(up.time_since_epoch()).count()));
  };
  for (const auto& [died, up] : restarts_) {
    // Another death within those seconds begins them anew, and so does a cut: a core that could not connect
    // for a while waits longer before it dials again.
    const auto is_within = [up = up](Time time) { return time > up && time < up + 15s; };
    if (std::ranges::any_of(restarts_, [&](const auto& other) { return is_within(other.first); })) continue;
    // An edge that was drained meanwhile keeps its pairs until their peers have confirmed, who may be slow.
    const bool was_cut = std::ranges::any_of(
        link_cuts_, [&, since = died](Time time) { return time > since && time < up + 15s; });
    if (was_cut) continue;
    // Messages that have to wait are answered while the disk is full.
    if (disk_works_ && is_within(*disk_works_)) continue;
    check(up, "user@example.com", "user@ext.example");
    check(up, "user@ext.example", "user@example.com");
  }
}

void World::probe() {
  const auto one = [](const std::vector<User>& users, const std::string& domain) {
    return *std::ranges::find(users, domain, &User::domain);
  };
  const User in = one(inside_, "example.com"), out = one(outside_, "ext.example");
  post(Sort::kMessage, in, "user@example.com", "user@ext.example", {}, 20);
  post(Sort::kMessage, out, "user@ext.example", "user@example.com", {}, 20);
}

// --- looked at always

void World::wrote(const Node& from, const Node& to, std::uint64_t flow, std::string_view bytes) {
  const bool by_node = from.is_edge || from.is_core;
  if (by_node && (to.is_edge || to.is_core)) link_flows_.insert(flow);
  if (by_node) node_flows_.insert(flow);
  if ((from.name == "liar" && to.is_edge) || (from.is_edge && to.name == "liar")) liar_flows_.insert(flow);
  // On the outer side, and on the link towards it, no byte names the node (an attacker may guess one).
  if (!from.is_edge && !(from.is_core && to.is_edge)) return;
  if (from.is_edge && to.is_core) return;
  std::string& tail = tails_[flow];
  tail.append(bytes);
  if (options_.broken == "leak" && std::exchange(broke_, false)) tail.append(kNode);
  const auto tells = [&tail](std::string_view secret) { return tail.find(secret) != tail.npos; };
  if (to.name != "evil" && tells(kNode))
    throw Violation("inside names", from.name + " tells " + to.name + ": " + tail);
  // On the link no inside name or address stands at all (DESIGN invariant 2).
  if (from.is_core && (tells("corp.example") || tells("10.0.0.")))
    throw Violation("inside names", "the link tells: " + tail);
  if (tail.size() > 32) tail.erase(0, tail.size() - 32);
}

void World::read(const Node& by, std::uint64_t flow, std::string_view bytes) {
  ledger_.read(flow, bytes);
  if (liar_flows_.contains(flow)) by.is_edge ? lies_.edge_reads(flow, bytes) : lies_.liar_reads(flow, bytes);
}

void World::lost(std::uint64_t flow, std::string_view unread, std::string_view bytes) {
  // What a link loses is sent again: nothing is uncertain there.
  if (!link_flows_.contains(flow)) ledger_.lost(flow, unread, bytes, node_flows_.contains(flow));
}

void World::dialled(const Node& by, const gate::DialPlan& plan) {
  if (!by.is_edge) return;
  const auto name = plan.dns ? plan.dns->ascii() : std::string();
  bool inside = name.ends_with("corp.example") || name.ends_with("beta.example") || name == "example.com" ||
                name.ends_with(".example.com");
  for (const auto& step : plan.steps) inside = inside || step.address.host.starts_with("10.");
  if (inside) throw Violation("inside names", "the edge dials inward: " + name);
}

void World::canary() {
  note("canary: " + options_.broken);
  broke_ = true;
  if (options_.broken == "lost") ledger_.forget_next();
  if (options_.broken == "forged") {
    Stanza stanza{xmpp::StanzaKind::kMessage,
                  *xmpp::Jid::parse("user@ext.example"),
                  *xmpp::Jid::parse("user@example.com"),
                  "s0",
                  "chat",
                  {},
                  "<message><body/></message>"};
    ledger_.arrived("int0", stanza);
  }
  const auto says = [this](xmpp::StanzaKind kind, const std::string& id, const std::string& type,
                           const std::string& xml) {
    ledger_.arrived("int0", {kind,
                             *xmpp::Jid::parse("user@ext.example"),
                             *xmpp::Jid::parse("nobody@example.com"),
                             id,
                             type,
                             {},
                             xml});
  };
  if (options_.broken == "ghost") says(xmpp::StanzaKind::kPresence, {}, "unavailable", "<presence/>");
  if (options_.broken == "answer") says(xmpp::StanzaKind::kMessage, "x", "error", "<message/>");
  if (options_.broken == "keeps") disk_.keeps = true;
  if (options_.broken == "drain" && edges_.size() > 1) {
    network_.faults().drains_unheard = true;
    drain(0);
  }
  if (options_.broken == "stall") stall();
}

// As a timer that is always due.
void World::stall() {
  schedule_.in(1us, [this] { stall(); });
}

}  // namespace sallyport::sim
