#include "gate/admission_cache.h"

#include <algorithm>
#include <utility>

namespace sallyport::gate {

AdmissionSource admission_source(const dns::Ip& peer) {
  dns::Ip source = peer;
  // A network of this size is the least that one customer is given (RFC 6177).
  if (!source.is_v4()) std::fill(source.bytes.begin() + 8, source.bytes.end(), std::uint8_t{0});
  return source;
}

const std::optional<Error>* AdmissionCache::find(const xmpp::Pair& pair) {
  const auto at = answers_.find(pair);
  if (at == answers_.end()) return nullptr;
  Order& order = held_.find(at->second.source)->second;
  order.splice(order.begin(), order, at->second.place);
  return &at->second.refusal;
}

void AdmissionCache::note(const xmpp::Pair& pair, const AdmissionSource& source,
                          std::optional<Error> refusal) {
  if (const auto known = answers_.find(pair); known != answers_.end()) erase(known);
  if (answers_.size() >= most_) erase(answers_.find(held_.find(by_size_.rbegin()->second)->second.back()));
  Order& order = held_[source];
  const std::size_t before = order.size();
  order.push_front(pair);
  answers_.emplace(pair, Answer{std::move(refusal), source, order.begin()});
  count(source, order, before);
}

void AdmissionCache::clear() {
  answers_.clear();
  held_.clear();
  by_size_.clear();
}

void AdmissionCache::count(const AdmissionSource& source, const Order& held, std::size_t before) {
  by_size_.erase({before, source});
  if (!held.empty()) by_size_.emplace(held.size(), source);
}

void AdmissionCache::erase(std::map<xmpp::Pair, Answer>::iterator at) {
  const auto holder = held_.find(at->second.source);
  const std::size_t before = holder->second.size();
  holder->second.erase(at->second.place);
  answers_.erase(at);
  count(holder->first, holder->second, before);
  if (holder->second.empty()) held_.erase(holder);
}

}  // namespace sallyport::gate
