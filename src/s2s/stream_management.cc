#include "s2s/stream_management.h"

#include <charconv>

#include <fmt/format.h>

#include "base/limits.h"
#include "s2s/stream_xml.h"

namespace sallyport::s2s {
namespace {

constexpr std::string_view kEnable = "<enable xmlns='urn:xmpp:sm:3' resume='true'/>";
constexpr std::string_view kEnabled = "<enabled xmlns='urn:xmpp:sm:3'/>";
constexpr std::string_view kRequest = "<r xmlns='urn:xmpp:sm:3'/>";

std::string failed_xml(std::string_view condition, std::optional<std::uint32_t> handled = std::nullopt) {
  const std::string count = handled ? fmt::format(" h='{}'", *handled) : std::string();
  return fmt::format("<failed xmlns='{}'{}><{} xmlns='{}'/></failed>", kManagement, count, condition,
                     xmpp::ns::kStanzaErrors);
}
// Stanzas do not come on a stream that we opened: its `h` is 0.
std::string resume_xml(const ResumePoint& point) {
  std::string xml = fmt::format("<resume xmlns='{}' h='0' previd='", kManagement);
  xmpp::append_escaped_attribute(xml, point.id);
  return xml + "'/>";
}
// XML Schema has two words for it.
bool is_true(const std::string* value) { return value != nullptr && (*value == "true" || *value == "1"); }
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
  lane_.set_confirmed_by(ConfirmedBy::kAcks);
  if (!resumable_) return enable();
  state_ = State::kResuming;
  asked_at_ = stream_.now();
  stream_.write(resume_xml(*resumable_));
}

void AckRequests::enable() {
  state_ = State::kAsked;
  asked_at_ = stream_.now();
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
    const std::string* id = element.attribute("id");
    if (is_true(element.attribute("resume")) && id != nullptr && id->size() <= limits::kResumeIdBytesMax)
      resumable_ = ResumePoint{*id};
    if (lane_.in_flight() > 0) ask();
    return {};
  }
  if (state_ == State::kResuming && name == "resumed") return handle_resumed(element);
  if ((state_ == State::kResuming || state_ == State::kAsked) && name == "failed")
    return handle_failed(element);
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
  has_answer_ = true;
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

AckRequests::Outcome AckRequests::handle_resumed(const xmpp::Element& element) {
  const auto handled = handled_count(element);
  const std::string* id = element.attribute("previd");
  if (!handled || !resumable_->may_have_handled(*handled) || id == nullptr || *id != resumable_->id) {
    stream_.fail({Code::kStreamAckInvalid, bounded(element.xml())});
    return {};
  }
  state_ = State::kOn;
  has_answer_ = true;
  handled_ = *handled;
  asked_at_.reset();
  return {{}, {}, ResumeAnswered{true, handled}};
}

// The session that was to be resumed is over, and a new one begins; or there is none at all.
AckRequests::Outcome AckRequests::handle_failed(const xmpp::Element& element) {
  if (state_ == State::kResuming) {
    ResumeAnswered answer{false, handled_count(element)};
    if (answer.handled && !resumable_->may_have_handled(*answer.handled)) answer.handled.reset();
    resumable_.reset();
    enable();
    return {{}, {}, answer};
  }
  state_ = State::kOff;
  asked_at_.reset();
  return {{}, lane_.set_confirmed_by(ConfirmedBy::kWrites)};
}

std::optional<ResumePoint> AckRequests::resume_point() const {
  if (state_ != State::kOn || !resumable_) return state_ == State::kResuming ? resumable_ : std::nullopt;
  return ResumePoint{resumable_->id, handled_, handled_ + static_cast<std::uint32_t>(lane_.in_flight())};
}

std::optional<Time> AckRequests::deadline() const {
  return asked_at_ ? std::optional(*asked_at_ + timeout_) : std::nullopt;
}

// --- the entity that receives

std::optional<std::string> AckAnswers::handle_element(const xmpp::Element& element, bool authenticated) {
  const std::string& name = element.name.local;
  if (name == "enable" || name == "resume") {
    // XEP-0198 3, 5: before authentication, or for a second time.
    if (on_ || is_resume_asked_ || !authenticated) {
      stream_.write(failed_xml("unexpected-request"));
      return std::nullopt;
    }
    if (name == "enable") {
      enable(is_true(element.attribute("resume")));
      return std::nullopt;
    }
    const std::string* previous = element.attribute("previd");
    if (previous == nullptr || !handled_count(element)) {
      stream_.write(failed_xml("bad-request"));
      return std::nullopt;
    }
    is_resume_asked_ = true;
    return *previous;
  }
  if (!on_ || name != "r") {
    stream_.fail_order(name);
  } else if (count_.is_complete()) {
    answer();
  } else if (!asked_at_) {
    asked_at_ = stream_.now();
  }
  return std::nullopt;
}

void AckAnswers::enable(bool resumable) {
  on_ = true;
  if (!resumable) return stream_.write(kEnabled);
  id_ = random_.hex(limits::kResumeIdBytes);
  stream_.write(fmt::format("<enabled xmlns='{}' id='{}' resume='true' max='{}'/>", kManagement, id_,
                            limits::kResumeTime.count()));
}

void AckAnswers::resume(const std::string& id, HandledCount count) {
  is_resume_asked_ = false;
  on_ = true;
  id_ = id;
  count_ = std::move(count);
  told_ = count_.handled();
  stream_.write(fmt::format("<resumed xmlns='{}' previd='{}' h='{}'/>", kManagement, id_, count_.handled()));
}

void AckAnswers::refuse_resume(std::optional<std::uint32_t> handled) {
  is_resume_asked_ = false;
  stream_.write(failed_xml("item-not-found", handled));
}

std::optional<std::uint32_t> AckAnswers::handle_received() {
  if (!on_) return std::nullopt;
  return count_.receive();
}

void AckAnswers::handle(std::uint32_t number) {
  count_.handle(number);
  if (asked_at_ && count_.is_complete() && !stream_.is_over()) answer();
}

void AckAnswers::answer() {
  asked_at_.reset();
  if (held_at_) held_at_ = stream_.now();
  told_ = count_.handled();
  stream_.write(answer_xml(count_.handled()));
}

void AckAnswers::hold(bool on) { held_at_ = on ? std::optional(stream_.now()) : std::nullopt; }

// With the closing handshake the session is over.
void AckAnswers::close() {
  id_.clear();
  if (on_ && told_ != count_.handled() && !stream_.is_over()) answer();
}

std::optional<Time> AckAnswers::deadline() const {
  if (asked_at_) return *asked_at_ + limits::kAckAnswerDelay;
  return on_ && held_at_ ? std::optional(*held_at_ + limits::kHeldAnswerInterval) : std::nullopt;
}

void AckAnswers::handle_timeout(Time now) {
  if (const auto due = deadline(); due && now >= *due && !stream_.is_over()) answer();
}

}  // namespace sallyport::s2s
