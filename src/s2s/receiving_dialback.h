// Dialback on an accepted stream (XEP-0220), where we are the receiving server of a peer that proves pairs
// (db:result), and the authoritative server of a local domain whose keys another server checks (db:verify).
//
// A request is answered at once, or waits for an answer that the owner fetches, each at most
// limits::kDialbackTimeout. When a pair was refused and nothing else is left to wait for, the stream lingers
// for limits::kCloseTimeout and is closed (see inbound.h "Refusing").
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "s2s/admission.h"
#include "s2s/dialback.h"
#include "s2s/pending_requests.h"
#include "s2s/receiving_outputs.h"
#include "s2s/stream_policy.h"

namespace sallyport::s2s {

class ReceivingDialback {
 public:
  // All of them outlive it.
  ReceivingDialback(Stream& stream, const StreamPolicy& policy, Admission& admission, const ReceiveLane& lane,
                    ReceivingOutputs& outputs)
      : stream_(stream), policy_(policy), admission_(admission), lane_(lane), outputs_(outputs) {}

  // `<db:result/>` or `<db:verify/>`. Answers are a stream error: we ask nothing on this stream, so there is
  // nothing to answer (CVE-2012-3525).
  void handle_element(const xmpp::Element& element);

  // The answer about a pair came (Admission::ask); then its key is verified.
  void handle_admission(const Pair& pair, Result<void> answer);
  // XEP-0220 2.1.1 step 4: the authoritative server answered. Dropped silently where no request waits for it
  // (XEP-0220 2.1.2).
  void handle_verified(const Pair& pair, Result<VerifyAnswer> answer);
  // XEP-0220 2.1.1 step 3: whether the key is ours, or why nobody can say.
  void handle_key_checked(const Pair& pair, const std::string& id, Result<bool> valid);

  // A new stream begins on the connection: requests of the old one wait for an admission no longer.
  void handle_restart() { asking_.clear(); }
  // The stream has ended: nothing is awaited.
  void clear();
  // Another server asked about a key: the stream has been of use without a proof.
  bool was_asked() const { return was_asked_; }

  // The earlier of `at` and the deadlines here.
  Time earliest(Time at) const;
  // Answers with an error the requests whose deadline has come.
  void expire();
  // Closes a stream that has lingered, unless an answer about a key is still owed.
  void handle_linger_timeout();

 private:
  void handle_result(DialbackElement request);
  void prove_result(DialbackElement request);
  void handle_verify(DialbackElement request);
  void accept(const DialbackElement& request, PeerProof proof);
  void refuse(const DialbackElement& request, Error error);
  void answer_invalid(const DialbackElement& request);
  void write(const DialbackElement& element) { stream_.write(element.xml()); }

  Stream& stream_;
  const StreamPolicy& policy_;
  Admission& admission_;
  const ReceiveLane& lane_;
  ReceivingOutputs& outputs_;
  PendingRequests asking_;     // `db:result` that wait for the answer about their pair
  PendingRequests verifying_;  // `db:result` whose key the authoritative server was asked about
  PendingRequests checking_;   // `db:verify`
  bool was_asked_ = false;
  std::optional<Time> linger_until_;
};

}  // namespace sallyport::s2s
