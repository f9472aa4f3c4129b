// The link session: the protocol between core and edge on TCP port 7400, as one pure machine that both ends
// run (docs/link-protocol.md).
//
// A session outlives its connections. Stanzas travel on channels, one per (local, remote) pair and direction,
// numbered from 1; the receiver settles each, as delivered or as refused(code). The sender keeps
// unsettled stanzas and, after a reconnect, continues from the receiver's position: nothing is lost,
// duplicated or reordered while both processes live. When the other process is a new one, everything
// unsettled is sent to it again.
//
// Stanzas in flight are bounded: per channel by a window that the receiver grants, per link by
// limits::kLinkCreditBytes. Settling a stanza returns its bytes. Control frames need no credit.
//
// Inputs are handle_*, outputs are poll and take_output. Time never decreases. The owner manages the TLS
// connection, its pins and the dialling, and informs the session.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/ticket.h"
#include "base/time.h"
#include "link/frame.h"
#include "xmpp/stanza.h"

namespace sallyport::link {

enum class NodeRole : std::uint8_t { kCore, kEdge };

// The receiver's handle for a stanza that waits for `settle`. A receipt of an earlier session that was not
// resumed is stale: settling it does nothing.
struct Receipt {
  std::uint32_t epoch = 0;
  std::uint64_t channel = 0;
  std::uint64_t sequence = 0;
  auto operator<=>(const Receipt&) const = default;
};

// The outcome of a stanza: nullopt is delivered. In Settled it comes from the other node: any code of the
// table, also one without a stanza condition.
using Outcome = std::optional<Error>;

// The edge's authentication of the remote domain of an inbound channel: the core shows it and checks it
// against policy again, and never trusts it further.
struct Provenance {
  std::string method;        // "external", "dialback", "dialback+certificate"
  std::string peer_address;  // "198.51.100.7:5269"
};

// Questions that only the core can answer, and one that both may ask.
struct KeyAsk {  // the dialback key for db:result on the stream `stream_id` (XEP-0185)
  xmpp::Pair pair;
  std::string stream_id;
};
struct VerdictAsk {  // is this the key we made for that pair and stream? (XEP-0220 2.1.1 step 3)
  xmpp::Pair pair;
  std::string stream_id;
  std::string key;
};
// May the pair be admitted on an edge's public side? The answer is any text, or the refusal of the core's
// rules, which know the internal names. Since version 2 of the protocol.
struct AdmitAsk {
  xmpp::Pair pair;
};
struct ControlAsk {  // a question of the control protocol, as JSON text
  std::string json;
};
using Ask = std::variant<KeyAsk, VerdictAsk, ControlAsk, AdmitAsk>;
// The key in hex; "valid" or "invalid"; JSON text; or the core's refusal.
using Answer = Result<std::string>;

// --- events
struct Up {
  std::string peer_name;
  std::string peer_version;  // of the program, for people
  bool resumed;              // false: the other process or its session with us is new
  std::uint64_t sent_again;  // stanzas that an earlier one may have had
};
// The connection ended. `final`: the other node refused it for a reason that a reconnect will not change soon
// (kLinkVersion, kLinkSecondCore, kLinkDomain, kLinkSameIdentity).
struct Down {
  Error error;
  bool final;
};
// No connection for limits::kLinkDeadAfter (reported at once if the connection timed out), once for each
// outage of a link that had been up: the owner may move pairs to another link.
struct Dead {};
// Edge only: no connection for limits::kLinkSessionKept. Earlier receipts are stale, the core's stanzas
// forgotten. The edge's own unsettled stanzas stay, and the owner should take them with `abandon`: otherwise
// they are sent again, and may arrive twice.
struct Forgotten {};
// The OPEN frame of a channel; shared by the stanzas that arrive until the channel is opened again.
struct Opening {
  xmpp::Pair pair;
  Provenance provenance;
};
struct Received {
  Received(std::shared_ptr<const Opening> by, const Receipt& number, xmpp::Stanza what, bool is_validated,
           Attempt of_attempt = 0)
      : opening(std::move(by)),
        receipt(number),
        stanza(std::move(what)),
        validated(is_validated),
        attempt(of_attempt) {}
  const xmpp::Pair& pair() const { return opening->pair; }
  // Nothing came on its channel before: the channel has limits::kChannelWindowInitialBytes.
  bool is_first_of_channel() const { return receipt.sequence == 1; }
  // Meaningful on the core only.
  const Provenance& provenance() const { return opening->provenance; }

