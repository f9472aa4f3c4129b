// One thread's epoll loop.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace bench {

class Handler {
 public:
  virtual ~Handler() = default;
  virtual void handle_ready(std::uint32_t events) = 0;
};

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // `handler` outlives its registration.
  void watch(int descriptor, std::uint32_t events, Handler* handler);
  void change(int descriptor, std::uint32_t events, Handler* handler);
  void forget(int descriptor);
  // An object removed during a turn may still be in that turn's list of events: it is destroyed after the
  // turn.
  void bury(std::unique_ptr<Handler> handler);

  // Waits for events for at most `wait_ms` (-1: for ever), and handles them.
  void turn(int wait_ms);
  // Ends a turn at this monotonic time at the latest; 0: no limit.
  void wake_at(std::int64_t time_ns);
  // Runs turns until the standard input ends, by which our parent ends us.
  void turn_until_told();

 private:
  int epoll_;
  int timer_;
  std::vector<std::unique_ptr<Handler>> buried_;
};

}  // namespace bench
