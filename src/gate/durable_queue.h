// Messages that wait for delivery and survive the process ([delivery], docs/delivery.md). A message is
// accepted once it is on disk, or once it was delivered before that; from then on its sender's server need
// not keep it. It stays in the spool until it is delivered, or the answer to it has arrived or cannot: the
// next process treats one whose answer is still due like any other message that it finds.
//
// The messages of a flow leave in the order in which they came. They are sent in attempts: once one of an
// attempt is refused because it cannot be delivered now, whoever carries them refuses all later ones of the
// same attempt too (s2s streams: gate/endpoint.h; the link: the attempt in its STANZA frames), so that none
// overtakes it. The next attempt follows after a back-off, or when the peer is known to be reachable.
//
// Pure; one for each core. What is to be written and read goes out as batches of a spool (store/spool.h).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/index.h"
#include "base/keyed_hash.h"
#include "base/log.h"
#include "base/ring.h"
#include "base/ticket.h"
#include "gate/spool_writer.h"
#include "store/spool.h"
#include "xmpp/pair_map.h"
#include "xmpp/stanza.h"
#include "xmpp/xml_stream.h"

namespace sallyport::gate {

// Which messages are kept on disk where policy says so: not errors, and none that asks not to be stored
// (XEP-0334 4.1, 4.2).
bool may_be_stored(const xmpp::Stanza& stanza);

// The shard whose queue gave that number to a flow.
std::uint64_t shard_of_flow(std::uint64_t number);

class DurableQueue {
 public:
  struct Setup {
    std::uint64_t bytes_max = 0;  // of XML, with limits::kStanzaOverheadBytes for each message
    std::chrono::seconds lifetime{};
    std::chrono::seconds answer_patience{};  // how long answers that do not arrive are tried again
    Random& random;                          // this and `log` outlive the queue
    LogSink& log;
    // Numbers of messages and flows are this one's, of limits::kShardsMax: shards share a spool.
    std::uint64_t shard = 0;
  };

  // --- outputs
  // To be sent to the next server; `handle_settled` follows, unless the process ends.
  struct Send {
    store::Flow flow;
    std::uint64_t message;
    Attempt attempt;
    bool is_new;  // it was accepted just now
    xmpp::Stanza stanza;
  };
  // Its sender's server need not keep it any longer. `receipt` as given to `accept`.
  struct Accepted {
    policy::Direction direction;
    Ticket receipt;
  };
  // Its sender is to be answered; `handle_answered` follows, unless `message` is 0: then it has left the
  // queue.
  struct Bounced {
    store::Flow flow;
    std::uint64_t message;
    xmpp::Stanza stanza;
    Error error;
  };
  using Event = std::variant<Send, Accepted, Bounced>;

  explicit DurableQueue(const Setup& setup);

  // To be called first: what an earlier process left is tried again soon. Another queue may not be given the
  // same flows.
  void restore(const store::SpoolContents& contents, Now now);

  // Takes the message; Accepted follows if `receipt` is not 0. Errors: kSpoolFull; then `stanza` is
  // untouched.
  Result<void> accept(const store::Flow& flow, xmpp::Stanza& stanza, Ticket receipt, Now now);
  // The outcome of a Send: delivered, or refused. Returns whether it is not sent again: then its sender is to
  // be answered if it was refused, with `answer_to`, and handle_answered follows.
  bool handle_settled(std::uint64_t message, const std::optional<Error>& refused, Now now);
  // The answer has arrived, or cannot (`lost`). The message leaves the queue, unless the answer may arrive
  // later: then it waits, and is answered again with the same error. Harmless for one that has left.
  void handle_answered(std::uint64_t message, const std::optional<Error>& lost, Now now);
  // What the sender of a message is told that was refused and has left the queue: where it could have been
  // tried again, that it could not wait for want of a disk.
  static Error answer_to(const Error& refused);
  // Whether others of that attempt were refused and wait in front of this one, so that it is to be refused
  // with the same error.
  const Error* refused_with(std::uint64_t message);
  bool is_empty() const { return totals_.count == 0; }
  // The peer can be reached, as far as anyone knows: its flows are tried again now, but not sooner than
  // limits::kQueueRetryMin after the last attempt. Their back-off does not grow by that.
  void wake(policy::Direction direction, const xmpp::Domain& remote, Now now);
  void wake_local(policy::Direction direction, const xmpp::Domain& local, Now now);
  // The link is there. Flows whose messages were refused only for want of it (Code::kLinkDown) go on behind
  // those that are on their way still; the others are woken.
  void wake_all(policy::Direction direction, Now now);
  // Messages that were accepted before `cutoff` are answered and removed, of one peer or of all: those on
  // their way when they come back. Returns how many there are at most.
  std::uint64_t purge(const std::optional<xmpp::Domain>& remote, UnixTime cutoff);
  // `retry` of the command line, of flows whose oldest message was accepted before `cutoff`. Returns the
  // number of flows.
  std::size_t retry(const std::optional<xmpp::Domain>& remote, UnixTime cutoff = UnixTime::max());

