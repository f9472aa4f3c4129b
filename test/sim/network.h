// The network of the simulation, and the driver of every role in it: does what gate/event.h says a driver
// does, with bounded pipes, delays, partial reads, TLS as an exchange of facts, and faults.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "chance.h"
#include "gate/event.h"
#include "schedule.h"
#include "store/memory_spool_for_test.h"

namespace sallyport::sim {

using dns::SocketAddress;
using gate::ConnId;

// What a certificate says, without the cryptography.
struct Certificate {
  std::vector<std::string> names;
  std::string issuer;
};

// A machine that a role runs on.
struct Node {
  std::string name;
  std::vector<SocketAddress> addresses;
  std::set<std::string> trusts{};  // issuers
  // What it shows when it speaks for a domain. An edge shows what was pushed to it.
  std::function<std::optional<Certificate>(const std::string& domain)> certificate{};
  bool is_edge = false;
  bool is_core = false;

  store::MemorySpool* spool = nullptr;                 // a core's disk
  std::shared_ptr<const store::SpoolBatch> writing{};  // handed to the disk, which has not written it yet
  std::chrono::seconds clock{};                        // how far its wall clock is from the true time
  gate::Role* role = nullptr;                          // no process: null
  bool listening = false;
  bool deaf = false;  // its process does not read for a while
  ConnId last_accepted = 1;
  std::uint64_t starts = 0;  // of its process
  std::vector<config::CertificatePem> pushed{};
  std::optional<Time> timer{};
  bool draining = false;
};

// Sees what happens on the wires.
class Watch {
 public:
  virtual ~Watch() = default;
  virtual void wrote(const Node& from, const Node& to, std::uint64_t flow, std::string_view bytes) = 0;
  virtual void read(const Node& by, std::uint64_t flow, std::string_view bytes) = 0;
  // A flow ended in the middle of things: nobody will read these bytes, though somebody wrote them. `unread`
  // arrived before them and may still be read.
  virtual void lost(std::uint64_t flow, std::string_view unread, std::string_view bytes) = 0;
  // A flow ended: what was read from it last may be sent again on another.
  virtual void ended(std::uint64_t flow) = 0;
  virtual void dialled(const Node& by, const gate::DialPlan& plan) = 0;
  virtual void note(const std::string& text) = 0;
};

struct Faults {
  std::uint64_t refuse_dial_one_in = 0;
  std::uint64_t fail_tls_one_in = 0;
  std::uint64_t partial_read_one_in = 4;
  std::uint64_t direct_tls_one_in = 0;
  bool drains_unheard = false;  // for the canary: no core hears that an edge is drained
};

class Network {
 public:
  // `death` decides what is on the disk of a process that dies.
  Network(Schedule& schedule, Chance& chance, Watch& watch, const Chance& death = {1, Chance::Stream::kDeath})
      : schedule_(schedule), chance_(chance), death_(death), watch_(watch) {}

  std::size_t add(Node node);
  // The node's process starts with this role, or dies: then all its connections are cut.
  void start(std::size_t node, gate::Role& role);
  void kill(std::size_t node);
  // The role was given something directly: what it wants is done.
  void touch(std::size_t node);
  void set_name(const std::string& domain, std::vector<SocketAddress> servers) {
    names_[domain] = std::move(servers);
  }
  void set_edges(std::vector<std::size_t> edges) { edges_ = std::move(edges); }
  Node& node(std::size_t number) { return nodes_[number]; }
  // As its clocks show it.
  Now now_of(std::size_t node) const;
  Faults& faults() { return faults_; }
  void set_shape(Duration latency, Duration jitter, std::size_t pipe_bytes) {
    latency_ = latency, jitter_ = jitter, pipe_bytes_ = pipe_bytes;
  }

  // --- faults
  // Cuts one connection that lives, chosen by chance among those between the nodes of `kind`, at any byte.
  // Returns whether it was a link; nothing where there was none to cut.
  enum class Kind { kAny, kLink };
  std::optional<bool> cut_one(Kind kind);
  // Nothing passes between the two, and no connection can be made, until then.
  void part(std::size_t a, std::size_t b, Time until);
  // Only what the one sends is lost on the way: it hears the other, and no connection can be made.
  void part_one_way(std::size_t from, std::size_t to, Time until);
  void deafen(std::size_t node, Time until);

