#include "gate/presence_table.h"

#include <algorithm>
#include <functional>

#include <fmt/format.h>

#include "xmpp/xml.h"

namespace sallyport::gate {
namespace {

policy::Direction opposite(policy::Direction direction) {
  return direction == policy::Direction::kOut ? policy::Direction::kIn : policy::Direction::kOut;
}

constexpr std::string_view kProbeId = "presence-probe-";

xmpp::Stanza presence(const std::string& from, const std::string& to, const std::string& type,
                      const std::string& id = {}) {
  std::string xml = id.empty() ? "<presence from='" : "<presence id='" + id + "' from='";
  xmpp::append_escaped_attribute(xml, from);
  xml += "' to='";
  xmpp::append_escaped_attribute(xml, to);
  xml += type.empty() ? "'/>" : "' type='" + type + "'/>";
  return {xmpp::StanzaKind::kPresence, *xmpp::Jid::parse(from), *xmpp::Jid::parse(to), id, type, {}, xml};
}

}  // namespace

xmpp::Stanza shown_presence(const std::string& from, const std::string& to) { return presence(from, to, {}); }

xmpp::Stanza presence_probe(const std::string& from, const std::string& to, std::uint64_t number) {
  return presence(from, to, "probe", fmt::format("{}{:016x}", kProbeId, number));
}

bool answers_presence_probe(const xmpp::Stanza& stanza) {
  return stanza.kind() == xmpp::StanzaKind::kPresence && stanza.is_error() &&
         stanza.id().starts_with(kProbeId) && stanza.id().size() == kProbeId.size() + 16;
}

bool PresenceTable::note(const xmpp::Pair& pair, policy::Direction direction, const xmpp::Stanza& presence) {
  // Addresses of the two sides differ, so that those of one direction are never those of the other.
  if (just_noted_ && presence.type().empty() && just_noted_->first == presence.from_text() &&
      just_noted_->second == presence.to_text())
    return false;
  const std::string from(presence.from_text());
  const std::string to(presence.to_text());
  if (presence.type().empty()) return add(pair, direction, {from, to});
  if (presence.type() == "unavailable") {
    remove(pair, direction, {from, to});
  } else if (presence.is_error()) {
    // What was shown to the sender has not reached it, or was refused.
    remove(pair, opposite(direction), {to, from});
  }
  return false;
}

bool PresenceTable::is_shown(const xmpp::Pair& pair, policy::Direction direction, std::string_view from,
                             std::string_view to) const {
  const auto* found = side(direction).find(pair);
  if (found == nullptr) return false;
  const std::string occupant = std::string(to) + "/";
  const auto at = found->second.entries.lower_bound({std::string(from), occupant});
  return at != found->second.entries.end() && at->first.first == from &&
         at->first.second.starts_with(occupant);
}

bool PresenceTable::has(const xmpp::Pair& pair, policy::Direction direction) const {
  return side(direction).find(pair) != nullptr;
}

bool PresenceTable::add(const xmpp::Pair& pair, policy::Direction direction, Key key) {
  Shown& shown = side(direction)[pair];
  const auto [at, is_new] = shown.entries.try_emplace(key, 0);
  if (!is_new) {
    just_noted_ = std::move(key);
    return false;
  }
  if (shown.entries.size() > bounds_.per_pair || size_ >= bounds_.total) {
    // A pair that is shown to more than its share keeps the latest; a table that is full keeps what it has.
    if (shown.order.empty() || shown.entries.size() <= bounds_.per_pair) {
      shown.entries.erase(at);
      if (shown.entries.empty()) side(direction).erase(pair);
      return false;
    }
    const Key oldest = shown.order.begin()->second;
    remove(pair, direction, oldest);
  }
  at->second = ++last_;
  just_noted_ = key;
  shown.order.emplace(last_, std::move(key));
  ++size_;
  return true;
}

void PresenceTable::remove(const xmpp::Pair& pair, policy::Direction direction, const Key& key) {
  just_noted_.reset();
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
  just_noted_.reset();
  auto* found = side(direction).find(pair);
  if (found == nullptr) return all;
  for (const auto& [number, key] : found->second.order)
    all.push_back(presence(key.first, key.second, "unavailable"));
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

ShownPage PresenceTable::page(std::uint64_t after) const {
  struct Row {
    std::uint64_t number;
    policy::Direction direction;
    const Key* key;
  };
  std::vector<Row> rows;
  for (const auto direction : {policy::Direction::kOut, policy::Direction::kIn})
    for (const auto& [pair, shown] : side(direction))
      for (auto at = shown.order.upper_bound(after); at != shown.order.end(); ++at)
        rows.push_back({at->first, direction, &at->second});
  // Only those of this page are put in order.
  std::ranges::make_heap(rows, std::ranges::greater{}, &Row::number);
  ShownPage page{.shown = {}, .last = after, .more = false};
  std::size_t bytes = 0;
  for (; !rows.empty(); rows.pop_back()) {
    std::ranges::pop_heap(rows, std::ranges::greater{}, &Row::number);
    const auto& [number, direction, key] = rows.back();
    bytes += key->first.size() + key->second.size();
    if (bytes > limits::kShownPageBytesMax) {
      page.more = true;
      break;
    }
    page.last = number;
    page.shown.push_back({direction, key->first, key->second});
  }
  return page;
}

}  // namespace sallyport::gate