  void handle_timeout(Now now);
  std::optional<Time> poll_timeout() const;
  std::optional<Event> poll();

  // --- the spool
  std::shared_ptr<const store::SpoolBatch> poll_batch(Now now) { return writer_.poll(now.mono); }
  void handle_answer(store::SpoolAnswer answer, Now now);

  // --- views
  std::uint64_t messages() const { return totals_.count; }
  std::uint64_t bytes() const { return totals_.bytes; }  // as `bytes_max` counts them
  // Messages of an earlier process that were sent by this one: the peer may get them twice.
  std::uint64_t sent_again() const { return totals_.sent_again; }
  // Nothing is on its way, nor being written: what is left is in the spool, and what awaits an answer, too.
  bool is_quiet() const { return live_.size() == totals_.answering && writer_.is_idle(); }
  // So much is not on disk yet that streams that bring more should not be read.
  bool presses() const;
  std::optional<Error> failing() const { return failing_; }
  struct View {
    const store::Flow& flow;
    const std::deque<store::SpoolMinute>& minutes;
    std::uint64_t on_way;
    std::optional<Time> retry_at;
    const std::optional<Error>& last_error;
  };
  std::vector<View> flows() const;

 private:
  // The share of a peer: a remote domain and all that share its parent.
  struct OfPeer {
    std::uint64_t bytes = 0;
    std::size_t flows = 0;
  };
  // A flow that has messages.
  struct FlowState {
    explicit FlowState(const store::NumberedFlow& of) : flow(of.flow), number(of.number) {}
    store::Flow flow;
    std::uint64_t number;
    OfPeer* of_peer = nullptr;
    std::deque<store::SpoolMinute> minutes;  // of all its messages
    struct Part {
      std::size_t count = 0;
      std::size_t bytes = 0;
    };
    Part on_way{};     // messages that were sent and are not settled
    Part answering{};  // those whose answers have not arrived
    // Why messages are answered, until their answers have arrived: a clock that is set back, or a policy that
    // changes, does not let them pass after all.
    std::map<std::uint64_t, Error> verdicts{};
    // Answers do not arrive: since when, and until when none is sent.
    struct Unanswered {
      Time since;
      Time until;
    };
    std::optional<Unanswered> unanswered{};
    struct Waiting {  // messages that are not on their way
      std::uint64_t count = 0;
      std::uint64_t next = 0;  // none of them has a lower number
      bool reading = false;
      bool outdated = false;      // one of those that are being read has left meanwhile
      std::size_t no_window = 0;  // the size of the first one, where it was read and too large for the window
      std::size_t no_answer = 0;  // the size of the first one, where it is over and its answer has to wait
    } waiting{};
    struct Attempts {
      Attempt current = 1;
      bool refusing = false;  // a message of the current one was refused
      bool unlinked = false;  // all refusals of it were for want of the link
      Duration backoff{};
      std::optional<Time> retry_at{};  // none before that
      Time ended{};                    // the last one
      bool woken = false;              // the current one did not wait for `retry_at`
      Attempt refused = 0;  // the last one of which a message was refused, until one of the other is sent
      std::optional<Error> last_error{};
    } attempts{};
    // What was accepted before that time and has no higher number: a clock that is set back gives messages
    // that come later an earlier time. Each has an earlier time than the one before.
    struct Purge {
      UnixTime before;
      std::uint64_t up_to;
    };
    std::vector<Purge> purges;
    std::optional<Time> armed{};  // in `timers_`

    bool is_open() const { return !attempts.refusing && !attempts.retry_at; }
  };
  using Flows = xmpp::PairMap<FlowState>;
  struct Remotes {
    TextMap<std::vector<FlowState*>> flows{};  // by remote domain
    TextMap<OfPeer> peers{};
    // Attempts of flows that are forgotten, of which a message was refused: who carried it refuses others of
    // an attempt with that number. Outward and inward; at most limits::kPairsRememberedMax of each.
    std::array<xmpp::PairMap<Attempt>, 2> refused{};
  };
  // A message that is on its way, or awaits its answer, or is not on disk yet.
  struct Live {
    FlowState* flow;
    std::size_t size;
    UnixTime accepted;
    Ticket receipt = 0;
    bool on_way = false;
    bool answering = false;
    enum class Disk : std::uint8_t { kPending, kStored, kFailed } disk = Disk::kPending;
  };

