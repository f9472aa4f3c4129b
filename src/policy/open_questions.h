// What the side of a one-way pair that may start has asked, so that of the other side's stanzas only those
// that answer it pass against the direction of the policy row (policy.toml `direction`).
//
// docs/security.md "One-way rules" lists for people what passes. "Asker" below is the side that may start,
// "answerer" the other one. Addresses and ids are compared as they are outside (aliases, not inside names of
// chat nodes), in canonical form.
//
// The memory is bounded (limits::kQuestions*, kPresences*). What was evicted, has expired, or was never noted
// is not known, and then the rule decides: the memory fails closed. It is empty after a start. Pure; one
// owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/limits.h"
#include "base/share_table.h"
#include "base/time.h"
#include "policy/rules.h"
#include "xmpp/jid.h"
#include "xmpp/stanza.h"

namespace sallyport::policy {

// A pair with a one-way rule. `start` is kIn or kOut: who may start.
struct OneWay {
  xmpp::Pair pair;
  policy::Direction start;
  auto operator<=>(const OneWay&) const = default;
};

struct OpenQuestionsBounds {
  ShareBounds questions{limits::kQuestionsPerAddressMax, limits::kQuestionsPerPairMax, limits::kQuestionsMax};
  ShareBounds presences{limits::kPresencesPerAddressMax, limits::kPresencesPerPairMax, limits::kPresencesMax};
};

class OpenQuestions {
 public:
  explicit OpenQuestions(const OpenQuestionsBounds& bounds = {})
      : questions_(bounds.questions), presences_(bounds.presences) {}

  // A stanza of the asker passes.
  void note(const OneWay& way, const xmpp::Stanza& stanza, Time now);
  // Whether a stanza of the answerer answers what was noted, so that it passes. A question that has one
  // answer is closed by it. Precondition: the stanza passes if this says so.
  bool is_answered_by(const xmpp::Stanza& stanza, Time now);
  // Forgets all that was noted for pairs of which `keep(way)` is false: those that are no longer one-way, or
  // are so in the other direction.
  template <typename Keep>
  void retain(Keep keep) {
    questions_.retain(keep);
    presences_.retain(keep);
  }
  std::size_t size() const { return questions_.size() + presences_.size(); }
  bool empty() const { return questions_.empty() && presences_.empty(); }

 private:
  using Key = Digest256;
  // How many answers of this kind, id and addresses may still come, and until when.
  struct Question {
    std::uint16_t answers = 0;
    Time until{};
  };
  enum class State : std::uint8_t {
    kAsked,      // the asker sent `subscribe`
    kHeld,       // subscribed; or directed presence was sent
    kCancelled,  // the asker sent `unsubscribe`
    kEnded,      // the last words of the answerer still pass
  };
  // A subscription to the answerer's presence (RFC 6121 3, 4.3), by bare addresses; or directed presence
  // (RFC 6121 4.6), by the asker's full address and the answerer's bare one, which is also how a room is
  // joined (XEP-0045 7.2).
  struct Presence {
    State state = State::kAsked;
    bool is_joined = false;        // directed: as to a room
    bool is_answered = false;      // directed: presence came back
    bool may_unsubscribe = false;  // subscription: the answerer has not said `unsubscribe` since
    Time until = Time::max();
  };

  void ask(const OneWay& way, const Key& key, std::string_view asker, Time now, Duration open_for);
  bool close(const Key& key, Time now);
  void note_presence(const OneWay& way, const xmpp::Stanza& stanza, Time now);
  void note_directed(const OneWay& way, const xmpp::Stanza& stanza, bool joins);
  Presence* find_presence(const Key& key, Time now);
  bool is_room_message(const xmpp::Stanza& stanza, Time now);
  bool answers_directed(const xmpp::Stanza& stanza, Time now);
  bool answers_subscription(const xmpp::Stanza& stanza, Time now);

  ShareTable<OneWay, Question> questions_;
  ShareTable<OneWay, Presence> presences_;
};

}  // namespace sallyport::policy
