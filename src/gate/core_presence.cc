// Presence across a way that is lost: a remote server, an internal one, or the links. Contacts are shown as
// unavailable then, and occupants leave their rooms. (docs/delivery.md "Presence and rooms".)
#include <utility>

#include <fmt/format.h>

#include "gate/core_impl.h"
#include "gate/ping_acks.h"
#include "s2s/stream_xml.h"

namespace sallyport::gate {

void Core::Impl::note_presence(const Pair& pair, policy::Direction direction, const xmpp::Stanza& stanza,
                               Now now) {
  if (stanza.kind() != xmpp::StanzaKind::kPresence) return;
  if (!presence.shown.note(pair, direction, stanza)) return;
  presence.remote.watch(pair, now.mono);
  presence.internal.watch(pair.local, now.mono);
  if (!presence.next_look) presence.next_look = now.mono + limits::kSilenceLookEvery;
}

// --- what a process before has seen

void Core::Impl::ask_shown(std::size_t edge) {
  Link& link = links.state[edge];
  if (!link.shown.after || link.shown.question) return;
  link.shown.question =
      links.ends.at(edge).session().ask(link::ControlAsk{shown_question(*link.shown.after)});
}

void Core::Impl::on(std::size_t edge, link::Answered&& answered, Now now) {
  Link& link = links.state[edge];
  if (link.shown.question != answered.id) return;
  link.shown.question.reset();
  // Without the link it is asked again when it is there; an edge of an earlier version knows no such
  // question.
  if (!answered.answer && answered.answer.error().code == Code::kLinkDown) return;
  const auto page =
      answered.answer ? parse_shown(*answered.answer) : Result<ShownPage>(answered.answer.error());
  const auto after = std::exchange(link.shown.after, std::nullopt);
  if (!page || (page->more && page->last <= *after)) return;
  link.shown.taken += page->shown.size();
  if (link.shown.taken > limits::kShownPresencesMax) return;
  for (const auto& shown : page->shown) take_shown(shown, now);
  if (page->more) link.shown.after = page->last;
  ask_shown(edge);
}

// An edge says no more by this than by a stanza that it passes on: of a pair that policy admits.
void Core::Impl::take_shown(const ShownPresence& shown, Now now) {
  const auto from = xmpp::Jid::parse(shown.from), to = xmpp::Jid::parse(shown.to);
  if (!from || !to) return;
  const bool out = shown.direction == policy::Direction::kOut;
  const Pair pair{(out ? from : to)->domain(), (out ? to : from)->domain()};
  const auto& rules = policy.in_force->rules();
  if (!rules.is_local(pair.local) || !rules.may_answer(pair, now.civil)) return;
  if (policy.in_force->aliases().is_mapped_node(pair.local)) return;
  note_presence(pair, shown.direction, shown_presence(from->text(), to->text()), now);
}

void Core::Impl::look_for_silence(Now now) {
  if (!presence.next_look || *presence.next_look > now.mono) return;
  const Duration silence = limits::peer_silence(setup.config.limits.dead_peer_seconds);
  const auto shows = [this](const Pair& pair) {
    return presence.shown.has(pair, policy::Direction::kIn) ||
           presence.shown.has(pair, policy::Direction::kOut);
  };
  for (const Pair& pair : presence.remote.poll(silence, now.mono, shows))
    ask_remote(pair, new_ping(pair.local, pair.remote), now);
  const auto serves = [this](const xmpp::Domain& local) { return presence.shown.pair_of(local) != nullptr; };
  for (const auto& local : presence.internal.poll(silence, now.mono, serves)) ask_internal(local, now);
  presence.next_look.reset();
  if (!presence.remote.empty() || !presence.internal.empty())
    presence.next_look = now.mono + limits::kSilenceLookEvery;
}

// --- questions

xmpp::Stanza Core::Impl::new_ping(const xmpp::Domain& from, const xmpp::Domain& to) {
  const std::uint64_t number = links.random.u64();
  if (presence.asked.size() >= limits::kPairsRememberedMax) presence.asked.clear();
  presence.asked.insert(number);
  const std::string id = ping_id(number);
  return {xmpp::StanzaKind::kIq,        xmpp::Jid::of(from), xmpp::Jid::of(to), id, "get", {},
          s2s::ping_xml({from, to}, id)};
}

void Core::Impl::ask_remote(const Pair& pair, xmpp::Stanza question, Now now) {
  PairEntry& entry = state_of(pair);
  // A ping asks the server whether it is there, also where only the remote side may start. A probe is said
  // for a user.
  const bool may_ask = may_pass(entry, question, policy::Direction::kOut, now).has_value() ||
                       (question.kind() == xmpp::StanzaKind::kIq &&
                        policy.in_force->rules().may_answer(pair, now.civil).has_value());
  if (!may_ask) return presence.remote.answered(pair, now.mono);
  Queued queued{.stanza = std::move(question),
                .ticket = outward.tickets.put({.pair = &entry}),
                .deadline = now.mono + limits::kDeliveryTimeout};
  presence.outward.insert(queued.ticket);
  place(entry, std::move(queued), std::nullopt, now);
}

void Core::Impl::ask_internal(const xmpp::Domain& local, Now now) {
  const Pair* pair = presence.shown.pair_of(local);
  if (pair == nullptr) return;
  const Ticket ticket = inward.arriving.put({});
  presence.inward.emplace(ticket, local);
  deliver_internally(*pair, new_ping(pair->remote, pair->local), ticket, now);
}

bool Core::Impl::settle_question(Ticket ticket, const Pair& pair, bool is_refused, Now now) {
  if (presence.outward.erase(ticket) == 0) return false;
  outward.tickets.take(ticket);
  if (is_refused) {
    lose_remote(pair, now);
  } else {
    presence.remote.answered(pair, now.mono);
  }
  return true;
}

bool Core::Impl::ask_again(Ticket ticket, const Pair& pair, Now now) {
  if (presence.outward.erase(ticket) == 0) return false;
  outward.tickets.take(ticket);
  ask_remote(pair, new_ping(pair.local, pair.remote), now);
  return true;
}

bool Core::Impl::settle_question(Ticket ticket, bool is_refused, Now now) {
  const auto found = presence.inward.find(ticket);
  if (found == presence.inward.end()) return false;
  const xmpp::Domain local = found->second;
  presence.inward.erase(found);
  if (is_refused) {
    lose_internal(local, now);
  } else {
    presence.internal.answered(local, now.mono);
  }
  return true;
}

bool Core::Impl::takes_answer(const xmpp::Stanza& stanza) {
  if (answers_presence_probe(stanza)) return true;
  const auto number = answered_ping(stanza);
  return number && presence.asked.erase(*number) != 0;
}

// --- what was learnt

void Core::Impl::missed_remote(const Pair& pair, Now now) {
  if (presence.remote.missed(pair)) ask_remote(pair, new_ping(pair.local, pair.remote), now);
}

void Core::Impl::missed_internal(const xmpp::Domain& local, Now now) {
  if (presence.internal.missed(local)) ask_internal(local, now);
}

void Core::Impl::lose_remote(const Pair& pair, Now now) {
  if (!presence.remote.lose(pair)) return;
  const auto ended = presence.shown.end(pair, policy::Direction::kIn);
  log.log({LogLevel::kWarning,
           "peer.lost",
           {{"local", pair.local.ascii()},
            {"remote", pair.remote.ascii()},
            {"unavailable", std::to_string(ended.size())}}});
  for (const auto& stanza : ended) {
    presence.contacts.note(pair, stanza);
    deliver_internally(pair, stanza, 0, now);
  }
}

void Core::Impl::lose_internal(const xmpp::Domain& local, Now now) {
  if (!presence.internal.lose(local)) return;
  std::size_t count = 0;
  for (const Pair& pair : presence.shown.pairs(policy::Direction::kOut)) {
    if (pair.local != local) continue;
    for (auto& stanza : presence.shown.end(pair, policy::Direction::kOut)) {
      ++count;
      enqueue(state_of(pair), std::move(stanza), std::nullopt, now);
    }
  }
  log.log({LogLevel::kWarning,
           "internal-server.lost",
           {{"local", local.ascii()}, {"unavailable", std::to_string(count)}}});
}

void Core::Impl::lose_all_remote(Now now) {
  for (const Pair& pair : presence.shown.pairs(policy::Direction::kIn)) lose_remote(pair, now);
}

// Its contacts are asked for their presence, as a server asks that starts (RFC 6121 4.3); rooms are for their
// users to enter again.
void Core::Impl::heard_remote(const Pair& pair, Now now) {
  if (!presence.remote.heard(pair, now.mono)) return;
  log.log({LogLevel::kInfo, "peer.back", {{"local", pair.local.ascii()}, {"remote", pair.remote.ascii()}}});
  for (const auto& [user, contact] : presence.contacts.take(pair))
    ask_remote(pair, presence_probe(user, contact, links.random.u64()), now);
}

}  // namespace sallyport::gate
