// What a durable queue has for the spool: changes are collected while the spool carries out the batch before
// them (group commit), so that a busy spool makes larger batches and not more of them. A message that needs
// the spool no more before it was given to it is never written.
//
// A batch that failed is not lost for its changes of old messages: they are given to the spool again after
// limits::kSpoolRetry, ahead of new messages and without them, since a full disk still has room for removals.
// Pure; one for each durable queue.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/keyed_hash.h"
#include "base/time.h"
#include "store/spool.h"

namespace sallyport::gate {

class SpoolWriter {
 public:
  void add_flow(store::NumberedFlow flow) { next_.flows.push_back(std::move(flow)); }
  void forget_flow(std::uint64_t number) {
    if (std::erase_if(next_.flows, [&](const auto& flow) { return flow.number == number; }) == 0)
      next_.forgotten.push_back(number);
  }
  void add(store::StoredMessage message);
  // The message is not to be kept any longer.
  void remove(std::uint64_t message);
  void read(const store::SpoolRead& read) { next_.reads.push_back(read); }

  // The next batch, when the spool has none and there is something to do. It is not changed afterwards.
  std::shared_ptr<const store::SpoolBatch> poll(Time now);
  // When `poll` has a batch that waits because the last one failed.
  std::optional<Time> poll_timeout() const;
  // The spool has answered the batch given last: returns it, or where it failed, all messages and reads that
  // have failed: also those that waited behind it are not written. Precondition: `poll` returned one.
  std::shared_ptr<const store::SpoolBatch> handle_answer(const store::SpoolAnswer& answer, Time now);

  // The spool has no batch, and there is none for it.
  bool is_idle() const { return !given_ && next_.empty(); }
  // XML that is not on disk yet.
  std::size_t pending_bytes() const { return next_bytes_ + given_bytes_; }

 private:
  store::SpoolBatch next_;
  std::size_t next_bytes_ = 0;
  std::unordered_map<std::uint64_t, std::size_t, KeyedHash> at_;  // places of messages in `next_`
  std::shared_ptr<const store::SpoolBatch> given_;
  std::size_t given_bytes_ = 0;
  std::optional<Time> not_before_;
  bool has_failed_ = false;  // the last batch
};

}  // namespace sallyport::gate
