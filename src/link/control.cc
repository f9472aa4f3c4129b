#include "link/control.h"

#include <algorithm>

#include "base/bytes.h"

namespace sallyport::link {
namespace {

frame::Ask frame_of(std::uint64_t id, const KeyAsk& ask) {
  return {.id = id,
          .question = frame::Question::kKey,
          .local = ask.pair.local.ascii(),
          .remote = ask.pair.remote.ascii(),
          .stream_id = ask.stream_id};
}
frame::Ask frame_of(std::uint64_t id, const VerdictAsk& ask) {
  return {.id = id,
          .question = frame::Question::kVerdict,
          .local = ask.pair.local.ascii(),
          .remote = ask.pair.remote.ascii(),
          .stream_id = ask.stream_id,
          .key = ask.key};
}
frame::Ask frame_of(std::uint64_t id, const AdmitAsk& ask) {
  return {.id = id,
          .question = frame::Question::kAdmit,
          .local = ask.pair.local.ascii(),
          .remote = ask.pair.remote.ascii()};
}
frame::Ask frame_of(std::uint64_t id, const ControlAsk& ask) {
  return {.id = id, .question = frame::Question::kControl, .json = ask.json};
}

// A peer chose the stream id and the key: one that is too long for a frame cannot be genuine.
bool fits_a_frame(const KeyAsk& ask) { return ask.stream_id.size() <= limits::kLinkTextBytesMax; }
bool fits_a_frame(const VerdictAsk& ask) {
  return ask.stream_id.size() <= limits::kLinkTextBytesMax && ask.key.size() <= limits::kLinkTextBytesMax;
}
bool fits_a_frame(const AdmitAsk&) { return true; }
bool fits_a_frame(const ControlAsk& ask) { return ask.json.size() <= limits::kLinkAnswerBytesMax; }

Result<Ask> ask_of(const frame::Ask& f) {
  if (f.question == frame::Question::kControl) return Ask(ControlAsk{std::string(f.json)});
  auto local = xmpp::Domain::parse(f.local);
  auto remote = xmpp::Domain::parse(f.remote);
  if (!local || !remote) return {Code::kLinkFrame, "ASK: a domain is not valid"};
  xmpp::Pair pair{*std::move(local), *std::move(remote)};
  if (f.question == frame::Question::kAdmit) return Ask(AdmitAsk{std::move(pair)});
  std::string stream_id(f.stream_id);
  if (f.question == frame::Question::kKey) return Ask(KeyAsk{std::move(pair), std::move(stream_id)});
  return Ask(VerdictAsk{std::move(pair), std::move(stream_id), std::string(f.key)});
}

}  // namespace

Control::~Control() { drop_incoming(); }

// --- questions

// Questions for a key have a reserved part: peers can cause any number of the others.
bool Control::has_place_for(const Ask& ask) const {
  if (asked_.size() >= limits::kLinkAsksMax) return false;
  return std::holds_alternative<KeyAsk>(ask) ||
         others_asked_ < limits::kLinkAsksMax - limits::kLinkAsksForKeys;
}

std::uint64_t Control::ask(Ask ask) {
  const std::uint64_t id = ++last_asked_;
  const bool fits = std::visit([](const auto& question) { return fits_a_frame(question); }, ask);
  if (!shared_.up) {
    shared_.events.push_back(Answered{id, Error{Code::kLinkDown, {}}});
  } else if (std::holds_alternative<AdmitAsk>(ask) && shared_.version < frame::kVersionAdmit) {
    shared_.events.push_back(Answered{id, Error{Code::kLinkVersion, "ADMIT"}});
  } else if (!has_place_for(ask)) {
    shared_.events.push_back(Answered{id, Error{Code::kLinkBusy, {}}});
  } else if (!fits) {
    shared_.events.push_back(
        Answered{id, Error{Code::kControlRefused, "the question is longer than the link allows"}});
  } else {
    const bool is_for_key = std::holds_alternative<KeyAsk>(ask);
    asked_.emplace(id, is_for_key);
    others_asked_ += is_for_key ? 0 : 1;
    const auto f = std::visit([id](const auto& question) { return frame_of(id, question); }, ask);
    frame::append(shared_.out, f);
  }
  return id;
}

void Control::answer(std::uint64_t id, Answer answer) {
  const auto found = received_.find(id);
  if (found == received_.end()) return;
  if (answer && answer->size() > limits::kLinkAnswerBytesMax) {
    answer = Error{Code::kControlRefused, "the answer is longer than the link allows"};
  }
  const frame::Verdict verdict = answer ? frame::Verdict{{}, *answer} : shared_.verdict_on(answer.error());
  frame::append(shared_.out, frame::Answer{found->second, verdict});
  received_ids_.erase(found->second);
  received_.erase(found);
}

Result<void> Control::handle_ask(const frame::Ask& f) {
  // Only the core has the dialback secret (DESIGN invariant 2).
  if (shared_.role == NodeRole::kEdge && f.question != frame::Question::kControl) {
    return {Code::kLinkFrame, "ASK of an edge: only a core answers this question"};
  }
  if (f.question == frame::Question::kAdmit && shared_.version < frame::kVersionAdmit) {
    return {Code::kLinkFrame, "ASK: the negotiated version does not have ADMIT"};
  }
  if (received_.size() >= limits::kLinkAsksMax) return {Code::kLinkFrame, "ASK: too many unanswered"};
  auto ask = ask_of(f);
  if (!ask) return std::move(ask).error();
  if (!received_ids_.insert(f.id).second) return {Code::kLinkFrame, "ASK: the number is in use"};
  // A number of our own: the owner may answer late, after a reconnect, and a new process on the other side
  // counts from 1 again.
  const std::uint64_t id = ++last_received_;
  received_.emplace(id, f.id);
  shared_.events.push_back(Asked{id, *std::move(ask)});
  return {};
}

Result<void> Control::handle_answer(const frame::Answer& f) {
  const auto asked = asked_.find(f.id);
  if (asked == asked_.end()) return {Code::kLinkFrame, "ANSWER to an unknown question"};
  others_asked_ -= asked->second ? 0 : 1;
  asked_.erase(asked);
  Answer answer = f.answer.code.empty() ? Answer(std::string(f.answer.text))
                                        : Answer(error_of(f.answer, Code::kInternal));
  shared_.events.push_back(Answered{f.id, std::move(answer)});
  return {};
}

// --- pushes

void Control::push(std::uint64_t generation, std::shared_ptr<const SecretBytes> bytes) {
  outgoing_.reset();
  if (bytes->view().size() > limits::kPushBytesMax) {
    shared_.events.push_back(PushDone{generation, Error{Code::kLinkPushTooLarge, {}}});
    return;
  }
  outgoing_ = Outgoing{generation, std::move(bytes)};
}

void Control::flush_push(Time now) {
  if (!outgoing_ || outgoing_->is_written() || now < outgoing_->next_turn) return;
  Outgoing& push = *outgoing_;
  push.next_turn = now + limits::kPushTurnEvery;
  const std::string_view bytes = push.bytes->view();
  if (!push.announced) {
    frame::append(shared_.out, frame::Push{push.generation, bytes.size()});
    push.announced = true;
  }
  const std::size_t end = std::min(bytes.size(), push.written + limits::kPushTurnBytes);
  while (push.written < end) {
    const auto chunk = bytes.substr(push.written, std::min(limits::kPushChunkBytes, end - push.written));
    frame::append(shared_.out, frame::PushChunk{chunk});
    push.written += chunk.size();
  }
}

std::optional<Time> Control::poll_timeout() const {
  if (!outgoing_ || outgoing_->is_written()) return std::nullopt;
  return outgoing_->next_turn;
}

void Control::push_done(std::uint64_t generation, const Result<void>& result) {
  if (!shared_.up) return;  // the core pushes again after the greeting
  frame::append(shared_.out,
                frame::PushDone{generation, result ? frame::Verdict{} : shared_.verdict_on(result.error())});
}

Result<void> Control::handle_push(const frame::Push& f) {
  if (shared_.role == NodeRole::kCore) return {Code::kLinkFrame, "PUSH to a core"};
  drop_incoming();
  incoming_ = Incoming{f.generation, f.size, {}};
  // Reserved at once: a growing string would leave copies of keys in freed memory.
  incoming_->bytes.reserve(f.size);
  deliver_if_whole();
  return {};
}

Result<void> Control::handle_push_chunk(const frame::PushChunk& f) {
  if (!incoming_) return {Code::kLinkFrame, "PUSH_CHUNK without PUSH"};
  if (f.bytes.size() > incoming_->size - incoming_->bytes.size()) {
    return {Code::kLinkFrame, "PUSH_CHUNK: more than announced"};
  }
  incoming_->bytes.append(f.bytes);
  deliver_if_whole();
  return {};
}

void Control::deliver_if_whole() {
  if (incoming_->bytes.size() != incoming_->size) return;
  shared_.events.push_back(Pushed{incoming_->generation, std::move(incoming_->bytes)});
  incoming_.reset();
}

Result<void> Control::handle_push_done(const frame::PushDone& f) {
  if (shared_.role == NodeRole::kEdge) return {Code::kLinkFrame, "PUSH_DONE to an edge"};
  const bool current = outgoing_ && outgoing_->generation == f.generation && outgoing_->is_written();
  if (!current) return {};  // for a push that a newer one has replaced
  outgoing_.reset();
  Result<void> result;
  if (!f.result.code.empty()) result = error_of(f.result, Code::kLinkRefused);
  shared_.events.push_back(PushDone{f.generation, std::move(result)});
  return {};
}

// --- connections

void Control::disconnect() {
  drop_incoming();
  received_.clear();
  received_ids_.clear();
  for (const auto& [id, is_for_key] : asked_) {
    shared_.events.push_back(Answered{id, Error{Code::kLinkDown, {}}});
  }
  asked_.clear();
  others_asked_ = 0;
}

void Control::resume() {
  if (!outgoing_) return;
  outgoing_->announced = false;
  outgoing_->written = 0;
  outgoing_->next_turn = {};
}

void Control::drop_incoming() {
  if (incoming_) wipe(incoming_->bytes);
  incoming_.reset();
}

}  // namespace sallyport::link
