// Whether and when the outgoing stream of a pair is opened again after it ended: how many attempts, at which
// servers not again, and the back-off after failures (limits::kDialBackoff). Pure; one for each pair.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "base/codes.h"
#include "base/presence_limits.h"
#include "base/result.h"
#include "base/time.h"
#include "gate/event.h"

namespace sallyport::gate {

class Redial {
 public:
  // How a stream ended, or the attempt to open one.
  struct End {
    bool connected = false;     // it had a connection
    bool ready = false;         // stanzas could be sent
    bool carried = false;       // and one was
    dns::SocketAddress peer{};  // of the connection
    // Whether the peer acknowledged anything; nothing where it offers no acknowledgements (XEP-0198).
    std::optional<bool> acknowledged{};
    std::optional<Error> error{};  // nothing: a clean end
    Duration patience{};           // as in expects_return()
  };
  enum class Next : std::uint8_t { kWait, kOpen, kRetry, kGiveUp };

  // Decides about the stanzas that wait (`waits`: there are some). kOpen: open a stream for them now.
  // kRetry: keep those that may wait, and open one when the back-off is over (`dials_at`), because the server
  // is expected back. kGiveUp: return them with `reason()`. kWait: none wait; the next one opens a stream, if
  // `may_dial`.
  Next handle_end(const End& end, bool waits, Now now);
  // The stream can be used: earlier failures are forgotten.
  void handle_ready(Now now);
  // The peer shows that it is there: the back-off is over. Only once in limits::kSignOfLifeEvery, so that a
  // peer that opens many streams does not have a server of its choice dialled as often.
  void handle_sign_of_life(Now now) {
    if (now.mono < next_sign_) return;
    next_sign_ = now.mono + limits::kSignOfLifeEvery;
    back_off_until_ = {};
  }
  // There is no way to that peer: the reason is remembered. Policy is asked again for the next stanza, since
  // no dial has failed.
  void note(Error error) {
    last_error_ = std::move(error);
    has_no_way_ = true;
  }

  // False during the back-off: then what is to be sent is returned with the last error.
  bool may_dial(Now now) const { return now.mono >= back_off_until_ || !last_error_ || has_no_way_; }
  Time dials_at() const { return back_off_until_; }
  // Whether the server is expected back: a stream was ready less than `patience` ago, and what failed since
  // is not final.
  bool expects_return(Duration patience, Now now) const {
    return was_ready_ && now.mono - *was_ready_ < patience &&
           !(last_error_ && is_permanent(last_error_->code));
  }
  // Servers that accepted a connection in this series of attempts and could not be used.
  const std::vector<dns::SocketAddress>& avoid() const { return avoid_; }
  // False once the peer refused our certificate: then dialback is used at once (XEP-0178 leaves it to us).
  bool may_use_external() const { return !external_refused_; }
  // False for limits::kPingRetry after limits::kPingTries streams in a row that ended because the peer, which
  // offers acknowledgements, gave none.
  bool may_use_acknowledgements(Now now) const { return now.mono >= no_acknowledgements_until_; }
  // The last error, while it is remembered.
  const std::optional<Error>& last_error() const { return last_error_; }
  Error reason() const { return last_error_.value_or(Error{Code::kStreamClosedByPeer, {}}); }

 private:
  bool may_retry(const End& end, const Error& error);
  void note_acknowledgements(const End& end, Now now);
  void begin_anew();
  void back_off(std::size_t step_most, Now now);

  std::optional<Time> was_ready_;  // last
  std::size_t attempts_ = 0;
  std::vector<dns::SocketAddress> avoid_;
  std::optional<Error> last_error_;
  bool has_no_way_ = false;   // `last_error_` is why there is no way: no dial has failed with it
  std::size_t failures_ = 0;  // in a row: how long the next back-off is
  Time back_off_until_{};
  Time next_sign_{};
  bool external_refused_ = false;
  std::size_t unacknowledged_ = 0;  // streams in a row
  Time no_acknowledgements_until_{};
};

}  // namespace sallyport::gate
