#include "daemon/check_threads.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <exception>
#include <system_error>
#include <utility>

#include "base/limits.h"
#include "daemon/process.h"
#include "net/signals.h"

namespace sallyport::daemon {

CheckThreads::~CheckThreads() {
  self_.reset();
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();
}

void CheckThreads::run(Work work, Reply reply) {
  if (threads_.size() >= limits::kChecksMax) {
    return reply(
        error_answer({Code::kControlRefused, fmt::format("{} checks run already; ask again when one is over.",
                                                         limits::kChecksMax)}));
  }
  const auto place = threads_.emplace(threads_.end());
  const auto body = [this, place, alive = std::weak_ptr(self_), loop = loop_, work = std::move(work),
                     reply](std::stop_token stop) {
    net::block_signals();
    std::string answer;
    // A failed check must not end the node.
    try {
      answer = work(std::move(stop));
    } catch (const std::exception& failure) {
      answer = error_answer({Code::kInternal, failure.what()});
    }
    boost::asio::post(loop, [this, place, alive, reply, answer = std::move(answer)]() mutable {
      if (alive.expired()) return;
      threads_.erase(place);  // it has nothing left to do: the wait is short
      reply(std::move(answer));
    });
  };
  try {
    *place = std::jthread(body);
  } catch (const std::system_error& failed) {
    threads_.erase(place);
    reply(error_answer({Code::kControlRefused, fmt::format("no thread for the check: {}", failed.what())}));
  }
}

}  // namespace sallyport::daemon