 private:
  struct Chunk {
    Time at;
    std::string bytes;
  };
  struct End {
    std::size_t node = 0;
    ConnId conn = 0;
    bool known = false;    // the role has the connection
    bool held = false;     // the role wants nothing from it
    bool leaving = false;  // the role is done with it: what is left is written, then it ends
    std::string pending{};
    std::uint64_t written = 0;
    std::optional<gate::BeginTls> tls{};
    // What comes to this end.
    std::deque<Chunk> in_flight{};
    std::string arrived{};
    std::size_t in_bytes = 0;
    bool no_more = false;
    Time last_at{};
    std::uint64_t flow = 0;
  };
  struct Wire {
    End ends[2];
    bool link = false;
    bool secure = false;
    bool shaking = false;
    bool cut = false;
    Duration latency{};
    std::size_t capacity = 0;
  };
  using WireId = std::uint64_t;
  struct Dialling {
    gate::DialPlan plan{};
    std::vector<std::pair<SocketAddress, std::string>> candidates{};
    std::optional<std::size_t> edge{};  // a link
    std::size_t next = 0;
    Error error{Code::kDialRefused, {}};
  };
  using ConnKey = std::pair<std::size_t, ConnId>;

  Wire* wire(WireId id);
  // network_faults.cc
  bool parted(std::size_t a, std::size_t b) const { return healed(a, b) > schedule_.now(); }
  Time healed(std::size_t a, std::size_t b) const;
  Time healed_towards(std::size_t from, std::size_t to) const;
  void cut(WireId id);
  void keep(std::size_t node, std::shared_ptr<const store::SpoolBatch> batch);
  void lose_power(Node& node);

  // network.cc
  void drain(std::size_t node);
  void prepare(std::size_t node, gate::Prepare order);
  void obey(std::size_t node, gate::Output output);
  void arm(std::size_t node);
  void fire(std::size_t node);
  void pump(WireId id, int side);
  void pump_soon(WireId id, int side, Duration delay);
  void take_output(Wire& wire, End& end);
  void arrive(WireId id, int side);
  void read_some(WireId id, int side);
  void finish(WireId id, int side);
  void wake_leaving(WireId id, int side);
  void end_known(WireId id, int side, Error error);
  void drop_if_over(WireId id);

  // network_dial.cc
  void dial(std::size_t node, ConnId conn, Dialling dialling);
  void attempt(std::size_t node, ConnId conn);
  void next_attempt(std::size_t node, ConnId conn, Error error, Duration delay);
  void connect(std::size_t node, ConnId conn, std::size_t target, const SocketAddress& endpoint, bool link,
               const std::string& how);
  void accept(WireId id, const SocketAddress& own);
  void begin_tls(WireId id, int side, gate::BeginTls tls);
  void shake_if_due(WireId id);
  void shake(WireId id);
  void fail_tls(WireId id, int side);
  std::optional<Certificate> shown(const End& end);
  s2s::TlsFacts facts(const End& viewer, const End& peer, const gate::BeginTls& initiator);

  Schedule& schedule_;
  Chance& chance_;
  Chance death_;
  Watch& watch_;
  Faults faults_;
  std::deque<Node> nodes_;
  std::map<WireId, std::unique_ptr<Wire>> wires_;
  std::map<ConnKey, std::pair<WireId, int>> conns_;
  std::map<ConnKey, Dialling> dials_;
  std::map<std::pair<std::size_t, std::size_t>, Time> parted_;  // from one to the other
  std::map<std::string, std::vector<SocketAddress>> names_;
  std::vector<std::size_t> edges_;
  WireId last_wire_ = 0;
  std::uint64_t last_flow_ = 0;
  Duration latency_{std::chrono::milliseconds(5)};
  Duration jitter_{std::chrono::milliseconds(5)};
  std::size_t pipe_bytes_ = 16 * 1024;
};

}  // namespace sallyport::sim
