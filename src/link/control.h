// Questions and pushes: everything on the link besides stanzas. Neither is numbered: a question is lost with
// its connection, a push starts again after each greeting until it is done.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/bytes.h"
#include "link/session_state.h"

namespace sallyport::link {

class Control {
 public:
  explicit Control(SessionState& shared) : shared_(shared) {}
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // The functions of LinkSession.
  std::uint64_t ask(Ask ask);
  void answer(std::uint64_t id, Answer answer);
  void push(std::uint64_t generation, std::shared_ptr<const SecretBytes> bytes);
  void push_done(std::uint64_t generation, const Result<void>& result);

  // Handle one frame each. Errors: kLinkFrame.
  Result<void> handle_ask(const frame::Ask& ask);
  Result<void> handle_answer(const frame::Answer& answer);
  Result<void> handle_push(const frame::Push& push);
  Result<void> handle_push_chunk(const frame::PushChunk& chunk);
  Result<void> handle_push_done(const frame::PushDone& done);

  // The connection is lost or closing.
  void disconnect();
  // The session is up: a push that is not done starts again.
  void resume();
  // Writes the next part of a push, if one is due.
  void flush_push(Time now);
  // Returns when the next part is due.
  std::optional<Time> poll_timeout() const;

 private:
  struct Outgoing {
    std::uint64_t generation;
    std::shared_ptr<const SecretBytes> bytes;
    bool announced = false;
    std::size_t written = 0;
    Time next_turn{};

    bool is_written() const { return announced && written == bytes->view().size(); }
  };
  struct Incoming {
    std::uint64_t generation;
    std::size_t size;
    std::string bytes;
  };

  bool has_place_for(const Ask& ask) const;
  void drop_incoming();
  void deliver_if_whole();

  SessionState& shared_;
  std::uint64_t last_asked_ = 0;
  std::map<std::uint64_t, bool> asked_;  // our unanswered questions; true: for a key
  std::size_t others_asked_ = 0;         // the number of those that are not for a key
  std::uint64_t last_received_ = 0;
  std::map<std::uint64_t, std::uint64_t> received_;  // our number for each question, and the peer's number
  std::set<std::uint64_t> received_ids_;             // the peer's numbers
  std::optional<Outgoing> outgoing_;
  std::optional<Incoming> incoming_;
};

}  // namespace sallyport::link
