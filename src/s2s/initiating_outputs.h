// The outputs of an initiated stream: requests to its owner, and reports.
#pragma once

#include <string>
#include <variant>

#include "base/result.h"
#include "base/ring.h"
#include "s2s/dialback.h"
#include "s2s/identity.h"
#include "s2s/send_lane.h"
#include "s2s/stream.h"
#include "s2s/stream_management.h"

namespace sallyport::s2s {

// The key for `pair` on the peer's stream `stream_id` is needed; then handle_key.
struct NeedKey {
  Pair pair;
  std::string stream_id;
};
// Stanzas of the pair may be sent.
struct PairReady {
  PeerProof proof;
};
// The pair cannot be used on this stream: the peer refused it, or could not prove itself.
struct PairFailed {
  Pair pair;
  Error error;
};
// The answer to `verify`.
struct Verified {
  Pair pair;
  std::string stream_id;
  Result<VerifyAnswer> answer;
};
using OutboundOutput = std::variant<StartTls, NeedKey, PairReady, PairFailed, Verified, InDoubt, Delivered,
                                    SendEnded, ResumeAnswered, Closed>;
using InitiatingOutputs = Ring<OutboundOutput>;

}  // namespace sallyport::s2s
