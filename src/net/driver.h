// The one loop of a shard: it gives a role what happens on sockets and to clocks, and does what the role
// wants.
//
// One thread, one io_context. After each batch of events the role is drained once: its outputs are carried
// out, then everything that is to be written is written. On a quiet door an event is a batch by itself. The
// role's rules (gate/event.h) are kept here:
// nothing comes for a connection after its Disconnect or its end, and outputs for a connection that is over
// are ignored.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/limits.h"
#include "base/log.h"
#include "base/repeats.h"
#include "gate/event.h"
#include "net/aside.h"
#include "net/connection.h"
#include "net/listener.h"

namespace sallyport::net {

// An [[edge]] that the core dials.
struct LinkTarget {
  route::HostPort address;
  std::vector<std::string> pins;
};

struct DriverConfig {
  std::vector<dns::Endpoint> s2s;
  // The core's inside listeners are open from the start; an edge's follow the role's Listen. Inside, one
  // server opens many streams at once, so that there connections that have proved nothing are bounded in all,
  // not by address.
  bool listen_from_start = false;
  std::vector<dns::Endpoint> traversal;             // edge
  std::vector<std::vector<std::string>> core_pins;  // edge: one row for each [[core]], in its order
  std::vector<LinkTarget> edges;                    // core: in the order of [[edge]]
};

// Since the start.
struct DriverCounters {
  std::uint64_t accepted = 0;
  std::uint64_t dialled = 0;
  std::uint64_t refused = 0;       // over a limit, at accept
  std::uint64_t link_refused = 0;  // a traversal handshake that failed
};

class Driver : private ConnectionHost {
 public:
  // All that is lent outlives the driver. `pushed` takes UseCredentials (edge); null on a core. What peers'
  // certificates must lead to at first is set in `s2s_tls` by the owner; UseCredentials changes it. `aside`
  // does what takes long.
  struct Parts {
    asio::io_context& io;
    gate::Role& role;
    Dialer& dialer;
    S2sTls& s2s_tls;
    LinkTls& link_tls;
    PushedCertificates* pushed;
    Aside& aside;
    LogSink& log;
  };
  Driver(Parts parts, DriverConfig config);
  ~Driver() override;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // Binds every listener, so that a wrong address fails at the start, and begins. Nothing runs before
  // io.run(). Errors: kFileUnreadable with the address and the reason.
  Result<void> start();
  // Closes listeners and connections at once. The io_context runs out of the driver's work after that; it
  // runs out, or is not run again, before the driver ends.
  void stop();

  // After the owner has called something on the concrete role (new policy, new certificates): carries out
  // what the role wants now.
  void wake() { fed(); }
  // A question or order of the control vocabulary; the role's answer.
  std::string control(std::string_view question);
  // Graceful end: the role ends its streams; listeners close. `is_drained` when nothing is left to wait for.
  void drain_streams();
  bool is_drained() const;

  // Where the s2s and traversal listeners are bound, with the real port where 0 was asked for.
  std::vector<dns::Endpoint> s2s_endpoints() const;
  std::vector<dns::Endpoint> traversal_endpoints() const;
  bool is_listening() const { return listening_; }
  std::size_t connections() const { return connections_.size(); }
  const DriverCounters& counters() const { return counters_; }
  // Both clocks, read together.
  Now now() const override;

 private:
  gate::Role& role() override { return parts_.role; }
  Dialer& dialer() override { return parts_.dialer; }
  S2sTls& s2s_tls() override { return parts_.s2s_tls; }
  LinkTls& link_tls() override { return parts_.link_tls; }
  std::span<char> read_buffer() override { return read_buffer_; }
  std::string& write_buffer() override { return write_buffer_; }
  void fed() override;
  void settle() override;
  void spawn(std::shared_ptr<Connection> connection, asio::awaitable<void> life) override;
  void handle_failure(Connection& connection, std::exception_ptr failure) override;
  void drain() override;
  std::uint64_t batch() const override { return batch_; }
  void handle_known(gate::ConnId conn) override;
  void handle_end(gate::ConnId conn, const std::optional<Error>& why) override;

  struct Counted {
    std::size_t all = 0;
    std::unordered_map<std::string, std::size_t> by_address;
  };
  struct Entry {
    std::shared_ptr<Connection> connection;
    // What the connection counts against until it has proved something or is over.
    Counted* counted = nullptr;
    bool is_link = false;
  };

  void handle_s2s_accepted(tcp::socket socket);
  void handle_traversal_accepted(tcp::socket socket);
  bool count(Counted& counted, const dns::Endpoint& peer, std::size_t per_address_max, std::size_t all_max);
  void uncount(Entry& entry);
  // Looks which of those that are counted have proved something since.
  void count_again();
  void refuse(const dns::Endpoint& peer, std::string_view listener);
  Entry& add(gate::ConnId conn, tcp::socket socket, const dns::Endpoint& peer);
  void listen(bool on);
  void arm_timer();
  void log_stranger(LogEvent event);

  void apply(gate::Dial output);
  void apply(gate::DialLink output);
  void apply(gate::BeginTls output);
  void apply(gate::Flush output);
  void apply(gate::Hold output);
  void apply(gate::Disconnect output);
  void apply(gate::Listen output);
  void apply(gate::Prepare output);
  void apply(gate::UseCredentials output);
  void apply(gate::Discard output);
  Connection* find(gate::ConnId conn);

  Parts parts_;
  DriverConfig config_;
  std::vector<std::unique_ptr<Listener>> s2s_listeners_;
  std::vector<std::unique_ptr<Listener>> traversal_listeners_;
  std::unordered_map<gate::ConnId, Entry> connections_;
  std::vector<gate::ConnId> to_flush_;
  std::vector<gate::ConnId> flushing_;
  Counted unproved_;
  std::unordered_set<gate::ConnId> unproved_ids_;  // those of them that the role knows
  Time counted_again_{};
  Counted handshakes_;
  DriverCounters counters_;
  asio::steady_timer timer_;
  std::optional<Time> armed_for_;
  gate::ConnId next_accepted_ = 1;
  std::uint64_t batch_ = 0;
  Time drained_at_{};
  bool drain_posted_ = false;
  bool draining_ = false;
  bool listening_ = false;
  bool stopped_ = false;
  std::chrono::seconds stranger_second_{};
  std::size_t stranger_lines_ = 0;
  std::uint64_t stranger_unsaid_ = 0;
  Repeats handshakes_said_;  // by address and code: a core that cannot link tries for ever
  std::shared_ptr<const gate::Credentials> credentials_;  // in use
  // What was read in one turn: its records, and the end of one that began before.
  std::array<char, limits::kReadBytes + kTlsRecordBytesMax> read_buffer_;
  std::string write_buffer_;
};

}  // namespace sallyport::net