  std::shared_ptr<const Opening> opening;
  Receipt receipt;
  // On the edge as the core sent it. On the core, if `validated`, read again from its bytes and checked
  // against the channel's pair; otherwise as sent, and `xml` must still be validated.
  xmpp::Stanza stanza;
  bool validated;
  Attempt attempt;
};
struct Settled {
  Ticket ticket;
  Outcome outcome;
  // Returned if it was refused, so that it can be bounced.
  std::optional<xmpp::Stanza> stanza{};
  // Consecutive delivered stanzas of one ticket are one event.
  std::uint64_t count = 1;
  // Of one that was refused: its place among all stanzas of this sender. Outcomes mostly come in that order;
  // the one of a stanza behind another that waits long at the other node comes before that of the other.
  std::uint64_t order = 0;
};
// A new session begins, and the process before may have had the stanza: it is not sent again, because
// SessionConfig::may_repeat says so. Its owner has it back.
struct NotRepeated {
  xmpp::Pair pair;
  Ticket ticket;
  xmpp::Stanza stanza;
  Attempt attempt;
  std::uint64_t order;  // as Settled::order
};
// `can_send` returned false for the pair and would now return true. Reported once; ask again before sending.
struct Writable {
  xmpp::Pair pair;
};
// The other node is being drained: it refuses every stanza that is sent to it from now on.
struct PeerDrains {};
// The other node opened the pair's channel, or opened it again with another provenance. Where that is an
// edge, the pair mostly has a new stream there.
struct Opened {
  xmpp::Pair pair;
};
// Edge only: the pair's remote server was heard at another edge, with the pair proved there. It answered the
// ping of that number, or (0) opened a stream.
struct PeerHeard {
  xmpp::Pair pair;
  std::uint64_t ping;
};
struct Asked {
  std::uint64_t id;
  Ask ask;
};
struct Answered {
  std::uint64_t id;
  Answer answer;
};
// A whole push has arrived (edge only). The bytes may hold private keys: wipe them after use.
struct Pushed {
  std::uint64_t generation;
  std::string bytes;
};
// The edge has applied the push, or refused it as a whole (core only).
struct PushDone {
  std::uint64_t generation;
  Result<void> result;
};
using Event = std::variant<Up, Down, Dead, Received, Settled, Writable, Asked, Answered, Pushed, PushDone,
                           Forgotten, PeerDrains, Opened, PeerHeard, NotRepeated>;

struct SessionConfig {
  NodeRole role;
  std::string name;      // our name, for the other node's logs
  std::string version;   // of the program
  std::string instance;  // random, new for each process: tells a restart from a reconnect
  // Of the protocol; a value below frame::kVersionHighest is for tests with nodes of different versions.
  std::uint16_t version_highest = frame::kVersionHighest;
  // Whether a stanza that an earlier process of the other node may have had is sent to its successor. Empty:
  // each is. What it refers to outlives the session.
  std::function<bool(const xmpp::Pair&, const xmpp::Stanza&, Ticket)> may_repeat{};
};

// A stanza that was unsettled when the session was abandoned, in the order of sending.
struct Unsettled {
  xmpp::Pair pair;
  xmpp::Stanza stanza;
  Ticket ticket;
  bool sent;  // it may have reached the other node
  Attempt attempt;
  std::uint64_t order;  // as Settled::order
};

class LinkSession {
 public:
  explicit LinkSession(SessionConfig config);
  ~LinkSession();
  LinkSession(LinkSession&&) noexcept;
  LinkSession& operator=(LinkSession&&) noexcept;

