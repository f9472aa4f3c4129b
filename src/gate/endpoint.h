// All s2s streams of one node on one side: an edge's endpoint faces the public network, a core's the internal
// one. It accepts streams, opens one for each pair when there is something to send, asks authoritative
// servers about keys, and reports to its role the stanzas received and the outcome of those sent.
//
// Pairs here are seen from the endpoint: `local` is what the node speaks for, `remote` what the peer speaks
// for. (On a core `local` is therefore a remote domain of the public network, and `remote` an internal name.)
// Pure; one owner.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/index.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/ring.h"
#include "gate/dial_queue.h"
#include "gate/doubts.h"
#include "gate/event.h"
#include "gate/outbox.h"
#include "gate/ping_acks.h"
#include "gate/policy_epoch.h"
#include "gate/policy_view.h"
#include "gate/redial.h"
#include "gate/slots.h"
#include "gate/suspended_streams.h"
#include "gate/verifier.h"
#include "s2s/inbound.h"
#include "s2s/outbound.h"
#include "xmpp/pair_map.h"

namespace sallyport::gate {

// --- outputs for the role, besides those that are passed on to the driver

// An event of a stream (s2s/inbound.h, s2s/outbound.h), and its connection.
template <typename Event>
struct On {
  ConnId conn;
  Event event;
};
// A stanza that came on a stream, and whose peer awaits an acknowledgement (s2s::StanzaReceived::number).
struct StreamReceipt {
  ConnId conn;
  std::uint32_t number;
  std::uint64_t kept = 0;  // or one that the role keeps, under its own number (Endpoint::answer)
};
// The stanza counts as delivered (s2s/send_lane.h).
struct StanzaDelivered {
  Ticket ticket;
};
// The stanza was not sent, or, with kDeliveryUncertain, sent just before the peer ended the stream with an
// error.
struct StanzaReturned {
  Ticket ticket;
  Error error;
  xmpp::Stanza stanza;
};
// The answer to the stanza with that receipt has arrived, or cannot (`lost`): the stanza may be acknowledged.
struct AnswerSettled {
  StreamReceipt receipt;
  std::optional<Error> lost{};
};
using EndpointOutput =
    std::variant<Output,
                 On<s2s::NeedKey>,       // answered by handle_key
                 On<s2s::CheckKey>,      // answered by handle_key_checked
                 On<s2s::AskAdmission>,  // answered by handle_admission where the pair is not proved
                 On<s2s::StanzaReceived>, On<s2s::StanzaRejected>, On<s2s::PairReady>, StanzaDelivered,
                 StanzaReturned, AnswerSettled>;

// One row of `connections`.
struct ConnectionRow {
  std::optional<Pair> pair;  // not proved: what the stream was opened for, if this node opened it
  bool proved = false;
  bool outgoing = false;
  std::string peer;
  std::string phase;
  struct Tls {
    std::string version;
    std::string cipher;
  } tls{};
  std::string method;
  std::string confirmed_by;  // outgoing, once it is known: "ack", "ping" or "none"
  UnixTime since{};
  std::uint64_t stanzas = 0;
  std::uint64_t bytes = 0;
  std::string last_error;
};

struct EndpointCounters {
  std::uint64_t stanzas_in = 0;
  std::uint64_t stanzas_out = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t refused_streams = 0;
  std::uint64_t sent_again = 0;  // not confirmed on a stream that ended: the peer may get them twice
  std::uint64_t uncertain = 0;  // DESIGN invariant 6: written to a stream that ended before anyone could know
  std::uint64_t fell_back = 0;  // how often the peer of a pair confirmed nothing
};

class Endpoint {
 public:
  // The references outlive the endpoint.
  struct Setup {
    std::string name;  // "world" or "inside", for logs
    const PolicyView& policy;
    ConnIds& ids;
    Random& random;
    LogSink& log;
    limits::Configured limits{};
  };
  explicit Endpoint(Setup setup);
  ~Endpoint();

