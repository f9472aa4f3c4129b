// The receiving side of a stream (RFC 6120 4-6, XEP-0220, XEP-0178): somebody connected to us.
//
// The ladder: header, features, STARTTLS, (Direct TLS starts on the third rung), header, features,
// SASL EXTERNAL or dialback, stanzas. Several pairs may join one stream, each with a proof of its own.
// A pure machine: bytes, facts and time in; outputs out. It never sees a socket, and what it does not
// know it asks for with an output that has an answer among the inputs.
//
// Refusing. A pair that policy refuses is refused where the peer tries to prove it, not at the header:
// whoever opens a stream may only want to ask `db:verify` for a local domain, and that is always answered. So
// such a peer is not offered EXTERNAL, and its `db:result` is answered with a dialback error. When nothing is
// left to wait for, the stream is closed limits::kCloseTimeout later, so that a db:verify behind it is still
// answered and a peer that does not know dialback errors (XEP-0220 2.4) does not hang; Closed then has the
// refusal. An unknown target alone closes nothing (XEP-0220 2.2.1). A key that is not valid closes the stream
// with type='invalid'; where other pairs live on it, it is answered with `forbidden` instead, which ends only
// that pair (XEP-0220 2.1.2).
//
// Asking first. Where the judge has to ask about a pair (Judge::must_ask), the stream waits for the answer at
// the step that would grant something: the features after TLS are held back where they would offer EXTERNAL,
// `auth` and `db:result` are answered afterwards. So a pair that is refused has caused no verification.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "s2s/dialback.h"
#include "s2s/identity.h"
#include "s2s/judge.h"
#include "s2s/stream.h"
#include "xmpp/xml_stream.h"

namespace sallyport::s2s {

// --- what an accepted stream asks of its owner

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
// Policy here does not know whether the pair may be proved (Judge::must_ask): ask who knows. Where the pair
// is not proved yet, then handle_admission; of a pair that is `proved`, an answer other than yes is told by
// judge_again, once the judge knows it.
struct AskAdmission {
  Pair pair;
  bool proved = false;
};
// The pair is proved; stanzas of it may follow.
struct Admitted {
  PeerProof proof;
};
// A pair was refused while negotiating; the peer has been told. The stream may live on.
struct PairRefused {
  Pair pair;
  Error error;
};
struct StanzaReceived {
  StanzaReceived(PeerProof by, xmpp::Stanza what) : proof(std::move(by)), stanza(std::move(what)) {}
  PeerProof proof;
  xmpp::Stanza stanza;
};
// A stanza of a proved pair that cannot be moved: it is no stanza from or for anybody, or judge_again ended
// its pair while others live on this stream. To be answered with stanza.error, where its sender can be, and
// never on this stream.
struct StanzaRejected {
  PeerProof proof;
  xmpp::BadStanza stanza;
};
using InboundOutput = std::variant<StartTls, VerifyKey, CheckKey, AskAdmission, Admitted, PairRefused,
                                   StanzaReceived, StanzaRejected, Closed>;

class Inbound {
 public:
  // `direct_tls`: the first byte was a TLS handshake record; the owner does that handshake and calls
  // handle_tls first. `judge` and `random` outlive the machine.
  Inbound(const Judge& judge, Random& random, bool direct_tls, Time now);
  ~Inbound();
  Inbound(Inbound&&) noexcept;
  Inbound& operator=(Inbound&&) noexcept;

  void handle_bytes(std::string_view bytes, Time now);
  // The same for the front of `bytes`, up to the first output; how many were taken.
  std::size_t handle_some(std::string_view bytes, Time now);
  // The handshake succeeded. A failed one: handle_disconnected with the reason.
  void handle_tls(const TlsFacts& facts, Time now);
  // A failed verification carries kDialbackUnreachable, kDialbackTimeout or whatever the leg said.
  void handle_verified(const Pair& pair, const std::string& stream_id, Result<VerifyAnswer> answer, Time now);
  void handle_key_checked(const Pair& pair, const std::string& stream_id, Result<bool> valid, Time now);
  // An error that is not of policy is temporary: the peer may try again.
  void handle_admission(const Pair& pair, Result<void> answer, Time now);
  void handle_timeout(Time now);
  std::optional<Time> poll_timeout() const;
  // The connection is gone. Closed is then the last output, with `why` or kStreamLost; no byte is written.
  void handle_disconnected(std::optional<Error> why = std::nullopt);

  // Policy changed: pairs that are no longer admitted end (stream error only if none is left).
  void judge_again(Time now);
  // Ends the stream with a stream error, or cleanly with none.
  void close(std::optional<Error> reason, Time now);
  std::optional<InboundOutput> poll();
  // Bytes to write: appended to `out`; true when there were any.
  bool take_output(std::string& out);
  bool has_output() const;

  Phase phase() const;
  const std::string& stream_id() const;
  const std::vector<PeerProof>& proofs() const;
  const std::optional<TlsFacts>& tls() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::s2s
