#include "net/worker.h"

#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/signals.h"

namespace sallyport::net {

namespace {

// Lowers the priority of this thread alone (setpriority(2), NOTES). Errors do not matter.
void yield_to_others() {
  const sched_param no_priority{};
  (void)::sched_setscheduler(::gettid(), SCHED_BATCH, &no_priority);
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), limits::kWorkerNice);
}

}  // namespace

Worker::Worker() {
  asio::post(thread_, [] {
    block_signals();
    yield_to_others();
  });
}

Worker::~Worker() { stop(); }

void Worker::discard(std::shared_ptr<const void> value) {
  if (value == nullptr) return;
  asio::post(thread_, [value = std::move(value)]() mutable { value.reset(); });
}

void Worker::stop() {
  thread_.stop();
  thread_.join();
}

}  // namespace sallyport::net
