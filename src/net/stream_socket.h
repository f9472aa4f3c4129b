// The options of every TCP connection of a node, and how its errors are read.
#pragma once

#include <cstddef>

namespace sallyport::net {

// TCP_NODELAY, keepalive (limits::kProbeAfterPart, kProbeEveryPart, kProbesMax), and an end when sent data is
// not acknowledged, both within `dead_peer_seconds` ([limits]). Accepted connections inherit the options of
// the listening socket (tcp(7) on Linux) and need no calls of their own.
void set_stream_options(int descriptor, std::size_t dead_peer_seconds);

// Whether a call on a non-blocking socket that failed with this errno should be repeated later.
bool is_retry(int error);

}  // namespace sallyport::net
