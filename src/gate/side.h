// One face of a door: every s2s stream towards one network. An edge has one (the world), a core
// has one (the inside). It accepts streams, opens one per pair when there is something to send,
// asks authoritative servers about keys, and tells its role what arrived and what became of what was sent.
//
// Pairs here are seen from this face: `local` is what the door speaks for, `remote` what the peer speaks for.
// (On a core's inside face `local` is a domain of the world and `remote` an internal one.) Pure; one owner.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/index.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/ring.h"
#include "base/shares.h"
#include "gate/event.h"
#include "gate/slots.h"
#include "s2s/inbound.h"
#include "s2s/outbound.h"
#include "xmpp/pair_map.h"

namespace sallyport::gate {

using xmpp::Pair;

// The sender's name for a stanza given to `send`. 0: nobody waits for its outcome.
using Ticket = std::uint64_t;

// How a pair's server is reached: policy and configuration answer, without I/O.
class Finder {
 public:
  virtual ~Finder() = default;
  virtual Result<DialPlan> find(const Pair& pair) const = 0;
  // Whether the servers that it finds are internal ones. Then the remote peer that a pair counts for, where
  // budgets are shared, is `pair.local`.
  virtual bool is_internal() const { return false; }
};

// --- what a face asks and tells, besides the outputs it passes on
struct AskKey {  // answered by Side::handle_key
  ConnId conn;
  Pair pair;
  std::string stream_id;
};
struct AskCheck {  // answered by Side::handle_key_checked
  ConnId conn;
  Pair pair;
  std::string stream_id;
  std::string key;
};
// Whether the pair may be admitted; policy here does not know. Where it is not proved, answered by
// Side::handle_admission.
struct AskAdmit {
  ConnId conn;
  Pair pair;
  bool proved;
  dns::Ip peer;
};
struct Arrived {
  Arrived(ConnId on, s2s::PeerProof by, xmpp::Stanza what)
      : conn(on), proof(std::move(by)), stanza(std::move(what)) {}
  ConnId conn;
  s2s::PeerProof proof;
  xmpp::Stanza stanza;
};
// A proved peer sent a stanza that cannot be moved; it stands in the log, and may be answered.
struct ArrivedBad {
  s2s::PeerProof proof;
  xmpp::BadStanza stanza;
};
// Handed to the socket, and not in doubt any more (limits::kDoubtDelay): it counts as delivered.
struct Handed {
  Ticket ticket;
};
// Given back: not handed over, or, with kDeliveryUncertain, handed over just before the peer ended the stream
// with an error.
struct Failed {
  Ticket ticket;
  Error error;
  xmpp::Stanza stanza;
};
// An outgoing stream for the pair became ready.
struct PairOpened {
  Pair pair;
};
using SideOutput =
    std::variant<Output, AskKey, AskCheck, AskAdmit, Arrived, ArrivedBad, Handed, Failed, PairOpened>;

// One row of `connections`.
struct ConnectionRow {
  std::optional<Pair> pair;  // not proved: what the stream was opened for, if this side opened it
  bool proved = false;
  bool outgoing = false;
  std::string peer;
  std::string phase;
  std::string tls;
  std::string cipher;
  std::string method;
  UnixTime since{};
  std::uint64_t stanzas = 0;
  std::uint64_t bytes = 0;
  std::string last_error;
};

struct SideCounters {
  std::uint64_t stanzas_in = 0;
  std::uint64_t stanzas_out = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t refused_streams = 0;
  std::uint64_t uncertain = 0;  // DESIGN invariant 6: handed to a stream that was then cut
};

class Side {
 public:
  // `face` is "world" or "inside", for logs. References outlive the side.
  Side(std::string face, const s2s::Judge& judge, const Finder& finder, ConnIds& ids, Random& random,
       LogSink& log, const limits::Configured& limits = {});
  ~Side();

  // --- from the driver. Each returns false when the connection is not this side's.
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
  std::optional<SideOutput> poll();

