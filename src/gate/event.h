// The vocabulary between a role (Edge, Core) and its driver: the one with sockets, or the simulation. A role
// learns everything by a handle_*, and requests everything by an Output.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "config/prepared_push.h"
#include "dns/address.h"
#include "route/static_route.h"
#include "s2s/tls_facts.h"
#include "store/spool.h"
#include "xmpp/jid.h"

namespace sallyport::gate {

// A connection, accepted or dialled. Never used twice by one process. The driver names accepted ones
// with odd numbers, the role names dialled ones with even numbers.
using ConnId = std::uint64_t;

// Numbers for the connections that one role dials, shared by all parts of it that dial.
class ConnIds {
 public:
  ConnId next() { return last_ += 2; }

 private:
  ConnId last_ = 0;
};

// --- outputs of a role

// The way to find and reach the server of a domain (the driver does it: SRV, addresses, the race of
// RFC 8305, the check of addresses).
struct DialPlan {
  // Addresses to try in order before anything else: static routes, or configured internal servers.
  struct Step {
    route::HostPort address;
    // Written by our administrator as an IP: may lead anywhere but to our own listeners.
    bool trusted_address = false;
  };
  std::vector<Step> steps;
  // Then, or only, the SRV records (and addresses) of this name.
  std::optional<xmpp::Domain> dns;
  // Endpoints that accepted a connection in this attempt but then failed: go on behind them.
  std::vector<dns::SocketAddress> avoid;
};
struct Dial {
  ConnId conn;
  DialPlan plan;
};

// Core only: dial [[edge]] number `edge`; TLS 1.3, mutual, pinned, is complete before handle_link.
struct DialLink {
  ConnId conn;
  std::size_t edge;
};

// Write the bytes of take_output, then hand the socket to TLS. Answered by handle_tls.
struct BeginTls {
  ConnId conn;
  bool accepting;
  // The domain whose certificate is shown (for an initiator: if asked for one).
  xmpp::Domain own;
  // SNI, for an initiator.
  std::string server_name;
  bool direct = false;  // ALPN xmpp-server
};

// take_output(conn) has bytes.
struct Flush {
  ConnId conn;
};
// Stop or go on reading from the connection.
struct Hold {
  ConnId conn;
  bool on;
};
// Write the remaining bytes, then close. No input comes for the connection afterwards; the role has forgotten
// it. `at_once`: what the connection has taken and handle_written has not told is dropped instead, since the
// role counts it as written to nobody.
struct Disconnect {
  ConnId conn;
  bool at_once = false;
};
// Edge only: open or close the s2s listeners (they are open while a core is linked and its push complete).
// The first is answered by handle_listening, also where they are open already.
struct Listen {
  bool on;
};
// Edge only: decode a push (decode_push), and load its certificates and trusted authorities for TLS. The
// driver does it off the event loop. Answered by handle_prepared.
struct Prepare {
  std::uint64_t id;
  config::PushWork work;
};
// Edge only: use these public certificates, and only these, in new handshakes, and these trusted authorities
// for remote certificates. Null: no certificate, and the system's store.
struct UseCredentials {
  std::shared_ptr<const config::Credentials> credentials;
};
// Core only: keep the changes and answer the reads of the batch (store/spool.h), off the event loop. Answered
// by handle_spooled; the next one comes after that.
struct SpoolWork {
  std::shared_ptr<const store::SpoolBatch> batch;
};
// Release `value` off the event loop; destroying it is slow.
struct Discard {
  std::shared_ptr<const void> value;
};

using Output = std::variant<Dial, DialLink, BeginTls, Flush, Hold, Disconnect, Listen, Prepare,
                            UseCredentials, SpoolWork, Discard>;

// --- inputs of a role

struct Accepted {
  dns::SocketAddress peer;
  dns::SocketAddress own;
  bool direct_tls = false;  // the first byte was a TLS record; the driver has begun that handshake by SNI
};
struct Connected {
  dns::SocketAddress peer;
  bool direct_tls = false;  // an xmpps-server target (XEP-0368)
  std::string how;          // "SRV xmpp.example.net:5269", "static route", for people
};

class Role {
 public:
  virtual ~Role() = default;

  // A connection on an s2s listener. The driver has looked at its first byte and read nothing else.
  virtual void handle_accepted(ConnId conn, const Accepted& accepted, Now now) = 0;
  virtual void handle_connected(ConnId conn, const Connected& connected, Now now) = 0;
  virtual void handle_dial_failed(ConnId conn, Error error, Now now) = 0;
  // A link connection with complete mutual TLS: on the edge from [[core]] number `peer`, accepted; on the
  // core to [[edge]] number `peer`, dialled. A failed link dial comes as handle_dial_failed.
  virtual void handle_link(ConnId conn, std::size_t peer, const dns::SocketAddress& address, Now now) = 0;
  // Edge only: a connection on the traversal listener whose TLS handshake failed; no handle_link came for it.
  virtual void handle_link_refused(const dns::SocketAddress&, const Error&, Now) {}
  virtual void handle_bytes(ConnId conn, std::string_view bytes, Now now) = 0;
  virtual void handle_tls(ConnId conn, Result<s2s::TlsFacts> facts, Now now) = 0;
  // `bytes_total` of the connection's bytes (as take_output gave them, counted from its beginning) have been
  // handed to the socket.
  virtual void handle_written(ConnId conn, std::uint64_t bytes_total, Now now) = 0;
  virtual void handle_disconnected(ConnId conn, Error error, Now now) = 0;
  // Edge only: the result of a Prepare, by its id. Errors: decode_push's.
  virtual void handle_prepared(std::uint64_t, Result<config::PreparedPush>, Now) {}
  // Edge only: the result of Listen{true}. An error names the first listener that could not be opened; the
  // others are open all the same, and Listen{true} tries again those that are not.
  virtual void handle_listening(Result<void>, Now) {}
  // Core only: the answer to a SpoolWork.
  virtual void handle_spooled(store::SpoolAnswer, Now) {}
  virtual void handle_timeout(Now now) = 0;
  virtual std::optional<Time> poll_timeout() const = 0;

  virtual std::optional<Output> poll() = 0;
  // Bytes to write on the connection: swapped into `out`, which must be empty. False when there are none.
  virtual bool take_output(ConnId conn, std::string& out, Now now) = 0;

  // A question or order of the control vocabulary (gate/control.h), as JSON text; the answer too.
  virtual std::string control(std::string_view question, Now now) = 0;
  // Ends every stream cleanly, refuses new ones; is_drained when nothing is left.
  virtual void drain(Now now) = 0;
  virtual bool is_drained() const = 0;

  // Whether the peer of an accepted connection has proved a domain of its own. Those that have not are
  // counted by the driver, by address and in all (limits::kUnauthenticatedPerAddressMax, kUnauthenticatedMax;
  // THREATS C3).
  virtual bool is_proved(ConnId) const { return true; }
};

}  // namespace sallyport::gate
