// Asking authoritative servers about keys that peers showed (XEP-0220 2.1.1 step 2): one connection per
// pair at a time, never the one the key came on.
#include <algorithm>

#include "gate/side.h"

namespace sallyport::gate {

void Side::verify(ConnId asker, const s2s::VerifyKey& request, Now now) {
  Verification verification{asker, request.pair, request.stream_id, request.key};
  const VerificationShares::Keys keys{peer_source(asker),
                                      std::string(parent_of_domain(request.pair.remote.ascii()))};
  if (!may_verify(keys, now)) {
    answer_verification(verification,
                        Error{Code::kDialbackTooMany, "this door verifies too many keys at once"}, now);
    return;
  }
  verification.number = ++last_question_;
  const auto known = verifiers_.find(request.pair);
  if (known != verifiers_.end()) {
    Stream& stream = *find(known->second);
    verification.part = verifications_.hold(keys, {known->second, verification.number});
    if (auto* out = stream.out()) {
      out->verify(request.pair, request.stream_id, request.key, now.mono);
      stream.verifications.push_back(std::move(verification));
      after(known->second, now);
    } else {
      stream.verifications.push_back(std::move(verification));
    }
    return;
  }
  auto plan = finder_.find(request.pair);
  if (!plan) {
    answer_verification(verification, Error{Code::kDialbackUnreachable, plan.error().text}, now);
    return;
  }
  const ConnId conn = ids_.next();
  verification.part = verifications_.hold(keys, {conn, verification.number});
  Stream stream;
  stream.target = request.pair;
  stream.verifies = true;
  stream.since = now;
  stream.judged = policies_;
  stream.verifications.push_back(std::move(verification));
  streams_.get(conn, std::move(stream));
  verifiers_.emplace(request.pair, conn);
  emit(Output{Dial{conn, std::move(*plan)}});
}

bool Side::may_verify(const VerificationShares::Keys& keys, Now now) {
  for (;;) {
    const auto place = verifications_.place(keys);
    if (place.room == VerificationShares::Room::kFree) return true;
    if (place.loser == nullptr || !give_up(*place.loser, now)) return false;
  }
}

// The question loses its place to one of a source that holds less. Its connection ends where nothing else is
// asked on it: a connection that no question counts for would be without a bound. False: there is no such
// question.
bool Side::give_up(const QuestionName& question, Now now) {
  const ConnId conn = question.verifier;
  Stream* stream = find(conn);
  if (stream == nullptr) return false;
  const auto it = std::ranges::find(stream->verifications, question.number, &Verification::number);
  if (it == stream->verifications.end()) return false;
  Verification lost = std::move(*it);
  stream->verifications.erase(it);
  lost.part.reset();
  const Error error{Code::kDialbackTooMany, "it gave way to a source that asks less"};
  if (stream->verifies && stream->verifications.empty()) {
    std::erase_if(verifiers_, [conn](const auto& entry) { return entry.second == conn; });
    emit(Output{Disconnect{conn}});
    break_stream(conn, *stream, error, now);
  }
  answer_verification(lost, error, now);
  return true;
}

void Side::answer_verification(const Verification& verification, Result<s2s::VerifyAnswer> answer, Now now) {
  Stream* asker = find(verification.asker);
  if (asker == nullptr || asker->in() == nullptr) return;  // it has gone; nobody wants to know
  asker->in()->handle_verified(verification.pair, verification.stream_id, std::move(answer), now.mono);
  after(verification.asker, now);
}

void Side::fail_verifications(Stream& stream, const Error& error, Now now) {
  auto failed = std::exchange(stream.verifications, {});
  // At once, since an answer may lead to the next question.
  for (auto& verification : failed) verification.part.reset();
  for (const auto& verification : failed) {
    answer_verification(verification,
                        Error{Code::kDialbackUnreachable, std::string(code_row(error.code).name) +
                                                              (error.text.empty() ? "" : ": " + error.text)},
                        now);
  }
}

}  // namespace sallyport::gate