  static std::size_t index_of(policy::Direction direction) {
    return direction == policy::Direction::kOut ? 0 : 1;
  }
  Flows& flows_of(policy::Direction direction) { return flows_[index_of(direction)]; }
  FlowState& add_flow(const store::NumberedFlow& flow);
  std::uint64_t next_number(std::uint64_t& last) const;
  static bool is_purged(const FlowState& flow, std::uint64_t number, UnixTime accepted);
  bool is_over(const FlowState& flow, std::uint64_t number, UnixTime accepted, Now now) const;
  Error verdict_on(const FlowState& flow, const store::StoredMessage& row) const;
  FlowState& flow_of(const store::Flow& flow);
  static Attempt other(Attempt attempt) { return static_cast<Attempt>(3 - attempt); }
  void note_refused(FlowState& flow, const Error& refused);
  static bool fits(const FlowState::Part& part, std::size_t size);
  static bool is_half_free(const FlowState::Part& part);
  // What is sent now may be refused for good, and has to be answered then.
  static bool has_window(const FlowState& flow, std::size_t size) {
    const auto& [count, bytes] = flow.answering;
    return fits({flow.on_way.count + count, flow.on_way.bytes + bytes}, size);
  }
  void send(FlowState& flow, std::uint64_t number, Live& live, xmpp::Stanza stanza, bool is_new);
  static void wait(FlowState& flow, std::uint64_t number);
  void end_attempt(FlowState& flow, Now now);
  bool try_again(FlowState& flow);
  void wake(FlowState& flow, Now now);
  void go_on(FlowState& flow, std::uint64_t last);
  void feed(FlowState& flow);
  void read(FlowState& flow);
  void leave(FlowState& flow, std::uint64_t number, std::size_t size, UnixTime accepted);
  void tell_accepted(Live& live);
  // durable_queue_answers.cc
  void begin_answering(Live& live);
  static bool may_answer(const FlowState& flow, std::size_t size, Now now);
  // Reads the next messages, if one may be sent or answered.
  void read_on(FlowState& flow, Now now);
  bool is_answered_again(FlowState& flow, const Error& lost, Now now) const;
  // `row` was refused and is on disk: it is answered, and leaves then.
  void answer_row(FlowState& flow, const store::StoredMessage& row, Error error);
  // False where nobody can be answered.
  bool bounce(FlowState& flow, const store::StoredMessage& message, std::uint64_t answered, Error error);
  void handle_failed(const store::SpoolBatch& batch, const Error& error, Now now);
  void handle_rows(store::SpoolRows rows, Now now);
  void lose_waiting(FlowState& flow);
  void set_disk(Live& live, Live::Disk disk);
  // False where the message, and those behind it, wait on.
  bool take_row(FlowState& flow, store::StoredMessage row, Now now);
  void count(FlowState& flow, UnixTime accepted, std::size_t size);
  void arm(FlowState& flow, Now now);
  void forget(FlowState& flow);
  // `act` takes a FlowState.
  template <typename Act>
  void for_each(const std::optional<xmpp::Domain>& remote, Act act);

  const Setup setup_;
  SpoolWriter writer_;
  xmpp::StanzaReader reader_;
  std::array<Flows, 2> flows_;  // outward and inward
  Remotes remotes_;
  IndexedMap<std::uint64_t, FlowState*> by_number_;
  IndexedMap<std::uint64_t, Live> live_;
  std::set<std::pair<Time, std::uint64_t>> timers_;  // flows by number
  Ring<Event, 64 * 1024> events_;
  struct Totals {
    std::uint64_t count = 0;
    std::uint64_t bytes = 0;
    std::uint64_t sent_again = 0;
    std::uint64_t unkept = 0;  // bytes of what is on its way and could not be written
    std::size_t answering = 0;
  };
  Totals totals_;
  // The last numbers given.
  struct Last {
    std::uint64_t message = 0;
    std::uint64_t flow = 0;
    std::uint64_t restored = 0;  // message of an earlier process
  };
  Last last_;
  std::optional<Error> failing_;  // the last batch's
};

}  // namespace sallyport::gate
