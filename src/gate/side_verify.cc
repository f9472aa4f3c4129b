// Asking authoritative servers about keys that peers showed (XEP-0220 2.1.1 step 2): one connection per
// pair at a time, never the one the key came on.
#include <algorithm>

#include "gate/side.h"

namespace sallyport::gate {

void Side::verify(ConnId asker, const s2s::VerifyKey& request, Now now) {
  Verification verification{asker, request.pair, request.stream_id, request.key};
  const auto known = verifiers_.find(request.pair);
  if (known != verifiers_.end()) {
    Stream& stream = *find(known->second);
    if (auto* out = stream.out()) {
      out->verify(request.pair, request.stream_id, request.key, now.mono);
      stream.verifications.push_back(std::move(verification));
      after(known->second, now);
    } else {
      stream.verifications.push_back(std::move(verification));
    }
    return;
  }
  if (verifiers_.size() >= limits_.verifications) {
    answer_verification(verification,
                        Error{Code::kDialbackTooMany, "this door verifies too many keys at once"}, now);
    return;
  }
  auto plan = finder_.find(request.pair);
  if (!plan) {
    answer_verification(verification, Error{Code::kDialbackUnreachable, plan.error().text}, now);
    return;
  }
  const ConnId conn = ids_.next();
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

void Side::answer_verification(const Verification& verification, Result<s2s::VerifyAnswer> answer, Now now) {
  Stream* asker = find(verification.asker);
  if (asker == nullptr || asker->in() == nullptr) return;  // it has gone; nobody wants to know
  asker->in()->handle_verified(verification.pair, verification.stream_id, std::move(answer), now.mono);
  after(verification.asker, now);
}

void Side::fail_verifications(Stream& stream, const Error& error, Now now) {
  for (auto& verification : std::exchange(stream.verifications, {})) {
    answer_verification(verification,
                        Error{Code::kDialbackUnreachable, std::string(code_row(error.code).name) +
                                                              (error.text.empty() ? "" : ": " + error.text)},
                        now);
  }
}

}  // namespace sallyport::gate
