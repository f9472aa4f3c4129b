// Pings as acknowledgements, for a peer without stream management (XEP-0198). A server handles the stanzas of
// a stream in order (RFC 6120 10.1), so an answer to a ping (XEP-0199), a result or an error, shows that the
// peer has read all that stands before the ping. The answer comes on a stream that the peer opened.
//
// A peer that can open no stream to this node answers nothing. After limits::kPingTries pings without an
// answer the pair falls back: what the socket took counts as handed over. One ping each limits::kPingRetry
// then finds out whether that has changed. A peer that has answered is asked again
// and again until it counts as dead.
//
// No ping is written for an answer to a request alone: where two gateways answer each other's pings, each
// answer would cause the next ping. Nobody is told of a lost answer; once the socket took it, and no ping is
// open, it counts as read, and as uncertain where the connection breaks before a later ping is answered.
//
// Pure; one for each pair, for its outgoing stream of the time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/time.h"
#include "xmpp/stanza.h"

namespace sallyport::gate {

// The id of a ping, and its number; nothing where the id is not one of a ping of this program. Numbers are
// random, so that a peer can answer no ping that it did not get.
std::string ping_id(std::uint64_t number);
std::optional<std::uint64_t> ping_number(std::string_view id);
// The number of the ping that the stanza answers, as a result or an error, if it has such an id.
std::optional<std::uint64_t> answered_ping(const xmpp::Stanza& stanza);

class PingAcks {
 public:
  enum class State : std::uint8_t { kTrying, kAnswered, kUnanswered };
  enum class Due : std::uint8_t {
    kNothing,
    kPing,      // write a ping, then `note_ping`
    kFallBack,  // the pair falls back: no stanza awaits an answer any more
    kAssume,    // all that is in flight are answers, and counts as read once the socket took it
    kDead       // the peer has answered before, and does not now: end the stream
  };

  // kOff: nothing is asked. kMust: a peer that answers nothing counts as dead, and the pair never falls back.
  enum class Mode : std::uint8_t { kOff, kAuto, kMust };

  // The pair has a new stream: what was asked on another is forgotten. `ack_timeout`: when a peer that has
  // answered before counts as dead.
  void begin(Mode mode, Duration ack_timeout = limits::kAckTimeout);
  // The stream has ended: nothing is asked until the next one begins.
  void end() { begin(Mode::kOff); }
  // Whether anything is asked at all.
  bool is_on() const { return mode_ != Mode::kOff; }
  // A stanza was written behind the last ping.
  void note_stanza() { unasked_ = true; }
  // An answer to a request (an iq of type result or error) was written.
  void note_answer(Time now) {
    if (!answers_since_) answers_since_ = now;
  }
  // The peer has a stream to this node: one that answered nothing may do so now.
  void note_way_back() {
    if (state_ == State::kUnanswered) last_at_.reset();
  }
  // What is to be done. `presses`: so much is in flight that the next ping does not wait for its interval.
  // One call for each thing that is due: call again unless it is kNothing.
  Due poll(bool presses, Time now);
  // When `poll` has something to do, unless `presses` or an answer changes it.
  std::optional<Time> poll_timeout() const;
  // The ping with the id of that number was written, and ends the stream's output at `mark`.
  void note_ping(std::uint64_t number, std::uint64_t mark, Time now);
  // The stream takes no ping now: the next one is due as if this one had been written.
  void note_not_written(Time now) {
    last_at_ = now;
    if (!asked_.empty()) asked_.back().at = now;
  }
  // The peer answered what has the id of that number. Returns the ping's mark; nothing where it is none of
  // this stream's pings.
  std::optional<std::uint64_t> handle_answer(std::uint64_t number);

  State state() const { return state_; }
  // Whether a ping stands behind every stanza: the next one changes when `poll` is due.
  bool is_all_asked() const { return !unasked_; }
  // Whether stanzas are in flight until a ping behind them is answered.
  bool is_strict() const { return mode_ != Mode::kOff && state_ != State::kUnanswered; }

 private:
  struct Ping {
    std::uint64_t number;
    std::uint64_t mark;
    Time at;
  };

  // Precondition: a ping is open.
  Time dead_at() const { return asked_.front().at + ack_timeout_; }

  Mode mode_ = Mode::kOff;
  Duration ack_timeout_ = limits::kAckTimeout;
  State state_ = State::kTrying;
  bool unasked_ = false;               // stanzas stand behind the last ping
  std::optional<Time> answers_since_;  // the first answer behind the last ping
  std::optional<Time> last_at_;        // when the last ping was written
  std::vector<Ping> asked_;            // not answered, oldest first; limits::kPingTriesAnswered at most
};

}  // namespace sallyport::gate
