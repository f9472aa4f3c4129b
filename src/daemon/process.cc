#include "daemon/process.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/keyed_hash.h"

namespace sallyport::daemon {

void harden_process() {
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  ::umask(077);
  std::signal(SIGPIPE, SIG_IGN);
}

bool lock_memory() {
  rlimit locked{};
  if (::getrlimit(RLIMIT_MEMLOCK, &locked) != 0 || locked.rlim_cur != RLIM_INFINITY) return false;
  return ::mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0;
}

namespace {

void fill_from_system(std::uint8_t* out, std::size_t size) {
  while (size > 0) {
    const ssize_t got = ::getrandom(out, size, 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      std::abort();  // nothing here may continue without randomness
    }
    out += got;
    size -= static_cast<std::size_t>(got);
  }
}

}  // namespace

void SystemRandom::fill(std::uint8_t* out, std::size_t size) {
  struct Ahead {
    std::array<std::uint8_t, 256> bytes;
    std::size_t left = 0;
  };
  thread_local Ahead ahead;
  if (size > ahead.bytes.size()) return fill_from_system(out, size);
  if (size > ahead.left) {
    fill_from_system(ahead.bytes.data(), ahead.bytes.size());
    ahead.left = ahead.bytes.size();
  }
  std::uint8_t* from = ahead.bytes.data() + (ahead.left - size);
  std::copy_n(from, size, out);
  ::explicit_bzero(from, size);
  ahead.left -= size;
}

void draw_hash_key(Random& random) {
  const HashKey key{random.u64(), random.u64()};
  if (set_hash_key(key)) return;
  std::fputs("sallyport: internal error: a name was hashed before the process had drawn its key\n", stderr);
  std::abort();
}

Notify::Notify() {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || *path == '\0') return;
  path_ = path;
  ::unsetenv("NOTIFY_SOCKET");
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

Notify::~Notify() {
  if (socket_ >= 0) ::close(socket_);
}

void Notify::ready(std::string_view status) { send(fmt::format("READY=1\nSTATUS={}", status)); }

void Notify::reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  send(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1'000'000LL + now.tv_nsec / 1000));
}

void Notify::stopping() { send("STOPPING=1"); }

void Notify::send(const std::string& text) {
  sockaddr_un to{};
  if (socket_ < 0 || path_.size() >= sizeof to.sun_path) return;
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, path_.data(), path_.size());
  if (path_[0] == '@') to.sun_path[0] = '\0';  // an abstract socket
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  (void)::sendto(socket_, text.data(), text.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&to),
                 size);
}

}  // namespace sallyport::daemon
