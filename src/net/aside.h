// One thread beside the loops of a process, for what takes longer than a stanza may wait: reading and judging
// a policy, decoding a push, parsing certificates, freeing what was replaced.
//
// What is run there is pure, or reads files, and shares nothing with the loops but values that nobody
// changes. It yields to them: a loop that wakes up does not wait for it (sched(7), SCHED_BATCH; nice).
#pragma once

#include <memory>
#include <utility>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

namespace sallyport::net {

namespace asio = boost::asio;

class Aside {
 public:
  Aside();
  // As `stop`.
  ~Aside();
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

  // Runs `work` on the thread, one after the other in the order of the calls, then `done` with what it
  // returned on `loop`. From any thread. After `stop` nothing is run any more.
  template <typename Work, typename Done>
  void run(asio::any_io_executor loop, Work work, Done done) {
    asio::post(thread_, [loop = std::move(loop), work = std::move(work), done = std::move(done)]() mutable {
      auto result = work();
      asio::post(loop,
                 [result = std::move(result), done = std::move(done)]() mutable { done(std::move(result)); });
    });
  }

  // Lets go of it there. Whoever lets go last frees it, so nobody else keeps it.
  void discard(std::shared_ptr<const void> value);

  // Drops what has not begun, and returns when what has is over. What was to be done on a loop is the loop's.
  void stop();

 private:
  asio::thread_pool thread_{1};
};

}  // namespace sallyport::net
