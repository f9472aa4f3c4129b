// Log events about a failure that goes on: each of its reasons is logged, but not each time (base/repeats.h).
#pragma once

#include <string>
#include <utility>

#include "base/log.h"
#include "base/repeats.h"
#include "base/result.h"
#include "base/time.h"

namespace sallyport::gate {

class RepeatedLog {
 public:
  // The log outlives it.
  explicit RepeatedLog(LogSink& log) : log_(log) {}

  // Adds the error's code and text, and how often it happened since it was logged last.
  void log(LogEvent event, const Error& error, Now now) {
    const std::string code(code_row(error.code).name);
    const auto times = repeats_.happened(event.name + " " + code, now.mono);
    if (!times) return;
    event.fields.emplace_back("code", code);
    event.fields.emplace_back("text", error.text);
    if (*times > 1) event.fields.emplace_back("times", std::to_string(*times));
    log_.log(std::move(event));
  }
  // Whether a thing that is good news is worth logging again.
  bool is_news(const std::string& what, Now now) { return repeats_.happened(what, now.mono).has_value(); }
  // The failure is over: the next one is new.
  void clear() { repeats_.clear(); }

 private:
  LogSink& log_;
  Repeats repeats_;
};

}  // namespace sallyport::gate
