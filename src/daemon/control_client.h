// The client of the control socket: finds the socket, sends one question, reads the answer.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "daemon/command.h"

namespace sallyport::daemon {

// Why there is no answer, and the exit code for it.
struct AskFailed {
  Exit exit;
  std::optional<Code> code;  // absent for a usage error
  std::string text;          // for people; may have several lines
};

// Finds the control socket of the invocation: --control, else the one that -c names, else the only one in
// `run_directory`. Several there: kUsage. None: kNoDaemon. A folder that may not be read: kFailed.
std::optional<AskFailed> find_control(const Invocation& invocation, const std::string& run_directory,
                                      std::string& path);

// Sends one question and waits for its answer. Blocking, with a deadline. Errors: kControlAbsent,
// kControlDenied (the socket's permissions), kControlRefused (the reply is not an answer).
Result<boost::json::object> ask(const std::string& path, const boost::json::object& question);

// The default folder of control sockets.
inline constexpr const char* kRunDirectory = "/run/sallyport";

// Finds the socket and asks; prints the error and sets `exit` when there is no answer. A refusal is an
// answer: an object with `error`.
std::optional<boost::json::object> ask_for(const Invocation& invocation, const boost::json::object& question,
                                           Exit& exit);

}  // namespace sallyport::daemon
