// The control socket of a running door: one JSON object per line, one per line back (docs/control.md).
//
// Runs on the door's own executor and never blocks it. Who may open the socket may ask everything: 0600, or
// 0660 for one group. A client that says nothing, reads nothing or sends too long a line is dropped.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace sallyport::daemon {

// The process at the other end of the socket, as the kernel knew it when it connected (SO_PEERCRED,
// unix(7)); -1 where it is not known.
struct Asker {
  long uid = -1;
  long pid = -1;
  // "uid 1000, pid 4711"
  std::string text() const;
};

// A question's line in, the answer's line out, both without the line feed. The answer may come later, on the
// same executor, and comes once; others are answered meanwhile.
using Reply = std::function<void(std::string)>;
using Answerer = std::function<void(std::string question, const Asker& asker, Reply reply)>;

class ControlServer {
 public:
  // Binds `path`; makes its directory if only that is absent. A socket there on which nobody answers is
  // replaced. `group`: empty, or the name of a group that may use it too. `question_bytes_max`: a longer line
  // is refused. `answer` outlives the server. Errors: kFileUnreadable; kControlRefused when another daemon
  // answers there.
  static Result<std::unique_ptr<ControlServer>> open(boost::asio::any_io_executor executor,
                                                     const std::string& path, const std::string& group,
                                                     std::size_t question_bytes_max, Answerer answer);
  // Drops every client and takes the socket away.
  ~ControlServer();

 private:
  class Impl;
  explicit ControlServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

// `{"error":{…}}` with the code's sentence and remedy.
std::string error_answer(const Error& error);

}  // namespace sallyport::daemon
