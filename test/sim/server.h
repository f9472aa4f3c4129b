// The XMPP servers of the simulation: honest ones, inside and outside, and one that is not. They stand on the
// same machines as the nodes, under a policy of their own.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "chance.h"
#include "gate/endpoint.h"
#include "xmpp/xml_stream.h"

namespace sallyport::sim {

using gate::ConnId;
using xmpp::Domain;
using xmpp::Pair;
using xmpp::Stanza;

class Quiet : public LogSink {
 public:
  void log(LogEvent) override {}
};

struct ServerConfig {
  std::string name;
  std::vector<Domain> domains;
  policy::Authenticate authenticate = policy::Authenticate::kCertificate;
  bool use_external = true;
  // Several pairs of one remote domain share a stream (jabberd2).
  bool multiplexes = false;
  // Stream management (XEP-0198).
  bool acknowledges = true;
  // How its users' server answers a ping (XEP-0199).
  // Too late: after the node has given up (limits::kPingTimeout), and partly limits::kAckTimeout.
  enum class Pings { kAnswered, kLate, kTooLate, kTwice, kNever, kErrors } pings = Pings::kAnswered;
  // What it says of stanzas that it has read: the truth, at times much more than it was sent, or nothing.
  enum class Acks { kTrue, kTooHigh, kNever } acks = Acks::kTrue;
  bool only_seems_to_lie = false;  // for the canaries: what LieWatch sees of `acks` is harmless
  // Asks its peers what they have read, by stream management or pings.
  bool asks = true;
  // Sends what an attacker would.
  bool hostile = false;
  // Everything is found here (an internal server's is the core); else by DNS.
  std::optional<route::HostPort> next_hop{};
};

// What the users of a server see.
class Users {
 public:
  virtual ~Users() = default;
  virtual void arrived(const ServerConfig& at, const Pair& pair, const Stanza& stanza) = 0;
  // The server could not send it, and told its user so.
  virtual void failed(const ServerConfig& at, const Stanza& stanza, const Error& error) = 0;
};

class Server : public gate::Role, private gate::PolicyView {
 public:
  // `lies` decides when it lies, if it does.
  Server(ServerConfig config, Users& users, Chance& chance, LogSink& log,
         const Chance& lies = {1, Chance::Stream::kLies});
  ~Server() override;

  // From a user of `pair.local`; the server's own words for it are in `stanza.xml()`.
  void send(const Pair& pair, Stanza stanza, Now now);
  const ServerConfig& config() const { return config_; }
  const gate::EndpointCounters& counters() const { return endpoint_.counters(); }

  void handle_accepted(ConnId conn, const gate::Accepted& accepted, Now now) override;
  void handle_connected(ConnId conn, const gate::Connected& connected, Now now) override;
  void handle_dial_failed(ConnId conn, Error error, Now now) override;
  void handle_link(ConnId, std::size_t, const dns::SocketAddress&, Now) override {}
  void handle_bytes(ConnId conn, std::string_view bytes, Now now) override;
  void handle_tls(ConnId conn, Result<s2s::TlsFacts> facts, Now now) override;
  void handle_written(ConnId conn, std::uint64_t bytes_total, Now now) override;
  void handle_disconnected(ConnId conn, Error error, Now now) override;
  void handle_timeout(Now now) override;
  std::optional<Time> poll_timeout() const override;
  std::optional<gate::Output> poll() override;
  bool take_output(ConnId conn, std::string& out, Now now) override;
  std::string control(std::string_view, Now) override { return "{}"; }
  void drain(Now) override {}
  bool is_drained() const override { return false; }

 private:
  // One outgoing stream that several pairs share.
  struct Shared {
    Domain remote;
    ConnId conn = 0;
    std::optional<s2s::Outbound> machine{};
    std::map<Pair, s2s::PeerProof> ready{};
    std::map<Pair, std::deque<Stanza>> queues{};
    std::string buffer{};
    std::uint64_t taken = 0;
    // Given to the stream, not known to have reached the socket.
    std::deque<std::pair<std::uint64_t, Stanza>> in_flight{};
    std::uint64_t written = 0;
    bool is_over = false;
  };

  Result<void> serves(const Domain& local) const override;
  Result<void> admits(const Pair&, UnixTime) const override { return {}; }
  policy::PeerRules rules(const Pair& pair) const override;
  policy::TlsRule minimum_tls(const Domain&, const std::optional<Domain>&) const override {
    return policy::TlsRule::kRequired;
  }
  Result<gate::DialPlan> find(const Pair& pair, UnixTime at) const override;

  void turn(Now now);
  void handle(gate::EndpointOutput output, Now now);
  // A ping, or an answer to one that came too late for its stream: no user gets it.
  bool take_ping(const Pair& pair, const Stanza& stanza, Now now);
  Shared* shared(ConnId conn);
  void send_shared(const Pair& pair, Stanza stanza, Now now);
  void after(Shared& shared, Now now);
  void handle(Shared& shared, s2s::OutboundOutput output, Now now);
  void write_ready(Shared& shared, Now now);
  void end_shared(Shared& shared, const Error& error, bool is_broken);
  std::string key(const Pair& pair, const std::string& stream_id) const;
  std::string attack();
  // lying.cc
  void lie(std::string& out);

  ServerConfig config_;
  Users& users_;
  Chance& chance_;
  Chance lies_;
  gate::ConnIds ids_;
  gate::StreamPolicyAt policy_{*this, limits::kAckTimeout};  // of shared streams
  gate::Endpoint endpoint_;
  std::deque<gate::Output> outputs_;
  std::map<ConnId, std::unique_ptr<Shared>> shared_;
  std::map<ConnId, std::string> last_words_;
  xmpp::StanzaReader reader_;
  std::multimap<Time, std::pair<Pair, Stanza>> late_;  // answers to pings
};

}  // namespace sallyport::sim