  // --- the connection
  // Mutual TLS is complete and the key is pinned. The core greets; the edge waits for the greeting. An
  // earlier connection is taken as lost.
  void handle_connected(Time now);
  void handle_bytes(std::string_view bytes, Time now);
  // The connection is lost, or closed by either end; also after `wants_close`. Down follows.
  void handle_disconnected(Time now);
  void handle_timeout(Time now);
  std::optional<Time> poll_timeout() const;

  // Appends bytes for the connection to `out`; returns true if there were any. Settlements that are due are
  // included. A push is sent in parts of limits::kPushTurnBytes; poll_timeout says when the next is due.
  bool take_output(std::string& out, Time now);
  std::optional<Event> poll();

  // Returns true if the connection must be closed once its output is written: a frame was rejected, the
  // versions do not match, the peer is lost. Nothing more is read.
  bool wants_close() const;
  bool is_up() const;
  // Returns the other process's `instance` from its last greeting; empty before it, and once the session is
  // forgotten.
  const std::string& peer_instance() const;
  // Returns the protocol version of the last greeting; 0 before the first.
  std::uint16_t version() const;

  // --- stanzas
  // Returns whether the pair's channel and the link have room now for a stanza whose `xml` has that size;
  // false until the greeting is answered. If false, Writable follows.
  bool can_send(const xmpp::Pair& pair, std::size_t stanza_bytes) const;
  // Call it when can_send returns true; a stanza that does not fit waits its turn in the session, and counts
  // in unsettled_bytes. Precondition: the stanza's addresses are of the pair's domains, `from` on this side.
  // `provenance` is sent when it is new for the pair (edge).
  void send(const xmpp::Pair& pair, xmpp::Stanza stanza, Ticket ticket, Time now,
            const Provenance& provenance = {}, Attempt attempt = 0);
  // Callable in any order; settlements are sent in the order of the channel.
  void settle(const Receipt& receipt, Outcome outcome, Time now);
  // The receiver allows the pair this much in flight (bytes in all, at most limits::kChannelWindowMaxBytes).
  // A value that is not larger than before is ignored. A channel that is not open yet, or was closed as idle,
  // starts with limits::kChannelWindowInitialBytes (Received::is_first_of_channel).
  void grant(const xmpp::Pair& pair, std::uint32_t window_bytes);
  // Abandons everything unsettled and returns it, in order, to be sent on another link or bounced. The
  // session ignores late settlements for it.
  std::vector<Unsettled> abandon();
  // Abandons one stanza that has not been sent or that waits for a reconnect: no Settled follows. Returns
  // false if it was settled or is in flight on a connection: Settled has been reported or will be.
  bool withdraw(const xmpp::Pair& pair, Ticket ticket);
  // Returns the bytes of all stanzas given to `send` and still held, with limits::kStanzaOverheadBytes for
  // each.
  std::size_t unsettled_bytes() const;
  std::size_t unsettled() const;  // how many stanzas those are
  // Whether the other side may lack settlements of ours: some wait to be sent, or are not acknowledged.
  bool owes_settlements() const;

  // --- control
  // Answered with kLinkDown if the connection is lost; with kLinkBusy above limits::kLinkAsksMax; with
  // kLinkVersion if the version of the protocol lacks the question.
  std::uint64_t ask(Ask ask);
  // `id` as in Asked. An answer for an earlier connection is ignored.
  void answer(std::uint64_t id, Answer answer);
  // Core: replaces a push that is not done. It is kept and sent after each greeting until PushDone, which
  // comes once, unless a newer push comes first. Push again at Up{resumed = false}. The links of all edges
  // share the bytes.
  void push(std::uint64_t generation, std::shared_ptr<const SecretBytes> bytes);
  void push_done(std::uint64_t generation, Result<void> result);  // edge
  // Tells the other node, after each greeting too, that this one is being drained, if the version of the
  // protocol has a word for it.
  void drain();
  // Core: tells the edge of PeerHeard. Not kept: lost where the link is down, or has an earlier version of
  // the protocol.
  void heard(const xmpp::Pair& pair, std::uint64_t ping);
  // Sends the reason and ends the connection (kLinkSecondCore, kStreamShutdown …). Does nothing without one.
  void refuse(Error reason);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::link
