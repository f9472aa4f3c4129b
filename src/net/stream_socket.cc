#include "net/stream_socket.h"

#include <cerrno>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/limits.h"

namespace sallyport::net {

void set_stream_options(int descriptor, std::size_t dead_peer_seconds) {
  auto set = [descriptor](int level, int option, auto value) {
    int number = static_cast<int>(value);
    ::setsockopt(descriptor, level, option, &number, sizeof number);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, dead_peer_seconds / limits::kProbeAfterPart);
  set(IPPROTO_TCP, TCP_KEEPINTVL, dead_peer_seconds / limits::kProbeEveryPart);
  set(IPPROTO_TCP, TCP_KEEPCNT, limits::kProbesMax);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, dead_peer_seconds * 1'000);
}

bool is_retry(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace sallyport::net
