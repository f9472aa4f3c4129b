// The link session: what core and edge say to each other on TCP 7400, as one pure
// machine that both ends run (docs/link-protocol.md).
//
// A session outlives its connections. Stanzas travel on channels, one per (local, remote)
// pair and direction, numbered from 1; each is settled in order by the receiver, as delivered or as
// refused(code). What was sent and not settled is kept by the sender and, after a reconnect, sent
// again from where the receiver left off: nothing is lost, doubled or reordered while both processes
// live. When the other process is a new one, everything unsettled is sent to it anew.
//
// What is in flight is bounded: per channel by a window that the receiver grants, per link
// by limits::kLinkCreditBytes. A settled stanza gives its bytes back. Control frames need no credit.
//
// Inputs are handle_*, outputs are poll and take_output. Time never decreases. The TLS
// connection beneath, its pins and the dialling belong to the owner; the session is told of them.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "link/frame.h"
#include "xmpp/stanza.h"

namespace sallyport::link {

enum class Role : std::uint8_t { kCore, kEdge };

// The sender's own name for a stanza it gave to `send`, or for several; comes back in Settled with each.
using Ticket = std::uint64_t;

// The receiver's handle for a stanza that waits for `settle`. One of an earlier session that was not
// resumed is stale: settling it does nothing.
struct Receipt {
  std::uint32_t epoch = 0;
  std::uint64_t channel = 0;
  std::uint64_t sequence = 0;
  auto operator<=>(const Receipt&) const = default;
};

// How a stanza ended: nullopt is delivered. What comes out in Settled is the other door's word: any
// code of the table, also one without a stanza condition.
using Outcome = std::optional<Error>;

// How the edge came to believe in the remote domain of an inward channel: shown by the core,
// checked against policy again, never trusted for more.
struct Provenance {
  std::string method;        // "external", "dialback", "dialback+certificate"
  std::string peer_address;  // "198.51.100.7:5269"
};

// Questions that only the core can answer (DESIGN invariant 2), and one that both may ask.
struct KeyAsk {  // the dialback key for db:result on the stream `stream_id` (XEP-0185)
  xmpp::Pair pair;
  std::string stream_id;
};
struct VerdictAsk {  // is this the key we made for that pair and stream? (XEP-0220 2.1.1 step 3)
  xmpp::Pair pair;
  std::string stream_id;
  std::string key;
};
// May the pair be admitted on an edge's public side? Answered by any text, or by the refusal of the core's
// rules, which know the inside names. Since version 2 of the protocol.
struct AdmitAsk {
  xmpp::Pair pair;
};
struct ControlAsk {  // a question of the control vocabulary, as JSON text, asked across the link
  std::string json;
};
using Ask = std::variant<KeyAsk, VerdictAsk, ControlAsk, AdmitAsk>;
// The key in hex; "valid" or "invalid"; JSON text. Or the core's refusal.
using Answer = Result<std::string>;

// --- what comes out
struct Up {
  std::string peer_name;
  std::string peer_version;  // of the program, for people
  bool resumed;              // false: the other process, or its memory of us, is new
};
// The connection ended. `final`: the other side refused us for a reason that a reconnect
// will not change soon (kLinkVersion, kLinkSecondCore, kLinkDomain, kLinkSameIdentity).
struct Down {
  Error error;
  bool final;
};
// Without a connection for limits::kLinkDeadAfter (at once when it was silence that ended it), once
// for each outage of a link that had been up: the owner may move pairs to another link.
struct Dead {};
// Edge only: without a connection for limits::kLinkSessionKept. Receipts of before are stale, the core's
// stanzas forgotten. What the edge itself sent and was not settled stays, to be given up with
// `abandon` (the owner should: after this it would be sent anew, and may arrive twice).
struct Forgotten {};
// What a channel was opened with; shared by the stanzas that came on it until it is opened again.
struct Opening {
  xmpp::Pair pair;
  Provenance provenance;
};
struct Received {
  Received(std::shared_ptr<const Opening> by, const Receipt& number, xmpp::Stanza what, bool is_judged)
      : opening(std::move(by)), receipt(number), stanza(std::move(what)), judged(is_judged) {}
  const xmpp::Pair& pair() const { return opening->pair; }
  // Meaningful on the core only.
  const Provenance& provenance() const { return opening->provenance; }

