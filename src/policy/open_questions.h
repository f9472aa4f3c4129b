// Remembers what the initiating side of a one-way pair has asked, so that of the other side's stanzas only
// answers pass against the direction of the policy row (policy.toml `direction`).
//
// docs/security.md "One-way rules" lists the stanzas that pass. "Asker" below is the side that may initiate,
// "answerer" the other one. Addresses and ids are compared in their public form (aliases, not internal names
// of chat nodes), in canonical form.
//
// The memory is bounded (limits::kQuestions*, kPresences*) and fails closed: a question that was evicted, has
// expired or was never noted is unknown, and then the rule decides. It is empty after a start. Pure; one
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

// A pair with a one-way rule. `start` is kIn or kOut: the side that may initiate.
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

  // Records a stanza of the asker, which passes.
  void note(const OneWay& way, const xmpp::Stanza& stanza, Time now);
  // Returns whether a stanza of the answerer answers a noted one, so that it passes. This closes a question
  // that has only one answer. Precondition: the stanza passes if this returns true.
  bool is_answered_by(const xmpp::Stanza& stanza, Time now);
  // Forgets everything noted for pairs for which `keep(way)` is false: those that are no longer one-way, or
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
  // The number of answers of this kind, id and addresses that may still arrive, and until when.
  struct Question {
    std::uint16_t answers = 0;
    Time until{};
  };
  enum class State : std::uint8_t {
    kAsked,      // the asker sent `subscribe`
    kHeld,       // subscribed; or directed presence was sent
    kCancelled,  // the asker sent `unsubscribe`
    kEnded,      // the answerer's last presence may still pass
  };
  // A subscription to the answerer's presence (RFC 6121 3, 4.3), by bare addresses; or directed presence (RFC
  // 6121 4.6), by the asker's full address and the answerer's bare one, as when a user joins a room
  // (XEP-0045 7.2).
  struct Presence {
    State state = State::kAsked;
    bool is_joined = false;        // directed: to join a room
    bool is_answered = false;      // directed: presence came back
    bool may_unsubscribe = false;  // subscription: the answerer has not sent `unsubscribe` since
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
