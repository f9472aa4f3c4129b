// The initiating side of a stream: we connected to the server of a remote domain, to send stanzas of
// some pairs or to ask about dialback keys (XEP-0220 2.1.1 step 2), or both.
//
// The steps mirror inbound.h. How we prove ourselves is the peer's choice: EXTERNAL if it offers that,
// else dialback. Policy decides what proves the peer: its certificate, or, where rules say dialback,
// that DNS led here. A pure machine, like Inbound; its parts are initiating_negotiation, initiating_dialback
// and session.
//
// Before Closed, every pair that was not ready fails (PairFailed) and every question is answered
// (Verified), so that the owner has nothing to remember; for pairs that were ready Closed says it. A stream
// whose pairs have all failed, and that has no question out, closes itself. A peer that refused our EXTERNAL
// and then ended the stream before dialback was through shows as kSaslRefused: try again without
// `use_external`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "s2s/inbound.h"
#include "s2s/initiating_outputs.h"
#include "s2s/send_lane.h"
#include "s2s/stream_limits.h"

namespace sallyport::s2s {

// What earlier streams to the peer have shown.
struct PeerTraits {
  bool takes_certificate = true;  // false: it refused ours; dialback is used at once
  bool acknowledges = true;       // false: it offers acknowledgements (XEP-0198) and gives none
};

class Outbound {
 public:
  // The header is `from` first.local `to` first.remote. With `authenticate_first` the stream proves `first`
  // for sending; without, it only asks about keys until `add_pair`.
  // `previous`: the session of a stream that broke, to be resumed where the peer offers that.
  Outbound(const StreamPolicy& policy, Pair first, bool authenticate_first, bool direct_tls, Time now,
           PeerTraits traits = {}, std::optional<ResumePoint> previous = std::nullopt);
  ~Outbound();
  Outbound(Outbound&&) noexcept;
  Outbound& operator=(Outbound&&) noexcept;

  // The TCP connection is established: the header goes out, or StartTls for Direct TLS.
  void handle_connected(Time now);
  void handle_bytes(std::string_view bytes, Time now);
  // The same for the front of `bytes`, up to the first output; how many were taken.
  std::size_t handle_some(std::string_view bytes, Time now);
  // The handshake succeeded. A failed one: handle_disconnected with the reason.
  void handle_tls(const TlsFacts& facts, Time now);
  // The answer to NeedKey; `stream_id` as there. An error (policy on the core refuses the pair, the link is
  // lost) fails the pair.
  void handle_key(const Pair& pair, const std::string& stream_id, Result<std::string> key, Time now);
  // The time that poll_timeout named has come; harmless before it.
  void handle_timeout(Time now);
  // The next deadline; unset before the connection and once the stream is closed.
  std::optional<Time> poll_timeout() const;
  // As Inbound's. A connection that could not be established, too.
  void handle_disconnected(std::optional<Error> why = std::nullopt);

  // Another pair with the same remote domain joins, by dialback (several pairs on one stream). May be called
  // at any time before Closed, again for a pair that failed. Its rules are applied against this stream.
  void add_pair(const Pair& pair, Time now);
  // Asks the peer, as authoritative server of `pair.remote`, about a key shown to us.
  void verify(const Pair& pair, const std::string& stream_id, const std::string& key, Time now);
  // Writes a stanza as it stands. False, and nothing written, where the pair is not (or no longer) ready on
  // this stream (it has been closed, or check_again ended the pair), the stream is full, or does not take it.
  bool send(const PeerProof& proof, const xmpp::Stanza& stanza, Time now);
  // Whether the stanza's bytes are within the `max-bytes` that the peer announced (XEP-0478). One that is too
  // large is never sent on this stream; its sender gets kStanzaTooLargeForPeer.
  bool takes(const xmpp::Stanza& stanza) const;
  // More than limits::kWriteQueueBytesMax of its output has not reached the socket, and nothing is sent
  // until less than half of that is left; or the stream is resuming a session.
  bool is_full() const;
  // When the peer has to have acknowledged what was asked last; nothing where nothing is asked. `send` may
  // set it, and then `poll_timeout` is earlier than before.
  std::optional<Time> ack_deadline() const;
  // The peer has acknowledged something on this stream.
  bool has_acknowledged() const;
  // The peer was asked to resume `previous`; ResumeAnswered follows.
  bool is_resuming() const;
  // The socket has taken `total` bytes of the connection, counted from its beginning.
  void handle_written(std::uint64_t total, Time now);
  // Stanzas in doubt up to this InDoubt::mark count as delivered; then Delivered, if there were any.
  void confirm(std::uint64_t mark);
  // Writes an XEP-0199 ping from the pair's local domain to its remote one. Returns the offset at which it
  // ends in the stream's output; nothing where the pair is not proved for sending or the stream is over.
  std::optional<std::uint64_t> ping(const PeerProof& proof, std::string_view id, Time now);
  // The peer has read the output up to `mark`: stanzas that end there or before are delivered.
  void acknowledge_to(std::uint64_t mark);
  // As SendLane's, if the socket has taken all that is in flight; false if it has not.
  bool assume_read();
  // kPings or kWrites, where the peer has no stream management. What the peer does not confirm any more comes
  // into doubt.
  void set_confirmed_by(ConfirmedBy by);
  // kAcks from the time that stream management was asked for, unless the peer refused it.
  ConfirmedBy confirmed_by() const;
  // As SendLane's.
  std::uint64_t bytes_in_flight() const;
  std::uint64_t credit_in_flight() const;
  // Rules changed: pairs that this stream does not satisfy any longer fail.
  void check_again(Time now);
  // As Inbound's.
  void close(std::optional<Error> reason, Time now);

  // As Inbound's.
  std::optional<OutboundOutput> poll();
  bool take_output(std::string& out);
  bool has_output() const;

  Phase phase() const;
  const std::string& stream_id() const;  // the peer's
  // Of the pairs that are ready.
  const std::vector<PeerProof>& proofs() const;
  const std::optional<TlsFacts>& tls() const;
  // As the peer announced them last: before it accepted EXTERNAL, those for a server that it does not know
  // yet.
  const StreamLimits& peer_limits() const;
  // Whether a stanza that was sent is not confirmed yet, by acknowledgements or pings, and may still be.
  bool is_owing() const;
  // Nothing is sent, asked or awaited: it may be closed for idleness.
  bool is_quiet() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::s2s
