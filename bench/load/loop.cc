#include "loop.h"

#include <array>

#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "pki.h"

namespace bench {

Loop::Loop()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)) {
  must(epoll_ >= 0 && timer_ >= 0, "epoll");
  watch(timer_, EPOLLIN, nullptr);
}

Loop::~Loop() {
  ::close(timer_);
  ::close(epoll_);
}

void Loop::watch(int descriptor, std::uint32_t events, Handler* handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = handler;
  must(epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) == 0, "epoll_ctl");
}

void Loop::change(int descriptor, std::uint32_t events, Handler* handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = handler;
  must(epoll_ctl(epoll_, EPOLL_CTL_MOD, descriptor, &event) == 0, "epoll_ctl");
}

void Loop::forget(int descriptor) { epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr); }

void Loop::bury(std::unique_ptr<Handler> handler) { buried_.push_back(std::move(handler)); }

void Loop::turn(int wait_ms) {
  std::array<epoll_event, 256> events;
  int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), wait_ms);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.ptr != nullptr) {
      static_cast<Handler*>(event.data.ptr)->handle_ready(event.events);
    } else {
      std::uint64_t expired = 0;
      [[maybe_unused]] ssize_t size = ::read(timer_, &expired, sizeof expired);
    }
  }
  buried_.clear();
}

void Loop::wake_at(std::int64_t time_ns) {
  itimerspec when{};
  when.it_value.tv_sec = time_ns / 1'000'000'000;
  when.it_value.tv_nsec = time_ns % 1'000'000'000;
  timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
}

void Loop::turn_until_told() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  std::array<char, 64> ignored;
  do {
    turn(10);
  } while (::poll(&input, 1, 0) <= 0 || ::read(STDIN_FILENO, ignored.data(), ignored.size()) > 0);
}

}  // namespace bench
