// The implementation of the core. core.cc takes inputs; core_outward.cc moves stanzas from internal servers
// to edges, core_inward.cc the other way; core_durable.cc moves those that the spool keeps; core_one_way.cc
// checks them; core_link.cc dials edges, pushes and answers; core_control.cc answers people.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>

#include "gate/control.h"
#include "gate/core.h"
#include "gate/core_policy_view.h"
#include "gate/durable_queue.h"
#include "gate/endpoint.h"
#include "gate/link_set.h"
#include "gate/lost_contacts.h"
#include "gate/peer_life.h"
#include "gate/presence_table.h"
#include "gate/repeated_log.h"
#include "gate/slots.h"
#include "policy/open_questions.h"

namespace sallyport::gate {

class Core::Impl {
 public:
  Impl(CoreSetup setup_in, Random& random, LogSink& log_in, Now now);

  // --- core.cc
  void turn(Now now);
  void on(Output&& output, Now now);
  void on(On<s2s::NeedKey>&& need, Now now);
  void on(On<s2s::CheckKey>&& check, Now now);
  void on(On<s2s::AskAdmission>&& ask, Now now);
  void on(On<s2s::StanzaReceived>&& received, Now now);  // core_outward.cc
  void on(On<s2s::StanzaRejected>&& rejected, Now now);
  void on(On<s2s::PairReady>&& ready, Now now);
  void on(StanzaDelivered&& delivered, Now now);  // core_inward.cc, as the next
  void on(StanzaReturned&& returned, Now now);
  void on(AnswerSettled&& answer, Now now) {
    if (answer.receipt.kept == 0) return endpoint.acknowledge(answer.receipt, now);
    durable.queue.handle_answered(answer.receipt.kept, answer.lost, now);
  }
  std::optional<Time> next_timeout() const;
  void handle_timeout(Now now);
  void apply(std::shared_ptr<const config::PreparedPolicy> next, Now now);

  // --- core_outward.cc: `pair` as policy sees it, local first
  // The verdicts of the policy in force on a pair, so that most stanzas need not be checked anew.
  struct Decided {
    std::uint64_t verdicts = 0;  // of which time, as `verdicts` counts them
    bool is_known = false;       // `in` and `out` were asked for
    bool in = false;             // may start
    bool out = false;
    std::optional<Pair> internal;  // as the endpoint sees it, once asked for
    std::optional<bool> durable;   // messages are kept on disk, once asked for
  };
  // A core's knowledge of a pair, and its stanzas, towards the edge that carries it.
  struct PairState {
    Decided decided;
    Outbox box;
    std::optional<std::size_t> edge;  // that carries the pair until its link is declared dead
    std::set<ConnId> held;
    // Refused by an edge that drains, or held for one that is lost, by link::Settled::order: they go before
    // what waits, and nothing else goes before them, once nothing more is on its way.
    std::map<std::uint64_t, Queued> handed_back{};
    // The ticket that its stanzas are settled with; 0 while none was sent.
    Ticket ticket = 0;
    std::size_t unsettled = 0;
    UnixTime since{};  // its first stanza went to an edge
    std::uint64_t stanzas = 0;
    std::uint64_t bytes_sent = 0;
    std::uint64_t refused = 0;
    std::string last_error;  // of the last stanza that was settled, or could not be sent

    // The stanza's own ticket; 0 where it has that of the pair.
    Ticket own(Ticket of_stanza) const { return of_stanza == ticket ? 0 : of_stanza; }
    bool was_used() const { return stanzas > 0 || !box.empty() || !last_error.empty(); }
  };
  using PairEntry = xmpp::PairMap<PairState>::Entry;
  // A stanza from an edge: to be settled, or a message of the durable queue.
  struct Arriving {
    std::size_t edge = 0;
    link::Receipt receipt{};
    std::uint64_t message = 0;

