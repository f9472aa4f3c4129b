// The state of the s2s listeners of an edge: wanted by the role, opened or not by the driver, and when it
// tries again. Pure.
#pragma once

#include <optional>

#include "base/log.h"
#include "base/result.h"
#include "base/time.h"

namespace sallyport::gate {

class Listening {
 public:
  // The log outlives it.
  explicit Listening(LogSink& log) : log_(log) {}

  // Whether the role wants them open from now on. The caller gives the driver Listen{on} when that changes.
  void want(bool on);
  // The driver's answer to Listen{true}. One that comes after the role has changed its mind is ignored. An
  // error is logged, and another attempt is due after limits::kListenRetryFirst, then after twice as long
  // each time up to limits::kListenRetryMax.
  void handle(const Result<void>& opened, Now now);
  std::optional<Time> poll_timeout() const { return retry_at_; }
  // True when another attempt is due: the caller gives the driver Listen{true} again.
  bool handle_timeout(Time now);

  // Whether all listeners are open.
  bool is_open() const { return open_; }
  // Why not, while they are wanted and one of them could not be opened.
  const std::optional<Error>& error() const { return error_; }

 private:
  LogSink& log_;
  bool wanted_ = false;
  bool open_ = false;
  std::optional<Error> error_;
  std::optional<Time> retry_at_;
  Duration wait_{};
};

}  // namespace sallyport::gate
