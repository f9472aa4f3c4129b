// The driver of a shard: it passes events of sockets and clocks to a role and carries out the role's outputs.
//
// One thread, one io_context. After each batch of events the driver takes the role's outputs once: it carries
// them out, then writes everything that is to be written. On a quiet node each event is a batch of its own.
// The driver keeps the role's rules (gate/event.h): the role gets nothing for a connection after its
// Disconnect or its end, and outputs for a connection that is over are ignored.
//
// Where a node has several shards (net/shards.h), the driver of the first one has the listeners of all: it
// hands each accepted stream and link over to the shard that it belongs to, and opens the s2s listeners while
// every shard in use wants that.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/index.h"
#include "base/keyed_hash.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/repeats.h"
#include "gate/event.h"
#include "net/connection.h"
#include "net/counted.h"
#include "net/listener.h"
#include "net/shards.h"
#include "net/spool.h"
#include "net/worker.h"

namespace sallyport::net {

// An [[edge]] that the core dials.
struct LinkTarget {
  route::HostPort address;
  std::vector<std::string> pins;
};

struct DriverConfig {
  std::vector<dns::SocketAddress> s2s;
  // A core's listeners, on the internal side, are open from the start; an edge's follow the role's Listen. An
  // internal server opens many streams at once, so there the limit of unauthenticated connections is one
  // total, not one for each address.
  bool listen_from_start = false;
  std::vector<dns::SocketAddress> traversal;        // edge
  std::vector<std::vector<std::string>> core_pins;  // edge: one row for each [[core]], in its order
  std::vector<LinkTarget> edges;                    // core: in the order of [[edge]]
  limits::Configured limits{};
};

// Counted since the start.
struct DriverCounters {
  std::uint64_t accepted = 0;
  std::uint64_t dialled = 0;
  std::uint64_t refused = 0;       // over a limit, at accept
  std::uint64_t displaced = 0;     // ended for one from an address that holds fewer
  std::uint64_t link_refused = 0;  // a traversal handshake that failed
};

class Driver : private ConnectionHost {
 public:
  // Everything referenced outlives the driver. `pushed` receives UseCredentials (edge); null on a core. The
  // owner sets the first trust store in `s2s_tls`; UseCredentials replaces it. `worker` does slow work.
  struct Parts {
    asio::io_context& io;
    gate::Role& role;
    Dialer& dialer;
    S2sTls& s2s_tls;
    LinkTls& link_tls;
    PushedCertificates* pushed;
    Worker& worker;
    LogSink& log;
    // Null: the only shard.
    Shards* shards = nullptr;
    std::size_t shard = 0;
    // Null on an edge, which asks for nothing to be kept.
    net::Spool* spool = nullptr;
  };
  Driver(Parts parts, DriverConfig config);
  ~Driver() override;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // Binds every listener, so that a wrong address fails at the start, and begins. Nothing runs before
  // io.run(). Of several shards the first, which alone has listeners, starts first, and all start before any
  // loop runs. Errors: as `listen_error`.
  Result<void> start();
  // Closes listeners and connections at once. The io_context then runs out of the driver's work; it runs
  // out, or is not run again, before the driver is destroyed.
  void stop();

  // To be called after the owner has called something on the concrete role (new policy, new certificates):
  // carries out the resulting outputs.
  void wake() { take_outputs_soon(); }
  // A question or order of the control vocabulary; the role's answer.
  std::string control(std::string_view question);
  // Graceful end: the role ends its streams, the listeners close. `is_drained`: nothing is left to wait for.
  void drain_streams();
  bool is_drained() const;

  // The addresses of the s2s and traversal listeners, with the real port in place of 0.
  std::vector<dns::SocketAddress> s2s_endpoints() const;
  std::vector<dns::SocketAddress> traversal_endpoints() const;
  // Both: a dialler must not dial them.
  std::vector<dns::SocketAddress> own_listeners() const;
  // Whether all s2s listeners are open.
  bool is_listening() const { return listening_; }
  std::size_t connections() const { return connections_.size(); }
  const DriverCounters& counters() const { return counters_; }
  // The object of the last UseCredentials (a PushedCredentials), or null. It holds private keys.
  std::shared_ptr<const config::Credentials> credentials() const { return credentials_; }
  // Both clocks, read together.
  Now now() const override;

 private:
  void take_outputs() override;
  void take_outputs_soon() override;
  void finish_event() override;
  void spawn(std::shared_ptr<Connection> connection, asio::awaitable<void> run) override;
  void handle_failure(Connection& connection, std::exception_ptr failure) override;
  std::string_view hint_attribute() const override;
  bool hand_over(Connection& connection, const std::string& hint) override;
  Result<bool> hand_over_link(Connection& connection) override;
  void handle_known(gate::ConnId conn) override;
  void handle_end(gate::ConnId conn, const std::optional<Error>& why) override;

