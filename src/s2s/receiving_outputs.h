// The outputs of an accepted stream: requests to its owner, and reports.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/result.h"
#include "base/ring.h"
#include "s2s/identity.h"
#include "s2s/receive_lane.h"
#include "s2s/stream.h"

namespace sallyport::s2s {

// A key was shown for the pair: ask the authoritative server of `pair.remote` (a new connection,
// XEP-0220 2.1.1 step 2), then call handle_verified.
struct VerifyKey {
  Pair pair;
  std::string stream_id;
  std::string key;
};
// Somebody asks whether this is a key of ours (XEP-0220 2.1.1 step 3), then handle_key_checked.
struct CheckKey {
  Pair pair;  // local: the domain the key would speak for
  std::string stream_id;
  std::string key;
};
// Policy here does not know whether the pair may be proved (StreamPolicy::must_ask): ask the node that knows.
// Where the pair is not proved yet, then handle_admission; of a pair that is `proved`, an answer other than
// yes is told by check_again, once the policy knows it.
struct AskAdmission {
  Pair pair;
  bool proved = false;
};
// The pair is proved; stanzas of it may follow.
struct Admitted {
  PeerProof proof;
};
// The peer may resume the session of this stream by that id (XEP-0198 5), also while the stream seems to
// live.
struct Resumable {
  std::string id;
};
// The peer wants to resume the session with that id, of another stream: then resume or refuse_resume.
struct ResumeAsked {
  std::string previous;
};
// A pair was refused while negotiating; the peer has been told. The stream may live on.
struct PairRefused {
  Pair pair;
  Error error;
};
using InboundOutput = std::variant<StartTls, VerifyKey, CheckKey, AskAdmission, Admitted, PairRefused,
                                   StanzaReceived, StanzaRejected, Resumable, ResumeAsked, Closed>;
using ReceivingOutputs = Ring<InboundOutput>;

}  // namespace sallyport::s2s
