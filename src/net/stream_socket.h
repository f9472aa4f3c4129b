// The options of every TCP connection of a node, and how its errors are read.
#pragma once

namespace sallyport::net {

// TCP_NODELAY, keepalive (limits::kProbeAfter, kProbeEvery, kProbesMax), and an end when sent data is not
// acknowledged (limits::kWriteStallTimeout). Accepted connections inherit the options of the listening socket
// (tcp(7) on Linux) and need no calls of their own.
void set_stream_options(int descriptor);

// Whether a call on a non-blocking socket that failed with this errno should be repeated later.
bool is_retry(int error);

}  // namespace sallyport::net
