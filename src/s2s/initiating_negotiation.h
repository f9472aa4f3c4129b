// The negotiation of a stream that we initiate, until the peer has taken our certificate or dialback is left
// (RFC 6120 4-6, XEP-0178): which headers are accepted, STARTTLS, and SASL EXTERNAL.
#pragma once

#include <optional>
#include <utility>

#include "base/result.h"
#include "base/time.h"
#include "s2s/initiating_outputs.h"
#include "s2s/stream_policy.h"

namespace sallyport::s2s {

// The result of negotiation.
struct Negotiated {
  bool authenticated = false;  // by SASL: the header's pair is proved to the peer
  bool dialback = false;       // the peer takes dialback: its header or its features say so (XEP-0220 2.3)
  std::optional<Error> sasl_refusal{};
};

class InitiatingNegotiation {
 public:
  struct Options {
    bool direct_tls = false;       // XEP-0368: the handshake comes before the first header
    bool may_use_external = true;  // false once the peer refused our certificate
  };

  // All of them outlive it. The header is `from` first.local `to` first.remote. The limits that the peer
  // announces go to `lane`.
  InitiatingNegotiation(Stream& stream, const StreamPolicy& policy, SendLane& lane,
                        InitiatingOutputs& outputs, Pair first, Options options)
      : stream_(stream),
        policy_(policy),
        lane_(lane),
        outputs_(outputs),
        first_(std::move(first)),
        options_(options) {}

  // The connection is established: our header, or the handshake of Direct TLS. Ignored when called again.
  void handle_connected(Time now);
  void handle_tls(const TlsFacts& facts, Time now);
  // Writes our header, if there is a connection.
  void write_header();
  // The peer's header (RFC 6120 4.7). A stream error without version 1.0 or a usable id.
  void handle_header(const xmpp::StreamHeader& header);

  // Those that follow return whether negotiation has ended with this element.
  //
  // `prove_first`: EXTERNAL may be used, because stanzas of the header's pair are to be sent and the peer is
  // proved for it: a peer that cannot prove itself learns nothing more from us.
  [[nodiscard]] bool handle_features(const xmpp::Element& features, bool prove_first);
  [[nodiscard]] bool handle_sasl(const xmpp::Element& element);

  // STARTTLS is asked: only its answer may come, to handle_starttls (RFC 6120 5.4.2).
  bool is_tls_asked() const { return tls_asked_ && stream_.phase() == Phase::kFeatures; }
  void handle_starttls(const xmpp::Element& answer);

  bool is_ended() const { return ended_; }
  const Negotiated& result() const { return result_; }
  bool is_connected() const { return connected_at_.has_value(); }
  // When the stream fails unless negotiation has ended, or TLS where that is next. Precondition:
  // is_connected.
  Time deadline() const;

 private:
  void begin_tls();
  bool wants_external(const xmpp::Element& features, bool prove_first) const;
  bool end();

  Stream& stream_;
  const StreamPolicy& policy_;
  SendLane& lane_;
  InitiatingOutputs& outputs_;
  const Pair first_;
  const Options options_;
  std::optional<Time> connected_at_;
  bool tls_asked_ = false;
  bool ended_ = false;
  Negotiated result_;
};

}  // namespace sallyport::s2s
