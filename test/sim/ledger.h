// The book of a run: every stanza that a user sent, what became of it, and whether that may be (DESIGN
// invariants 4 and 6).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "schedule.h"
#include "xmpp/stanza.h"

namespace sallyport::sim {

enum class Sort : std::uint8_t { kMessage, kSubscribe, kPresence, kRequest, kResult, kError };

// Which promise is checked; a run without restarts keeps the stronger one.
enum class Promise : std::uint8_t { kExactlyOnce, kAtLeastOnce };

class Ledger {
 public:
  Ledger(Schedule& schedule, Promise promise, std::string alias, std::string node)
      : schedule_(schedule), promise_(promise), alias_(std::move(alias)), node_(std::move(node)) {}

  struct Entry {
    Sort sort;
    std::string from;  // as the world sees it
    std::string to;
    std::string partner;  // the remote domain of the pair
    Time sent;
    bool forged = false;   // by somebody who may not say so
    bool reliable = true;  // false: its own server breaks its streams at will
    bool guarded = false;  // its server keeps it until a node acknowledges it: no death excuses its loss
    unsigned delivered = 0;
    unsigned errors = 0;
    unsigned failed = 0;          // its own server gave it back
    bool uncertain = false;       // was lost in a cut, or may have been
    unsigned ends = 0;            // of streams on which it was read: after each it may come again
    bool doubted = false;         // answered with delivery.uncertain: it may have arrived all the same
    bool lost_elsewhere = false;  // and not on a stream that a node wrote
    bool forgotten = false;       // by forget_next()
    bool refused = false;         // a node has answered it; the answer may still be on its way
    bool unanswered = false;      // the answer did not arrive: the node may try it again
    std::optional<Time> done{};
  };

  // The number of a new stanza, which it carries in a payload `<x xmlns='urn:sim' n='12'/>`.
  std::uint64_t sent(Entry entry);
  // A stanza reached a user of the server. Violation: everything that must not be.
  void arrived(const std::string& server, const xmpp::Stanza& stanza);
  void failed(const xmpp::Stanza& stanza, const Error& error);

  // --- what happened on the way
  void read(std::uint64_t flow, std::string_view bytes);
  // What was read may have been confirmed or not, and is sent again where it was not.
  void ended(std::uint64_t flow);
  // `unread` lies before `bytes` and is not lost yet: its last stanza may end in `bytes`. `by_node`: a node
  // had written them, and must have counted what was in them.
  void lost(std::uint64_t flow, std::string_view unread, std::string_view bytes, bool by_node);
  // A node says in its log that it could not bring the answer with this id home.
  void answer_lost(std::string_view id);
  // A node says in its log that it refused a stanza with this id.
  void refused_by_node(std::string_view id);
  // A node says in its log that the servers of that domain confirm nothing.
  void confirms_nothing(std::string_view domain) { unconfirmed_.insert(outward(std::string(domain))); }
  // A server outside may go on at the other edge, and overtake what waits in an edge whose link is down.
  void link_failed() { link_failures_.push_back(schedule_.now()); }
  // Messages wait on disk, and others do not: others may overtake them.
  void keep_order_of_messages_alone(bool on) { messages_alone_ = on; }
  // No stanza of the remote domain may start or arrive from now on, or again.
  void refuse(const std::string& partner, bool on);
  // The remote domain may not start: of what it sends only answers may arrive.
  void let_only_answer(const std::string& partner) { only_answers_.insert(partner); }
  // A node says in its log that a stanza from outside with this id was refused: its side may not start.
  void refused_by_direction(std::string_view id);
  // A process died: what was on its way then may come twice, and what it alone held is lost.
  enum class Process : std::uint8_t { kCore, kEdge };
  void died(Process process) {
    promise_ = Promise::kAtLeastOnce;
    deaths_.emplace_back(schedule_.now(), process);
  }
  bool any_died() const { return !deaths_.empty(); }
  // One of two edges is drained: from then on no stanza is answered because of that.
  void drained() { drains_.push_back(schedule_.now()); }
  // A link broke, or nothing passes there until then: that, too, may be why a stanza is answered.
  void link_broke(Time until) { link_breaks_.emplace_back(schedule_.now(), until); }
  // A message expires on disk at that age, by the core's wall clock.
  void expire_after(std::chrono::seconds lifetime) { lifetime_ = lifetime; }
  // The core's wall clock was set: it is that far from the true time from now on.
  void clock_set(std::chrono::seconds offset) { clock_.emplace_back(schedule_.now(), offset); }
  // The link was away so long that the core gave up what it had sent (limits::kLinkSessionKept).
  void link_given_up() { given_up_.push_back(schedule_.now()); }