    bool is_of(std::size_t other) const { return message == 0 && edge == other; }
  };
  // What a stanza from an edge is settled with once its answer is on the same link, or settled on another:
  // then it does not die with this process.
  struct Owed {
    Arriving arriving;
    Code code;
    bool moot = false;      // the edge that it came from is a new process: its server answers the stanza, or
                            // sends it again
    bool in_doubt = false;  // an edge that was lost may have brought the answer to its peer
  };
  // Where a stanza came from, and what its peer awaits.
  struct Source {
    ConnId conn;
    std::optional<std::uint32_t> number;
  };
  void enqueue(PairEntry& entry, xmpp::Stanza stanza, std::optional<Source> from, Now now);
  void enqueue_answer(PairEntry& entry, xmpp::Stanza answer, const Owed& owed, Now now);
  // Sends the stanza, which `from` brought, or lets it wait for its pair's edge.
  void place(PairEntry& entry, Queued&& queued, std::optional<ConnId> from, Now now);
  // Whether the pair's edge takes a stanza of that size now.
  bool has_way(const Pair& pair, PairState& out, std::size_t size);
  void send(const Pair& pair, PairState& out, Queued&& queued, Now now);
  void pump(const Pair& pair, PairState& out, Now now);
  void pump_all(Now now);
  void release(PairState& out);
  Duration patience_for(const xmpp::Stanza& stanza) const;
  // Takes back what an edge that drains refused. False: the stanza is not one of those.
  bool take_back(std::size_t edge, PairEntry& entry, link::Settled& settled, Now now);
  // The sender's side of an outcome: acknowledges, answers, or leaves it to the durable queue.
  void conclude(std::size_t edge, PairEntry& entry, link::Settled& settled, Now now);
  // Sends what was taken back of the pair once nothing of it is on its way.
  void send_taken_back(const Pair& of, Now now);
  // `was_sent`: the edge may have brought it to its peer.
  void hand_back(PairState& out, Queued&& queued, std::uint64_t order, bool was_sent, Now now);
  void put_handed_back(const Pair& pair, PairState& out);
  void check_again(const Pair& pair, PairState& out, Now now);
  // Stanzas whose deadline has passed, and those that made room for others.
  void answer_lost(Now now);

  // core_drain.cc
  // Whether what waits for the pair has a way to an edge now.
  bool can_leave(const Pair& pair, const PairState& out) const;
  // What waits and has none would be lost with the process: it is answered, or stays unacknowledged where it
  // came on a stream with stream management. Returns whether there was any to answer.
  bool answer_stranded(Now now);
  // Whether something is on its way to an edge, or waits.
  bool has_more_to_send() const;

  // core_outward.cc
  PairEntry& state_of(const Pair& pair);
  Decided& up_to_date(Decided& decided, Now now);
  // Counts `count` stanzas as settled. nullptr where the ticket is not in use.
  PairEntry* note_settled(Ticket ticket, std::uint64_t count = 1);
  // The stanza with that ticket of its own (or 0) needs its peer no more: it is settled, or answered.
  void acknowledge(Ticket ticket, Now now);
  // Whether the answer with that ticket is moot. The ticket is not in use any more then.
  bool drop_moot(Ticket ticket);
  // What is owed for the answer with that ticket, if it is one: it has arrived, or is lost.
  void settle_owed(Ticket ticket, const std::optional<Error>& lost, Now now);
  // The answer is about to go on the link of `edge`: settles what it answers, if that came on the same one.
  void settle_beside(Queued& answer, std::size_t edge, Now now);
  std::optional<StreamReceipt> take_receipt(Ticket ticket);
  // Whether the stanza with that ticket came on a stream that ended before it was acknowledged: then its
  // server still has it, and sends it again or answers it. The ticket is not in use any more.
  bool is_with_its_server(Ticket ticket);
  void answer_queued(const Queued& queued, const Error& error, const std::string& leg, Now now);
  std::optional<std::size_t> choose_edge(const Pair& pair) const;
  // The one error for a stanza that an internal user sent; nothing where none may be sent. `owed`: as in
  // Endpoint::answer.
  void answer_internal(const xmpp::Stanza& stanza, const Error& error, const std::string& leg, Now now,
                       const std::optional<StreamReceipt>& owed = std::nullopt);
  // The endpoint's view of a pair, of which `pair` is policy's. No pair is remembered by that: where none is
  // known, the result is in `made`.
  const Pair& internal_pair(const Pair& pair, std::optional<Pair>& made, Now now);
  void deliver_internally(const Pair& pair, xmpp::Stanza stanza, Ticket ticket, Now now, Attempt attempt = 0);

  // --- core_durable.cc: messages that the spool keeps
  bool is_durable(PairEntry& entry, const xmpp::Stanza& stanza, Now now);
  // Gives the message to the queue, or refuses it. `from`, `arriving`: as the functions for others.
  void keep_outward(PairEntry& entry, xmpp::Stanza stanza, const Source& from, Now now);
  void keep_inward(const Pair& pair, xmpp::Stanza stanza, const Arriving& arriving, Now now);
  void on(DurableQueue::Send&& send, Now now);
  void on(DurableQueue::Accepted&& accepted, Now now);
  void on(DurableQueue::Bounced&& bounced, Now now);
  void send_outward(DurableQueue::Send&& send, Now now);
  void send_inward(DurableQueue::Send&& send, Now now);
  // The outcome of a stanza with that ticket outward, where it may be one of the durable queue's (`message`).
  // What stays there to be tried again is not answered.
  struct Kept {
    std::uint64_t message = 0;
    bool is_tried_again = false;
  };
  Kept settle_durable(Ticket ticket, const std::optional<Error>& refused, Now now);
  // Why a message of the queue with that ticket is not to be sent now (DurableQueue::refused_with).
  const Error* refused_with(Ticket ticket);
  // Answers a stanza that is not tried again. What is acknowledged, settled or removed for it follows.
  void answer_sender(const Kept& kept, Ticket ticket, const xmpp::Stanza& stanza, const Error& error,
                     const std::string& leg, Now now);
  // Carries out what the queue wants; false where it wants nothing.
  bool drain_durable(Now now);
  // Streams that were not read because the disk was slow are read again.
  void release_spool();

