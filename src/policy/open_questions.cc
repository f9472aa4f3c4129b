#include "policy/open_questions.h"

#include <initializer_list>
#include <limits>
#include <string>
#include <utility>

namespace sallyport::policy {
namespace {

using xmpp::Stanza;
using xmpp::StanzaKind;

// The subject of a row, a part of its key.
enum class About : char { kIq, kMessage, kSubscription, kDirected };

// A digest, so that all rows have one size and no choice of addresses makes a search longer. XML text has no
// zero byte, so the parts are unambiguous.
Digest256 key_of(About about, std::initializer_list<std::string_view> parts) {
  std::string text(1, static_cast<char>(about));
  for (const std::string_view part : parts) text.append(1, '\0').append(part);
  return sha256(text);
}

std::string_view bare(std::string_view jid) { return jid.substr(0, jid.find('/')); }

// XEP-0045 7.2: a join has this element; an occupant's other presence does not.
bool is_join(const Stanza& stanza) {
  return stanza.to_has_resource() &&
         stanza.xml().find("'http://jabber.org/protocol/muc'") != std::string_view::npos;
}

// XEP-0045 7.14, 8.2, 9.1: `unavailable` with status 110 tells the user that it has left the room, unless
// status 303 says that it continues under another nickname (7.6).
bool is_own_leave(const Stanza& stanza) {
  return stanza.xml().find("status code='110'") != std::string_view::npos &&
         stanza.xml().find("status code='303'") == std::string_view::npos;
}

}  // namespace

void OpenQuestions::note(const OneWay& way, const Stanza& stanza, Time now) {
  const auto from = stanza.from_text();
  const auto to = stanza.to_text();
  switch (stanza.kind()) {
    case StanzaKind::kIq:
      // RFC 6120 8.2.3: a request has one answer, with its id (8.1.3).
      if (stanza.is_request())
        ask(way, key_of(About::kIq, {from, to, stanza.id()}), from, now, limits::kIqAnswerTime);
      return;
    case StanzaKind::kMessage:
      if (stanza.is_error()) return;
      // RFC 6120 8.3.1: the error has its id and comes from the account or from the client that received it.
      ask(way, key_of(About::kMessage, {bare(from), bare(to), stanza.id()}), from, now,
          limits::kMessageErrorTime);
      // Only occupants speak in a room (XEP-0045 7.4): the user is in it, although the join was not seen
      // here.
      if (stanza.type() == "groupchat" && !stanza.to_has_resource()) note_directed(way, stanza, true);
      return;
    case StanzaKind::kPresence:
      return note_presence(way, stanza, now);
  }
}

void OpenQuestions::ask(const OneWay& way, const Key& key, std::string_view asker, Time now,
                        Duration open_for) {
  Question& question = questions_.put(way, sha256(bare(asker)), key);
  if (question.until <= now) question.answers = 0;
  // An id may be reused while its first use is open, and messages without an id share one row.
  if (question.answers < std::numeric_limits<std::uint16_t>::max()) ++question.answers;
  question.until = now + open_for;
}

bool OpenQuestions::close(const Key& key, Time now) {
  Question* question = questions_.find(key);
  if (question == nullptr) return false;
  const bool is_open = now < question->until;
  if (!is_open || --question->answers == 0) questions_.erase(key);
  return is_open;
}

void OpenQuestions::note_directed(const OneWay& way, const Stanza& stanza, bool joins) {
  const auto from = stanza.from_text();
  Presence& presence =
      presences_.put(way, sha256(bare(from)), key_of(About::kDirected, {from, bare(stanza.to_text())}));
  if (presence.state != State::kHeld) presence = {.state = State::kHeld};
  if (joins) presence.is_joined = true;
}

void OpenQuestions::note_presence(const OneWay& way, const Stanza& stanza, Time now) {
  const auto type = stanza.type();
  const auto from = stanza.from_text();
  const auto to = bare(stanza.to_text());
  const Key asker = sha256(bare(from));
  if (type.empty()) return note_directed(way, stanza, is_join(stanza));
  if (type == "unavailable") {
    // RFC 6121 4.6: this ends directed presence. A room answers with its own (XEP-0045 7.14).
    presences_.put(way, asker, key_of(About::kDirected, {from, to})) = {
        .state = State::kEnded, .until = now + limits::kPresenceEndTime};
    return;
  }
  if (type != "subscribe" && type != "probe" && type != "unsubscribe") return;
  Presence& presence = presences_.put(way, asker, key_of(About::kSubscription, {bare(from), to}));
  if (type == "unsubscribe") {
    presence = {.state = State::kCancelled,
                .may_unsubscribe = presence.may_unsubscribe,
                .until = now + limits::kPresenceEndTime};
  } else if (type == "probe") {
    // RFC 6121 4.3.1: a server only probes contacts to whose presence its user is subscribed.
    presence = {.state = State::kHeld, .may_unsubscribe = true};
  } else if (presence.state != State::kHeld) {
    presence = {.state = State::kAsked};
  }
}

bool OpenQuestions::is_answered_by(const Stanza& stanza, Time now) {
  const auto from = stanza.from_text();
  const auto to = stanza.to_text();
  switch (stanza.kind()) {
    case StanzaKind::kIq:
      return !stanza.is_request() && close(key_of(About::kIq, {to, from, stanza.id()}), now);
    case StanzaKind::kMessage:
      if (!stanza.is_error()) return is_room_message(stanza, now);
      return close(key_of(About::kMessage, {bare(to), bare(from), stanza.id()}), now);
    case StanzaKind::kPresence:
      return answers_directed(stanza, now) || answers_subscription(stanza, now);
  }
  return false;
}

OpenQuestions::Presence* OpenQuestions::find_presence(const Key& key, Time now) {
  Presence* found = presences_.find(key);
  if (found == nullptr || now < found->until) return found;
  presences_.erase(key);
  return nullptr;
}

// Messages in a room that the user joined, and the room's own messages to the user (XEP-0045 7.2, 7.4). A
// private message of an occupant (7.5) is a conversation that the answerer's side initiates.
bool OpenQuestions::is_room_message(const Stanza& stanza, Time now) {
  const auto from = stanza.from_text();
  const bool from_room_itself = bare(from).size() == from.size();
  if (stanza.type() != "groupchat" && !from_room_itself) return false;
  const Presence* found = find_presence(key_of(About::kDirected, {stanza.to_text(), bare(from)}), now);
  return found != nullptr && found->state == State::kHeld && found->is_joined;
}

bool OpenQuestions::answers_directed(const Stanza& stanza, Time now) {
  const auto type = stanza.type();
  if (!type.empty() && type != "unavailable" && type != "error") return false;
  const Key key = key_of(About::kDirected, {stanza.to_text(), bare(stanza.from_text())});
  Presence* found = find_presence(key, now);
  if (found == nullptr) return false;
  if (type.empty()) {
    if (found->state != State::kHeld) return false;
    return found->is_answered = true;
  }
  if (type == "unavailable") {
    if (found->state == State::kHeld && is_own_leave(stanza))
      *found = {.state = State::kEnded, .until = now + limits::kPresenceEndTime};
    return true;
  }
  // An error ends presence that had no effect, such as a join that the room rejects (XEP-0045 7.2). If the
  // user is already in the room, the room only rejects a change (7.6).
  if (found->state == State::kEnded || !found->is_answered) presences_.erase(key);
  return true;
}

bool OpenQuestions::answers_subscription(const Stanza& stanza, Time now) {
  const auto type = stanza.type();
  if (type == "subscribe" || type == "probe") return false;
  const Key key = key_of(About::kSubscription, {bare(stanza.to_text()), bare(stanza.from_text())});
  Presence* found = find_presence(key, now);
  if (found == nullptr) return false;
  const State state = found->state;
  // RFC 6121 4.2, 4.4: presence of a contact to which the asker is subscribed.
  if (type.empty()) return state == State::kHeld;
  // Also from each of the contact's resources when the subscription ends (RFC 6121 3.2.2, 3.3.3).
  if (type == "unavailable") return state != State::kAsked;
  if (type == "subscribed") {
    if (state != State::kAsked && state != State::kHeld) return false;
    *found = {.state = State::kHeld, .may_unsubscribe = true};
    return true;
  }
  if (type == "unsubscribed") {
    if (state == State::kEnded) return false;
    *found = {.state = State::kEnded,
              .may_unsubscribe = found->may_unsubscribe,
              .until = now + limits::kPresenceEndTime};
    return true;
  }
  // A contact that removes the asker from its roster ends both subscriptions (RFC 6121 2.5).
  if (type == "unsubscribe") return std::exchange(found->may_unsubscribe, false);
  // An error: answers a probe of a subscription that continues, otherwise ends the subscription.
  if (state != State::kHeld) presences_.erase(key);
  return true;
}

}  // namespace sallyport::policy
