// Writes log events as one line each to a descriptor, as text or JSON.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
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

// May be used by several threads: lines stay whole. Does not wait for the reader of the descriptor. Lines
// that a pipe or a socket has no room for wait here, up to limits::kLogBacklogBytesMax, and are written
// before the next line; lines beyond that are counted and reported as `log.lost` when there is room again.
class LogWriter : public LogSink {
 public:
  // Does not own the descriptor, which stays open as long as the writer lives.
  LogWriter(int descriptor, LogFormat format, LogLevel level)
      : descriptor_(descriptor), format_(format), level_(level) {}
  // Waits up to limits::kStopTimeout for a slow reader to take the remaining lines.
  ~LogWriter() override;
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;

  void log(LogEvent event) override;
  void set_level(LogLevel level) { level_.store(level, std::memory_order_relaxed); }
  LogLevel level() const { return level_.load(std::memory_order_relaxed); }

 private:
  void add(const LogEvent& event);
  void write(std::chrono::milliseconds patience);

  int descriptor_;
  LogFormat format_;
  std::atomic<LogLevel> level_;
  std::mutex mutex_;     // of what follows, and of the descriptor
  std::string backlog_;  // whole lines, but for the first, which may have been begun
  std::uint64_t lost_ = 0;
};

// The log of one of several shards of a node: adds the shard's number.
class ShardLog : public LogSink {
 public:
  // `log` outlives it.
  ShardLog(LogSink& log, std::size_t shard) : log_(log), shard_(std::to_string(shard)) {}
  void log(LogEvent event) override;

 private:
  LogSink& log_;
  std::string shard_;
};

}  // namespace sallyport::daemon
