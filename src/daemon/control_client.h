// The asking side of the control socket: which socket, one question, its answer.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "daemon/command.h"

namespace sallyport::daemon {

// Why no answer came, and the exit code that goes with it.
struct AskFailed {
  Exit exit;
  std::string text;  // for people; may have several lines
};

// Which control socket the invocation means: --control, else the one that -c names, else the only one in
// `run_directory`. Several there: kUsage. None: kNoDaemon. A folder that may not be read: kFailed.
std::optional<AskFailed> find_control(const Invocation& invocation, const std::string& run_directory,
                                      std::string& path);

// Sends one question and waits for its answer. Blocking, with a deadline. Errors: kControlAbsent,
// kControlDenied (the socket's permissions), kControlRefused (what came is no answer).
Result<boost::json::object> ask(const std::string& path, const boost::json::object& question);

// The usual place of control sockets.
inline constexpr const char* kRunDirectory = "/run/sallyport";

// Finds the socket and asks; complains to the standard error and sets `exit` when there is no answer. A
// refusal is an answer: an object with `error`.
std::optional<boost::json::object> ask_for(const Invocation& invocation, const boost::json::object& question,
                                           Exit& exit);

}  // namespace sallyport::daemon
