// Runs checks outside a node's loops, each in a thread of its own: a check takes seconds, and neither stanzas
// nor the jobs of Worker may wait for it. At most limits::kChecksMax run at once.
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

  // `work` blocks and returns the answer's text (an exception is answered as kInternal); it shares no mutable
  // state with the loop. The reply is `control.refused` where too many checks run already or no thread can be
  // started.
  using Work = std::function<std::string(std::stop_token)>;
  void run(Work work, Reply reply);

  std::size_t running() const { return threads_.size(); }

 private:
  boost::asio::any_io_executor loop_;
  std::list<std::jthread> threads_;
  // Expires with this object: an answer that arrives on the loop later is dropped.
  std::shared_ptr<bool> self_ = std::make_shared<bool>(true);
};

}  // namespace sallyport::daemon
