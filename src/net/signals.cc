#include "net/signals.h"

#include <csignal>

#include <pthread.h>

namespace sallyport::net {

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  (void)::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace sallyport::net
