// For tests: one session, and whoever speaks to it says what frames they like.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/bytes.h"
#include "link/session_fixture.h"

namespace sallyport::link {

inline const std::string kXml = "<message/>";

// A valid stanza for a session of role `to` on a channel of kPair.
inline frame::Stanza good_stanza(NodeRole to, std::uint64_t channel = 1, std::string_view xml = kXml) {
  const bool inward = to == NodeRole::kCore;
  return {.channel = channel,
          .kind = 0,
          .from = inward ? "bob@partner.example" : "alice@example.com",
          .to = inward ? "alice@example.com" : "bob@partner.example",
          .id = "i",
          .type = "chat",
          .lang = "",
          .xml = xml};
}
inline frame::Open open_frame(std::uint64_t channel, std::string_view remote = "partner.example") {
  return {channel, "example.com", remote, "", ""};
}

struct Abused {
  explicit Abused(NodeRole r) : role(r), end(r) { end.session.handle_connected(now); }

  // Sends the peer's greeting.
  void greet() {
    if (role == NodeRole::kCore)
      say(frame::Welcome{frame::kVersionHighest, "e", "1", "edge-1", 1, false, 0});
    else
      say(frame::Hello{1, frame::kVersionHighest, 0, "c", "1", "core-1", "", 0, 0});
    ASSERT_TRUE(end.session.is_up());
    heard();
  }
  void say(const frame::Frame& f) {
    std::string bytes;
    frame::append(bytes, f);
    end.session.handle_bytes(bytes, now);
  }
  // Returns the session's output, as a count of frames.
  std::map<frame::Type, int> heard() {
    std::string out;
    std::string bytes;
    while (end.session.take_output(bytes, now)) out += std::exchange(bytes, {});
    last_heard = out;
    return frames_in(out);
  }
  // Returns the code of the session's REFUSE; empty if it sent none.
  std::string refusal() {
    if (!end.session.wants_close()) return "";
    heard();
    std::string code;
    std::string_view rest = last_heard;
    frame::Reader reader;
    while (const auto raw = reader.next(rest, limits::kFrameBytesMax)) {
      const auto f = frame::decode(**raw);
      if (const auto* refuse = std::get_if<frame::Refuse>(&*f)) code = refuse->reason.code;
    }
    return code;
  }
  bool good() { return !end.session.wants_close(); }

  NodeRole role;
  End end;
  Time now{1h};
  std::string last_heard;
};

inline constexpr NodeRole kRoles[] = {NodeRole::kCore, NodeRole::kEdge};
inline std::string role_name(NodeRole role) { return role == NodeRole::kCore ? "core" : "edge"; }

}  // namespace sallyport::link
