#include "gate/suspended_streams.h"

namespace sallyport::gate {

SuspendedStreams::SuspendedStreams()
    : memory_({.total = limits::kSuspendedMax, .share = {limits::peer_share(limits::kSuspendedMax)}}) {}

void SuspendedStreams::suspend(ConnId conn, s2s::Inbound::Suspended session, xmpp::Pair pair,
                               const std::string& peer, Time now) {
  for (;;) {
    const auto place = memory_.place({peer});
    if (place.room == Memory::Room::kFree) break;
    if (place.loser == nullptr) return close(session.id);
    end(ConnId(*place.loser), false);
  }
  const Time until = now + limits::kResumeTime;
  timers_.emplace(until, conn);
  suspended_.emplace(conn, Suspended{std::move(session.id), std::move(session.count), std::move(pair),
                                     memory_.hold({peer}, conn), until});
}

std::optional<ConnId> SuspendedStreams::find(const std::string& id) const {
  const auto found = streams_.find(id);
  return found == streams_.end() ? std::nullopt : std::optional(found->second);
}

void SuspendedStreams::await(ConnId conn, ConnId by, Time now) {
  Suspended& session = suspended_.at(conn);
  session.awaited_by = by;
  timers_.erase({session.until, conn});
  session.until = now + limits::kResumeAnswerDelay;
  timers_.emplace(session.until, conn);
  if (session.count.is_complete()) end(conn, true);
}

void SuspendedStreams::handle(ConnId conn, std::uint32_t number) {
  const auto found = suspended_.find(conn);
  if (found == suspended_.end()) return;
  found->second.count.handle(number);
  if (found->second.awaited_by && found->second.count.is_complete()) end(conn, true);
}

void SuspendedStreams::handle_timeout(Time now) {
  while (!timers_.empty() && timers_.begin()->first <= now) end(timers_.begin()->second, false);
}

std::optional<SuspendedStreams::Answer> SuspendedStreams::poll() {
  if (answers_.empty()) return std::nullopt;
  std::optional<Answer> answer(std::move(answers_.front()));
  answers_.pop_front();
  return answer;
}

std::optional<Time> SuspendedStreams::poll_timeout() const {
  return timers_.empty() ? std::nullopt : std::optional(timers_.begin()->first);
}

void SuspendedStreams::end(ConnId conn, bool resumes) {
  auto node = suspended_.extract(conn);
  Suspended& session = node.mapped();
  timers_.erase({session.until, conn});
  close(session.id);
  if (!session.awaited_by) return;
  answers_.push_back({*session.awaited_by, std::move(session.id), resumes, std::move(session.count)});
}

void SuspendedStreams::clear() {
  while (!suspended_.empty()) end(suspended_.begin()->first, false);
  answers_.clear();
}

}  // namespace sallyport::gate
