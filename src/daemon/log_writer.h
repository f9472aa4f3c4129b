// Where log events end: one line each on a descriptor, as text or JSON.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"

namespace sallyport::daemon {

enum class LogFormat { kText, kJson };

// "error", "warning", "info", "debug".
std::optional<LogLevel> log_level_named(std::string_view name);
std::string_view log_level_name(LogLevel level);

// RFC 3339 in UTC with milliseconds: "2026-11-22T20:37:05.123Z".
std::string log_time(std::chrono::system_clock::time_point time);

// Does not wait for whoever reads the descriptor. What a pipe or a socket has no room for now waits here, up
// to limits::kLogBacklogBytesMax, and goes before the next line; lines beyond that are counted, and said as
// `log.lost` when there is room again.
class LogWriter : public LogSink {
 public:
  // Does not own the descriptor, which stays open as long as the writer lives.
  LogWriter(int descriptor, LogFormat format, LogLevel level)
      : descriptor_(descriptor), format_(format), level_(level) {}
  // Gives a reader that is behind limits::kStopTimeout for what still waits.
  ~LogWriter() override;
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  void log(LogEvent event) override;
  void set_level(LogLevel level) { level_ = level; }
  LogLevel level() const { return level_; }

 private:
  void add(const LogEvent& event);
  void write(std::chrono::milliseconds patience);

  int descriptor_;
  LogFormat format_;
  LogLevel level_;
  std::string backlog_;  // whole lines, but for the first, which may have been begun
  std::uint64_t lost_ = 0;
};

}  // namespace sallyport::daemon
