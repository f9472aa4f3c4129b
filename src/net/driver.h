// The loop of a shard: it gives a role what happens on sockets and to clocks, and does what the role
// wants.
//
// One thread, one io_context. After each batch of events the role is drained once: its outputs are carried
// out, then everything that is to be written is written. On a quiet door an event is a batch by itself. The
// role's rules (gate/event.h) are kept here:
// nothing comes for a connection after its Disconnect or its end, and outputs for a connection that is over
// are ignored.
//
// Where a door has several shards (net/shards.h), the first one's driver has the listeners of all: it gives
// each accepted stream and link to the shard that it belongs to, and opens the s2s listeners while every
// shard in use wants that.
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
#include "net/aside.h"
#include "net/connection.h"
#include "net/counted.h"
#include "net/listener.h"
#include "net/shards.h"

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
  limits::Configured limits{};
};

// Since the start.
struct DriverCounters {
  std::uint64_t accepted = 0;
  std::uint64_t dialled = 0;
  std::uint64_t refused = 0;       // over a limit, at accept
  std::uint64_t displaced = 0;     // gave their place to one of an address that holds less
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
    // Null: the only shard.
    Shards* shards = nullptr;
    std::size_t shard = 0;
  };
  Driver(Parts parts, DriverConfig config);
  ~Driver() override;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // Binds every listener, so that a wrong address fails at the start, and begins. Nothing runs before
  // io.run(). Of several shards the first starts first, and all of them before a loop runs; only it has
  // listeners. Errors: as `listen_error`.
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
  // All of them: what a dialler must not dial.
  std::vector<dns::Endpoint> own_listeners() const;
  // Whether all s2s listeners are open.
  bool is_listening() const { return listening_; }
  std::size_t connections() const { return connections_.size(); }
  const DriverCounters& counters() const { return counters_; }
  // What UseCredentials brought (a PushedCredentials), or null. Whoever keeps it keeps private keys.
  std::shared_ptr<const config::Credentials> credentials() const { return credentials_; }
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
  std::string_view hint_attribute() const override;
  bool hand_over(Connection& connection, const std::string& hint) override;
  Result<bool> hand_over_link(Connection& connection) override;
  void handle_known(gate::ConnId conn) override;
  void handle_end(gate::ConnId conn, const std::optional<Error>& why) override;

  struct Entry {
    std::shared_ptr<Connection> connection;
    // What the connection counts against until it has proved something or is over.
    Counted* counted = nullptr;
    Counted::Ticket ticket = 0;
    // Its place among the streams of the node.
    Counted::Ticket stream = 0;
    bool is_link = false;
    // Of a link that was dialled: which [[edge]]; of one that was accepted, after its handshake: which
    // [[core]].
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
  Admitted find_room(const dns::Endpoint& peer);
  void admit(tcp::socket socket, const dns::Endpoint& peer, const Admitted& places);
  void uncount(Entry& entry);
  // Looks which of those that are counted have proved something since.
  void count_again();
  // Has the driver of the connection, which lost its place to another, end it. `unproved`: unless it has
  // proved a domain meanwhile.
  void displace(const Counted::Where& loser, bool unproved);
  void give_way(gate::ConnId conn, bool unproved);
  // An accepted stream or link that another shard's driver hands over, with its places.
  void adopt_stream(tcp::socket socket, const dns::Endpoint& peer, bool direct_tls, const Admitted& places);
  void adopt_link(tcp::socket socket, std::unique_ptr<Tls> tls, const dns::Endpoint& peer,
                  Counted::Ticket stream);
  bool decide_later(tcp::socket& socket, const dns::Endpoint& peer);
  bool has_room_undecided(const dns::Endpoint& peer);
  void counted_everywhere();
  // --- driver_shards.cc
  bool has_shards() const { return shards_.count() > 1; }
  void listen_of(std::size_t shard, bool on);
  void use_shards(std::size_t count);
  void link_ended(std::size_t core);
  void note_dialled_link(std::size_t edge, const std::optional<Error>& failed);

  void refuse(const dns::Endpoint& peer, std::string_view listener);
  Entry& add(gate::ConnId conn, tcp::socket socket, const dns::Endpoint& peer);
  // Opens each listener that is not open, or closes all. The first error of those that could not be opened.
  Result<void> listen(bool on);
  void handle_listening(const Result<void>& opened);
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
  std::optional<Shards> alone_;  // where there are no others
  Shards& shards_;
  std::vector<std::unique_ptr<Listener>> s2s_listeners_;
  std::vector<std::unique_ptr<Listener>> traversal_listeners_;
  IndexedMap<gate::ConnId, Entry> connections_;
  std::vector<gate::ConnId> to_flush_;
  std::vector<gate::ConnId> flushing_;
  std::unordered_set<gate::ConnId, KeyedHash>
      unproved_ids_;  // of what counts as unproved: those that the role knows
  Time counted_again_{};
  Counted handshakes_{limits::kTraversalHandshakesMax, limits::kTraversalHandshakesPerAddressMax};
  DriverCounters counters_;
  asio::steady_timer timer_;
  std::optional<Time> armed_for_;
  gate::ConnId next_accepted_ = 1;
  std::uint64_t batch_ = 0;
  Time drained_at_{};
  bool drain_posted_ = false;
  bool draining_ = false;
  bool listening_ = false;
  std::string listening_on_;  // the s2s addresses that are open
  bool stopped_ = false;
  std::chrono::seconds stranger_second_{};
  std::size_t stranger_lines_ = 0;
  std::uint64_t stranger_unsaid_ = 0;
  // The first of several shards: what waits until each has counted again; which of them want to listen;
  // connections of links, by [[core]].
  struct Undecided {
    tcp::socket socket;
    dns::Endpoint peer;
  };
  std::vector<Undecided> undecided_;
  Time asked_to_count_{};
  std::size_t round_robin_ = 0;
  std::array<bool, limits::kShardsMax> wants_to_listen_{};
  std::map<std::size_t, std::size_t> links_by_core_;
  // A shard of a core: the edges that have none of its number.
  std::set<std::size_t> edges_without_;
  Repeats handshakes_said_;  // by address and code: a core that cannot link tries for ever
  std::shared_ptr<const config::Credentials> credentials_;  // in use
  // What was read in one turn: its records, and the end of one that began before.
  std::array<char, limits::kReadBytes + kTlsRecordBytesMax> read_buffer_;
  std::string write_buffer_;
};

}  // namespace sallyport::net
