// The implementation of the edge. edge.cc takes inputs and moves stanzas, edge_link.cc talks to the core,
// edge_takeover.cc decides which of two connections of a core is its link, edge_admit.cc asks it about pairs,
// edge_presence.cc takes presence back.
#pragma once

#include <boost/json/object.hpp>
#include <deque>
#include <map>
#include <set>

#include "base/shares.h"
#include "gate/admission_queue.h"
#include "gate/control.h"
#include "gate/edge.h"
#include "gate/edge_policy_view.h"
#include "gate/endpoint.h"
#include "gate/link_set.h"
#include "gate/listening.h"
#include "gate/lost_contacts.h"
#include "gate/presence_table.h"
#include "gate/repeated_log.h"
#include "gate/slots.h"

namespace sallyport::gate {

class Edge::Impl {
 public:
  struct Inward;

  Impl(EdgeSetup setup_in, Random& random, LogSink& log_in, Now now);

  // --- edge.cc
  // Follows every input: outputs of the endpoint and events of the session are carried to each other until
  // there are none.
  void turn(Now now);
  void on(Output&& output, Now now);
  void on(On<s2s::NeedKey>&& need, Now now);
  void on(On<s2s::AskAdmission>&& ask, Now now);
  void on(On<s2s::StanzaRejected>&& rejected, Now now);
  void on(On<s2s::PairReady>&& ready, Now now);
  void open_window(const Pair& pair);
  void on(StanzaDelivered&& delivered, Now now);
  void on(StanzaReturned&& returned, Now now);
  void on(AnswerSettled&& answer, Now now) { endpoint.acknowledge(answer.receipt, now); }
  // A stanza of a remote domain, proved: onto the channel, or it waits and its stream is not read.
  void on(On<s2s::StanzaReceived>&& received, Now now);
  void settle(Ticket ticket, link::Outcome outcome, Now now);
  void pump_inward(const Pair& pair, Now now);
  // The streams that brought its stanzas are read again.
  void release(Inward& in);
  link::Provenance provenance_of(ConnId conn, const s2s::PeerProof& proof) const {
    return {std::string(s2s::method_name(proof.method())), endpoint.peer_text(conn)};
  }

  // --- edge_shares.cc: the share of one source in what all use
  // Asks the core whether a key that was shown to a peer is ours. Another source's question may be given up
  // for it.
  void on(On<s2s::CheckKey>&& check, Now now);
  // Stanzas that made room for those of another peer are answered.
  void answer_lost(Now now);
  void refuse_inward(const Pair& pair, const Queued& queued, Code code, Now now);
  // The stanza with that ticket of its own (or 0) needs its peer no more: the core settled it, or it was
  // answered.
  void acknowledge(Ticket ticket, Now now);
  // Whether the stanza with that ticket came on a stream that ended before it was acknowledged: then its
  // server still has it, and sends it again or answers it. The ticket is not in use any more.
  bool is_with_its_server(Ticket ticket);

