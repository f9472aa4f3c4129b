// When an edge has no core for long, nobody tells remote servers that users are not reachable any more, and
// where the core was killed, nobody tells internal ones either. An edge therefore takes back what was shown
// outward at once, and, of a core that does not remember it, what was shown inward when the next one is
// there. Contacts are then asked for their presence, in both directions.
#include "gate/edge_impl.h"

namespace sallyport::gate {
void Edge::Impl::lose_core(Now now) {
  if (served.presence.lost) return;
  served.presence.lost = served.link->session().peer_instance();
  for (const Pair& pair : served.presence.shown.pairs(policy::Direction::kOut)) {
    for (auto& stanza : served.presence.shown.end(pair, policy::Direction::kOut)) {
      served.presence.contacts.note(pair, stanza);
      // Who has no stream now learns it from the server that does not answer.
      if (endpoint.is_ready(pair)) endpoint.send(pair, std::move(stanza), 0, now);
    }
  }
}

void Edge::Impl::regain_core(Now now) {
  if (!served.presence.lost) return;
  const auto admits = [&](const Pair& pair) { return policy.view.admits(pair, now.civil).has_value(); };
  // The same process has taken back what it knew itself, and asks on its own. With another edge it has lost
  // nothing.
  const bool remembers =
      *std::exchange(served.presence.lost, std::nullopt) == served.link->session().peer_instance();
  LostContacts remote;
  for (const Pair& pair : served.presence.shown.pairs(policy::Direction::kIn)) {
    if (remembers) break;
    for (auto& stanza : served.presence.shown.end(pair, policy::Direction::kIn)) {
      if (!admits(pair)) continue;
      remote.note(pair, stanza);
      say_inward(pair, std::move(stanza), now);
    }
  }
  for (const auto& [pair, contacts] : remote.take_all())
    for (const auto& [user, contact] : contacts)
      endpoint.send(pair, presence_probe(user, contact, ++served.presence.probes), 0, now);
  for (const auto& [pair, contacts] : served.presence.contacts.take_all()) {
    // The core would answer a probe of who may not start.
    const auto may_start =
        policy.view.policy().rules().decide(pair, policy::Direction::kIn, now.civil).result;
    if (!admits(pair) || !may_start) continue;
    for (const auto& [contact, user] : contacts)
      say_inward(pair, presence_probe(contact, user, ++served.presence.probes), now);
  }
}

void Edge::Impl::say_inward(const Pair& pair, xmpp::Stanza stanza, Now now) {
  auto& [key, in] = inward.map.get(pair);
  Queued queued{std::move(stanza), 0};
  const bool has_room = inward.outboxes.push(key, in.box, queued);
  answer_lost(now);
  if (has_room) pump_inward(key, now);
}

}  // namespace sallyport::gate