  // --- from the role
  // Queues the stanza for the pair and opens a stream if there is none. It ends in Handed or Failed,
  // the latter by limits::kDeliveryTimeout at most while it has not reached a stream.
  void send(const Pair& pair, xmpp::Stanza stanza, Ticket ticket, Now now);
  void handle_key(ConnId conn, const Pair& pair, const std::string& stream_id, Result<std::string> key,
                  Now now);
  void handle_key_checked(ConnId conn, const Pair& pair, const std::string& stream_id, Result<bool> valid,
                          Now now);
  void handle_admission(ConnId conn, const Pair& pair, Result<void> answer, Now now);
  // Stops or resumes reading what comes on a connection (back-pressure). Counted: it is read again when each
  // pair that wanted it held has let go, since a stream may carry several.
  void hold(ConnId conn, bool on);
  // Policy changed: each stream judges its pairs again, limits::kJudgedPerTurn of them now and as many at
  // each timeout. The new policy counts at once all the same: a stream that has not had its turn has it
  // before anything is read from it or written to it.
  void judge_again(Now now);
  // Ends every stream; what waits fails with the reason.
  void close_all(const Error& reason, Now now);

  std::vector<ConnectionRow> connections() const;
  const SideCounters& counters() const { return counters_; }
  struct Census {
    std::size_t in = 0;           // proved
    std::size_t out = 0;          // ready
    std::size_t negotiating = 0;  // neither yet
  };
  Census census() const;
  std::size_t waiting() const;
  bool is_empty() const { return streams_.empty(); }
  // Whether the peer of this stream has proved a domain. True for what is no stream here.
  bool is_proved(ConnId conn) const;
  // Gives a stanza back that never came here, in turn with the others.
  void emit_failure(Ticket ticket, Error error, xmpp::Stanza stanza) {
    outputs_.push_back(Failed{ticket, std::move(error), std::move(stanza)});
  }
  // The peer of a connection, "198.51.100.7:5269"; empty when it has gone.
  std::string peer_text(ConnId conn) const;
  // The source that its address counts for (source_of_address); empty when it has gone.
  std::string peer_source(ConnId conn) const;
  // The last error of the pair's outgoing stream, while it is remembered.
  std::optional<Error> last_error(const Pair& pair) const;

 private:
  struct Queued {
    xmpp::Stanza stanza;
    Ticket ticket;
    Time deadline;
  };
  // Written to a stream and not settled: not yet known to have reached the socket, or so recently that the
  // peer may end the stream without having read it.
  struct InFlight {
    std::uint64_t end;  // offset in the connection's bytes just behind the stanza
    Queued queued;
  };
  struct Traffic {
    Pair pair;
    std::uint64_t stanzas = 0;
    std::uint64_t bytes = 0;
  };
  // A question to an authoritative server: on which connection, and which of those.
  struct QuestionName {
    ConnId verifier;
    std::uint64_t number;
  };
  // By the asker's address, and by the parent of the domain that the key speaks for.
  using VerificationShares = Shares<QuestionName, 2>;
  // By the remote peer's parent domain. The pair is the key of its entry in `pairs_`.
  using WaitingShares = Shares<const Pair*>;
  // By the remote peer's parent domain.
  using DialShares = Shares<ConnId>;
  struct Verification {
    ConnId asker;
    Pair pair;
    std::string stream_id;
    std::string key;
    std::uint64_t number = 0;
    VerificationShares::Part part{};
  };
  struct Stream {
    // Empty while an outgoing connection is being dialled.
    std::variant<std::monostate, s2s::Inbound, s2s::Outbound> machine;
    std::optional<Pair> target;  // outgoing: what it was opened for
    bool verifies = false;       // outgoing: opened to ask about keys only
    bool broken = false;         // its connection is gone: nothing more can be written
    std::vector<Verification> verifications;
    DialShares::Part dial;  // outgoing, for stanzas: until it is ready
    Endpoint peer;
    std::string how;
    Now since;
    std::string buffer;               // machine output not yet taken
    std::uint64_t taken_bytes = 0;    // handed to the driver
    std::uint64_t written_bytes = 0;  // handed to the socket
    Ring<InFlight, 16 * 1024> in_flight;
    std::size_t in_doubt = 0;         // of those, at the front: handed to the socket, not settled
    std::size_t doubt_bytes = 0;      // of those in doubt, as the link counts stanzas
    Ring<std::uint64_t> recent_ends;  // of stanzas settled as delivered, one write window back
    std::vector<Traffic> traffic;
    bool flush_due = false;
    int holds = 0;
    bool blocked = false;  // more than limits::kWriteQueueBytesMax unwritten
    std::optional<Time> timer;
    std::uint64_t judged = 0;  // by which policy, as `policies_` counts them