  // --- from the driver. Each returns false when the connection is not this endpoint's.
  void handle_accepted(ConnId conn, const Accepted& accepted, Now now);
  bool handle_connected(ConnId conn, const Connected& connected, Now now);
  bool handle_dial_failed(ConnId conn, const Error& error, Now now);
  bool handle_bytes(ConnId conn, std::string_view bytes, Now now);
  bool handle_tls(ConnId conn, const Result<s2s::TlsFacts>& facts, Now now);
  bool handle_written(ConnId conn, std::uint64_t bytes_total, Now now);
  bool handle_disconnected(ConnId conn, const Error& error, Now now);
  void handle_timeout(Now now);
  std::optional<Time> poll_timeout() const;
  bool take_output(ConnId conn, std::string& out);
  std::optional<EndpointOutput> poll();

  // --- from the role
  // Another process sends from now on: what was refused of an attempt says nothing of its own.
  void begin_attempts_anew() {
    for (auto& [pair, out] : outgoing_.map) out.refused.reset();
  }
  // Queues the stanza for the pair and opens a stream if there is none. It ends in StanzaDelivered or
  // StanzaReturned, the latter after limits::kDeliveryTimeout at most while it has not reached a stream. A
  // message or presence without an attempt waits for PolicyView::patience where the server was there before.
  void send(const Pair& pair, xmpp::Stanza stanza, Ticket ticket, Now now, Attempt attempt = 0);
  // Sends the answer to a stanza, if it has one. AnswerSettled with `owed` follows when it has arrived or
  // cannot: until then somebody keeps the stanza, so that the answer does not die with this process.
  void answer(const Pair& pair, std::optional<xmpp::Stanza> answer, const std::optional<StreamReceipt>& owed,
              Now now);
  void handle_key(ConnId conn, const Pair& pair, const std::string& stream_id, Result<std::string> key,
                  Now now);
  void handle_key_checked(ConnId conn, const Pair& pair, const std::string& stream_id, Result<bool> valid,
                          Now now);
  // The stanza needs no peer any more: it is settled, or answered.
  void acknowledge(const StreamReceipt& receipt, Now now);
  // It will not be, and its server sends it again.
  void leave_unacknowledged(const StreamReceipt& receipt, Now now);
  void handle_admission(ConnId conn, const Pair& pair, Result<void> answer, Now now);
  // Stops or resumes reading what comes on a connection (back-pressure). Counted: reading resumes when each
  // pair that stopped it has resumed, since a stream may carry several.
  void hold(ConnId conn, bool on);
  // Policy changed: each stream checks its pairs again (gate/policy_epoch.h).
  void check_again(Now now);
  // Ends every stream at once; stanzas that wait are returned with the reason. With `patience` what a peer
  // without stream management has under way still comes, so long.
  void close_all(const Error& reason, Now now, std::optional<Duration> patience = std::nullopt);
  // The same, but what a peer without stream management has under way still comes, and a stream on which
  // stanzas are not acknowledged yet is closed when they are; until then no more is read from one that we
  // accepted. Answers are sent as before, where there is a way to the peer at once.
  void drain_all(const Error& reason, Now now);
  // Returns a stanza that never came here, in turn with the others.
  void emit_failure(Ticket ticket, Error error, xmpp::Stanza stanza) {
    outputs_.emplace_back(StanzaReturned{ticket, std::move(error), std::move(stanza)});
  }

