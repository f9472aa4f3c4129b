// Questions and pushes: what crosses the link beside stanzas. Neither is numbered: a question dies with
// its connection, a push is begun again after each greeting until it is done.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "base/bytes.h"
#include "link/line.h"

namespace sallyport::link {

class Control {
 public:
  explicit Control(Line& line) : line_(line) {}
  ~Control();
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  // As in Session.
  std::uint64_t ask(Ask ask);
  void answer(std::uint64_t id, Answer answer);
  void push(std::uint64_t generation, std::shared_ptr<const SecretBytes> bytes);
  void push_done(std::uint64_t generation, const Result<void>& result);

  // Frames. Errors: kLinkFrame.
  Result<void> handle_ask(const frame::Ask& ask);
  Result<void> handle_answer(const frame::Answer& answer);
  Result<void> handle_push(const frame::Push& push);
  Result<void> handle_push_chunk(const frame::PushChunk& chunk);
  Result<void> handle_push_done(const frame::PushDone& done);

  // The connection is gone, or of no more use.
  void disconnect();
  // The line is up: a push that is not done begins again.
  void resume();
  // Writes the next turn of a push, if any is due.
  void flush_push(Time now);
  // When the next one is.
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

  Line& line_;
  std::uint64_t last_asked_ = 0;
  std::map<std::uint64_t, bool> asked_;  // not answered yet; whether it is for a key
  std::size_t others_asked_ = 0;         // of those the ones that are not
  std::uint64_t last_received_ = 0;
  std::map<std::uint64_t, std::uint64_t> received_;  // our number for each question, the asker's
  std::set<std::uint64_t> received_ids_;             // the asker's
  std::optional<Outgoing> outgoing_;
  std::optional<Incoming> incoming_;
};

}  // namespace sallyport::link
