#include "gate/spool_writer.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/limits.h"

namespace sallyport::gate {

void SpoolWriter::add(store::StoredMessage message) {
  next_bytes_ += message.xml.size();
  at_.emplace(message.number, next_.messages.size());
  next_.messages.push_back(std::move(message));
}

// The last message takes the place of one that is never written, so their order in a batch is not that of
// their numbers; the spool does not need it.
void SpoolWriter::remove(std::uint64_t message) {
  const auto found = at_.find(message);
  if (found == at_.end()) {
    next_.removed.push_back(message);
    return;
  }
  const std::size_t at = found->second;
  at_.erase(found);
  next_bytes_ -= next_.messages[at].xml.size();
  if (at + 1 != next_.messages.size()) {
    next_.messages[at] = std::move(next_.messages.back());
    at_[next_.messages[at].number] = at;
  }
  next_.messages.pop_back();
}

std::shared_ptr<const store::SpoolBatch> SpoolWriter::poll(Time now) {
  if (given_ || next_.empty() || (not_before_ && now < *not_before_)) return nullptr;
  not_before_.reset();
  if (has_failed_ && !(next_.removed.empty() && next_.forgotten.empty())) {
    store::SpoolBatch removals;
    removals.removed = std::exchange(next_.removed, {});
    removals.forgotten = std::exchange(next_.forgotten, {});
    given_ = std::make_shared<const store::SpoolBatch>(std::move(removals));
    return given_;
  }
  given_ = std::make_shared<const store::SpoolBatch>(std::exchange(next_, {}));
  given_bytes_ = std::exchange(next_bytes_, 0);
  at_.clear();
  return given_;
}

std::optional<Time> SpoolWriter::poll_timeout() const {
  return given_ || next_.empty() ? std::nullopt : not_before_;
}

std::shared_ptr<const store::SpoolBatch> SpoolWriter::handle_answer(const store::SpoolAnswer& answer,
                                                                    Time now) {
  auto batch = std::exchange(given_, nullptr);
  given_bytes_ = 0;
  has_failed_ = !answer.stored;
  if (answer.stored) return batch;
  not_before_ = now + limits::kSpoolRetry;
  auto failed = std::make_shared<store::SpoolBatch>(*batch);
  const auto append = [](auto& all, auto&& more) {
    all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  };
  append(failed->messages, std::exchange(next_.messages, {}));
  append(failed->reads, std::exchange(next_.reads, {}));
  next_bytes_ = 0;
  at_.clear();
  const auto put_before = [](auto& next, const auto& old) {
    next.insert(next.begin(), old.begin(), old.end());
  };
  put_before(next_.flows, batch->flows);
  put_before(next_.removed, batch->removed);
  put_before(next_.forgotten, batch->forgotten);
  // A flow that was never written need not be forgotten.
  std::erase_if(next_.flows, [this](const store::NumberedFlow& flow) {
    return std::ranges::find(next_.forgotten, flow.number) != next_.forgotten.end();
  });
  return failed;
}

}  // namespace sallyport::gate
