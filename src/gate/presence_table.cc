#include "gate/presence_table.h"

#include "xmpp/xml.h"

namespace sallyport::gate {
namespace {

policy::Direction opposite(policy::Direction direction) {
  return direction == policy::Direction::kOut ? policy::Direction::kIn : policy::Direction::kOut;
}

xmpp::Stanza unavailable(const std::string& from, const std::string& to) {
  std::string xml = "<presence from='";
  xmpp::append_escaped_attribute(xml, from);
  xml += "' to='";
  xmpp::append_escaped_attribute(xml, to);
  xml += "' type='unavailable'/>";
  return {xmpp::StanzaKind::kPresence,
          *xmpp::Jid::parse(from),
          *xmpp::Jid::parse(to),
          {},
          "unavailable",
          {},
          xml};
}

}  // namespace

void PresenceTable::note(const xmpp::Pair& pair, policy::Direction direction, const xmpp::Stanza& presence) {
  const std::string from(presence.from_text());
  const std::string to(presence.to_text());
  if (presence.type().empty()) {
    add(pair, direction, {from, to});
  } else if (presence.type() == "unavailable") {
    remove(pair, direction, {from, to});
  } else if (presence.is_error()) {
    // What was shown to the sender has not reached it, or was refused.
    remove(pair, opposite(direction), {to, from});
  }
}

bool PresenceTable::has(const xmpp::Pair& pair, policy::Direction direction) const {
  return side(direction).find(pair) != nullptr;
}

void PresenceTable::add(const xmpp::Pair& pair, policy::Direction direction, Key key) {
  Shown& shown = side(direction)[pair];
  const auto [at, is_new] = shown.entries.try_emplace(key, 0);
  if (!is_new) return;
  if (shown.entries.size() > bounds_.per_pair || size_ >= bounds_.total) {
    // A pair that is shown to more than its share keeps the latest; a table that is full keeps what it has.
    if (shown.order.empty() || shown.entries.size() <= bounds_.per_pair) {
      shown.entries.erase(at);
      if (shown.entries.empty()) side(direction).erase(pair);
      return;
    }
    const Key oldest = shown.order.begin()->second;
    remove(pair, direction, oldest);
  }
  at->second = ++last_;
  shown.order.emplace(last_, std::move(key));
  ++size_;
}

void PresenceTable::remove(const xmpp::Pair& pair, policy::Direction direction, const Key& key) {
  auto* found = side(direction).find(pair);
  if (found == nullptr) return;
  Shown& shown = found->second;
  const auto at = shown.entries.find(key);
  if (at == shown.entries.end()) return;
  shown.order.erase(at->second);
  shown.entries.erase(at);
  --size_;
  if (shown.entries.empty()) side(direction).erase(xmpp::Pair(pair));
}

std::vector<xmpp::Stanza> PresenceTable::end(const xmpp::Pair& pair, policy::Direction direction) {
  std::vector<xmpp::Stanza> all;
  auto* found = side(direction).find(pair);
  if (found == nullptr) return all;
  for (const auto& [number, key] : found->second.order) all.push_back(unavailable(key.first, key.second));
  size_ -= all.size();
  side(direction).erase(xmpp::Pair(pair));
  return all;
}

const xmpp::Pair* PresenceTable::pair_of(const xmpp::Domain& local) const {
  for (const Side* side : {&out_, &in_}) {
    for (const auto& [pair, shown] : *side)
      if (pair.local == local) return &pair;
  }
  return nullptr;
}

std::vector<xmpp::Pair> PresenceTable::pairs(policy::Direction direction) const {
  std::vector<xmpp::Pair> all;
  for (const auto& [pair, shown] : side(direction)) all.push_back(pair);
  return all;
}

}  // namespace sallyport::gate