  // --- core_presence.cc
  // A presence of the pair passed in that direction.
  void note_presence(const Pair& pair, policy::Direction direction, const xmpp::Stanza& stanza, Now now);
  // Asks the edge for what is shown, and takes its answer.
  void ask_shown(std::size_t edge);
  void take_shown(const ShownPresence& shown, Now now);
  void look_for_silence(Now now);
  xmpp::Stanza new_ping(const xmpp::Domain& from, const xmpp::Domain& to);
  // Its outcome tells whether the remote server is there; nobody is told of it.
  void ask_remote(const Pair& pair, xmpp::Stanza question, Now now);
  void ask_internal(const xmpp::Domain& local, Now now);
  // The outcome of what has that ticket, outward or inward. False: it is no question of these.
  bool settle_question(Ticket ticket, const Pair& pair, bool is_refused, Now now);
  bool settle_question(Ticket ticket, bool is_refused, Now now);
  // The same of one of which nobody knows whether it reached the server: another one is asked.
  bool ask_again(Ticket ticket, const Pair& pair, Now now);
  // Whether the stanza answers such a question, so that nobody else gets it.
  bool takes_answer(const xmpp::Stanza& stanza);
  void missed_remote(const Pair& pair, Now now);
  void missed_internal(const xmpp::Domain& local, Now now);
  void heard_remote(const Pair& pair, Now now);
  void lose_remote(const Pair& pair, Now now);
  void lose_internal(const xmpp::Domain& local, Now now);
  void lose_all_remote(Now now);

  // --- core_one_way.cc
  // Whether policy lets a stanza pass that `start` sends. Also notes what it asks, and closes what it
  // answers.
  Result<void> may_pass(PairEntry& entry, const xmpp::Stanza& stanza, policy::Direction start, Now now);
  Result<void> may_pass_one_way(const Pair& pair, Decided& decided, const xmpp::Stanza& stanza,
                                policy::Direction start, Now now);
  void forget_questions(Now now);

  // --- core_inward.cc
  // Replaces the stanza by what its bytes say, parsed again, unless the link has done so.
  Result<void> check_inward(link::Received& received, Now now);
  void refuse_inward(const Pair& pair, const xmpp::Stanza& stanza, const Error& error, const std::string& leg,
                     Now now, const std::optional<Owed>& owed = std::nullopt);
  // The only way in which a core settles what an edge sent: with a code at most. Texts stay here, since they
  // may hold the addresses and names of internal servers (DESIGN invariant 2).
  void settle(const Arriving& stanza, std::optional<Code> refused, Now now);

  // --- core_link.cc
  struct Link {
    explicit Link(LogSink& log) : failures(log) {}
    std::optional<ConnId> dialling;
    Time next_dial{};
    Duration backoff{};
    bool ready = false;     // up, and the push is taken
    bool draining = false;  // the edge takes no stanza any more
    bool refuses = false;   // our policy: it serves by the one before
    bool is_to_be_left() const { return draining || refuses; }
    bool dead = true;
    bool unwanted = false;        // the edge has no place for this core (kLinkShard)
    std::optional<Time> give_up;  // when unsettled stanzas are answered
    std::uint64_t pushed_generation = 0;
    struct Shown {                              // across its pairs
      std::optional<std::uint64_t> after{};     // to be learnt from there; nothing: it is known
      std::optional<std::uint64_t> question{};  // its number, until it is answered
      std::size_t taken = 0;                    // so many were told, of which it knows no more than its bound
    } shown{};
    std::string last_error;
    RepeatedLog failures;  // since it was ready last
  };
  void dial(std::size_t edge, Now now);
  void schedule(Link& link, bool final, Now now);
  void not_linked(std::size_t edge, const Error& error, Now now);
  void link_down(std::size_t edge, const Error& error, bool final, Now now);
  // Events of the session with that edge.
  void on(std::size_t edge, link::Received&& received, Now now);
  // The pair's server has opened a stream to that edge, mostly.
  void on(std::size_t edge, link::Opened&& opened, Now now);
  // Whether the stanza answers a ping of another edge, which is told: nobody inside has asked.
  bool answers_other_edge(std::size_t edge, const Pair& pair, const xmpp::Stanza& stanza, Now now);
  // Tells the edge of PeerHeard, where policy admits the pair.
  void tell(std::size_t edge, const Pair& pair, std::uint64_t ping, Now now);
  void open_window(std::size_t edge, const Pair& pair, Now now);
  void on(std::size_t edge, link::Settled&& settled, Now now);
  void on(std::size_t edge, link::Writable&& writable, Now now);
  void on(std::size_t edge, link::Asked&& asked, Now now);
  void on(std::size_t edge, link::Up&& up, Now now);
  void on(std::size_t edge, link::PushDone&& done, Now now);
  void on(std::size_t edge, link::Down&& down, Now now);
  void on(std::size_t edge, link::Dead&& dead, Now now);
  void on(std::size_t edge, link::PeerDrains&& drains, Now now);
  void on(std::size_t edge, link::NotRepeated&& doubtful, Now now);
  void on(std::size_t edge, link::Answered&& answered, Now now);
  link::Answer answer_to(const link::KeyAsk& ask, Now now);
  link::Answer answer_to(const link::VerdictAsk& ask, Now now);
  link::Answer answer_to(const link::AdmitAsk& ask, Now now);
  link::Answer answer_to(const link::ControlAsk& ask, Now now);
  // For edges only: a core receives no push, and its sessions are kept.
  void on(std::size_t, link::Pushed&&, Now) {}
  void on(std::size_t, link::Forgotten&&, Now) {}
  void on(std::size_t, link::PeerHeard&&, Now) {}
  void push(std::size_t edge);
  void set_ready(std::size_t edge, Now now);
  void move_away(std::size_t edge, Now now);
  bool may_repeat(const Pair& pair, const xmpp::Stanza& stanza) const;
  void give_up(std::size_t edge, Now now);
  bool any_ready() const;
  std::string internal_key(const Pair& pair, const std::string& stream_id) const;

