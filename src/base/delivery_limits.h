// The bounds of what waits for delivery; a part of base/limits.h, which everybody includes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sallyport::limits {

using namespace std::chrono_literals;

// --- in memory
// A stanza that waits longer than this on the core is bounced.
inline constexpr auto kDeliveryTimeout = 25s;
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
