#include "s2s/receiving_negotiation.h"

#include <utility>

#include "base/limits.h"
#include "s2s/dialback.h"
#include "s2s/starttls.h"
#include "s2s/stream_limits.h"
#include "s2s/stream_management.h"

namespace sallyport::s2s {

// --- header and features

Result<void> ReceivingNegotiation::check_header(const xmpp::StreamHeader& header) {
  if (!is_version_supported(header.version)) return Error{Code::kStreamVersion, bounded(header.version)};
  Result<xmpp::Domain> to = xmpp::Domain::parse(header.to);
  if (!to) return Error{Code::kStreamHeaderInvalid, bounded("to " + header.to)};
  std::optional<xmpp::Domain> from;
  if (!header.from.empty()) {
    Result<xmpp::Domain> parsed = xmpp::Domain::parse(header.from);
    if (!parsed) return Error{Code::kStreamHeaderInvalid, bounded("from " + header.from)};
    from = *std::move(parsed);
  }
  // The certificate was chosen by the first `to` or by the SNI: it must go on naming that domain.
  if (local_ && *to != *local_) return Error{Code::kStreamHeaderChanged, bounded("to " + header.to)};
  if (remote_ && from && *from != *remote_)
    return Error{Code::kStreamHeaderChanged, bounded("from " + header.from)};
  if (Result<void> good = check_sni(header, *to); !good) return good;
  if (Result<void> served = policy_.serves(*to); !served) return served;
  local_ = *std::move(to);
  if (from) remote_ = std::move(from);
  minimum_tls_ = policy_.minimum_tls(*local_, remote_);
  return {};
}

// XEP-0368: the SNI of Direct TLS is the domain of the header.
Result<void> ReceivingNegotiation::check_sni(const xmpp::StreamHeader& header, const xmpp::Domain& to) const {
  if (!direct_tls_) return {};
  const std::string& shown = stream_.tls()->server_name;
  const Result<xmpp::Domain> sni = xmpp::Domain::parse(shown);
  if (sni && *sni == to) return {};
  return Error{Code::kStreamHeaderChanged, bounded("to " + header.to + ", SNI " + shown)};
}

void ReceivingNegotiation::write_header() {
  stream_.set_id(random_.hex(16));  // RFC 6120 4.7.3: unpredictable; a new one for each header
  stream_.output().open({local_ ? local_->unicode() : std::string(),
                         remote_ ? remote_->unicode() : std::string(), stream_.id(), "en"});
}

void ReceivingNegotiation::offer_features() {
  if (stream_.tls() && external_ != External::kSucceeded && may_offer_external()) {
    external_ = admission_.ask({*local_, *remote_}) ? External::kFeaturesWait : External::kOffered;
  }
  if (external_ != External::kFeaturesWait) write_features();
}

void ReceivingNegotiation::write_features() {
  stream_.write("<stream:features>");
  if (!stream_.tls()) {
    stream_.set_phase(Phase::kFeatures);
    stream_.write(starttls_feature_xml(minimum_tls_));
  } else if (external_ != External::kSucceeded) {
    // Another pair may have been proved by dialback while the features had to wait.
    if (stream_.phase() == Phase::kSecureHeader) stream_.set_phase(Phase::kSecureFeatures);
    if (external_ == External::kOffered) stream_.write(external_feature_xml());
  } else {
    stream_.set_phase(Phase::kReady);
    stream_.raise_limits();
    stream_.write(management_feature_xml());
  }
  // RFC 6120 5.3.1: nothing else is offered where TLS must come first.
  if (!is_tls_missing()) {
    stream_.write(dialback_feature_xml());
    stream_.write(limits_feature_xml());
  }
  stream_.write("</stream:features>");
}

bool ReceivingNegotiation::may_offer_external() const {
  // XEP-0178 3 step 9: only to whom it can succeed.
  return remote_ && certificate_names_domain(*stream_.tls(), *remote_) && policy_.admits({*local_, *remote_});
}

std::optional<Error> ReceivingNegotiation::header_refusal() const {
  if (!local_ || !remote_) return std::nullopt;
  Result<void> admitted = policy_.admits({*local_, *remote_});
  if (admitted) return std::nullopt;
  return std::move(admitted).error();
}

// --- STARTTLS

void ReceivingNegotiation::handle_starttls() {
  if (stream_.phase() != Phase::kFeatures || minimum_tls_ == TlsRule::kNone) {
    // RFC 6120 5.4.2.2: the failure, then the stream ends.
    stream_.write(starttls_xml("failure"));
    return stream_.fail({Code::kStreamOrder, "starttls"});
  }
  if (stream_.something_follows(true)) return stream_.fail({Code::kStreamEarlyBytes, "after <starttls/>"});
  stream_.write(starttls_xml("proceed"));
  stream_.restart();
  stream_.set_phase(Phase::kTls);
  outputs_.push_back(StartTls{*local_, std::nullopt, false});
}

// --- SASL EXTERNAL (RFC 6120 6, XEP-0178 3)

void ReceivingNegotiation::handle_sasl(const xmpp::Element& element) {
  const std::string& name = element.name.local;
  if (stream_.phase() != Phase::kSecureFeatures) return stream_.fail({Code::kStreamOrder, bounded(name)});
  if (name == "abort") return refuse_sasl({"aborted", {Code::kSaslMechanism, "aborted"}});
  if (name != "auth") return stream_.fail({Code::kStreamOrder, bounded(name)});
  if (external_ != External::kOffered)
    return refuse_sasl({"invalid-mechanism", {Code::kSaslMechanism, "not offered"}});
  if (auto refusal = check_external(element, *remote_)) return refuse_sasl(std::move(*refusal));

  const Pair pair{*local_, *remote_};
  const Result<void> admitted = admission_.check(pair);
  if (admitted && stream_.something_follows(false))
    return stream_.fail({Code::kStreamOrder, "after <auth/>"});
  if (admitted && admission_.ask(pair)) {
    external_ = External::kAuthWaits;
    return;
  }
  finish_external(pair, admitted);
}

void ReceivingNegotiation::handle_admission(const Pair& pair, const Result<void>& answer) {
  if (local_ != pair.local || remote_ != pair.remote) return;
  if (external_ == External::kFeaturesWait) {
    // Where the answer did not come, nobody has said no: `auth` asks again.
    const bool offer = answer || is_temporary(answer.error().code);
    external_ = offer ? External::kOffered : External::kNotOffered;
    return write_features();
  }
  if (external_ != External::kAuthWaits) return;
  external_ = External::kOffered;
  // Or another pair was proved by dialback meanwhile.
  const bool in_order = stream_.phase() == Phase::kSecureFeatures;
  finish_external(pair, in_order ? answer : Result<void>(Error{Code::kStreamOrder, "auth"}));
}

void ReceivingNegotiation::finish_external(const Pair& pair, const Result<void>& admitted) {
  if (!admitted) {
    const Error& error = admitted.error();
    admission_.refuse(pair, error);
    return refuse_sasl({is_temporary(error.code) ? "temporary-auth-failure" : "not-authorized", error});
  }
  Result<PeerProof> proof = CertificateIdentity::prove(pair, *stream_.tls(), Method::kExternal);
  if (!proof) return refuse_sasl({"not-authorized", std::move(proof).error()});
  stream_.write(sasl_success_xml());
  external_ = External::kSucceeded;
  stream_.restart();
  admission_.admit(*std::move(proof));
  stream_.set_phase(Phase::kSasl);
}

void ReceivingNegotiation::refuse_sasl(SaslRefusal refusal) {
  stream_.write(sasl_failure_xml(refusal.condition));
  admission_.set_refusal(refusal.error);
  if (++sasl_failures_ >= limits::kSaslAttemptsMax) stream_.fail(std::move(refusal.error));
}

}  // namespace sallyport::s2s
