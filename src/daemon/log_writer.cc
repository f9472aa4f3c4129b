#include "daemon/log_writer.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <utility>

#include "base/limits.h"

namespace sallyport::daemon {
namespace {

constexpr std::array<std::string_view, 4> kLevels{"error", "warning", "info", "debug"};

}  // namespace

std::optional<LogLevel> log_level_named(std::string_view name) {
  for (std::size_t i = 0; i < kLevels.size(); ++i) {
    if (kLevels[i] == name) return static_cast<LogLevel>(i);
  }
  return std::nullopt;
}

std::string_view log_level_name(LogLevel level) { return kLevels[static_cast<std::size_t>(level)]; }

std::string log_time(std::chrono::system_clock::time_point time) {
  using namespace std::chrono;
  const auto second = floor<seconds>(time);
  const auto milli = duration_cast<milliseconds>(time - second).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(system_clock::to_time_t(second)), milli);
}

LogWriter::~LogWriter() { write(limits::kStopTimeout); }

void LogWriter::log(LogEvent event) {
  if (event.level > level()) return;
  const std::lock_guard lock(mutex_);
  write({});
  if (lost_ > 0 && backlog_.size() <= limits::kLogBacklogBytesMax / 2) {
    add({LogLevel::kWarning, "log.lost", {{"lines", std::to_string(std::exchange(lost_, 0))}}});
  }
  // After a lost line all lines are lost until that is reported, so that there is one gap and not many.
  if (lost_ > 0 || backlog_.size() >= limits::kLogBacklogBytesMax) {
    ++lost_;
  } else {
    add(event);
    write({});
  }
}

void ShardLog::log(LogEvent event) {
  event.fields.emplace_back("shard", shard_);
  log_.log(std::move(event));
}

void LogWriter::add(const LogEvent& event) {
  const std::string time = log_time(std::chrono::system_clock::now());
  backlog_ += format_ == LogFormat::kJson ? format_json(event, time) : format_text(event, time);
  backlog_ += '\n';
}

// A pipe or a socket that is ready accepts PIPE_BUF bytes without blocking (poll(2), pipe(7)), and bytes
// written in one piece are not mixed with those of others. Waits no longer than `patience` for a reader.
void LogWriter::write(std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  while (!backlog_.empty()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd ready{descriptor_, POLLOUT, 0};
    const int found =
        ::poll(&ready, 1, patience.count() == 0 ? 0 : static_cast<int>(std::max(left.count(), 0L)));
    if (found < 0 && errno == EINTR) continue;
    if (found == 0) return;
    const std::size_t line_end = std::string_view(backlog_).substr(0, PIPE_BUF).rfind('\n');
    const std::size_t size =
        line_end == std::string::npos ? std::min<std::size_t>(backlog_.size(), PIPE_BUF) : line_end + 1;
    const ssize_t wrote = ::write(descriptor_, backlog_.data(), size);
    if (wrote < 0 && errno == EINTR) continue;
    // The pipe or the disk is full, or the reader has gone. The log must not stop the node; writing may
    // succeed later.
    if (wrote <= 0) return;
    backlog_.erase(0, static_cast<std::size_t>(wrote));
  }
}

}  // namespace sallyport::daemon
