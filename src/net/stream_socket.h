// What every TCP connection of a door is set to.
#pragma once

namespace sallyport::net {

// No delay, probes while it is silent (limits::kProbeAfter, kProbeEvery, kProbesMax), and an end when nothing
// sent is acknowledged (limits::kWriteStallTimeout). What a listening socket is set to, the connections that
// it accepts have, too (tcp(7) on Linux): they need no calls of their own.
void set_stream_options(int descriptor);

}  // namespace sallyport::net
