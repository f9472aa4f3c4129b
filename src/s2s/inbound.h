// The receiving side of a stream (RFC 6120 4-6, XEP-0220, XEP-0178): a peer connected to us.
//
// In order: header, features, STARTTLS (with Direct TLS a stream begins after it), header, features, SASL
// EXTERNAL or dialback, stanzas. Several pairs may join one stream, each with a proof of its own.
// A pure machine: bytes, facts and time in; outputs out. It never sees a socket, and it asks for
// what it does not know with an output that has an answer among the inputs. Its parts are
// receiving_negotiation, receiving_dialback, admission and session.
//
// Refusing. A pair that policy refuses is refused where the peer tries to prove it, not at the header: a peer
// may open a stream only to ask `db:verify` for a local domain, and that is always answered. Such a peer is
// not offered EXTERNAL, and its `db:result` is answered with a dialback error. When nothing is left to wait
// for, the stream is closed limits::kCloseTimeout later, so that a db:verify behind it is still answered and
// a peer that does not know dialback errors (XEP-0220 2.4) does not hang; Closed then has the refusal. An
// unknown target alone closes nothing (XEP-0220 2.2.1). A key that is not valid closes the stream with
// type='invalid'; where other pairs live on it, it is answered with `forbidden` instead, which ends only that
// pair (XEP-0220 2.1.2).
//
// Asking first. Where the policy has to ask about a pair (StreamPolicy::must_ask), the stream waits for the
// answer at the step that would grant something: the features after TLS are held back where they would offer
// EXTERNAL, `auth` and `db:result` are answered afterwards. So a pair that is refused has caused no
// verification.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "s2s/dialback.h"
#include "s2s/handled_count.h"
#include "s2s/identity.h"
#include "s2s/receiving_outputs.h"
#include "s2s/stream.h"
#include "s2s/stream_policy.h"

namespace sallyport::s2s {

class Inbound {
 public:
  // `direct_tls`: the first byte was a TLS handshake record; the owner does that handshake and calls
  // handle_tls first. `policy` and `random` outlive the machine.
  Inbound(const StreamPolicy& policy, Random& random, bool direct_tls, Time now);
  ~Inbound();
  Inbound(Inbound&&) noexcept;
  Inbound& operator=(Inbound&&) noexcept;

  void handle_bytes(std::string_view bytes, Time now);
  // The same for the front of `bytes`, up to the first output; how many were taken.
  std::size_t handle_some(std::string_view bytes, Time now);
  // The handshake succeeded. A failed one: handle_disconnected with the reason.
  void handle_tls(const TlsFacts& facts, Time now);
  // The answer to VerifyKey; `stream_id` as there. A failed verification carries kDialbackUnreachable,
  // kDialbackTimeout or the error of the stream that asked.
  void handle_verified(const Pair& pair, const std::string& stream_id, Result<VerifyAnswer> answer, Time now);
  // The answer to CheckKey; `stream_id` as there. An error is why nobody can say.
  void handle_key_checked(const Pair& pair, const std::string& stream_id, Result<bool> valid, Time now);
  // The answer to AskAdmission. An error that is not of policy is temporary: the peer may try again.
  void handle_admission(const Pair& pair, Result<void> answer, Time now);
  // The time that poll_timeout named has come; harmless before it.
  void handle_timeout(Time now);
  // The next deadline; unset once the stream is closed.
  std::optional<Time> poll_timeout() const;
  // The connection is gone. Closed is then the last output, with `why` or kStreamLost; no byte is written.
  void handle_disconnected(std::optional<Error> why = std::nullopt);

  // Somebody is responsible for the stanza of that StanzaReceived::number, whom the loss of it here does not
  // concern: it is acknowledged (XEP-0198 4).
  void acknowledge(std::uint32_t number);
  // Nobody will be: it stays unacknowledged, and so do those behind it.
  void leave_unacknowledged(std::uint32_t number);
  // Whether a stanza that came is not acknowledged yet, and may still be.
  bool is_owing() const;
  // The owner stops, or goes on, reading the connection. Meanwhile the stream does not count as idle, and the
  // peer hears that we live.
  void hold(bool on);
  // The answer to ResumeAsked: the session goes on here, and all of `count` is handled; or it does not, and
  // `handled` of its stanzas are known to be.
  void resume(const std::string& id, HandledCount count, Time now);
  void refuse_resume(std::optional<std::uint32_t> handled, Time now);
  // The connection has broken: the id and the count of the session, where a later stream may resume it.
  struct Suspended {
    std::string id;
    HandledCount count;
  };
  std::optional<Suspended> suspend();
  // The id that Resumable had, while the session can be resumed; empty otherwise.
  const std::string& resume_id() const;
  // Policy changed: pairs that are no longer admitted end (stream error only if none is left).
  void check_again(Time now);
  // Ends the stream with a stream error, or cleanly with none.
  void close(std::optional<Error> reason, Time now);
  // Ends the stream with the closing handshake: what the peer has under way still comes (RFC 6120 4.4),
  // for `patience`, unless stream management is on, where the peer keeps it. `reason` is for Closed; the peer
  // is not told.
  void close_cleanly(Error reason, Time now, Duration patience = limits::kCloseTimeout);
  // The next output, in order.
  std::optional<InboundOutput> poll();
  // Bytes to write: appended to `out`; true when there were any.
  bool take_output(std::string& out);
  // Whether there are bytes to write.
  bool has_output() const;

  Phase phase() const;
  // Of our last header; empty before the first.
  const std::string& stream_id() const;
  // Of the pairs whose stanzas are accepted.
  const std::vector<PeerProof>& proofs() const;
  // Unset without TLS.
  const std::optional<TlsFacts>& tls() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::s2s
