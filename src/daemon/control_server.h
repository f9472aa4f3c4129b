// The control socket of a running node: one JSON object per line, answered by one line each
// (docs/control.md).
//
// Runs on the node's main executor and never blocks it. Every user who may open the socket may ask
// everything: mode 0600, or 0660 for one group. A client that sends nothing, reads nothing or sends too long
// a line is disconnected.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace sallyport::daemon {

// The process at the other end of the socket when it connected (SO_PEERCRED, unix(7)); -1 where unknown.
struct Asker {
  long uid = -1;
  long pid = -1;
  // "uid 1000, pid 4711"
  std::string text() const;
};

// Takes a question's line and replies with the answer's line, both without the line feed. The reply may come
// later, on the same executor, once; other questions are answered meanwhile.
using Reply = std::function<void(std::string)>;
using Answerer = std::function<void(std::string question, const Asker& asker, Reply reply)>;

class ControlServer {
 public:
  // Binds `path`; makes its directory if only that is absent. Replaces a socket on which nobody answers.
  // `group`: empty, or a group that may use it too. `question_bytes_max`: a longer line is refused. `answer`
  // outlives the server. Errors: kFileUnreadable; kControlRefused when another daemon answers there.
  static Result<std::unique_ptr<ControlServer>> open(boost::asio::any_io_executor executor,
                                                     const std::string& path, const std::string& group,
                                                     std::size_t question_bytes_max, Answerer answer);
  // Disconnects every client and removes the socket.
  ~ControlServer();

 private:
  class Impl;
  explicit ControlServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// `{"error":{…}}` with the code's sentence and remedy.
std::string error_answer(const Error& error);

}  // namespace sallyport::daemon
