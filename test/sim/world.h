// One run: two nodes, servers on both sides, users who talk, faults, and the book.
//
//     inside: int0 (example.com, the node behind the alias), int1 (beta.example, known by dialback)
//     nodes:  core, one or two edges
//     world:  ext (EXTERNAL), dial (dialback alone), mux (three domains on shared streams), blocked (not
//             allowed), oneway (may answer, not start), evil (allowed, hostile); in some worlds liar, which
//             lies about what it has read
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "chance.h"
#include "gate/core.h"
#include "gate/edge.h"
#include "ledger.h"
#include "lying.h"
#include "network.h"
#include "schedule.h"
#include "server.h"

namespace sallyport::sim {

struct Options {
  std::uint64_t seed = 1;
  bool restarts = false;
  bool storm = false;  // with restarts: all other faults happen, too
  bool brief = false;  // a quarter of the talk, and of the time for faults to begin in
  bool trace = false;
  // What is broken on purpose, so that a checker must fail (main.cc).
  std::string broken{};
};

struct Summary {
  std::size_t stanzas = 0;
  std::size_t delivered = 0;
  std::size_t answered = 0;
  std::size_t missing = 0;
  std::uint64_t steps = 0;
};

class World : private Watch, private Users, private LogSink {
 public:
  explicit World(Options options);
  ~World() override;

  // Throws Violation.
  Summary run();

 private:
  struct User {
    std::string local;
    std::size_t server;  // in servers_
    std::string domain;  // what its server calls it
  };

  // What an edge logs; all of it goes where the core's log goes.
  struct EdgeLog : LogSink {
    EdgeLog(LogSink& sink, Ledger& book) : all(sink), ledger(book) {}
    void log(LogEvent event) override;
    LogSink& all;
    Ledger& ledger;
  };

  // world.cc: who there is
  void build();
  void add_liar();
  void add_server(ServerConfig config, std::vector<std::string> trusts, std::string issuer,
                  const std::string& address);
  config::CoreConfig core_config() const;
  gate::CoreSetup core_setup();
  gate::EdgeSetup edge_setup(std::size_t edge) const;
  config::PolicyUpdate policy() const;
  // A third of the worlds federate with everybody who is not denied.
  bool is_open() const { return options_.seed % 3 == 0; }
  void start_core();
  void start_edge(std::size_t edge);

  // traffic.cc: who says what
  void talk();
  void say(const User& from, const User& to);
  void post(Sort sort, const User& from, const std::string& from_jid, const std::string& to_jid,
            const std::string& id, std::size_t body_bytes);
  void attack();
  bool is_guarded(const Server& server) const;
  void arrived(const ServerConfig& at, const Pair& pair, const Stanza& stanza) override;
  void failed(const ServerConfig& at, const Stanza& stanza, const Error& error) override;
  void deliver(const ServerConfig& at, const Stanza& stanza);

  // faults.cc: what goes wrong, and what is looked at
  // Of the time that a whole world takes.
  Duration in_this_world(Duration time) const { return options_.brief ? time / 4 : time; }
  void plan_faults();
  void plan_cuts();
  void plan_policy();
  void plan_silence();
  void plan_restarts();
  void plan_full_disk();
  // Where the core's process dies: at a time when its disk has not answered.
  void restart_while_writing(Time until);
  // The core, or that edge.
  void restart(std::optional<std::size_t> edge);
  // The roles of the nodes that run.
  std::vector<gate::Role*> roles() const;
  std::size_t some_edge() { return edges_[chance_.up_to(edges_.size() - 1)].node; }
  void probe();
  void change_policy();

  // lasting_faults.cc: drains, clocks, and ways on which all is lost for a while
  void plan_drain();
  void drain(std::size_t edge);
  void stop_drained(std::size_t edge, std::uint64_t starts, Time at_last);
  void plan_clocks();
  void plan_black_holes();

  void check_bounds();
  // Of roles that run and of those that ended as they should.
  struct Counted {
    std::uint64_t uncertain = 0;
    std::uint64_t sent_again = 0;
  };
  Counted counted_by(gate::Role& role) const;
  void check_uncertain();
  void check_resumed();
  void check_disk();
  void canary();
  void stall();
  void wrote(const Node& from, const Node& to, std::uint64_t flow, std::string_view bytes) override;
  void read(const Node& by, std::uint64_t flow, std::string_view bytes) override;
  void ended(std::uint64_t flow) override {
    // A link that goes on repeats nothing; with two edges another one may send what this one had.
    if (!link_flows_.contains(flow) || edges_.size() > 1) ledger_.ended(flow);
    lies_.ended(flow);
  }
  void lost(std::uint64_t flow, std::string_view unread, std::string_view bytes) override;
  void dialled(const Node& by, const gate::DialPlan& plan) override;
  void note(const std::string& text) override;
  void log(LogEvent event) override;

  Options options_;
  Chance chance_;
  Schedule schedule_;
  Ledger ledger_;
  EdgeLog edge_log_{*this, ledger_};
  LieWatch lies_{schedule_};
  Network network_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::vector<std::size_t> nodes_;  // of servers_
  store::MemorySpool disk_;         // the core's
  bool is_durable_ = false;         // policy: messages are on disk before they are acknowledged
  std::chrono::seconds lifetime_{};
  std::unique_ptr<gate::Core> core_;
  struct EdgeNode {
    std::unique_ptr<gate::Edge> edge{};
    std::size_t node = 0;
  };
  std::vector<EdgeNode> edges_;  // one or two
  std::size_t core_node_ = 0;
  std::vector<User> inside_;
  std::vector<User> outside_;
  std::size_t conversations_ = 0;
  std::size_t body_bytes_max_ = 0;
  Duration pace_{};
  std::uint64_t generation_ = 1;
  std::uint64_t instances_ = 0;
  bool dial_refused_ = false;  // dial.example, by a live change of policy
  std::map<std::uint64_t, std::string> tails_;
  std::set<std::uint64_t> node_flows_;           // written by a node
  std::set<std::uint64_t> link_flows_;           // and read by the other
  std::set<std::uint64_t> liar_flows_;           // between the liar and an edge
  std::vector<std::pair<Time, Time>> restarts_;  // died, and up again
  std::vector<Time> link_cuts_;
  std::optional<Time> disk_works_;  // again
  Counted of_stopped_{};            // by edges that were drained and stopped
  Duration patience_{};             // after the last fault
  std::optional<Stanza> swapped_{};
  bool broke_ = false;
};

}  // namespace sallyport::sim
