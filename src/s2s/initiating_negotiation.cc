#include "s2s/initiating_negotiation.h"

#include <utility>

#include "base/limits.h"
#include "s2s/sasl_external.h"
#include "s2s/starttls.h"
#include "s2s/stream_limits.h"

namespace sallyport::s2s {

// --- headers

void InitiatingNegotiation::handle_connected(Time now) {
  if (connected_at_ || stream_.is_over()) return;
  stream_.set_moved(now);
  connected_at_ = now;
  if (!options_.direct_tls) return write_header();
  stream_.set_phase(Phase::kTls);
  outputs_.push_back(StartTls{first_.local, first_.remote, true});
}

void InitiatingNegotiation::write_header() {
  // No `xml:lang`: stanzas that pass through keep theirs, or none (RFC 6120 4.7.4).
  if (connected_at_) stream_.output().open({first_.local.unicode(), first_.remote.unicode(), {}, {}});
}

void InitiatingNegotiation::handle_tls(const TlsFacts& facts, Time now) {
  if (stream_.handle_tls(facts, options_.direct_tls, now)) write_header();
}

void InitiatingNegotiation::handle_header(const xmpp::StreamHeader& header) {
  if (!is_version_supported(header.version))
    return stream_.fail({Code::kStreamVersion, bounded(header.version)});
  if (header.id.empty() || header.id.size() > limits::kStreamIdBytesMax)
    return stream_.fail({Code::kStreamHeaderInvalid, bounded("id " + header.id)});
  stream_.set_id(header.id);
  result_.dialback = header.dialback;  // XEP-0220 2.3.1
  if (stream_.phase() == Phase::kHeader) stream_.set_phase(Phase::kFeatures);
  if (stream_.phase() == Phase::kSecureHeader) stream_.set_phase(Phase::kSecureFeatures);
}

// --- features and STARTTLS (RFC 6120 4.3.2, 5)

bool InitiatingNegotiation::handle_features(const xmpp::Element& features, bool prove_first) {
  lane_.set_peer_limits(stream_limits(features));
  if (ended_) return false;  // features may be sent again; nothing is left to negotiate
  if (stream_.phase() == Phase::kFeatures) {
    if (tls_asked_) {
      stream_.fail_order("features");
      return false;
    }
    const StarttlsOffer offer = starttls_offer(features);
    const TlsRule rule = policy_.rules(first_).tls;
    if (offer.offered && (rule != TlsRule::kNone || offer.required)) {
      tls_asked_ = true;
      stream_.write(starttls_xml("starttls"));
      return false;
    }
    if (rule == TlsRule::kRequired) {
      stream_.fail({Code::kTlsRequired, "STARTTLS is not offered"});
      return false;
    }
  }
  if (stream_.phase() == Phase::kSasl && !result_.authenticated) {
    stream_.fail_order("features");
    return false;
  }
  if (features.child(xmpp::ns::kDialbackFeature, "dialback") != nullptr) result_.dialback = true;
  if (result_.authenticated || !wants_external(features, prove_first)) return end();
  stream_.set_phase(Phase::kSasl);
  stream_.write(external_auth_xml(first_.local));
  return false;
}

void InitiatingNegotiation::handle_starttls(const xmpp::Element& answer) {
  if (is_starttls(answer, "proceed")) return begin_tls();
  if (is_starttls(answer, "failure")) return stream_.fail({Code::kTlsHandshake, "the peer refuses STARTTLS"});
  stream_.fail_order(answer.name.local);
}

void InitiatingNegotiation::begin_tls() {
  // Nothing that came in plain text may be taken for what TLS protects (THREATS B7).
  if (stream_.something_follows(true)) return stream_.fail({Code::kStreamEarlyBytes, "after <proceed/>"});
  stream_.restart();
  stream_.set_phase(Phase::kTls);
  outputs_.push_back(StartTls{first_.local, first_.remote, false});
}

// --- SASL EXTERNAL (RFC 6120 6, XEP-0178 3)

bool InitiatingNegotiation::wants_external(const xmpp::Element& features, bool prove_first) const {
  if (!stream_.tls() || !prove_first || !is_external_offered(features)) return false;
  if (!options_.may_use_external || !policy_.rules(first_).use_external) return false;
  const Result<xmpp::Domain> shown = xmpp::Domain::parse(stream_.tls()->own_certificate);
  return shown && *shown == first_.local;
}

bool InitiatingNegotiation::handle_sasl(const xmpp::Element& element) {
  const std::string& name = element.name.local;
  const bool expected =
      stream_.phase() == Phase::kSasl && !result_.authenticated && (name == "success" || name == "failure");
  if (!expected) {
    stream_.fail_order(name);
    return false;
  }
  if (name == "success") {
    if (stream_.something_follows(false)) {
      stream_.fail_order("bytes after <success/>");
      return false;
    }
    result_.authenticated = true;
    stream_.restart();
    write_header();
    return false;
  }
  // Dialback may still do (XEP-0178 leaves the stream open); ejabberd ends the stream, see Outbound's
  // handle_end.
  result_.sasl_refusal = Error{Code::kSaslRefused, peer_condition(element, xmpp::ns::kSasl)};
  return end();
}

bool InitiatingNegotiation::end() {
  ended_ = true;
  stream_.set_phase(Phase::kReady);
  return true;
}

Time InitiatingNegotiation::deadline() const {
  const bool tls_awaited = !stream_.tls() && (stream_.phase() != Phase::kFeatures || tls_asked_);
  return *connected_at_ +
         (tls_awaited ? Duration(limits::kTlsTimeout) : Duration(limits::kNegotiationTimeout));
}

}  // namespace sallyport::s2s
