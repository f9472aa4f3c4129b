// The bounds of what waits for delivery; a part of base/limits.h, which everybody includes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sallyport::limits {

using namespace std::chrono_literals;

// --- in memory
// A stanza that waits longer than this is bounced, where kLifetimeMemory does not apply to it.
inline constexpr auto kDeliveryTimeout = 25s;
// How often a queue whose deadlines are not in order is searched for those that have passed.
inline constexpr auto kOutboxLookEvery = 1s;
// Stanzas that wait on the core for one pair.
inline constexpr std::size_t kPairQueueBytesMax = 4 * 1024 * 1024;
inline constexpr std::size_t kPairQueueStanzasMax = 20'000;
// Stanzas that wait in one node for all pairs together, with kStanzaOverheadBytes each: in a core for credit
// of its edges, in an endpoint for outgoing streams, in an edge for its core. As much as a link has in
// flight; each of the three is counted separately.
inline constexpr std::size_t kWaitingBytesMax = 64 * 1024 * 1024;
// Above this the streams that feed the pair are not read until half of it is gone.
inline constexpr std::size_t kPairQueueHoldBytes = 256 * 1024;
// A message that waits in a core's memory longer than this is bounced ([delivery] lifetime_memory).
inline constexpr auto kLifetimeMemory = 2min;

// --- confirmed by the peer
// A stanza that the socket took counts as delivered after this long, unless the peer ends the stream with an
// error meanwhile: a round trip around the world, and the peer's time to parse.
inline constexpr auto kDoubtDelay = 500ms;
// Such stanzas are settled together, at multiples of this, so that they do not cost a timer each.
inline constexpr auto kDoubtTick = 50ms;
// Bytes that one stream may hold for that reason, beside one stanza: half of kChannelWindowInitialBytes, so
// that the sender of a channel whose window was never raised can go on.
inline constexpr std::size_t kDoubtStreamBytesMax = 32 * 1024;
// Bytes that all streams of a role may hold for that reason, a small part of kLinkCreditBytes; above it the
// oldest count as delivered earlier.
inline constexpr std::size_t kDoubtBytesMax = 4 * 1024 * 1024;
// A peer that has died is noticed within this many seconds: a quarter until it is asked (kPeerSilence), a
// third for its answer, a third for a dial.
inline constexpr std::size_t kDeadPeerSeconds = 60;
// A peer that has acknowledged before, by XEP-0198 or by an answer to a ping, and does not when it is asked.
inline constexpr std::chrono::seconds kAckTimeout = 20s;
constexpr std::chrono::milliseconds ack_timeout(std::size_t dead_peer_seconds) {
  return std::chrono::milliseconds(dead_peer_seconds * 1'000 / 3);
}
static_assert(ack_timeout(kDeadPeerSeconds) == kAckTimeout);
// Bytes that are written to one stream and that a peer which confirms has not confirmed, beside one stanza:
// what may come twice when it dies, and what a slow reader has to read in time to count as alive.
inline constexpr std::size_t kUnconfirmedBytesMax = 256 * 1024;
// A pair's pings (gate/ping_acks.h): the time for an answer and the number of pings before it falls back, the
// part of its time after which a peer that has answered before is asked again, the least time between two,
// and how long a pair that fell back is not asked again.
inline constexpr auto kPingTimeout = 5s;
inline constexpr std::size_t kPingTries = 2;
inline constexpr std::size_t kPingTriesAnswered = 4;
inline constexpr auto kPingInterval = 1s;
inline constexpr auto kPingRetry = 1h;
// An answer to a peer's request (XEP-0198 4) waits this long at most for stanzas that are not settled yet.
inline constexpr auto kAckAnswerDelay = 1s;
// On a stream that is not read, the count is told this often without a request: less than a peer of ours
// waits for an answer, whatever its dead_peer_seconds.
inline constexpr auto kHeldAnswerInterval = 2s;
// How long a session can be resumed after its stream broke (XEP-0198 5); the size of its id, ours and a
// peer's.
inline constexpr std::chrono::seconds kResumeTime = 60s;
inline constexpr std::size_t kResumeIdBytes = 16;
inline constexpr std::size_t kResumeIdBytesMax = 256;
// A peer that resumes waits this long at most for stanzas of the lost stream that are not settled yet; then
// it learns which are, and the session is over.
inline constexpr auto kResumeAnswerDelay = 10s;
// Sessions of broken streams that one endpoint remembers.
inline constexpr std::size_t kSuspendedMax = 10'000;

// --- in the spool (docs/delivery.md)

// A message is kept this long, then it is bounced ([delivery] lifetime).
inline constexpr auto kLifetime = 24h;
// XML in the spool, with kStanzaOverheadBytes for each message ([delivery] spool_max).
inline constexpr std::uint64_t kSpoolBytesMax = 4'294'967'296;
// After a failure a flow is tried again after this long; the time doubles with each failure in a row, with a
// quarter of chance in it, so that not all are dialled at once.
inline constexpr auto kQueueRetryMin = 2s;
inline constexpr auto kQueueRetryMax = 5min;
// Messages of one flow that are on their way, or read from the spool for that: a round trip's worth.
inline constexpr std::size_t kFlowWindowMessages = 2'048;
inline constexpr std::size_t kFlowWindowBytes = 1024 * 1024;
// One transaction of the spool: a commit of more takes no less time for each.
inline constexpr std::size_t kSpoolBatchMessages = 4'096;
// The same in bytes of XML. Where more is not on disk yet, the streams that bring more are not read.
inline constexpr std::size_t kSpoolBatchBytes = 8 * 1024 * 1024;
// After a batch failed the next one is tried after this long at the earliest.
inline constexpr auto kSpoolRetry = 1s;
// A message that waited longer than this is stamped (XEP-0203).
inline constexpr auto kDelayStampAfter = 5s;

// Messages that `sallyport queue show` shows, by default and at most.
inline constexpr std::size_t kQueueShown = 20;
inline constexpr std::size_t kQueueShownMax = 1'000;

}  // namespace sallyport::limits
