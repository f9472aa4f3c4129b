// Signals are for the main loop: every other thread blocks them (pthread_sigmask(3)).
#pragma once

namespace sallyport::net {

// Blocks all signals in the calling thread.
void block_signals();

}  // namespace sallyport::net
