#include "s2s/stream_management.h"

#include <charconv>

#include <fmt/format.h>

#include "base/limits.h"
#include "s2s/stream_xml.h"

namespace sallyport::s2s {
namespace {

constexpr std::string_view kEnable = "<enable xmlns='urn:xmpp:sm:3'/>";
constexpr std::string_view kEnabled = "<enabled xmlns='urn:xmpp:sm:3'/>";
constexpr std::string_view kRequest = "<r xmlns='urn:xmpp:sm:3'/>";

std::string failed_xml(std::string_view condition) {
  return fmt::format("<failed xmlns='{}'><{} xmlns='{}'/></failed>", kManagement, condition,
                     xmpp::ns::kStanzaErrors);
}
std::string answer_xml(std::uint32_t handled) {
  return fmt::format("<a xmlns='{}' h='{}'/>", kManagement, handled);
}

}  // namespace

std::string management_feature_xml() { return fmt::format("<sm xmlns='{}'/>", kManagement); }

std::optional<std::uint32_t> handled_count(const xmpp::Element& answer) {
  const std::string* text = answer.attribute("h");
  std::uint32_t count = 0;
  if (text == nullptr) return std::nullopt;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), count);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return count;
}

// --- the entity that sends

void AckRequests::handle_features(const xmpp::Element& features) {
  offered_ = may_ask_ && features.child(kManagement, "sm") != nullptr;
}

void AckRequests::start() {
  if (!offered_ || state_ != State::kOff || stream_.is_over()) return;
  offered_ = false;
  state_ = State::kAsked;
  asked_at_ = stream_.now();
  lane_.set_confirmed_by(ConfirmedBy::kAcks);
  stream_.write(kEnable);
}

void AckRequests::ask() {
  asked_at_ = stream_.now();
  stream_.write(kRequest);
}

AckRequests::Outcome AckRequests::handle_element(const xmpp::Element& element) {
  const std::string& name = element.name.local;
  if (state_ == State::kAsked && name == "enabled") {
    state_ = State::kOn;
    asked_at_.reset();
    if (lane_.in_flight() > 0) ask();
    return {};
  }
  if (state_ == State::kAsked && name == "failed") {
    state_ = State::kOff;
    asked_at_.reset();
    return {{}, lane_.set_confirmed_by(ConfirmedBy::kWrites)};
  }
  if (state_ == State::kOn && name == "a") return handle_answer(element);
  if (state_ == State::kOn && name == "r") {
    stream_.write(answer_xml(0));  // stanzas do not come on this stream
    return {};
  }
  stream_.fail_order(name);
  return {};
}

AckRequests::Outcome AckRequests::handle_answer(const xmpp::Element& element) {
  const auto handled = handled_count(element);
  if (!handled) {
    stream_.fail({Code::kStreamAckInvalid, bounded(element.xml())});
    return {};
  }
  if (lane_.proofs().empty()) {
    // The lane has ended, and with it what was in flight; the peer cannot know.
    handled_ = *handled;
    asked_at_.reset();
    return {};
  }
  const std::uint32_t count = *handled - handled_;
  if (count > lane_.in_flight()) {
    stream_.fail(
        {Code::kStreamAckInvalid, fmt::format("{} handled of {}", *handled, handled_ + lane_.in_flight())});
    return {};
  }
  handled_ = *handled;
  asked_at_.reset();
  Outcome outcome{lane_.acknowledge(count), {}};
  if (lane_.in_flight() > 0 && !stream_.is_over()) ask();
  return outcome;
}

std::optional<Time> AckRequests::deadline() const {
  return asked_at_ ? std::optional(*asked_at_ + limits::kAckTimeout) : std::nullopt;
}

// --- the entity that receives

void AckAnswers::handle_element(const xmpp::Element& element, bool authenticated) {
  const std::string& name = element.name.local;
  if (name == "enable") {
    // XEP-0198 3: before authentication, or for a second time.
    if (on_ || !authenticated) return stream_.write(failed_xml("unexpected-request"));
    on_ = true;
    return stream_.write(kEnabled);
  }
  if (name == "resume") return stream_.write(failed_xml("feature-not-implemented"));
  if (!on_ || name != "r") return stream_.fail_order(name);
  if (handled_ == received_) return answer();
  if (!asked_at_) asked_at_ = stream_.now();
}

std::optional<std::uint32_t> AckAnswers::handle_received() {
  if (!on_) return std::nullopt;
  open_.emplace_back(false);
  return ++received_;
}

void AckAnswers::handle(std::uint32_t number) {
  const std::uint32_t at = number - handled_ - 1;
  if (at >= open_.size()) return;
  open_[at] = true;
  while (!open_.empty() && open_.front()) {
    open_.drop_front();
    ++handled_;
  }
  if (asked_at_ && handled_ == received_ && !stream_.is_over()) answer();
}

void AckAnswers::answer() {
  asked_at_.reset();
  told_ = handled_;
  stream_.write(answer_xml(handled_));
}

void AckAnswers::close() {
  if (on_ && told_ != handled_ && !stream_.is_over()) answer();
}

std::optional<Time> AckAnswers::deadline() const {
  return asked_at_ ? std::optional(*asked_at_ + limits::kAckAnswerDelay) : std::nullopt;
}

void AckAnswers::handle_timeout(Time now) {
  if (asked_at_ && now >= *asked_at_ + limits::kAckAnswerDelay && !stream_.is_over()) answer();
}

}  // namespace sallyport::s2s