    s2s::Inbound* in() { return std::get_if<s2s::Inbound>(&machine); }
    s2s::Outbound* out() { return std::get_if<s2s::Outbound>(&machine); }
    std::uint64_t end() const { return taken_bytes + buffer.size(); }
  };
  // What is to be sent for one pair.
  struct OutPair {
    Ring<Queued> queue;
    WaitingShares::Part waiting;  // the size of `queue`
    bool awaits_dial = false;     // stands in `dial_queues_`
    std::optional<ConnId> conn;
    std::optional<s2s::PeerProof> ready;
    std::vector<Endpoint> avoid;
    std::size_t attempts = 0;
    std::optional<Error> last_error;
    std::size_t failures = 0;  // in a row: how long the next back-off is (limits::kDialBackoff)
    Time backoff_until{};
    bool armed = false;  // `deadlines_` has an entry
  };
  // The role's judge, but for pairs whose peer refused our certificate before: dialback at once.
  class OwnJudge : public s2s::Judge {
   public:
    explicit OwnJudge(const s2s::Judge& judge) : judge_(judge) {}
    Result<void> serves(const xmpp::Domain& local) const override { return judge_.serves(local); }
    Result<void> admits(const Pair& pair) const override { return judge_.admits(pair); }
    bool must_ask(const Pair& pair) const override { return judge_.must_ask(pair); }
    policy::PeerRules rules(const Pair& pair) const override;
    policy::TlsRule tls_floor(const xmpp::Domain& local,
                              const std::optional<xmpp::Domain>& remote) const override {
      return judge_.tls_floor(local, remote);
    }
    std::set<Pair> without_external;

   private:
    const s2s::Judge& judge_;
  };

  using Streams = IndexedMap<ConnId, Stream>;

  // What a stanza counts for while it waits.
  static std::uint64_t waiting_size(std::size_t xml_bytes) {
    return xml_bytes + limits::kStanzaOverheadBytes;
  }

  // side.cc: any stream
  Stream* find(ConnId conn);
  void after(ConnId conn, Now now);
  // Deals with what the stream's machine gives; nullptr once the stream has ended.
  Stream* drain(ConnId conn, Now now);
  // Nothing when it has ended by that.
  Stream* judged(ConnId conn, Stream& stream, Now now);
  void judge_some(Now now);
  void collect_bytes(ConnId conn, Stream& stream);
  void set_timer(ConnId conn, Stream& stream);
  // False once the stream has ended.
  bool handle(ConnId conn, Stream& stream, s2s::InboundOutput&& output, Now now);
  bool handle(ConnId conn, Stream& stream, s2s::OutboundOutput&& output, Now now);
  void begin_tls(ConnId conn, const s2s::StartTls& start, bool accepting);
  void end_stream(ConnId conn, const std::optional<Error>& error, Now now);
  void break_stream(ConnId conn, Stream& stream, const Error& error, Now now);
  void log_end(ConnId conn, Stream& stream, const std::optional<Error>& error, Now now);
  void count(Stream& stream, const Pair& pair, std::size_t bytes);
  // For the log: on both faces `local` is a domain of this organisation, `remote` one of the world.
  LogEvent pair_event(LogLevel level, const char* name, const char* direction, const Pair& pair) const;
  void emit(SideOutput output) { outputs_.push_back(std::move(output)); }

