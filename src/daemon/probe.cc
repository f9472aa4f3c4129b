#include "daemon/probe.h"

#include <fmt/format.h>

#include "base/limits.h"
#include "s2s/sasl_external.h"
#include "xmpp/xml.h"

namespace sallyport::daemon {
namespace {

constexpr gate::ConnId kConn = 2;

constexpr std::string_view kRunOnEdge =
    "Run the check on a running edge, which offers the certificate of a local domain.";
constexpr std::string_view kSeeConnections =
    "Send a message to the domain; `sallyport connections` on the edge then shows whether dialback "
    "succeeded.";

// The remedy where the peer rejects our certificate.
std::string_view refusal_remedy(const OfferedCertificate& offered) {
  const s2s::ExtendedUsage& usage = offered.usage;
  if (!usage.present || usage.client || usage.any) {
    return "Ask the peer's administrator to look at the log of that server: it must trust the authority of "
           "our "
           "certificate.";
  }
  return "The peer probably requires clientAuth: nothing to do if dialback succeeds (see `sallyport "
         "connections`), else use a certificate that also allows clientAuth.";
}

// "max-bytes 262144, idle-seconds 300" (XEP-0478).
std::string limits_of(const xmpp::Element& limits) {
  std::string out = "limits";
  for (const xmpp::Element& limit : limits.children)
    out += fmt::format(" {} {}", limit.name.local, limit.text);
  return out;
}

// "SASL EXTERNAL, dialback, limits max-bytes 262144": the offers of a server, in its own words. They are cut
// at the length that is shown of any peer's string.
std::string offers_of(const xmpp::Element& features) {
  std::string out;
  const auto add = [&out](std::string_view word) {
    if (out.size() < limits::kShownBytesMax) out += fmt::format("{}{}", out.empty() ? "" : ", ", word);
  };
  if (features.child(xmpp::ns::kTls, "starttls") != nullptr) add("STARTTLS");
  if (const xmpp::Element* sasl = features.child(xmpp::ns::kSasl, "mechanisms")) {
    for (const xmpp::Element& mechanism : sasl->children) add("SASL " + mechanism.text);
  }
  if (features.child(xmpp::ns::kDialbackFeature, "dialback") != nullptr) add("dialback");
  for (const xmpp::Element& feature : features.children) {
    const std::string_view space = feature.name.space;
    if (space == xmpp::ns::kTls || space == xmpp::ns::kSasl || space == xmpp::ns::kDialbackFeature) continue;
    add(feature.name.is(xmpp::ns::kLimits, "limits") ? limits_of(feature) : feature.name.space);
  }
  return out.empty() ? "nothing" : out.substr(0, limits::kShownBytesMax);
}

// "not-authorized: Your server's certificate is invalid" from an element with a condition and a text (RFC
// 6120 4.9.2, 6.5).
std::string condition_of(const xmpp::Element& element) {
  std::string condition;
  std::string text;
  for (const xmpp::Element& child : element.children) {
    if (child.name.local == "text") {
      text = child.text;
    } else if (condition.empty()) {
      condition = child.name.local;
    }
  }
  if (!text.empty()) condition += ": " + text;
  return condition.substr(0, limits::kShownBytesMax);
}

}  // namespace

Probe::Probe(ProbeTarget target, CheckSteps& steps, Time deadline)
    : target_(std::move(target)), steps_(steps), deadline_(deadline), direct_(target_.direct_tls) {}

void Probe::handle_accepted(gate::ConnId, const gate::Accepted&, Now) {}
void Probe::handle_link(gate::ConnId, std::size_t, const dns::SocketAddress&, Now) {}
void Probe::handle_written(gate::ConnId, std::uint64_t, Now) {}

void Probe::handle_connected(gate::ConnId, const gate::Connected& connected, Now) {
  steps_.pass(step::kConnection, fmt::format("{} ({})", connected.peer.text(), connected.how));
  direct_ = direct_ || connected.direct_tls;
  if (direct_) {
    begin_tls();
  } else {
    begin_stream(Phase::kHeader);
  }
}

void Probe::handle_dial_failed(gate::ConnId, Error error, Now) {
  fail(step::kConnection, error);
  done_ = true;  // there is no connection to end
  disconnect_ = false;
}

void Probe::handle_disconnected(gate::ConnId, Error error, Now) {
  if (!done_) fail(phase_text(), error);
  done_ = true;
  disconnect_ = false;
}

void Probe::begin_stream(Phase header) {
  phase_ = header;
  stream_.emplace(xmpp::ParseLimits::unauthenticated());
  std::string addresses;
  const auto add = [&addresses](std::string_view name, const xmpp::Domain& domain) {
    addresses += fmt::format(" {}='", name);
    xmpp::append_escaped_attribute(addresses, domain.unicode());
    addresses += "'";
  };
  if (target_.own) add("from", *target_.own);
  add("to", target_.name);
  out_ += fmt::format(
      "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' xmlns:db='{}'{} version='1.0'>",
      xmpp::ns::kServer, xmpp::ns::kStreams, xmpp::ns::kDialback, addresses);
}

void Probe::begin_tls() { phase_ = Phase::kTls; }

void Probe::handle_bytes(gate::ConnId, std::string_view bytes, Now) {
  if (!stream_ || done_) return;
  stream_->handle_bytes(bytes);
  while (stream_ && !done_) {
    const auto event = stream_->poll();
    if (!event) return;
    if (!event->has_value()) return fail(phase_text(), event->error());
    handle_event(**event);
  }
}

void Probe::handle_event(const xmpp::StreamEvent& event) {
  if (const auto* header = std::get_if<xmpp::StreamHeader>(&event)) {
    handle_header(*header);
  } else if (const auto* element = std::get_if<xmpp::Element>(&event)) {
    handle_element(*element);
  } else if (std::holds_alternative<xmpp::StreamFooter>(event)) {
    fail(phase_text(), {Code::kStreamClosedByPeer, ""});
  }
}

void Probe::handle_header(const xmpp::StreamHeader& header) {
  if (header.version.empty())
    return fail(step::kStreamHeader, {Code::kStreamVersion, "The header has no version."});
  dialback_spoken_ = header.dialback;  // XEP-0220 2.3.1
  if (phase_ == Phase::kHeader) phase_ = Phase::kFeatures;
  if (phase_ == Phase::kSecureHeader) phase_ = Phase::kSecureFeatures;
  if (phase_ == Phase::kSessionHeader) phase_ = Phase::kSessionFeatures;
}

void Probe::handle_element(const xmpp::Element& element) {
  if (element.name.is(xmpp::ns::kStreams, "error")) {
    return fail(phase_text(), {Code::kStreamErrorByPeer, condition_of(element)});
  }
  if (element.name.is(xmpp::ns::kStreams, "features")) return handle_features(element);
  if (element.name.is(xmpp::ns::kTls, "proceed") && phase_ == Phase::kProceed) {
    stream_.reset();
    return begin_tls();
  }
  if (element.name.is(xmpp::ns::kTls, "failure"))
    return fail(step::kStartTls, {Code::kTlsHandshake, "The server refused STARTTLS."});
  if (phase_ == Phase::kAuth) handle_auth_answer(element);
}

void Probe::handle_features(const xmpp::Element& features) {
  switch (phase_) {
    case Phase::kFeatures:
      steps_.pass(step::kFeatures, offers_of(features));
      return ask_for_tls(features);
    case Phase::kSecureFeatures:
      steps_.pass(step::kFeaturesAfterTls, offers_of(features));
      return prove_ourselves(features);
    case Phase::kSessionFeatures:
      steps_.pass(step::kSession, "open; the server offers " + offers_of(features));
      return finish();
    default:
      return;
  }
}

void Probe::ask_for_tls(const xmpp::Element& features) {
  if (features.child(xmpp::ns::kTls, "starttls") != nullptr) {
    phase_ = Phase::kProceed;
    out_ += fmt::format("<starttls xmlns='{}'/>", xmpp::ns::kTls);
    return;
  }
  if (!target_.rules || target_.rules->tls == policy::TlsRule::kRequired)
    return fail(step::kStartTls, {Code::kTlsRequired, "The server does not offer STARTTLS."});
  steps_.warn(step::kStartTls, "The server does not offer STARTTLS, and its [[peer]] row makes TLS optional.",
              "Ask its administrator to enable TLS, then remove `tls` from the row.");
  finish();
}

// As an edge does: EXTERNAL where the peer offers it and has proved its domain, else dialback.
void Probe::prove_ourselves(const xmpp::Element& features) {
  const bool dialback = dialback_spoken_ || features.child(xmpp::ns::kDialbackFeature, "dialback") != nullptr;
  dialback_spoken_ = dialback;
  const bool external = s2s::is_external_offered(features);
  if (external && target_.offered && certificate_shown_) {
    if (!peer_is_proved_ &&
        !(target_.rules && target_.rules->authenticate == policy::Authenticate::kDialback))
      return finish();  // the failed step is reported, and an edge would end here
    phase_ = Phase::kAuth;
    out_ += s2s::external_auth_xml(*target_.own);
    return;
  }
  if (external && !certificate_shown_) {
    steps_.warn(step::kOurProof, "The server offers EXTERNAL, but no certificate of ours was shown.",
                kRunOnEdge);
  } else if (dialback) {
    steps_.warn(step::kOurProof,
                "The server does not offer EXTERNAL to us, so our domain needs dialback, which a check does "
                "not carry "
                "out.",
                kSeeConnections);
  } else if (!target_.offered) {
    steps_.warn(step::kOurProof, Error{Code::kStreamNoOffer, {}}, kRunOnEdge);
  } else {
    steps_.fail(step::kOurProof, {Code::kStreamNoOffer, {}});
  }
  finish();
}

void Probe::handle_auth_answer(const xmpp::Element& element) {
  if (element.name.is(xmpp::ns::kSasl, "success")) {
    steps_.pass(step::kOurProof, fmt::format("SASL EXTERNAL as {}", target_.own->ascii()));
    return begin_stream(Phase::kSessionHeader);
  }
  if (!element.name.is(xmpp::ns::kSasl, "failure")) return;
  const Error error{Code::kSaslRefused, condition_of(element)};
  const std::string_view remedy = refusal_remedy(*target_.offered);
  if (dialback_spoken_) {
    steps_.warn(step::kOurProof, error, remedy);
  } else {
    steps_.fail(step::kOurProof, error, remedy);
  }
  finish();
}

void Probe::handle_tls(gate::ConnId, Result<s2s::TlsFacts> facts, Now now) {
  if (!facts) return fail(step::kTls, facts.error());
  tls_ = true;
  certificate_shown_ = !facts->own_certificate.empty();
  steps_.pass(step::kTls, fmt::format("{} {}{}", facts->version, facts->cipher, direct_ ? ", direct" : ""));
  if (target_.offered) check_own_certificate(*target_.offered, *facts, now.civil, steps_);
  // Continues even with a bad certificate, to report the server's offers.
  peer_is_proved_ = check_peer_certificate(*facts, target_.name, target_.rules, now.civil, steps_);
  begin_stream(Phase::kSecureHeader);
}

void Probe::handle_timeout(Now now) {
  if (!done_ && now.mono >= deadline_) fail(phase_text(), {Code::kStreamNegotiationTimeout, ""});
}

std::optional<Time> Probe::poll_timeout() const {
  return done_ ? std::nullopt : std::optional<Time>(deadline_);
}

std::optional<gate::Output> Probe::poll() {
  if (dial_) {
    dial_ = false;
    return gate::Dial{kConn, target_.plan};
  }
  if (disconnect_) {
    disconnect_ = false;
    return gate::Disconnect{kConn};
  }
  if (done_) return std::nullopt;
  if (phase_ == Phase::kTls && !stream_ && !begun_tls_) {
    begun_tls_ = true;
    return gate::BeginTls{kConn, false, target_.own.value_or(target_.name), target_.name.ascii(), direct_};
  }
  if (!out_.empty() && !flushed_) {
    flushed_ = true;
    return gate::Flush{kConn};
  }
  return std::nullopt;
}

bool Probe::take_output(gate::ConnId, std::string& out, Now) {
  flushed_ = false;
  if (out_.empty()) return false;
  out.swap(out_);
  return true;
}

std::string Probe::control(std::string_view, Now) { return "{}"; }

void Probe::drain(Now) { finish(); }

// Whether the error means that the peer requires a certificate (RFC 6120 4.9.3.12). A server that requires
// one in TLS 1.3 sends the alert certificate_required (RFC 8446 6.2) after our side of the handshake and
// closes the connection, so the alert may be lost.
bool Probe::wants_our_certificate(const Error& error) const {
  if (target_.offered || !tls_) return false;
  return (error.code == Code::kStreamErrorByPeer && error.text.starts_with("not-authorized")) ||
         error.text.find("certificate required") != std::string::npos ||
         (error.code == Code::kStreamLost && phase_ == Phase::kSecureHeader);
}

// In TLS 1.3 a server's alert about our certificate arrives after our side of the handshake (RFC
// 8446 4.4.2.4, 6.2).
bool Probe::refuses_our_certificate(const Error& error) const {
  if (!target_.offered || !certificate_shown_ || phase_ != Phase::kSecureHeader) return false;
  const bool is_alert = error.code == Code::kStreamLost && error.text.find(" alert ") != std::string::npos;
  return is_alert && (error.text.find("certificate") != std::string::npos ||
                      error.text.find("unknown ca") != std::string::npos);
}

void Probe::fail(std::string_view what, const Error& error) {
  if (wants_our_certificate(error)) {
    steps_.warn(step::kOurProof, error, kRunOnEdge);
  } else if (refuses_our_certificate(error)) {
    steps_.fail(step::kOurProof, {Code::kSaslRefused, error.text}, refusal_remedy(*target_.offered));
  } else {
    steps_.fail(what, error);
  }
  finish();
}

void Probe::finish() {
  if (done_) return;
  if (stream_) out_ += "</stream:stream>";
  done_ = true;
  disconnect_ = phase_ != Phase::kDialling;
}

std::string_view Probe::phase_text() const {
  switch (phase_) {
    case Phase::kDialling:
      return step::kConnection;
    case Phase::kHeader:
    case Phase::kSecureHeader:
      return step::kStreamHeader;
    case Phase::kFeatures:
      return step::kFeatures;
    case Phase::kSecureFeatures:
      return step::kFeaturesAfterTls;
    case Phase::kProceed:
      return step::kStartTls;
    case Phase::kTls:
      return step::kTls;
    case Phase::kAuth:
      return step::kOurProof;
    case Phase::kSessionHeader:
    case Phase::kSessionFeatures:
      return step::kSession;
  }
  return step::kConnection;
}

}  // namespace sallyport::daemon
