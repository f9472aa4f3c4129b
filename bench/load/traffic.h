// Saturation and fixed rate: stanzas of N domain pairs through the system under test, counted where they
// arrive.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "acks.h"
#include "proc.h"
#include "stanza.h"
#include "stream.h"

namespace bench {

// One direction of one domain pair.
struct Flow {
  Flow(Side goal_side, Stanzas made) : goal(goal_side), stanzas(std::move(made)) {}

  Side goal;  // where its stanzas must arrive
  Stanzas stanzas;
  Stream* sender = nullptr;
  std::uint32_t sent = 0;
  std::uint32_t received = 0;
  bool has_room = false;               // it is on the list of those that may send again
  std::deque<std::int64_t> scheduled;  // of those in flight; fixed rate only
};

class Traffic {
 public:
  explicit Traffic(const Options& options);

  // Prints the result as JSON; the program's exit code.
  int run();

 private:
  struct Snapshot {
    std::int64_t time = 0;
    std::uint64_t received = 0;
    double own_cpu_s = 0;
    std::vector<Usage> usage;
  };
  // The sum of all slices of time in which stanzas were sent.
  struct Measured {
    double stanzas = 0;
    double elapsed_s = 0;
    double own_cpu_s = 0;
    double busiest_thread_cpu_s = 0;
    std::vector<double> cpu_s;  // by process
    std::vector<std::uint64_t> rss_kb;
  };

  void make_flows();
  void make_flow(std::size_t local, std::size_t remote, Side goal);
  void listen();
  void open_some();
  bool open_all();
  bool prime();

  void handle_bytes(Stream& stream, std::string_view bytes);
  // Acknowledges what has arrived, asked for or not.
  void acknowledge_all();
  void handle_mark(Stream& stream, std::uint32_t flow, std::uint32_t number);
  void fail_at(std::uint32_t flow, std::uint32_t number, const std::string& what);
  void fill(Flow& flow);
  void idle_until(std::int64_t time);
  // Sends for that time, in our turns where other generators run.
  Measured send_for(double length_s);
  void send_until(std::int64_t end);
  void saturate_until(std::int64_t end);
  void keep_rate_until(std::int64_t end);
  void send_due(std::int64_t now);
  void drain();
  Snapshot snapshot() const;
  static void add(Measured& to, const Snapshot& begin, const Snapshot& end, std::int64_t elapsed);
  void print(const Measured& measured);
  bool failed() const { return !failure_.empty(); }
  // "not within ...": names what is missing.
  void give_up(const std::string& what);

  const Options& options_;
  Loop loop_;
  Pki pki_;
  Owned<SSL_CTX> client_ = client_context();
  Owned<SSL_CTX> server_;
  StreamHost host_;
  std::vector<std::unique_ptr<StreamListener>> listeners_;
  std::vector<Flow> flows_;
  // Our streams, in the order in which they are opened; by domain for components.
  struct Planned {
    Side side;
    std::string own;
    std::string other;
    std::vector<std::size_t> flows;
  };
  std::vector<Planned> planned_;
  std::unordered_map<std::string, std::size_t> planned_by_domain_;
  std::size_t opened_ = 0;
  std::size_t opening_ = 0;
  std::unordered_map<Stream*, std::unique_ptr<Stream>> streams_;
  // By stream: the stanzas that arrive there.
  struct Arriving {
    Marks marks;
    Acks acks;
    std::uint32_t stanzas = 0;
    std::optional<std::uint32_t> flow;
  };
  std::unordered_map<const Stream*, Arriving> arriving_;
  std::vector<Flow*> with_room_;
  std::string scratch_;

  bool sending_ = false;
  std::int64_t measure_from_ = 0;
  std::int64_t rate_begun_ = 0;
  std::uint64_t rate_sent_ = 0;  // since then
  std::size_t next_flow_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t bounced_ = 0;
  std::vector<std::int64_t> latencies_;
  std::string failure_;
};

}  // namespace bench
