// What a spool keeps: messages that wait for delivery and survive the process. A durable queue
// (gate/durable_queue.h) gives a spool one batch of changes after the other; the spool carries each out as
// one transaction, and has it on disk when it answers. Values only: net/spool.h keeps them in SQLite, a
// simulation in memory.
//
// The messages of one pair in one direction are a flow, and leave in the order of their numbers. Where a node
// has several shards, each has flows of its own; what a process left of those of one pair and direction is
// one flow for the next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "policy/rules.h"
#include "xmpp/jid.h"

namespace sallyport::store {

struct Flow {
  policy::Direction direction = policy::Direction::kOut;  // kOut or kIn
  xmpp::Pair pair;                                        // as policy sees it, local first
  bool operator==(const Flow&) const = default;
};

// A flow is stored under a number that is not used again while messages of it are stored.
struct NumberedFlow {
  std::uint64_t number = 0;
  Flow flow;
  bool operator==(const NumberedFlow&) const = default;
};

struct StoredMessage {
  std::uint64_t number = 0;  // ascending in the order of acceptance, in all flows of a shard
  std::uint64_t flow = 0;    // its number
  UnixTime accepted{};
  std::string xml;  // the stanza in canonical form, as it leaves towards the public side, or came from there
  bool operator==(const StoredMessage&) const = default;
};

// The first messages of a flow, from a number on: at most `count` of them, and of at most `bytes` of XML, but
// one in any case.
struct SpoolRead {
  std::uint64_t flow = 0;
  std::uint64_t from = 0;
  std::size_t count = 0;
  std::size_t bytes = 0;
};

// Carried out in this order. The changes are one transaction; the reads follow it, and see it.
struct SpoolBatch {
  std::vector<NumberedFlow> flows;
  std::vector<StoredMessage> messages;
  std::vector<std::uint64_t> removed;    // numbers of messages; one that is not stored is ignored
  std::vector<std::uint64_t> forgotten;  // numbers of flows without messages
  std::vector<SpoolRead> reads;

  bool empty() const {
    return flows.empty() && messages.empty() && removed.empty() && forgotten.empty() && reads.empty();
  }
};

struct SpoolRows {
  SpoolRead read;
  std::vector<StoredMessage> messages;
};

struct SpoolAnswer {
  // Errors: kSpoolUnwritable (the disk is full, or fails). Then nothing of the batch's changes is stored, and
  // its reads found nothing.
  Result<void> stored{};
  std::vector<SpoolRows> rows{};  // one for each read
};

// The messages of a flow that were accepted in one minute.
struct SpoolMinute {
  UnixTime minute{};  // its beginning
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;  // of XML
  bool operator==(const SpoolMinute&) const = default;
};

// What a spool holds at the start of the process. No two flows have the same pair and direction: those of
// several shards were made one, with new numbers for their messages in the order of the times of acceptance
// (to the second; then in that of the old numbers), but each flow's own order stays. It has the number of
// the flow that accepted the last message.
struct SpoolContents {
  struct Held {
    NumberedFlow flow;
    std::uint64_t first = 0;           // the lowest number of its messages
    std::vector<SpoolMinute> minutes;  // in order; never empty
    bool operator==(const Held&) const = default;
  };
  std::vector<Held> flows;
  std::uint64_t last_message = 0;  // the highest number that was ever stored; 0: none
  std::uint64_t last_flow = 0;
};

}  // namespace sallyport::store
