// One background thread of a process, for work that takes longer than a stanza may wait: reading and
// validating a policy, decoding a push, parsing certificates, freeing replaced values.
//
// The work is pure, or reads files, and shares only immutable values with the loops. The thread has a lower
// priority: a loop that wakes up does not wait for it (sched(7), SCHED_BATCH; nice).
#pragma once

#include <memory>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

namespace sallyport::net {

namespace asio = boost::asio;

class Worker {
 public:
  Worker();
  // As `stop`.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Runs `work` on the thread, in the order of the calls, then `done` with its result on `loop`. May be
  // called from any thread. After `stop` nothing is run.
  template <typename Work, typename Done>
  void run(asio::any_io_executor loop, Work work, Done done) {
    asio::post(thread_, [loop = std::move(loop), work = std::move(work), done = std::move(done)]() mutable {
      auto result = work();
      asio::post(loop,
                 [result = std::move(result), done = std::move(done)]() mutable { done(std::move(result)); });
    });
  }

  // Releases `value` on the thread. The last owner frees it, so the caller must keep no copy.
  void discard(std::shared_ptr<const void> value);

  // Drops work that has not begun, and returns when the current work is over. Posted `done` calls stay
  // posted.
  void stop();

 private:
  asio::thread_pool thread_{1};
};

}  // namespace sallyport::net
