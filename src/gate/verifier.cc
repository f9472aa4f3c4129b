#include "gate/verifier.h"

#include <algorithm>
#include <utility>

namespace sallyport::gate {

void Verifier::ask(KeyQuestion question, const Keys& keys,
                   const std::function<Result<ConnId>(const Pair&)>& open) {
  if (!make_room(keys)) {
    const Error error{Code::kDialbackTooMany, "this node verifies too many keys at once"};
    outputs_.push_back(Answer{std::move(question), error});
    return;
  }
  const auto known = by_pair_.find(question.pair);
  Result<ConnId> conn = known != by_pair_.end() ? Result<ConnId>(known->second) : open(question.pair);
  if (!conn) {
    outputs_.push_back(Answer{std::move(question), Error{Code::kDialbackUnreachable, conn.error().text}});
    return;
  }
  by_pair_.emplace(question.pair, *conn);
  const std::uint64_t number = ++last_number_;
  by_number_.emplace(number, *conn);
  streams_.try_emplace(*conn, Stream{question.pair, {}})
      .first->second.asked.push_back({number, question, memory_.hold(keys, number)});
  outputs_.push_back(Ask{*conn, std::move(question)});
}

std::vector<KeyQuestion> Verifier::questions(ConnId conn) const {
  std::vector<KeyQuestion> all;
  const auto stream = streams_.find(conn);
  if (stream == streams_.end()) return all;
  for (const Asked& asked : stream->second.asked) all.push_back(asked.question);
  return all;
}

bool Verifier::make_room(const Keys& keys) {
  for (;;) {
    const auto place = memory_.place(keys);
    if (place.room == Memory::Room::kFree) return true;
    if (place.loser == nullptr || !give_up(*place.loser)) return false;
  }
}

// The question gives its place to one of a source that asks less. Its stream ends where nothing else is asked
// on it: a connection that no question counts for would be without a bound.
bool Verifier::give_up(std::uint64_t number) {
  const auto at = by_number_.find(number);
  if (at == by_number_.end()) return false;
  const ConnId conn = at->second;
  by_number_.erase(at);
  auto& asked = streams_.at(conn).asked;
  const auto it = std::ranges::find(asked, number, &Asked::number);
  KeyQuestion lost = std::move(it->question);
  asked.erase(it);
  const Error error{Code::kDialbackTooMany, "it gave way to a source that asks less"};
  if (asked.empty()) {
    forget_stream(conn);
    outputs_.push_back(Close{conn, error});
  }
  outputs_.push_back(Answer{std::move(lost), error});
  return true;
}

void Verifier::handle_answer(ConnId conn, const Pair& pair, const std::string& stream_id,
                             Result<s2s::VerifyAnswer> answer) {
  const auto stream = streams_.find(conn);
  if (stream == streams_.end()) return;
  auto& asked = stream->second.asked;
  const auto it = std::ranges::find_if(asked, [&](const Asked& each) {
    return each.question.pair == pair && each.question.stream_id == stream_id;
  });
  if (it != asked.end()) {
    by_number_.erase(it->number);
    outputs_.push_back(Answer{std::move(it->question), std::move(answer)});
    asked.erase(it);
  }
  if (!asked.empty()) return;
  forget_stream(conn);  // the next question finds a stream of its own
  outputs_.push_back(Close{conn, std::nullopt});
}

void Verifier::handle_end(ConnId conn, const Error& error) {
  const auto stream = streams_.find(conn);
  if (stream == streams_.end()) return;
  const std::string text =
      std::string(code_row(error.code).name) + (error.text.empty() ? "" : ": " + error.text);
  for (Asked& asked : stream->second.asked) {
    by_number_.erase(asked.number);
    outputs_.push_back(Answer{std::move(asked.question), Error{Code::kDialbackUnreachable, text}});
  }
  forget_stream(conn);
}

void Verifier::forget_stream(ConnId conn) {
  const auto stream = streams_.find(conn);
  by_pair_.erase(stream->second.pair);
  streams_.erase(stream);
}

std::optional<Verifier::Output> Verifier::poll() {
  if (outputs_.empty()) return std::nullopt;
  return outputs_.pop_front();
}

}  // namespace sallyport::gate
