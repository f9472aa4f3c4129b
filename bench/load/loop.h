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
  // What was taken out of use during a turn may still be in that turn's list: it dies after the turn.
  void bury(std::unique_ptr<Handler> handler);

  // Waits for events, no longer than `wait_ms` (-1: for ever), and handles them.
  void turn(int wait_ms);
  // Makes a turn end no later than at this monotonic time; 0: never.
  void wake_at(std::int64_t time_ns);
  // Turns until standard input ends: until whoever started us says so.
  void turn_until_told();

 private:
  int epoll_;
  int timer_;
  std::vector<std::unique_ptr<Handler>> buried_;
};

}  // namespace bench
