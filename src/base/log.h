// Log events: a name, a level and key-value fields, given to a sink that the daemon passes in. The sink
// chooses the format of a line (text, JSON).
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/codes.h"

namespace sallyport {

enum class LogLevel { kError, kWarning, kInfo, kDebug };

struct LogEvent {
  LogLevel level = LogLevel::kInfo;
  // Stable name, `area.what`: "stream.end", "link.up", "policy.applied".
  std::string name;
  // Unescaped values; the sink alone escapes characters that could deceive a reader or end the value. Bodies
  // of stanzas are never logged.
  std::vector<std::pair<std::string, std::string>> fields;
};

// Receives a machine's events. The sink outlives the machine.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void log(LogEvent event) = 0;
};

// Returns `text` in a form that is safe to show: cut at limits::kShownBytesMax (on a character boundary, with
// "…" appended), with C0, C1, DEL, quotes, backslash, bidi controls, U+2028, U+2029, U+FFFE and U+FFFF
// written as escapes (THREATS C9). Invalid UTF-8 is written as \xNN.
std::string shown(std::string_view text);

// The same with quotes and backslashes unchanged: for a program's own sentences, where no quote ends the text
// (a terminal, a cell of a table). A peer's text goes through `shown` before it becomes part of one.
std::string legible(std::string_view text);

// Formats one line, without the line feed. `time` is already formatted (RFC 3339).
std::string format_text(const LogEvent& event, std::string_view time);
std::string format_json(const LogEvent& event, std::string_view time);

}  // namespace sallyport
