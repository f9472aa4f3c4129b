// Log events: a name, a level and key-value fields, given to a sink that the
// daemon passes in. What a line looks like (text, JSON) is the sink's choice.
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
  // Values as they are; the sink escapes in one place what could deceive a reader or end the value.
  // Bodies of stanzas never stand here.
  std::vector<std::pair<std::string, std::string>> fields;
};

// Where a machine's events go. The sink outlives the machine.
class LogSink {
 public:
  virtual ~LogSink() = default;
  virtual void log(LogEvent event) = 0;
};

// `text` as it may be shown: cut at limits::kShownBytesMax (on a character
// boundary, with "…" behind), and with C0, C1, DEL, quotes, backslash, bidi controls,
// U+2028, U+2029, U+FFFE and U+FFFF written as escapes (THREATS C9). Invalid UTF-8 is written as \xNN.
std::string shown(std::string_view text);

// The same with quotes and backslashes as they are: for a program's own sentences, where no quote ends the
// text (a terminal, a cell of a table). What a peer chose goes through `shown` before it becomes part of one.
std::string legible(std::string_view text);

// One line, without the line feed. `time` is already formatted (RFC 3339).
std::string format_text(const LogEvent& event, std::string_view time);
std::string format_json(const LogEvent& event, std::string_view time);

}  // namespace sallyport