  // side_outbound.cc: pairs and what is sent on them
  void pump(const Pair& pair, OutPair& out, Now now);
  void open(const Pair& pair, OutPair& out, Now now);
  void write_queue(OutPair& out, Now now);
  bool write(const s2s::PeerProof& proof, ConnId conn, Stream& stream, Queued& queued, Now now);
  void on_ready(ConnId conn, const s2s::PeerProof& proof, Now now);
  void pair_ended(ConnId conn, Stream& stream, const std::optional<Error>& error, Now now);
  bool may_retry(const Pair& pair, OutPair& out, const Stream& stream, const Error& error);
  void fail_queue(OutPair& out, const Error& error);
  void give_back(Queued& queued, const Error& error);
  void back_off(OutPair& out, Now now);
  void arm(const Pair& pair, OutPair& out);
  void expire(Now now);

  // side_written.cc: what the socket took, until it is settled
  struct Doubt {
    Time until;
    ConnId conn;
    std::uint64_t end;  // stanzas that end here or before count as delivered then
  };
  void doubt(ConnId conn, Stream& stream, Now now);
  void settle_front(Stream& stream);
  void settle_due(Now now);
  void recover(const Pair& pair, OutPair& out, Stream& stream, const std::optional<Error>& error);

  // side_shares.cc: what one peer may have of what all share. `pair`: the key of its entry in `pairs_`.
  std::string peer_of(const Pair& pair) const;
  // Whether a stanza of that size may wait; others may lose theirs for it.
  bool may_wait(const Pair& pair, OutPair& out, std::size_t size);
  void push_back(const Pair& pair, OutPair& out, Queued queued);
  void push_front(const Pair& pair, OutPair& out, Queued queued);
  // Precondition: something waits. It must not have been moved from.
  Queued pop_front(OutPair& out);
  void drop_oldest(OutPair& out, const Error& error);
  // Takes a place among the streams that are being opened; false: the pair waits for one.
  bool may_dial(const Pair& pair, OutPair& out, Now now);
  // Opens streams of pairs that wait for a place, as far as there is room.
  void open_waiting(Now now);

  // side_verify.cc: asking authoritative servers (XEP-0220 2.1.1 step 2)
  void verify(ConnId asker, const s2s::VerifyKey& request, Now now);
  void answer_verification(const Verification& verification, Result<s2s::VerifyAnswer> answer, Now now);
  void fail_verifications(Stream& stream, const Error& error, Now now);
  // Whether one more may be asked; another source may lose a question for it.
  bool may_verify(const VerificationShares::Keys& keys, Now now);
  bool give_up(const QuestionName& question, Now now);

  std::string face_;
  OwnJudge judge_;
  const Finder& finder_;
  ConnIds& ids_;
  Random& random_;
  LogSink& log_;
  const limits::Configured limits_;
  VerificationShares verifications_;
  WaitingShares waiting_;
  DialShares dials_;
  Streams streams_;
  xmpp::PairMap<OutPair> pairs_;
  Sweep sweep_{limits::kPairsRememberedMax};
  std::map<Pair, ConnId> verifiers_;
  std::uint64_t last_question_ = 0;
  // Pairs that wait for a place among the streams being opened, by peer.
  std::map<std::string, std::deque<Pair>> dial_queues_;
  bool placing_ = false;  // a place is being made, or taken, for one of them
  std::set<std::pair<Time, ConnId>> timers_;
  std::set<std::pair<Time, Pair>> deadlines_;
  std::map<ConnId, std::string> last_words_;
  Ring<SideOutput, 256 * 1024> outputs_;
  SideCounters counters_;
  Ring<Doubt, 16 * 1024> doubts_;  // by `until`
  std::size_t doubt_bytes_ = 0;    // of all streams
  std::uint64_t policies_ = 0;     // how many there were
  std::vector<ConnId> to_judge_;   // again, by the latest
  Time judge_next_{};
};

}  // namespace sallyport::gate
