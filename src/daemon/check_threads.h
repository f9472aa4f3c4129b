// Runs checks beside a node's loops, each in a thread of its own: a check takes seconds, and neither stanzas
// nor what Aside does may wait for it. At most limits::kChecksMax run at once.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "daemon/control_server.h"

namespace sallyport::daemon {

class CheckThreads {
 public:
  // `loop` is where `run` is called and where replies are made.
  explicit CheckThreads(boost::asio::any_io_executor loop) : loop_(std::move(loop)) {}
  // Asks every check to stop and waits for it; their replies are dropped.
  ~CheckThreads();
  CheckThreads(const CheckThreads&) = delete;
  CheckThreads& operator=(const CheckThreads&) = delete;

  // `work` blocks and returns the answer's text (an exception is answered as kInternal); it shares nothing
  // with the loop that changes. The reply is `control.refused` where too many checks run already or no thread
  // can be had.
  using Work = std::function<std::string(std::stop_token)>;
  void run(Work work, Reply reply);

  std::size_t running() const { return threads_.size(); }

 private:
  boost::asio::any_io_executor loop_;
  std::list<std::jthread> threads_;
  // Gone when this is: an answer that is still on its way to the loop is dropped then.
  std::shared_ptr<bool> self_ = std::make_shared<bool>(true);
};

}  // namespace sallyport::daemon
