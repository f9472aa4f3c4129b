#include "net/aside.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "base/limits.h"

namespace sallyport::net {

namespace {

// Of this thread alone (setpriority(2), NOTES). Where one of them is forbidden, the work is done all the
// same.
void yield_to_others() {
  const sched_param no_priority{};
  (void)::sched_setscheduler(::gettid(), SCHED_BATCH, &no_priority);
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), limits::kAsideNice);
}

// Signals are for the loops, which wait for them.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  (void)::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

Aside::Aside() {
  asio::post(thread_, [] {
    block_signals();
    yield_to_others();
  });
}

Aside::~Aside() { stop(); }

void Aside::discard(std::shared_ptr<const void> value) {
  if (value == nullptr) return;
  asio::post(thread_, [value = std::move(value)]() mutable { value.reset(); });
}

void Aside::stop() {
  thread_.stop();
  thread_.join();
}

}  // namespace sallyport::net