  std::shared_ptr<const Opening> opening;
  Receipt receipt;
  // On the edge as sent: the core's word. On the core, where `judged`, what its bytes say, read anew here and
  // of the channel's pair; else as sent, and `xml` is still to be judged.
  xmpp::Stanza stanza;
  bool judged;
};
struct Settled {
  Ticket ticket;
  Outcome outcome;
  // Given back when it was refused, to be answered.
  std::optional<xmpp::Stanza> stanza{};
  // Delivered ones of one ticket that follow each other come as one.
  std::uint64_t count = 1;
};
// `can_send` said no for the pair and would now say yes. Said once; ask again before sending.
struct Writable {
  xmpp::Pair pair;
};
struct Asked {
  std::uint64_t id;
  Ask ask;
};
struct Answered {
  std::uint64_t id;
  Answer answer;
};
// A whole push has come (edge only). The bytes may hold private keys: wipe them after use.
struct Pushed {
  std::uint64_t generation;
  std::string bytes;
};
// The edge has taken the push into use, or refused it whole (core only).
struct PushDone {
  std::uint64_t generation;
  Result<void> result;
};
using Event =
    std::variant<Up, Down, Dead, Received, Settled, Writable, Asked, Answered, Pushed, PushDone, Forgotten>;

struct SessionConfig {
  Role role;
  std::string name;      // ours, for the other side's logs
  std::string version;   // of the program
  std::string instance;  // random, new for each process; how a restart is told from a reconnect
  // Of the protocol; less than frame::kVersionHighest is for tests of nodes of different versions.
  std::uint16_t version_highest = frame::kVersionHighest;
};

// A stanza that was not settled when the session was given up, in the order it was sent.
struct Unsettled {
  xmpp::Pair pair;
  xmpp::Stanza stanza;
  Ticket ticket;
  bool sent;  // it may have reached the other side
};

class Session {
 public:
  explicit Session(SessionConfig config);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  // --- the connection
  // Mutual TLS is complete and the key is pinned. The core greets; the edge waits for that. A
  // connection that was there before is taken to be gone.
  void handle_connected(Time now);
  void handle_bytes(std::string_view bytes, Time now);
  // The connection is gone, whoever closed it; also after `wants_close`. Down follows.
  void handle_disconnected(Time now);
  void handle_timeout(Time now);
  std::optional<Time> poll_timeout() const;

  // Bytes for the connection: appended to `out`; true when there were any. Settlements that are
  // due ride along. A push goes out in turns of limits::kPushTurnBytes, which poll_timeout calls for.
  bool take_output(std::string& out, Time now);
  std::optional<Event> poll();

  // The connection must be closed once its output is written: a frame was refused, the
  // versions do not match, the peer is dead. Nothing is read any more.
  bool wants_close() const;
  bool is_up() const;
  // The other process's `instance`, as it greeted last; empty before, and once the session is forgotten.
  const std::string& peer_instance() const;
  // Of the protocol, as the last greeting agreed on it; 0 before the first.
  std::uint16_t version() const;

  // --- stanzas
  // Whether the pair's channel and the link have room now for a stanza whose `xml` has that size. False
  // while the greeting is not answered. A "no" is remembered: Writable follows.
  bool can_send(const xmpp::Pair& pair, std::size_t stanza_bytes) const;
  // To be called when can_send says yes; a stanza that does not fit waits its turn in the session, and
  // counts in unsettled_bytes. The stanza's addresses are of the pair's domains, `from` on this side.
  // `provenance` is sent when it is new for the pair (edge).
  void send(const xmpp::Pair& pair, xmpp::Stanza stanza, Ticket ticket, Time now,
            const Provenance& provenance = {});
  // In any order; settlements leave in the order of the channel.
  void settle(const Receipt& receipt, Outcome outcome, Time now);
  // The receiver lets the pair have more in flight (bytes in all, at most
  // limits::kChannelWindowMaxBytes). Not more than before: ignored, so it may be called with each stanza. A
  // channel that was idle for long starts again with limits::kChannelWindowInitialBytes.
  void grant(const xmpp::Pair& pair, std::uint32_t window_bytes);
  // Gives up everything unsettled, in order, to be sent on another link or answered. The session
  // forgets it; late settlements for it are ignored.
  std::vector<Unsettled> abandon();
  // Gives up one stanza that has not been sent yet or waits for a reconnect: no Settled will come.
  // False if it was settled or is on its way on a live connection: Settled has come or will.
  bool withdraw(const xmpp::Pair& pair, Ticket ticket);
  // What is held of stanzas that were given to `send`, with limits::kStanzaOverheadBytes for each.
  std::size_t unsettled_bytes() const;

  // --- control
  // Lost on a disconnect: answered with kLinkDown; above limits::kLinkAsksMax: with kLinkBusy; where the
  // other end's version does not know the question: with kLinkVersion.
  std::uint64_t ask(Ask ask);
  // `id` as in Asked. One of a connection that has ended is ignored.
  void answer(std::uint64_t id, Answer answer);
  // Core: replaces a push that is not done. Kept and sent after each greeting until PushDone, which
  // comes once, unless a newer push comes first. Push again at Up{resumed = false}. All edges' links share
  // the bytes.
  void push(std::uint64_t generation, std::shared_ptr<const SecretBytes> bytes);
  void push_done(std::uint64_t generation, Result<void> result);  // edge
  // Says why and ends the connection (kLinkSecondCore, kStreamShutdown …). Nothing without one.
  void refuse(Error reason);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::link