  // --- views
  std::vector<ConnectionRow> connections() const;
  const EndpointCounters& counters() const { return counters_; }
  struct Census {
    std::size_t in = 0;           // proved
    std::size_t out = 0;          // ready
    std::size_t negotiating = 0;  // neither yet
  };
  Census census() const;
  // Stanzas that wait for a stream.
  std::size_t waiting() const;
  std::size_t waiting_bytes() const;
  bool is_empty() const { return streams_.empty() && waiting() == 0; }
  // Also where its connection broke and the peer may still resume its session.
  bool is_open(ConnId conn) const {
    return streams_.find(conn) != nullptr || confirming_.suspended.has(conn);
  }
  // Whether the peer of this stream has proved a domain. True for a connection that is not a stream here.
  bool is_proved(ConnId conn) const;
  // The peer's address; nothing when the connection is gone.
  std::optional<dns::SocketAddress> peer(ConnId conn) const;
  // As text, "198.51.100.7:5269"; empty when the connection is gone.
  std::string peer_text(ConnId conn) const;
  // The pair's peer, proved, opened a stream, here or at another node.
  void handle_way_back(const Pair& pair, Now now);
  // The pair's peer, proved, answered the ping of that number, here or at another node. False: it is no ping
  // of the pair's stream.
  bool handle_ping_answer(const Pair& pair, std::uint64_t number, Now now);
  // The source that the address counts for (source_of_address); empty when the connection is gone.
  std::string peer_source(ConnId conn) const;
  // Whether stanzas of the pair leave on a stream at once.
  bool is_ready(const Pair& pair) const;
  // The last error of the pair's outgoing stream, while it is remembered.
  std::optional<Error> last_error(const Pair& pair) const;
  // False during the back-off after a failure: what is sent to the pair is returned with the last error.
  bool may_dial(const Pair& pair, Now now) const;

 private:
  // The tickets of answers have this bit, those of the role do not.
  static constexpr Ticket kAnswer = Ticket{1} << 63;

  struct Traffic {
    Pair pair;
    std::uint64_t stanzas = 0;
    std::uint64_t bytes = 0;
  };
  struct Stream {
    // Empty while an outgoing connection is being dialled.
    std::variant<std::monostate, s2s::Inbound, s2s::Outbound> machine;
    std::optional<Pair> target;    // outgoing: what it was opened for
    bool verifies = false;         // outgoing: opened to ask about keys only
    DialQueue::Places::Part dial;  // outgoing, for stanzas: until it is ready
    dns::SocketAddress peer;
    Now since;
    std::vector<Traffic> traffic;
    bool flush_due = false;
    struct Ending {
      bool broken = false;  // its connection is gone: nothing more can be written
      // It is closed for that as soon as no acknowledgement is awaited on it.
      std::optional<Error> once_acknowledged{};
      std::optional<Error> once_read{};  // it is closed for that as soon as it may be read again
    } ending{};
    int holds = 0;
    std::optional<Time> timer;
    std::uint64_t checked = 0;  // against which policy (PolicyEpoch::current)

    s2s::Inbound* in() { return std::get_if<s2s::Inbound>(&machine); }
    s2s::Outbound* out() { return std::get_if<s2s::Outbound>(&machine); }
    // Whether the peer or we are owed an acknowledgement (XEP-0198).
    bool is_owing() const;
    bool has_output() const;
    bool take_output(std::string& bytes);
  };
  using Streams = IndexedMap<ConnId, Stream>;
  // The stanzas for one pair, and the stream that carries them.
  struct Outgoing {
    Outbox box;
    Redial redial;
    bool awaits_dial = false;    // a stream is opened when there is a place for it
    bool awaits_return = false;  // or when the back-off is over (OutgoingPairs::returning)
    std::optional<ConnId> conn;
    std::optional<s2s::PeerProof> ready;
    PingAcks pings;
    // The attempt of which a message was refused, and why.
    struct Refused {
      Attempt attempt;
      Error error;
    };
    std::optional<Refused> refused{};
    // The session in which the stanzas at the head of the box that have a `doubt` were sent.
    struct Resume {
      s2s::ResumePoint point;
      Time until;
    };
    std::optional<Resume> resume{};

    bool refuses(Attempt attempt) const { return attempt != 0 && refused && refused->attempt == attempt; }
  };
  // The pairs that something is remembered of; bounded.
  struct OutgoingPairs {
    xmpp::PairMap<Outgoing> map;
    Sweep sweep{limits::kPairsRememberedMax};
    // Pairs for whose server stanzas wait, by the time of the next dial.
    std::set<std::pair<Time, Pair>> returning{};
    // Why nothing but answers is sent any more.
    std::optional<Error> draining{};

    std::optional<Time> poll_timeout() const {
      return returning.empty() ? std::nullopt : std::optional(returning.begin()->first);
    }
  };

