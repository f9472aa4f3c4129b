#include "gate/listening.h"

#include <algorithm>
#include <chrono>
#include <string>

#include "base/limits.h"

namespace sallyport::gate {

void Listening::want(bool on) {
  if (wanted_ == on) return;
  wanted_ = on;
  if (open_) log_.log({LogLevel::kInfo, "s2s.closed", {}});
  open_ = false;
  error_.reset();
  retry_at_.reset();
  wait_ = limits::kListenRetryFirst;
}

void Listening::handle(const Result<void>& opened, Now now) {
  if (!wanted_) return;
  if (opened) {
    if (!open_) log_.log({LogLevel::kInfo, "s2s.open", {}});
    open_ = true;
    error_.reset();
    retry_at_.reset();
    return;
  }
  open_ = false;
  error_ = opened.error();
  retry_at_ = now.mono + wait_;
  log_.log({LogLevel::kError,
            "s2s.not-open",
            {{"code", std::string(code_row(error_->code).name)},
             {"text", error_->text},
             {"retry_s", std::to_string(std::chrono::duration_cast<std::chrono::seconds>(wait_).count())}}});
  wait_ = std::min<Duration>(2 * wait_, limits::kListenRetryMax);
}

bool Listening::handle_timeout(Time now) {
  if (!retry_at_ || now < *retry_at_) return false;
  retry_at_.reset();
  return true;
}

}  // namespace sallyport::gate
