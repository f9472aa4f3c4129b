// The negotiation of an accepted stream, until a pair is proved or dialback takes over (RFC 6120 4-6,
// XEP-0178): which headers are accepted, what features offer, STARTTLS, and SASL EXTERNAL.
//
// Where the policy has to ask about the header's pair, features that would offer EXTERNAL, and then
// `<auth/>`, wait for the answer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "s2s/admission.h"
#include "s2s/receiving_outputs.h"
#include "s2s/sasl_external.h"
#include "s2s/stream_policy.h"

namespace sallyport::s2s {

class ReceivingNegotiation {
 public:
  // All of them outlive it. `direct_tls`: the connection began with a TLS handshake (XEP-0368).
  ReceivingNegotiation(Stream& stream, const StreamPolicy& policy, Random& random, Admission& admission,
                       ReceivingOutputs& outputs, bool direct_tls)
      : stream_(stream),
        policy_(policy),
        random_(random),
        admission_(admission),
        outputs_(outputs),
        direct_tls_(direct_tls),
        accepted_at_(stream.now()) {}

  void handle_tls(const TlsFacts& facts, Time now) { stream_.handle_tls(facts, direct_tls_, now); }
  // Accepts or refuses the peer's header (RFC 6120 4.7). Errors: kStreamVersion, kStreamHeaderInvalid,
  // kStreamHeaderChanged, and why the policy does not serve its `to`.
  Result<void> check_header(const xmpp::StreamHeader& header);
  // Writes our header, with a new id (RFC 6120 4.7.3).
  void write_header();
  // Follows our header: the features (RFC 6120 4.3.2), unless an answer about the pair must come first.
  void offer_features();
  // The answer about a pair came: features or `<auth/>` that waited for it go on.
  void handle_admission(const Pair& pair, const Result<void>& answer);

  // Where TLS is required and absent, nothing but STARTTLS is allowed (RFC 6120 5.3.1).
  bool is_tls_missing() const { return !stream_.tls() && minimum_tls_ == TlsRule::kRequired; }
  // No element is allowed between `<auth/>` and its answer.
  bool is_auth_waiting() const { return external_ == External::kAuthWaits; }
  void handle_starttls();
  // An element of SASL (RFC 6120 6.4).
  void handle_sasl(const xmpp::Element& element);

  // Why policy refuses the header's pair, where it does.
  std::optional<Error> header_refusal() const;
  // When the connection was accepted: deadlines count from it.
  Time accepted_at() const { return accepted_at_; }

 private:
  enum class External : std::uint8_t {
    kNotOffered,
    kFeaturesWait,  // for the answer about the header's pair
    kOffered,
    kAuthWaits,  // for the same
    kSucceeded,
  };

  Result<void> check_sni(const xmpp::StreamHeader& header, const xmpp::Domain& to) const;
  void write_features();
  bool may_offer_external() const;
  void finish_external(const Pair& pair, const Result<void>& admitted);
  void refuse_sasl(SaslRefusal refusal);

  Stream& stream_;
  const StreamPolicy& policy_;
  Random& random_;
  Admission& admission_;
  ReceivingOutputs& outputs_;
  const bool direct_tls_;
  const Time accepted_at_;
  std::optional<xmpp::Domain> local_;   // the header's `to`: one for the whole connection
  std::optional<xmpp::Domain> remote_;  // the header's `from`, when it had one; a claim, never a proof
  TlsRule minimum_tls_ = TlsRule::kRequired;
  External external_ = External::kNotOffered;
  std::size_t sasl_failures_ = 0;
};

}  // namespace sallyport::s2s