  // The policy in force as streams ask it, and the streams that have been checked against it.
  struct Policy {
    StreamPolicyAt of_streams;
    PolicyEpoch epoch{};
  };

  // endpoint.cc: connections
  std::vector<ConnId> conns() const;
  Stream* find(ConnId conn);
  // Begins the handling of an input: streams ask policy as it is at that time.
  Stream* enter(ConnId conn, Now now);
  Stream new_stream(Now now) const;
  void after(ConnId conn, Now now);
  void close(ConnId conn, Stream& stream, const Error& reason, Now now);
  void flush(ConnId conn, Stream& stream);
  void set_timer(ConnId conn, Stream& stream);
  // Checks the stream unless it was; nullptr when it has ended by that.
  Stream* ensure_current(ConnId conn, Stream& stream, Now now);
  // The connection is gone, or never came.
  void break_stream(ConnId conn, Stream& stream, const Error& error, Now now);
  void end_stream(ConnId conn, const std::optional<Error>& error, Now now);

  // endpoint_events.cc: events of streams. Each returns false when the stream has ended.
  // Handles all of it; nullptr once the stream has ended.
  Stream* drain(ConnId conn, Now now);
  bool on(ConnId conn, Stream& stream, s2s::StartTls&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::VerifyKey&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::CheckKey&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::AskAdmission&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::Admitted&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::PairRefused&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::StanzaReceived&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::StanzaRejected&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::NeedKey&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::PairReady&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::PairFailed&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::Verified&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::InDoubt&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::Delivered&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::SendEnded&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::Closed&& event, Now now);
  static void count(Stream& stream, const Pair& pair, std::size_t bytes) {
    auto it = std::ranges::find(stream.traffic, pair, &Traffic::pair);
    if (it == stream.traffic.end()) it = stream.traffic.insert(it, Traffic{pair});
    ++it->stanzas;
    it->bytes += bytes;
  }
  // For logs: `local` is a domain of this organisation and `remote` one of the public network, always.
  LogEvent pair_event(LogLevel level, const char* name, const char* direction, const Pair& pair) const;
  void log_end(ConnId conn, Stream& stream, const std::optional<Error>& error, Now now);
  template <typename... Args>
  void emit(Args&&... args) {
    outputs_.emplace_back(std::forward<Args>(args)...);
  }

  // endpoint_verify.cc: outputs of the verifier
  Result<ConnId> open_verifier(const Pair& pair, Now now);
  void handle_verifier(Now now);
  void on(Verifier::Ask&& ask, Now now);
  void on(Verifier::Answer&& answer, Now now);
  void on(Verifier::Close&& close, Now now);

  // endpoint_send.cc: pairs and the stanzas for them. `pair`: the key of its entry.
  std::string peer_of(const Pair& pair) const;
  void pump(const Pair& pair, Outgoing& out, Now now);
  void open(const Pair& pair, Outgoing& out, Now now);
  void open_waiting(Now now);
  void write_queue(const Pair& pair, Outgoing& out, Now now);
  bool write(const s2s::PeerProof& proof, Outgoing& out, Stream& stream, Queued& queued, Now now);
  // With the key that outboxes may keep.
  using OutgoingEntry = xmpp::PairMap<Outgoing>::Entry;
  OutgoingEntry* outgoing_of(ConnId conn, const Stream& stream);
  void outgoing_ended(ConnId conn, Stream& stream, const std::optional<Error>& error, Now now);

  // endpoint_return.cc: servers that were there, are not, and are expected back
  // Whether the stanza waits for that, rather than being returned when a dial fails.
  bool may_wait(const Outgoing& out, const Queued& queued, Now now) const;
  Time deadline_of(const Outgoing& out, const Queued& queued, Now now) const;
  // Returns what may not wait, and dials again when the back-off is over.
  void await_return(const Pair& pair, Outgoing& out, Now now);
  void set_return_timer(const Pair& pair, Outgoing& out);
  // Dials those whose back-off is over.
  void dial_returning(Now now);

