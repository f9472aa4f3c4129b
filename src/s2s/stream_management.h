// Acknowledgements of stanzas (stream management, XEP-0198): the elements, and the two halves that a session
// has. The initiating entity of a stream sends stanzas and asks what has been handled; the receiving entity
// counts the stanzas that come and answers. Both count from `<enable/>` on, modulo 2^32, and go on counting
// on a later stream that resumes the session (XEP-0198 5): after its `<resume/>` the sender knows which
// stanzas the lost stream had brought. Nothing else of a session is resumed: the later stream proves its pair
// anew.
//
// Pure. The owners of both are the streams' machines (Outbound, Inbound).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/time.h"
#include "s2s/handled_count.h"
#include "s2s/send_lane.h"
#include "s2s/stream.h"
#include "xmpp/xml.h"

namespace sallyport::s2s {

inline constexpr std::string_view kManagement = "urn:xmpp:sm:3";

// `<sm/>` for `<stream:features/>`.
std::string management_feature_xml();
// The value of `h` in `<a/>`: an unsigned int of 32 bits (XEP-0198 9.1). Nothing where there is none.
std::optional<std::uint32_t> handled_count(const xmpp::Element& answer);

// What became of a session that was to be resumed. `handled`: its `h`, where the peer knows it.
struct ResumeAnswered {
  bool resumed = false;
  std::optional<std::uint32_t> handled{};
};

// The half of the entity that sends: which stanzas of the lane the peer has handled.
//
// One `<r/>` at a time is out, behind the first stanza that no earlier one asked about, so a peer is asked
// once in a round trip. While management is on, or asked for, the stanzas of the lane are not in doubt: each
// stays in flight until an `<a/>` counts it.
class AckRequests {
 public:
  // Both outlive it. `may_ask`: whether the peer's acknowledgements are wanted. `timeout`: how long one may
  // take. `previous`: a session to be resumed.
  AckRequests(Stream& stream, SendLane& lane, bool may_ask = true, Duration timeout = limits::kAckTimeout,
              std::optional<ResumePoint> previous = std::nullopt)
      : stream_(stream), lane_(lane), may_ask_(may_ask), timeout_(timeout), resumable_(std::move(previous)) {}

  // Whether the peer offers it: the last features count.
  void handle_features(const xmpp::Element& features);
  // A stanza may be sent next. Writes `<enable/>` or `<resume/>`, once, where the peer offers it. While
  // `is_resuming`, nothing is to be sent.
  void start();
  bool is_resuming() const { return state_ == State::kResuming; }
  // A stanza was written to the lane.
  void handle_sent() {
    if (state_ == State::kOn && !asked_at_) ask();
  }

  // What an element leads to: stanzas that are delivered, or in doubt as without acknowledgements.
  struct Outcome {
    std::optional<Delivered> delivered;
    std::optional<InDoubt> in_doubt;
    std::optional<ResumeAnswered> resume{};
  };
  // `<enabled/>`, `<resumed/>`, `<failed/>`, `<a/>` and `<r/>`. A stream error where the peer may not send
  // it, or counts more than was sent (XEP-0198 4, handled-count-too-high).
  Outcome handle_element(const xmpp::Element& element);

  // The closing handshake begins: the session is over.
  void close() { resumable_.reset(); }
  // The peer acknowledges what is sent.
  bool is_on() const { return state_ == State::kOn; }
  // An `<a/>` or `<resumed/>` has come.
  bool has_answer() const { return has_answer_; }
  // Where the stream breaks now: the session that another may resume.
  std::optional<ResumePoint> resume_point() const;
  // When the peer counts as dead unless it has answered by then; unset where nothing is asked.
  std::optional<Time> deadline() const;

 private:
  enum class State : std::uint8_t { kOff, kResuming, kAsked, kOn };
  void ask();
  void enable();
  Outcome handle_answer(const xmpp::Element& answer);
  Outcome handle_resumed(const xmpp::Element& answer);
  Outcome handle_failed(const xmpp::Element& answer);

  Stream& stream_;
  SendLane& lane_;
  const bool may_ask_;
  const Duration timeout_;
  bool offered_ = false;
  State state_ = State::kOff;
  bool has_answer_ = false;
  std::uint32_t handled_ = 0;               // the last `h`
  std::optional<Time> asked_at_{};          // `<enable/>`, `<resume/>` or `<r/>` is not answered yet
  std::optional<ResumePoint> resumable_{};  // to be resumed; then this stream's own, while it is on
};

// The half of the entity that receives: which stanzas the owner has taken responsibility for.
//
// A stanza counts as handled when the owner says so, and all before it on the stream are (XEP-0198 4: `h` is
// a count, not a list). An `<r/>` is answered when all that came before it is handled, and otherwise
// limits::kAckAnswerDelay later with what is handled by then: the peer then asks again. While the stream is
// not read, an `<r/>` may lie unread in it; then the count is told every limits::kHeldAnswerInterval without
// one (XEP-0198 4 allows that), so that a peer that is slowed down does not take us for dead.
class AckAnswers {
 public:
  // Both outlive it.
  AckAnswers(Stream& stream, Random& random) : stream_(stream), random_(random) {}

  // `<enable/>`, `<resume/>` and `<r/>`. `authenticated`: the peer has proved a pair; without, `<enable/>`
  // and
  // `<resume/>` fail (XEP-0198 3, 5). A stream error for anything else, and for `<r/>` before `<enable/>`.
  // Returns the id of the session that the peer wants to resume: `resume` or `refuse_resume` is to be called.
  std::optional<std::string> handle_element(const xmpp::Element& element, bool authenticated);
  // The session of that id goes on here. Precondition: it is asked for, and all of `count` is handled.
  void resume(const std::string& id, HandledCount count);
  // It cannot. `handled`: its `h`, where the session is known.
  void refuse_resume(std::optional<std::uint32_t> handled);
  // The id by which the peer may resume the session, if it asked for that; empty otherwise.
  const std::string& id() const { return id_; }
  // The stream has broken: what a later one needs to go on.
  HandledCount take_count() { return std::move(count_); }
  // A stanza came, of a pair that is proved or not. Its number, to be told to `handle`; nothing where stanzas
  // are not counted.
  std::optional<std::uint32_t> handle_received();
  // A stanza came that nobody takes responsibility for, because it is answered or ends the stream.
  void skip() {
    if (const auto number = handle_received()) handle(*number);
  }
  // The owner has taken responsibility for the stanza of that number; numbers may come in any order, each
  // once. Ignored once the stream is over.
  void handle(std::uint32_t number);
  // Nobody will take it.
  void leave(std::uint32_t number) { count_.leave(number); }
  // The owner stops, or goes on, reading the stream.
  void hold(bool on);
  bool is_held() const { return held_at_.has_value(); }
  // The stream ends with the closing handshake: what is handled is told, so that the peer need not send it
  // again.
  void close();

  bool is_on() const { return on_; }
  bool is_owing() const { return !count_.is_complete(); }
  std::optional<Time> deadline() const;
  void handle_timeout(Time now);

 private:
  void enable(bool resumable);
  void answer();

  Stream& stream_;
  Random& random_;
  bool on_ = false;
  bool is_resume_asked_ = false;
  std::string id_;
  HandledCount count_;
  std::uint32_t told_ = 0;          // the last `h`
  std::optional<Time> asked_at_{};  // an `<r/>` waits for its answer
  std::optional<Time> held_at_{};   // the stream is not read; since then, or since the count was told
};

}  // namespace sallyport::s2s
