// The state that the parts of a session share: bytes to write, numbered frames to keep, events for the owner.
// The session owns it; the parts hold a reference.
#pragma once

#include <string>

#include "base/limits.h"
#include "base/result.h"
#include "base/ring.h"
#include "link/frame.h"
#include "link/replay_log.h"
#include "link/session.h"

namespace sallyport::link {

struct SessionState {
  NodeRole role;
  bool up = false;            // frames may be written
  std::uint16_t version = 0;  // of the protocol, as agreed
  std::string out = {};
  ReplayLog log = {};
  Ring<Event, 256 * 1024> events = {};

  // Returns an error in the form sent to the other node, as a view into it: the stable name of its code, and
  // from an edge its text too, cut to the size that a frame allows. A core sends no text, whatever its owner
  // wrote: texts may hold addresses and names of the internal side, which an edge does not need
  // (docs/security.md). Every error that crosses the link goes through here.
  frame::Verdict verdict_on(const Error& error) const {
    if (role == NodeRole::kCore) return {code_row(error.code).name, {}};
    return {code_row(error.code).name, frame::cut(error.text, limits::kLinkTextBytesMax)};
  }

  // Appends a numbered frame that is not a stanza, and keeps it.
  void append_numbered(const frame::Frame& f, bool is_settlement = false) {
    const std::size_t start = out.size();
    frame::append(out, f);
    log.add_bytes(std::string_view(out).substr(start), is_settlement);
  }
};

// Returns the error that a verdict names. A code that this program does not know (of a newer version) becomes
// `unknown`, and its name the beginning of the text. Precondition: verdict.code is not empty.
inline Error error_of(const frame::Verdict& verdict, Code unknown) {
  if (const auto code = code_named(verdict.code)) return {*code, std::string(verdict.text)};
  return {unknown, std::string(verdict.code) + ": " + std::string(verdict.text)};
}

}  // namespace sallyport::link