  // endpoint_confirm.cc: what the peer of a pair has read
  void begin_confirming(const Pair& pair, Outgoing& out, Stream& stream);
  // Its peer does not confirm in the way that was tried: the pair goes on with another.
  void note_fall_back(const Stream& stream, const char* event);
  // Whether the peer has acknowledged anything; nothing where it was not asked to.
  static std::optional<bool> acknowledged(const Stream& stream);
  // The peer confirms, and has not confirmed so much that it is given no more.
  static bool awaits_confirmation(const Outgoing& out, const Stream& stream);
  // So much is in flight that the next ping does not wait for its interval: half of the smallest window of a
  // channel, whose sender would otherwise wait for that.
  static bool presses(const Stream& stream) {
    return std::get<s2s::Outbound>(stream.machine).credit_in_flight() >=
           limits::kChannelWindowInitialBytes / 2;
  }
  // A stanza was written, or time has passed: writes a ping, or falls back, where that is due. Returns false
  // when the stream has ended by that.
  bool ping_if_due(Outgoing& out, Stream& stream, Now now);
  // ConnectionRow::confirmed_by.
  std::string confirmed_by(const Stream& stream) const;
  void confirm_due(Now now);
  // `doubtful`: in the order of sending, all before what waits.
  void send_again(const Pair& pair, Outgoing& out, std::vector<Queued> doubtful,
                  const std::optional<Error>& error, Now now);
  void deliver(const Queued& queued) {
    if (is_answer(queued)) return settle_answer(queued, std::nullopt);
    if (queued.ticket != 0) emit(StanzaDelivered{queued.ticket});
  }
  // Whether it is the answer to a stanza that is to be acknowledged.
  static bool is_answer(const Queued& queued) { return (queued.ticket & kAnswer) != 0; }
  void settle_answer(const Queued& queued, std::optional<Error> lost);
  // Whether the stanza is answered, or sent, by its own server: the stream that it came on is gone.
  bool is_moot(const Queued& answer);
  void return_all(Outgoing& out, const Error& error);
  void return_lost();
  // Returns what waits in front and belongs to an attempt that is over.
  void return_refused(Outgoing& out);
  void give_back(Outgoing& out, Queued& queued, const Error& reason);

  // endpoint_drain.cc
  bool has_more_for(ConnId conn, const Stream& stream);
  // Nothing is owed, and nothing is left to write.
  bool is_done(ConnId conn, Stream& stream);
  void close_once_read(ConnId conn, Stream& stream, Now now);
  void return_unsent(const Pair& pair, Outgoing& out);
  void give_up(Outgoing& out, Now now);

  // endpoint_resume.cc: sessions that go on after their stream broke (XEP-0198 5)
  bool on(ConnId conn, Stream& stream, s2s::Resumable&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::ResumeAsked&& event, Now now);
  bool on(ConnId conn, Stream& stream, s2s::ResumeAnswered&& event, Now now);
  // Ours, on a stream that was accepted and has ended.
  void end_session(ConnId conn, Stream& stream, Now now);
  void answer_resumes(Now now);
  // The peer's: keeps what is in doubt until it says what it has.
  void keep_for_resume(const Pair& pair, Outgoing& out, const s2s::SendEnded& ended, Now now);
  // The peer has the stanzas up to `handled`, if it says so; of the others nobody knows.
  void settle_doubts(const Pair& pair, Outgoing& out, const s2s::ResumeAnswered& answer, Now now);

  const Setup setup_;
  Policy policy_;
  Outboxes outboxes_;
  OutgoingPairs outgoing_;
  DialQueue dials_;
  Streams streams_;
  std::set<std::pair<Time, ConnId>> timers_;
  std::map<ConnId, std::string> final_bytes_;  // of streams that have ended
  struct Confirming {
    Doubts doubts{};
    SuspendedStreams suspended{};
    Slots<StreamReceipt> answers{};  // by their tickets without kAnswer
  };
  Confirming confirming_;
  Verifier verifier_;
  Ring<EndpointOutput, 256 * 1024> outputs_;
  EndpointCounters counters_;
};

}  // namespace sallyport::gate
