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
  bool up = false;            // frames may be written
  std::uint16_t version = 0;  // of the protocol, as agreed
  std::string out = {};
  ReplayLog log = {};
  Ring<Event, 256 * 1024> events = {};

  // What this end tells the other one about an error, as a view into it: the stable name of its code, and
  // from an edge its text too, cut to what a frame takes. A core tells no text, whatever its owner put there:
  // texts may hold the addresses and names of the internal side, and an edge has no need of them (DESIGN
  // invariant 2). Every error that crosses the link goes through here.
  frame::Verdict told(const Error& error) const {
    if (role == Role::kCore) return {code_row(error.code).name, {}};
    return {code_row(error.code).name, frame::cut(error.text, limits::kLinkTextBytesMax)};
  }

  // Appends a numbered frame that is not a stanza, and keeps it.
  void append_numbered(const frame::Frame& f) {
    const std::size_t start = out.size();
    frame::append(out, f);
    log.add_bytes(std::string_view(out).substr(start));
  }
};

// The error that a verdict names. A code of a newer program, unknown here, becomes `unknown`, and
// its name the beginning of the text. Precondition: verdict.code is not empty.
inline Error error_of(const frame::Verdict& verdict, Code unknown) {
  if (const auto code = code_named(verdict.code)) return {*code, std::string(verdict.text)};
  return {unknown, std::string(verdict.code) + ": " + std::string(verdict.text)};
}

}  // namespace sallyport::link
