#include "gate/admission_queue.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace sallyport::gate {

std::optional<AdmissionQueue::Waiting> AdmissionQueue::ask(const xmpp::Pair& pair, ConnId conn,
                                                           const AdmissionSource& source) {
  const auto mine = waiting_of_.find(source);
  const std::size_t held = mine == waiting_of_.end() ? 0 : mine->second.size();
  if (held >= limits::kAdmissionAskersPerSourceMax) return Waiting{pair, conn};
  std::optional<Waiting> dropped;
  if (waiting_ >= limits::kAdmissionAskersMax) {
    const auto largest =
        std::ranges::max_element(waiting_of_, {}, [](const auto& entry) { return entry.second.size(); });
    if (largest->second.size() <= held + 1) return Waiting{pair, conn};
    dropped = drop_newest(largest->first);
  }
  question_of(pair, source).askers.push_back({conn, source});
  waiting_of_[source].push_back({pair, conn});
  ++waiting_;
  return dropped;
}

void AdmissionQueue::ask_again(const xmpp::Pair& pair) { question_of(pair, std::nullopt).proved = true; }

AdmissionQueue::Question& AdmissionQueue::question_of(const xmpp::Pair& pair, const AdmissionSource& source) {
  const auto [at, is_new] = questions_.try_emplace(pair);
  if (is_new) {
    at->second.source = source;
    unsent_[source].push_back(pair);
  }
  return at->second;
}

std::optional<AdmissionQueue::Waiting> AdmissionQueue::drop_newest(const AdmissionSource& source) {
  Waiting newest = waiting_of_.find(source)->second.back();
  const auto at = questions_.find(newest.pair);
  Question& question = at->second;
  std::erase_if(question.askers, [&](const Asker& asker) { return asker.conn == newest.conn; });
  if (question.askers.empty() && !question.proved && !question.sent) {
    const auto unsent = unsent_.find(question.source);
    std::erase(unsent->second, newest.pair);
    if (unsent->second.empty()) unsent_.erase(unsent);
    questions_.erase(at);
  }
  uncount(source, newest);
  return newest;
}

void AdmissionQueue::uncount(const AdmissionSource& source, const Waiting& one) {
  const auto held = waiting_of_.find(source);
  const auto place = std::ranges::find(held->second, one);
  held->second.erase(place);
  if (held->second.empty()) waiting_of_.erase(held);
  --waiting_;
}

std::optional<xmpp::Pair> AdmissionQueue::next() {
  if (out_.size() >= limits::kAdmissionQuestionsMax || unsent_.empty()) return std::nullopt;
  auto turn = unsent_.upper_bound(served_);
  if (turn == unsent_.end()) turn = unsent_.begin();
  served_ = turn->first;
  xmpp::Pair pair = std::move(turn->second.front());
  turn->second.pop_front();
  if (turn->second.empty()) unsent_.erase(turn);
  return pair;
}

void AdmissionQueue::sent(const xmpp::Pair& pair, std::uint64_t id, Time now) {
  questions_.find(pair)->second.sent = true;
  out_.insert_or_assign(id, Out{pair, now});
}

std::optional<AdmissionQueue::Done> AdmissionQueue::answered(std::uint64_t id) {
  auto out = out_.extract(id);
  if (out.empty()) return std::nullopt;
  return finish(questions_.find(out.mapped().pair));
}

std::optional<AdmissionQueue::Done> AdmissionQueue::expired(Time now) {
  if (out_.empty() || now < out_.begin()->second.since + limits::kDialbackTimeout) return std::nullopt;
  return answered(out_.begin()->first);
}

AdmissionQueue::Done AdmissionQueue::finish(Questions::iterator at) {
  Done done{at->first, at->second.source, {}, at->second.proved};
  for (const Asker& asker : at->second.askers) {
    done.streams.push_back(asker.conn);
    uncount(asker.source, {at->first, asker.conn});
  }
  questions_.erase(at);
  return done;
}

void AdmissionQueue::drop_again() {
  for (auto at = questions_.begin(); at != questions_.end();) {
    Question& question = at->second;
    if (!question.sent) question.proved = false;
    if (question.sent || !question.askers.empty()) {
      ++at;
      continue;
    }
    const auto unsent = unsent_.find(question.source);
    std::erase(unsent->second, at->first);
    if (unsent->second.empty()) unsent_.erase(unsent);
    at = questions_.erase(at);
  }
}

void AdmissionQueue::clear() {
  questions_.clear();
  out_.clear();
  unsent_.clear();
  waiting_of_.clear();
  waiting_ = 0;
}

}  // namespace sallyport::gate
