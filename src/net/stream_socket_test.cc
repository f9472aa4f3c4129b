#include "net/stream_socket.h"

#include <gtest/gtest.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"

namespace sallyport::net {
namespace {

int option(int descriptor, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  EXPECT_EQ(::getsockopt(descriptor, level, name, &value, &size), 0);
  return value;
}

TEST(StreamSocket, what_is_accepted_is_set_as_what_listens) {
  int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  set_stream_options(listening, 90);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listening, 1), 0);
  ASSERT_EQ(::getsockname(listening, reinterpret_cast<sockaddr*>(&address), &size), 0);
  int dialling = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(::connect(dialling, reinterpret_cast<sockaddr*>(&address), size), 0);
  int accepted = ::accept(listening, nullptr, nullptr);
  ASSERT_GE(accepted, 0);

  struct Row {
    const char* name;
    int level;
    int option;
    std::int64_t value;
  };
  for (const Row& row :
       {Row{"no delay", IPPROTO_TCP, TCP_NODELAY, 1}, Row{"probes", SOL_SOCKET, SO_KEEPALIVE, 1},
        Row{"after", IPPROTO_TCP, TCP_KEEPIDLE, 30}, Row{"every", IPPROTO_TCP, TCP_KEEPINTVL, 15},
        Row{"so many", IPPROTO_TCP, TCP_KEEPCNT, limits::kProbesMax},
        Row{"unacknowledged", IPPROTO_TCP, TCP_USER_TIMEOUT, 90'000}}) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(option(accepted, row.level, row.option), row.value);
    EXPECT_NE(option(dialling, row.level, row.option), row.value);
  }
  for (int each : {accepted, dialling, listening}) ::close(each);
}

}  // namespace
}  // namespace sallyport::net
