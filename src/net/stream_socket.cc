#include "net/stream_socket.h"

#include <cerrno>
#include <chrono>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/limits.h"

namespace sallyport::net {

void set_stream_options(int descriptor) {
  auto set = [descriptor](int level, int option, auto value) {
    int number = static_cast<int>(value);
    ::setsockopt(descriptor, level, option, &number, sizeof number);
  };
  using std::chrono::duration_cast;
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, duration_cast<std::chrono::seconds>(limits::kProbeAfter).count());
  set(IPPROTO_TCP, TCP_KEEPINTVL, duration_cast<std::chrono::seconds>(limits::kProbeEvery).count());
  set(IPPROTO_TCP, TCP_KEEPCNT, limits::kProbesMax);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT,
      duration_cast<std::chrono::milliseconds>(limits::kWriteStallTimeout).count());
}

bool is_retry(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace sallyport::net