  // --- edge_link.cc
  void handle_link(ConnId conn, std::size_t peer, const dns::SocketAddress& address, Now now);
  link::SessionConfig session_config() const;
  void refuse_link(ConnId conn, Error error, Now now);
  // Events of the session with the core.
  void on(link::Received&& received, Now now);
  void on(link::Writable&& writable, Now now);
  void on(link::Answered&& answered, Now now);
  void on(link::Pushed&& pushed, Now now);
  void on(link::Up&& up, Now now);
  void on(link::Down&& down, Now now);
  void on(link::Dead&& dead, Now now);
  void on(link::Forgotten&& forgotten, Now now);
  void on(link::Asked&& asked, Now now);
  link::Answer answer_to(const link::ControlAsk& ask, Now now) const;
  // Questions for cores only; the session rejects them.
  static link::Answer answer_to(const link::KeyAsk&, Now) { return not_for_edges(); }
  static link::Answer answer_to(const link::VerdictAsk&, Now) { return not_for_edges(); }
  static link::Answer answer_to(const link::AdmitAsk&, Now) { return not_for_edges(); }
  static link::Answer not_for_edges() { return Error{Code::kControlRefused, "not across the link"}; }
  // For cores only: an edge gives its stanzas no tickets, and pushes nothing.
  void on(link::Settled&& settled, Now now) { acknowledge(settled.ticket, now); }
  void on(link::PushDone&&, Now) {}
  void on(link::PeerDrains&&, Now) {}
  void on(link::Opened&&, Now) {}
  void on(link::PeerHeard&& heard, Now now);
  void on(link::NotRepeated&& doubtful, Now now);
  void handle_prepared(std::uint64_t id, Result<config::PreparedPush> prepared, Now now);
  bool awaits_policy(const Pair& pair, Now now) const;
  void drop_early();
  void link_lost(const Error& error, Now now);
  void forget(Now now);
  // Whether this link's policy is in use, and so remote servers may connect.
  void serve(bool on);
  void listen(bool on);
  void close_link(Now now);

  // --- edge_behind.cc
  // The streams that brought stanzas are being closed; from now on all are read.
  void note_closing();
  // Whether a stream of the pair that was closed then has not ended yet.
  bool reads_older(const Inward& in) const;
  // Precondition: reads_older(in), and it came by another stream.
  void wait_behind(const Pair& pair, Inward& in, On<s2s::StanzaReceived>&& received, Now now);
  // Whether something need not wait any longer.
  bool pump_behind(Now now);
  void pass_behind(const Pair& pair, Inward& in, Now now);

  // --- edge_admit.cc
  void send_admissions(Now now);
  // False where the answer is to no question about a pair.
  bool handle_admission(const link::Answered& answered, Now now);
  void finish_admission(const AdmissionQueue::Done& done, const link::Answer& answer, Now now);
  void expire_admissions(Now now);
  // Of a pair that policy here does not name exactly the core is asked: ask again until it is `known`.
  std::string admission(const ControlQuestion& question, Now now);

  boost::json::object waiting() const;
  std::string status(Now now) const;

  // --- edge_presence.cc: what is shown across the link, when it is lost for long
  void lose_core(Now now);
  void regain_core(Now now);
  // Sends inward what this edge says in the name of a remote domain.
  void say_inward(const Pair& pair, xmpp::Stanza stanza, Now now);

  // --- edge_takeover.cc: a second connection of the core that is linked
  // One whose HELLO is awaited: the instance in it decides whether the link in use makes way for it.
  struct Newcomer {
    ConnId conn;
    dns::SocketAddress address;
    std::string bytes;
    Time deadline;
  };
  void await_hello(ConnId conn, const dns::SocketAddress& address, Now now);
  void handle_newcomer(std::string_view bytes, Now now);
  void take_over(Newcomer newcomer, const std::string& instance, Now now);
  void refuse_same_identity(const Newcomer& newcomer, Now now);
  void drop_newcomer();

  // Stanzas of remote servers for one pair that have no credit yet. Their streams are not read meanwhile, so
  // each of them has brought what one read brought, and at most one stanza that had begun before.
  struct Inward {
    Outbox box;
    std::set<ConnId> held;
    ConnId provenance_of = 0;
    link::Provenance provenance;
    // What came by a later stream while an older one is being closed.
    struct Behind {
      ConnId older = 0;
      Time until{};  // that long the older one may take
      Outbox box;
      std::set<ConnId> held{};  // not read meanwhile
      ConnId provenance_of = 0;
      link::Provenance provenance{};
    } behind{};

    bool is_idle() const {
      return box.is_idle() && held.empty() && behind.box.is_idle() && behind.held.empty();
    }
  };
  // A question that the core answers: for a key to send, or for the verdict on one.
  struct Asked {
    ConnId conn;
    Pair pair;
    std::string stream_id;
    bool verdict;
    Shares<std::uint64_t>::Part part{};  // of a question for a verdict
  };

