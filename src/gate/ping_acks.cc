#include "gate/ping_acks.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace sallyport::gate {
namespace {

constexpr std::string_view kPrefix = "ping-";
constexpr std::size_t kDigits = 16;

}  // namespace

std::string ping_id(std::uint64_t number) { return fmt::format("{}{:016x}", kPrefix, number); }

std::optional<std::uint64_t> ping_number(std::string_view id) {
  if (id.size() != kPrefix.size() + kDigits || !id.starts_with(kPrefix)) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, failed] = std::from_chars(id.data() + kPrefix.size(), id.data() + id.size(), number, 16);
  if (failed != std::errc() || end != id.data() + id.size()) return std::nullopt;
  return number;
}

std::optional<std::uint64_t> answered_ping(const xmpp::Stanza& stanza) {
  if (stanza.kind() != xmpp::StanzaKind::kIq || (stanza.type() != "result" && stanza.type() != "error"))
    return std::nullopt;
  return ping_number(stanza.id());
}

void PingAcks::begin(Mode mode, Duration ack_timeout) {
  mode_ = mode;
  ack_timeout_ = ack_timeout;
  if (mode == Mode::kMust) state_ = State::kTrying;
  asked_.clear();
  unasked_ = false;
  answers_since_.reset();
  if (state_ != State::kUnanswered) last_at_.reset();
}

std::optional<Time> PingAcks::poll_timeout() const {
  if (mode_ == Mode::kOff) return std::nullopt;
  if (state_ != State::kUnanswered && !asked_.empty()) {
    const auto tries = state_ == State::kTrying ? limits::kPingTries : limits::kPingTriesAnswered;
    const Time next = asked_.back().at + std::min<Duration>(limits::kPingTimeout, ack_timeout_ / tries);
    return state_ == State::kTrying ? next : std::min(next, dead_at());
  }
  if (!unasked_) {
    if (!answers_since_ || state_ == State::kUnanswered) return std::nullopt;
    return *answers_since_ + limits::kDoubtDelay;
  }
  if (!last_at_) return Time{};
  return *last_at_ + (state_ == State::kUnanswered ? limits::kPingRetry : limits::kPingInterval);
}

PingAcks::Due PingAcks::poll(bool presses, Time now) {
  const auto at = poll_timeout();
  if (!at) return Due::kNothing;
  const bool awaits_answer = state_ != State::kUnanswered && !asked_.empty();
  if (now < *at && (awaits_answer || !presses || state_ == State::kUnanswered)) return Due::kNothing;
  if (!awaits_answer && !unasked_) {
    if (now < *at) return Due::kNothing;
    answers_since_.reset();
    return Due::kAssume;
  }
  if (!awaits_answer) return Due::kPing;
  // An answer may be lost: servers drop what they have for a stream of theirs that breaks.
  const bool asks_again = state_ == State::kTrying ? asked_.size() < limits::kPingTries : now < dead_at();
  if (asks_again) return Due::kPing;
  if (state_ == State::kAnswered || mode_ == Mode::kMust) {
    state_ = State::kTrying;
    begin(mode_);
    return Due::kDead;
  }
  state_ = State::kUnanswered;
  return Due::kFallBack;
}

void PingAcks::note_ping(std::uint64_t number, std::uint64_t mark, Time now) {
  // The first stays: the peer's time counts from it.
  if (asked_.size() == limits::kPingTriesAnswered) asked_.erase(asked_.begin() + 1);
  asked_.push_back({number, mark, now});
  last_at_ = now;
  unasked_ = false;
  answers_since_.reset();
}

std::optional<std::uint64_t> PingAcks::handle_answer(std::uint64_t number) {
  const auto at = std::ranges::find(asked_, number, &Ping::number);
  if (at == asked_.end()) return std::nullopt;
  const std::uint64_t mark = at->mark;
  asked_.erase(asked_.begin(), at + 1);
  // Others may be an hour old.
  if (state_ == State::kUnanswered && !asked_.empty()) asked_.clear(), unasked_ = true;
  state_ = State::kAnswered;
  return mark;
}

}  // namespace sallyport::gate
