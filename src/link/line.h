// What the parts of a session share: the bytes to be written, the numbered frames to be kept,
// the events to be told. Owned by the session; the parts hold a reference.
#pragma once

#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "base/ring.h"
#include "link/frame.h"
#include "link/replay_log.h"
#include "link/session.h"

namespace sallyport::link {

struct Line {
  Role role;
  bool up = false;  // frames may be written
  std::string out = {};
  ReplayLog log = {};
  Ring<Event, 256 * 1024> events = {};

  // Appends a numbered frame that is not a stanza, and keeps it.
  void append_numbered(const frame::Frame& f) {
    const std::size_t start = out.size();
    frame::append(out, f);
    log.add_bytes(std::string_view(out).substr(start));
  }
};

// The stable name of the error's code and its text, cut to what a frame takes. A view into `error`.
inline frame::Verdict verdict_of(const Error& error) {
  return {code_row(error.code).name, frame::cut(error.text, limits::kLinkTextBytesMax)};
}
inline frame::Verdict verdict_of(const Outcome& outcome) {
  return outcome ? verdict_of(*outcome) : frame::Verdict{};
}
// The error that a verdict names. A code of a newer program, unknown here, becomes `unknown`, and
// its name the beginning of the text. Precondition: verdict.code is not empty.
inline Error error_of(const frame::Verdict& verdict, Code unknown) {
  if (const auto code = code_named(verdict.code)) return {*code, std::string(verdict.text)};
  return {unknown, std::string(verdict.code) + ": " + std::string(verdict.text)};
}

}  // namespace sallyport::link