  // All is quiet: every stanza must have an end.
  void close();
  std::size_t size() const { return entries_.size(); }
  std::size_t open() const;
  // Deliveries and answers after the first.
  std::size_t repeated() const { return repeated_; }
  std::size_t missing() const { return missing_; }
  std::size_t missing_by_nodes() const { return missing_by_nodes_; }
  std::size_t delivered() const { return delivered_; }
  std::size_t answered() const { return answered_; }
  // When the first of those that one said to the other after `time` arrived.
  std::optional<Time> first_arrival_of_those_sent_since(Time time, const std::string& from,
                                                        const std::string& to) const;
  std::string story(std::uint64_t number) const;
  // For the canary: the next arrival is not written down.
  void forget_next() { forget_next_ = true; }

 private:
  Entry* entry_of(std::string_view digits);
  void count_taken_back(const std::string& server, const xmpp::Stanza& stanza);
  void count_delivery(Entry& entry, std::uint64_t number, const xmpp::Stanza& stanza);
  void count_error(Entry& entry, std::uint64_t number, const xmpp::Stanza& stanza);
  void check_policy(const Entry& entry, std::uint64_t number) const;
  // answers.cc
  void check_code(const Entry& entry, std::uint64_t number, const xmpp::Stanza& stanza) const;
  Duration longest_age(Time sent) const;
  bool is_only_drained(Time sent) const;
  bool is_excused(const Entry& entry) const;
  std::ptrdiff_t deaths_between(Time from, Time to) const;
  bool died_between(Time from, Time to) const { return deaths_between(from, to) > 0; }
  // The process that alone holds a stanza of that direction until the other has settled it.
  bool holder_died(const Entry& entry) const;
  // How often it may have been delivered, or answered, by what has died and ended since.
  std::size_t copies_max(const Entry& entry) const;
  bool is_unconfirmed_at_drained(const Entry& entry) const;
  // Only a node's stream can have lost it, and the node knew, or could know, that it had not arrived.
  bool is_lost_unconfirmed(const Entry& entry) const;
  bool refused_meanwhile(const Entry& entry) const;
  // It was neither delivered nor answered, and one of them it must be.
  bool is_owed_an_end(const Entry& entry) const;
  bool given_up_since(Time from) const;
  bool may_have_changed_edges(const Entry& entry) const;
  static bool is_from_outside(const Entry& entry);
  std::string outward(std::string jid) const;
  [[noreturn]] void violated(const std::string& invariant, std::uint64_t number,
                             const std::string& text) const;

  struct Refusal {
    Time since;
    std::optional<Time> until;
  };

  Schedule& schedule_;
  Promise promise_;
  std::string alias_;
  std::string node_;
  std::deque<Entry> entries_;
  bool messages_alone_ = false;
  std::map<std::tuple<std::string, std::string, bool>, std::uint64_t> last_;  // number, by from and to
  struct Flow {
    std::string tail;
    std::uint64_t last = 0;           // the last number read
    std::set<std::uint64_t> numbers;  // all that were read
    bool over = false;
  };
  std::map<std::uint64_t, Flow> flows_;
  std::map<std::string, std::vector<Refusal>> refused_;
  std::set<std::string> only_answers_;
  std::vector<std::pair<Time, Process>> deaths_;
  std::vector<Time> given_up_;
  std::vector<Time> link_failures_;  // where there are two edges
  std::vector<Time> drains_;
  std::set<std::string> unconfirmed_;
  std::vector<std::pair<Time, Time>> link_breaks_;
  std::chrono::seconds lifetime_{};
  std::vector<std::pair<Time, std::chrono::seconds>> clock_;  // of the core: set when, and how far off then
  std::size_t missing_ = 0;
  std::size_t repeated_ = 0;
  std::size_t missing_by_nodes_ = 0;
  std::size_t delivered_ = 0;
  std::size_t answered_ = 0;
  bool forget_next_ = false;
};

}  // namespace sallyport::sim
