// Whether a pair may be proved on one accepted stream, and the proof when it is. Negotiation (SASL) and
// dialback both come here, so that a pair is held to the same rules whichever way it takes.
#pragma once

#include <optional>
#include <set>
#include <utility>

#include "base/result.h"
#include "s2s/receiving_outputs.h"
#include "s2s/stream_policy.h"

namespace sallyport::s2s {

class Admission {
 public:
  // All of them outlive it. Proofs go to `lane`, questions and refusals to `outputs`.
  Admission(Stream& stream, const StreamPolicy& policy, ReceiveLane& lane, ReceivingOutputs& outputs)
      : stream_(stream), policy_(policy), lane_(lane), outputs_(outputs) {}

  // Whether the pair may be proved on this stream as it is, by its own rules, not the header's (THREATS B6).
  // Errors: kStreamHostUnknown, kPolicy*, kTlsRequired.
  Result<void> check(const Pair& pair) const;

  // Whether the answer about the pair must be waited for (StreamPolicy::must_ask). Then the question is out,
  // once.
  bool ask(const Pair& pair);
  // The answer has come, or is no longer awaited. False where no question was out.
  bool end_question(const Pair& pair) { return asked_.erase(pair) != 0; }

  // The pair is proved: stanzas are accepted, and the stream is ready.
  void admit(PeerProof proof);
  // The peer was told that the pair is refused.
  void refuse(const Pair& pair, Error error);
  // The error of Closed where the peer goes without a proof: the last refusal since a pair was proved.
  const std::optional<Error>& refusal() const { return refusal_; }
  void set_refusal(Error error) { refusal_ = std::move(error); }

  // Policy changed: ends the pairs that may not be proved any more; asks again about those that policy here
  // does not know. A stream error where no pair is left.
  void check_again();
  // The stream has ended: nothing is awaited.
  void clear() { asked_.clear(); }

 private:
  Result<void> check(const PeerProof& proof) const;

  Stream& stream_;
  const StreamPolicy& policy_;
  ReceiveLane& lane_;
  ReceivingOutputs& outputs_;
  std::set<Pair> asked_;  // not answered yet
  std::optional<Error> refusal_;
};

}  // namespace sallyport::s2s