  struct Takeover {
    std::optional<Newcomer> newcomer;
    // Instances whose living link another instance took. One that comes back was not restarted.
    std::deque<std::string> replaced;
    struct Clash {
      Time at;
      std::string text;
    };
    std::optional<Clash> clash;  // the last time that a second core of the same identity was refused
  };
  struct Presence {
    PresenceTable shown{};
    // While the core is lost: its instance, and remote users that our users were shown to.
    std::optional<std::string> lost{};
    LostContacts contacts{};
    std::uint64_t probes = 0;
  };
  // The link, and the core that is served over it.
  struct Served {
    LinkSet links;
    RepeatedLog failures;               // since a link served last
    LinkEnd* link = nullptr;            // that core's, in `links`
    std::optional<std::size_t> core{};  // its [[core]] row
    bool is_dead = true;                // nothing was heard from it for long: another core may take over
    std::uint64_t sessions = 0;
    std::string instance{};  // of the core's process that was linked last
    std::string last_error{};
    Takeover takeover{};
    Presence presence{};
  };
  // The pushed policy: that in force, and that on its way.
  struct Policy {
    EdgePolicyView view;
    bool in_use = false;  // this link's core has pushed it, or the session goes on with it
    // The push that is being prepared, while its link lasts: a core pushes again what it has no answer to.
    struct Preparing {
      std::uint64_t id;
      std::uint64_t generation;
    };
    std::optional<Preparing> preparing;
    bool awaited = false;  // a push has come, and its end is not known yet; also while the link is down
    std::uint64_t last_prepared = 0;
    // Stanzas that cannot be routed or checked before a push is in use: a core that was linked to an earlier
    // process of this edge sends its unsettled stanzas at once. Bounded by the link's credit, of which the
    // core lets no peer have more than its share.
    struct Early {
      Pair pair;
      xmpp::Stanza stanza;
      Ticket ticket;
      Attempt attempt = 0;
    };
    std::deque<Early> early;
  };
  // Whether remote servers may connect.
  struct Accepting {
    bool wanted = false;  // the s2s listeners are
    Listening state;
    bool draining = false;
  };
  // Stanzas of remote domains that have no credit yet.
  struct InwardPairs {
    Outboxes outboxes;
    xmpp::PairMap<Inward> map{};
    Sweep sweep{limits::kPairsRememberedMax};
    Slots<StreamReceipt> receipts{};  // by ticket, of stanzas that a peer awaits an acknowledgement of
    // Pairs of which something may wait behind an older stream, and when that is looked at.
    struct Behind {
      std::set<Pair> pairs;
      Time looks_at{};

      std::optional<Time> poll_timeout() const {
        return pairs.empty() ? std::nullopt : std::optional(looks_at);
      }
    } behind{};
  };
  // Questions that the core has not answered yet.
  struct Questions {
    // By the asker's address; the question's number.
    Shares<std::uint64_t> verdicts{
        {.total = limits::kVerdictsMax, .share = {limits::address_share(limits::kVerdictsMax)}}};
    std::map<std::uint64_t, Asked> asked;
    AdmissionQueue admissions;
  };
  // A stanza of the core whose outcome is owed, and the session it came in: receipts of two sessions may be
  // equal.
  struct Owed {
    std::uint64_t session;
    link::Receipt receipt;
  };
  struct Report {
    std::uint64_t refused = 0;
    std::uint64_t sent_again = 0;  // to a core, after another process may have had it
    std::uint64_t uncertain = 0;   // requests that another process may have had
    UnixTime since{};
  };

  EdgeSetup setup;
  LogSink& log;
  ConnIds ids;
  std::deque<Output> outputs;
  Policy policy;
  Endpoint endpoint;
  Served served;
  Accepting accepting;
  Slots<Owed> owed;
  InwardPairs inward;
  Questions questions;
  Report report;
};

}  // namespace sallyport::gate