  // --- core_control.cc
  std::string status() const;
  std::string connections() const;
  std::string explain(const std::string& from, const std::string& to, Now now) const;
  std::string policy_test(const std::string& from, const std::string& to, Now now) const;
  std::string policy_show() const;

  // --- core_queue.cc
  boost::json::object queue_object() const;
  std::string queue_list(const ControlQuestion& question, Now now) const;
  std::string queue_order(const ControlQuestion& question, Now now);

  struct Policy {
    std::unique_ptr<PolicyInForce> in_force;
    CorePolicyView view;
    std::string internal_secret;  // for dialback keys on the internal side
    // Another number for each period of each policy; kept by up_to_date. A new policy's period is not known
    // yet: empty.
    std::uint64_t verdicts = 0;
    policy::Rules::Period period{};
    policy::OpenQuestions questions{};
  };
  struct Links {
    LinkSet ends;
    Random& random;             // for back-off
    std::vector<Link> state{};  // by the edge's number, as in `ends`
  };
  struct OutwardPairs {
    Outboxes outboxes;
    xmpp::PairMap<PairState> map{};
    Sweep sweep{limits::kPairsRememberedMax};
    // One for each pair, and one for each stanza whose peer awaits an acknowledgement or that is an answer
    // which something is owed for.
    struct Ticketed {
      PairEntry* pair;
      std::optional<StreamReceipt> receipt{};
      std::uint64_t message = 0;  // of the durable queue; 0: it does not keep it
    };
    Slots<Ticketed> tickets{};
    std::map<Ticket, Owed> owed{};  // by the ticket of the answer
    std::size_t unsettled = 0;      // of all pairs
  };
  struct InwardStanzas {
    xmpp::StanzaReader reader{};
    Slots<Arriving> arriving{};  // given to the endpoint, or to the durable queue
  };
  struct Durable {
    DurableQueue queue;
    bool has_spool;
    std::set<ConnId> held{};  // streams that are not read, because the disk is slow
  };
  struct Presence {
    PresenceTable shown{};
    PeerLife<Pair> remote{};
    PeerLife<xmpp::Domain> internal{};
    std::optional<Time> next_look{};
    std::set<std::uint64_t> asked{};          // numbers of questions
    std::set<Ticket> outward{};               // questions on their way to remote servers
    std::map<Ticket, xmpp::Domain> inward{};  // to internal ones
    LostContacts contacts{};                  // at a server that was lost
  };
  struct Report {
    std::uint64_t out = 0;
    std::uint64_t in = 0;
    std::uint64_t refused = 0;
    std::uint64_t uncertain = 0;
    std::uint64_t sent_again = 0;  // to an edge, after another one may have had it
    UnixTime since{};
    bool draining = false;
    Time looks_at{};  // for what has no way any more, while it drains
  };

  CoreSetup setup;
  LogSink& log;
  ConnIds ids;
  std::deque<Output> outputs;
  Policy policy;
  Endpoint endpoint;
  Links links;
  OutwardPairs outward;
  InwardStanzas inward;
  Durable durable;
  Presence presence{};
  Report report;
};

}  // namespace sallyport::gate
