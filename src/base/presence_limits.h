// The bounds of what is done about ways that are lost: presence across them, and signs that they are back. A
// part of base/limits.h.
#pragma once

#include <chrono>
#include <cstddef>

namespace sallyport::limits {

using namespace std::chrono_literals;

// Presences that are shown across all pairs, and across one pair in one direction: 4,000 users with ten
// contacts and two clients each, at some 300 bytes.
inline constexpr std::size_t kShownPresencesMax = 262'144;
inline constexpr std::size_t kShownPresencesPerPairMax = 65'536;
// Servers that are lost and may come back, and their contacts that are asked for then.
inline constexpr std::size_t kLostPeersMax = 65'536;
inline constexpr std::size_t kLostContactsMax = 262'144;
// Addresses of one page of what an edge tells a new core to be shown: it is written and read in one turn.
// JSON may double them, which a frame of the link still holds.
inline constexpr std::size_t kShownPageBytesMax = 256 * 1024;
// How often a stream that a peer opens ends the back-off of dials to it.
inline constexpr auto kSignOfLifeEvery = 5s;
// How often silence is looked for.
inline constexpr auto kSilenceLookEvery = 5s;
// A pair across which presence is shown, and of which nothing was heard for this long, is asked whether it is
// there: with limits::kAckTimeout a dead server is noticed within a minute.
inline constexpr std::chrono::seconds kPeerSilence = 15s;
constexpr std::chrono::milliseconds peer_silence(std::size_t dead_peer_seconds) {
  return std::chrono::milliseconds(dead_peer_seconds * 250);
}

}  // namespace sallyport::limits