  struct Entry {
    std::shared_ptr<Connection> connection;
    // The counter that holds the connection until it has authenticated or is over.
    Counted* counted = nullptr;
    Counted::Ticket ticket = 0;
    // Its place among the streams of the node.
    Counted::Ticket stream = 0;
    bool is_link = false;
    // The [[edge]] of a link that was dialled; the [[core]] of one that was accepted, after its handshake.
    std::optional<std::size_t> link_to;
  };

  Result<void> bind();
  // --- driver_accept.cc
  // The places that an accepted s2s connection needs.
  struct Admitted {
    Counted::Ticket unproved = 0;
    Counted::Ticket stream = 0;
    explicit operator bool() const { return unproved != 0; }
  };
  void bound_connections();
  void handle_s2s_accepted(tcp::socket socket);
  void handle_traversal_accepted(tcp::socket socket);
  Admitted find_room(const dns::SocketAddress& peer);
  void admit(tcp::socket socket, const dns::SocketAddress& peer, const Admitted& places);
  void uncount(Entry& entry);
  // Stops counting the connections that have authenticated meanwhile.
  void count_again();
  // Has the driver of the connection, which lost its place to another, end it. `unproved`: not if it has
  // proved a domain meanwhile.
  void displace(const Counted::Where& loser, bool unproved);
  void give_way(gate::ConnId conn, bool unproved);
  // An accepted stream or link that another shard's driver hands over, with its places.
  void adopt_stream(tcp::socket socket, const dns::SocketAddress& peer, bool direct_tls,
                    const Admitted& places);
  void adopt_link(tcp::socket socket, std::unique_ptr<Tls> tls, const dns::SocketAddress& peer,
                  Counted::Ticket stream);
  bool decide_later(tcp::socket& socket, const dns::SocketAddress& peer);
  bool has_room_undecided(const dns::SocketAddress& peer);
  void admit_undecided();
  // --- driver_shards.cc
  bool has_shards() const { return shards_.count() > 1; }
  void listen_of(std::size_t shard, bool on);
  void use_shards(std::size_t count);
  void forget_link(std::size_t core);
  void note_dialled_link(std::size_t edge, const std::optional<Error>& failed);

  void refuse(const dns::SocketAddress& peer, std::string_view listener);
  Entry& add(gate::ConnId conn, tcp::socket socket, const dns::SocketAddress& peer);
  // Opens each listener that is not open, or closes all. Returns the first error.
  Result<void> listen(bool on);
  void handle_listening(const Result<void>& opened);
  void arm_timer();
  void log_limited(LogEvent event);

  void apply(gate::Dial output);
  void apply(gate::DialLink output);
  void apply(gate::BeginTls output);
  void apply(gate::Flush output);
  void apply(gate::Hold output);
  void apply(gate::Disconnect output);
  void apply(gate::Listen output);
  void apply(gate::Prepare output);
  void apply(gate::UseCredentials output);
  void apply(gate::SpoolWork output);
  void apply(gate::Discard output);
  Connection* find(gate::ConnId conn);

  Parts parts_;
  ConnectionResources resources_;
  DriverConfig config_;
  std::optional<Shards> alone_;  // where this is the only shard
  Shards& shards_;
  std::vector<std::unique_ptr<Listener>> s2s_listeners_;
  std::vector<std::unique_ptr<Listener>> traversal_listeners_;
  IndexedMap<gate::ConnId, Entry> connections_;
  std::vector<gate::ConnId> to_flush_;
  std::vector<gate::ConnId> flushing_;
  std::unordered_set<gate::ConnId, KeyedHash> unproved_ids_;  // counted as unproved and known to the role
  Time counted_again_{};
  Counted handshakes_{limits::kTraversalHandshakesMax, limits::kTraversalHandshakesPerAddressMax};
  DriverCounters counters_;
  asio::steady_timer timer_;
  std::optional<Time> armed_for_;
  gate::ConnId next_accepted_ = 1;
  Time taken_at_{};
  bool take_posted_ = false;
  bool taking_ = false;
  bool listening_ = false;
  std::string listening_on_;  // the s2s addresses that are open
  bool stopped_ = false;
  std::chrono::seconds limited_second_{};
  std::size_t limited_lines_ = 0;
  std::uint64_t lines_suppressed_ = 0;
  // Used by the first of several shards: connections that wait until each shard has counted again; the
  // shards that want to listen; link connections, by [[core]].
  struct Undecided {
    tcp::socket socket;
    dns::SocketAddress peer;
  };
  std::vector<Undecided> undecided_;
  Time asked_to_count_{};
  std::size_t round_robin_ = 0;
  std::array<bool, limits::kShardsMax> wants_to_listen_{};
  std::map<std::size_t, std::size_t> links_by_core_;
  // Used by a shard of a core: the edges that have no shard of its number.
  std::set<std::size_t> edges_without_;
  Repeats handshakes_logged_;  // by address and code: a core that cannot link retries for ever
  std::shared_ptr<const config::Credentials> credentials_;  // in use
};

}  // namespace sallyport::net
