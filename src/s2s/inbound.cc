#include "s2s/inbound.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/limits.h"
#include "base/ring.h"
#include "s2s/pending_requests.h"
#include "s2s/sasl_external.h"
#include "s2s/starttls.h"
#include "s2s/stream_limits.h"

namespace sallyport::s2s {

class Inbound::Impl final : public StreamMachine {
 public:
  Impl(const Judge& judge, Random& random, bool direct_tls, Time now)
      : StreamMachine(direct_tls ? Phase::kTls : Phase::kHeader, now),
        judge_(judge),
        random_(random),
        direct_tls_(direct_tls),
        accepted_at_(now) {}

  void handle_tls(const TlsFacts& facts, Time now);
  void handle_verified(const Pair& pair, const std::string& id, Result<VerifyAnswer> answer, Time now);
  void handle_key_checked(const Pair& pair, const std::string& id, Result<bool> valid, Time now);
  void handle_admission(const Pair& pair, Result<void> answer, Time now);
  void handle_timeout(Time now);
  std::optional<Time> poll_timeout() const;
  void judge_again(Time now);

  std::optional<InboundOutput> poll() {
    if (outputs_.empty()) return std::nullopt;
    std::optional<InboundOutput> output(std::move(outputs_.front()));
    outputs_.drop_front();
    return output;
  }

 private:
  // A proved pair that policy has ended, while others live on.
  struct Ended {
    PeerProof proof;
    Error error;
  };

  void handle_header(const xmpp::StreamHeader& header) override;
  void handle_element(const xmpp::Element& element) override;
  void handle_stanza(xmpp::Stanza stanza) override;
  void handle_bad_stanza(xmpp::BadStanza stanza) override;
  void write_header() override;
  void handle_end(std::optional<Error> error) override;
  bool has_outputs() const override { return !outputs_.empty(); }

  Result<void> judge_header(const xmpp::StreamHeader& header);
  void write_features();
  bool may_offer_external() const;
  void accept_starttls();
  void handle_sasl(const xmpp::Element& element);
  void finish_external(const Pair& pair, Result<void> admitted);
  void refuse_sasl(SaslRefusal refusal);
  void handle_dialback(const xmpp::Element& element);
  void handle_result(DialbackElement request);
  void prove_result(DialbackElement request);
  void handle_verify(DialbackElement request);

  Result<void> judge_pair(const Pair& pair) const;
  Result<void> judge_proof(const PeerProof& proof) const;
  Error judge_stray(const xmpp::Domain& from, const xmpp::Domain& to) const;
  bool asks_about(const Pair& pair);
  void admit(PeerProof proof);
  void refuse(const DialbackElement& request, Error error);
  void answer_invalid(const DialbackElement& request);
  void linger_if_idle();
  bool is_tls_awaited() const;
  bool is_negotiating() const { return proofs_.empty() || phase_ == Phase::kSasl; }
  void expire_questions();
  static Pair pair_of(const DialbackElement& request) { return PendingRequests::pair_of(request); }

  const Judge& judge_;
  Random& random_;
  const bool direct_tls_;
  const Time accepted_at_;

  std::optional<xmpp::Domain> local_;   // the header's `to`: one for the whole connection
  std::optional<xmpp::Domain> remote_;  // the header's `from`, when it had one; a claim, never a proof
  TlsRule floor_ = TlsRule::kRequired;
  bool external_offered_ = false;
  bool features_wait_ = false;  // for the answer about the header's pair
  bool auth_waits_ = false;     // for the same
  bool authenticated_ = false;  // by SASL
  std::size_t sasl_failures_ = 0;
  bool was_asked_ = false;      // db:verify came: the stream has been of use without a proof
  PendingRequests asking_;      // `db:result` that wait for the answer about their pair
  std::set<Pair> asked_about_;  // not answered yet
  PendingRequests verifying_;
  PendingRequests checking_;
  std::vector<Ended> ended_;
  std::optional<Error> refusal_;  // of the last pair that the peer tried
  std::optional<Time> linger_until_;
  Ring<InboundOutput> outputs_;
};

// --- header and features

void Inbound::Impl::handle_tls(const TlsFacts& facts, Time now) {
  if (phase_ != Phase::kTls) return;
  now_ = last_moved_ = now;
  tls_ = facts;
  phase_ = Phase::kSecureHeader;
  if (direct_tls_ && !facts.alpn.empty() && facts.alpn != "xmpp-server") {
    return fail({Code::kTlsAlpn, bounded(facts.alpn)});
  }
}

void Inbound::Impl::handle_header(const xmpp::StreamHeader& header) {
  if (Result<void> good = judge_header(header); !good) return fail(std::move(good).error());
  floor_ = judge_.tls_floor(*local_, remote_);
  write_header();
  if (tls_ && !authenticated_ && may_offer_external()) {
    features_wait_ = asks_about({*local_, *remote_});
    external_offered_ = !features_wait_;
  }
  if (!features_wait_) write_features();
}

Result<void> Inbound::Impl::judge_header(const xmpp::StreamHeader& header) {
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
  if (direct_tls_) {
    const Result<xmpp::Domain> sni = xmpp::Domain::parse(tls_->server_name);
    if (!sni || *sni != *to) {
      return Error{Code::kStreamHeaderChanged, bounded("to " + header.to + ", SNI " + tls_->server_name)};
    }
  }
  if (Result<void> served = judge_.serves(*to); !served) return served;
  local_ = *std::move(to);
  if (from) remote_ = std::move(from);
  return {};
}

void Inbound::Impl::write_header() {
  asking_.clear();               // requests of the stream before a restart, as in handle_verified
  stream_id_ = random_.hex(16);  // RFC 6120 4.7.3: unpredictable; a new one for each header
  open({local_ ? local_->unicode() : std::string(), remote_ ? remote_->unicode() : std::string(), stream_id_,
        "en"});
}

void Inbound::Impl::write_features() {
  write("<stream:features>");
  if (!tls_) {
    phase_ = Phase::kFeatures;
    write(starttls_feature_xml(floor_));
  } else if (!authenticated_) {
    // Another pair may have been proved by dialback while the features had to wait.
    if (phase_ == Phase::kSecureHeader) phase_ = Phase::kSecureFeatures;
    if (external_offered_) write(external_feature_xml());
  } else {
    phase_ = Phase::kReady;
    parser_->raise_limits(xmpp::ParseLimits::authenticated());
  }
  // RFC 6120 5.3.1: nothing else is offered where TLS must come first.
  if (tls_ || floor_ != TlsRule::kRequired) {
    write(dialback_feature_xml());
    write(limits_feature_xml());
  }
  write("</stream:features>");
}

bool Inbound::Impl::may_offer_external() const {
  // XEP-0178 3 step 9: only to whom it can succeed.
  return remote_ && certificate_names_domain(*tls_, *remote_) && judge_.admits({*local_, *remote_});
}

// --- what the peer asks while negotiating

void Inbound::Impl::handle_element(const xmpp::Element& element) {
  if (auth_waits_) return fail({Code::kStreamOrder, "after <auth/>"});
  if (is_starttls(element, "starttls")) return accept_starttls();
  if (!tls_ && floor_ == TlsRule::kRequired) return fail({Code::kTlsRequired, bounded(element.name.local)});
  if (element.name.space == xmpp::ns::kSasl) return handle_sasl(element);
  if (element.name.space == xmpp::ns::kDialback) return handle_dialback(element);
  fail({Code::kStanzaUnknown, bounded(element.name.local)});
}

void Inbound::Impl::accept_starttls() {
  if (phase_ != Phase::kFeatures || floor_ == TlsRule::kNone) {
    // RFC 6120 5.4.2.2: the failure, then the stream ends.
    write(starttls_xml("failure"));
    return fail({Code::kStreamOrder, "starttls"});
  }
  if (something_follows(true)) return fail({Code::kStreamEarlyBytes, "after <starttls/>"});
  write(starttls_xml("proceed"));
  restart();
  phase_ = Phase::kTls;
  outputs_.push_back(StartTls{*local_, std::nullopt, false});
}

void Inbound::Impl::handle_sasl(const xmpp::Element& element) {
  if (phase_ != Phase::kSecureFeatures) return fail({Code::kStreamOrder, bounded(element.name.local)});
  if (element.name.local == "abort") return refuse_sasl({"aborted", {Code::kSaslMechanism, "aborted"}});
  if (element.name.local != "auth") return fail({Code::kStreamOrder, bounded(element.name.local)});
  if (!external_offered_) return refuse_sasl({"invalid-mechanism", {Code::kSaslMechanism, "not offered"}});
  if (auto refusal = judge_external(element, *remote_)) return refuse_sasl(std::move(*refusal));

  const Pair pair{*local_, *remote_};
  Result<void> admitted = judge_pair(pair);
  if (admitted && something_follows(false)) return fail({Code::kStreamOrder, "after <auth/>"});
  auth_waits_ = admitted && asks_about(pair);
  if (!auth_waits_) finish_external(pair, std::move(admitted));
}

void Inbound::Impl::finish_external(const Pair& pair, Result<void> admitted) {
  if (!admitted) {
    outputs_.push_back(PairRefused{pair, admitted.error()});
    return refuse_sasl({is_temporary(admitted.error().code) ? "temporary-auth-failure" : "not-authorized",
                        admitted.error()});
  }
  Result<PeerProof> proof = CertificateIdentity::prove(pair, *tls_, Method::kExternal);
  if (!proof) return refuse_sasl({"not-authorized", std::move(proof).error()});
  write(sasl_success_xml());
  authenticated_ = true;
  restart();
  admit(*std::move(proof));
  phase_ = Phase::kSasl;
}

void Inbound::Impl::refuse_sasl(SaslRefusal refusal) {
  write(sasl_failure_xml(refusal.condition));
  refusal_ = std::move(refusal.error);
  if (++sasl_failures_ >= limits::kSaslAttemptsMax) fail(*refusal_);
}

// --- dialback (XEP-0220)

void Inbound::Impl::handle_dialback(const xmpp::Element& element) {
  Result<DialbackElement> request = DialbackElement::parse(element);
  if (!request) return fail(std::move(request).error());
  if (request->type != DialbackElement::Type::kRequest) {
    // Nothing is ever asked on this stream, so nothing can be answered (CVE-2012-3525).
    return fail({Code::kDialbackUnsolicited, bounded(request->xml())});
  }
  if (request->kind == DialbackElement::Kind::kVerify) return handle_verify(*std::move(request));
  handle_result(*std::move(request));
}

void Inbound::Impl::handle_result(DialbackElement request) {
  const Pair pair = pair_of(request);
  linger_until_.reset();
  if (Result<void> good = judge_pair(pair); !good) return refuse(request, std::move(good).error());
  if (std::ranges::find(proofs_, pair, &PeerProof::pair) != proofs_.end()) {
    return write(dialback_answer(request, DialbackElement::Type::kValid).xml());
  }
  // One answer will do for both.
  if (verifying_.find(pair) != nullptr || asking_.find(pair) != nullptr) return;
  if (proofs_.size() + ended_.size() + verifying_.size() + asking_.size() >= limits::kPairsPerStreamMax) {
    return refuse(request, {Code::kDialbackTooMany, "pairs"});
  }
  if (!judge_.must_ask(pair)) return prove_result(std::move(request));
  if (asking_.size() >= limits::kVerificationsPerStreamMax) {
    return refuse(request, {Code::kDialbackTooMany, "admissions"});
  }
  asks_about(pair);
  asking_.add(std::move(request), now_ + limits::kDialbackTimeout);
}

// Of a pair that is admitted.
void Inbound::Impl::prove_result(DialbackElement request) {
  const Pair pair = pair_of(request);
  if (tls_) {
    // XEP-0344 2.2: the key need not be verified where a certificate speaks for this very domain
    // (CVE-2021-32919).
    Result<PeerProof> proof = CertificateIdentity::prove(pair, *tls_, Method::kDialbackCertificate);
    if (proof) {
      write(dialback_answer(request, DialbackElement::Type::kValid).xml());
      return admit(*std::move(proof));
    }
  }
  if (verifying_.size() >= limits::kVerificationsPerStreamMax) {
    return refuse(request, {Code::kDialbackTooMany, "verifications"});
  }
  outputs_.push_back(VerifyKey{pair, stream_id_, request.key});
  verifying_.add(std::move(request), now_ + limits::kDialbackTimeout);
}

void Inbound::Impl::handle_verified(const Pair& pair, const std::string& id, Result<VerifyAnswer> answer,
                                    Time now) {
  if (is_over() || id != stream_id_) return;
  now_ = now;
  const std::optional<DialbackElement> pending = verifying_.take(pair);
  if (!pending) return;  // XEP-0220 2.1.2: dropped silently
  const DialbackElement& request = *pending;
  if (!answer) return refuse(request, std::move(answer).error());
  if (!answer->valid) return answer_invalid(request);
  // Policy may have changed while the question was out.
  if (Result<void> good = judge_pair(pair); !good) return refuse(request, std::move(good).error());
  const bool certificate_required = judge_.rules(pair).authenticate == Authenticate::kCertificate;
  Result<PeerProof> proof = DialbackIdentity::prove(pair, *answer, certificate_required);
  if (!proof) return refuse(request, std::move(proof).error());
  write(dialback_answer(request, DialbackElement::Type::kValid).xml());
  admit(*std::move(proof));
}

void Inbound::Impl::answer_invalid(const DialbackElement& request) {
  Error error{Code::kDialbackInvalid, {}};
  if (!proofs_.empty()) return refuse(request, std::move(error));
  write(dialback_answer(request, DialbackElement::Type::kInvalid).xml());
  outputs_.push_back(PairRefused{pair_of(request), error});
  begin_close(std::move(error));
}

void Inbound::Impl::handle_verify(DialbackElement request) {
  const Pair pair = pair_of(request);
  if (Result<void> served = judge_.serves(pair.local); !served) {
    return write(dialback_error(request, served.error()).xml());
  }
  was_asked_ = true;
  if (const DialbackElement* same = checking_.find(pair, request.id)) {
    // Answers are told apart by pair and id only.
    if (same->key == request.key) return;
    return write(dialback_error(request, {Code::kDialbackTooMany, {}}).xml());
  }
  if (checking_.size() >= limits::kVerificationsPerStreamMax) {
    return write(dialback_error(request, {Code::kDialbackTooMany, {}}).xml());
  }
  outputs_.push_back(CheckKey{pair, request.id, request.key});
  checking_.add(std::move(request), now_ + limits::kDialbackTimeout);
}

void Inbound::Impl::handle_key_checked(const Pair& pair, const std::string& id, Result<bool> valid,
                                       Time now) {
  if (is_over()) return;
  now_ = now;
  const std::optional<DialbackElement> request = checking_.take(pair, id);
  if (!request) return;
  using Type = DialbackElement::Type;
  write(valid ? dialback_answer(*request, *valid ? Type::kValid : Type::kInvalid).xml()
              : dialback_error(*request, valid.error()).xml());
}

// --- pairs

// Whether the pair may be proved on this stream as it is (THREATS B6: by its own rules, not the header's).
Result<void> Inbound::Impl::judge_pair(const Pair& pair) const {
  if (Result<void> served = judge_.serves(pair.local); !served) return served;
  if (Result<void> admitted = judge_.admits(pair); !admitted) return admitted;
  if (!tls_ && judge_.rules(pair).tls == TlsRule::kRequired) return Error{Code::kTlsRequired, {}};
  return {};
}

Result<void> Inbound::Impl::judge_proof(const PeerProof& proof) const {
  if (Result<void> good = judge_pair(proof.pair()); !good) return good;
  if (proof.method() == Method::kDialback &&
      judge_.rules(proof.pair()).authenticate == Authenticate::kCertificate) {
    return Error{Code::kTlsNoCertificate, "proved by dialback alone"};
  }
  return {};
}

// Whether the answer about the pair has to be waited for. Then the question is out.
bool Inbound::Impl::asks_about(const Pair& pair) {
  if (!judge_.must_ask(pair)) return false;
  if (asked_about_.insert(pair).second) outputs_.push_back(AskAdmission{pair});
  return true;
}

void Inbound::Impl::handle_admission(const Pair& pair, Result<void> answer, Time now) {
  if (is_over() || asked_about_.erase(pair) == 0) return;
  now_ = now;
  const bool is_header_pair = local_ == pair.local && remote_ == pair.remote;
  if (is_header_pair && std::exchange(features_wait_, false)) {
    // Where the answer did not come, nobody has said no: `auth` asks again.
    external_offered_ = answer || is_temporary(answer.error().code);
    write_features();
  }
  if (is_header_pair && std::exchange(auth_waits_, false)) {
    // Or another pair was proved by dialback meanwhile.
    const bool in_order = phase_ == Phase::kSecureFeatures;
    finish_external(pair, in_order ? answer : Result<void>(Error{Code::kStreamOrder, "auth"}));
  }
  std::optional<DialbackElement> request = asking_.take(pair);
  if (!request) return;
  // Policy may have changed while the question was out.
  if (answer) answer = judge_pair(pair);
  if (!answer) return refuse(*request, std::move(answer).error());
  prove_result(*std::move(request));
}

void Inbound::Impl::admit(PeerProof proof) {
  std::erase_if(ended_, [&proof](const Ended& ended) { return ended.proof.pair() == proof.pair(); });
  refusal_.reset();
  parser_->raise_limits(xmpp::ParseLimits::authenticated());
  phase_ = Phase::kReady;
  proofs_.push_back(proof);
  // Policy changed between the answer and the proof, or the answer has been forgotten.
  const bool ask_again = judge_.must_ask(proof.pair());
  outputs_.push_back(Admitted{std::move(proof)});
  if (ask_again) outputs_.push_back(AskAdmission{proofs_.back().pair(), true});
}

void Inbound::Impl::refuse(const DialbackElement& request, Error error) {
  write(dialback_error(request, error).xml());
  refusal_ = error;
  const bool unknown_target = dialback_condition(error.code) == "item-not-found";
  outputs_.push_back(PairRefused{pair_of(request), std::move(error)});
  if (!unknown_target) linger_if_idle();
}

void Inbound::Impl::linger_if_idle() {
  if (proofs_.empty() && verifying_.empty() && asking_.empty()) linger_until_ = now_ + limits::kCloseTimeout;
}

void Inbound::Impl::judge_again(Time now) {
  if (is_over() || proofs_.empty()) return;
  now_ = now;
  std::vector<PeerProof> kept;
  for (PeerProof& proof : proofs_) {
    Result<void> good = judge_proof(proof);
    if (good) {
      if (judge_.must_ask(proof.pair())) outputs_.push_back(AskAdmission{proof.pair(), true});
      kept.push_back(std::move(proof));
      continue;
    }
    refusal_ = good.error();
    outputs_.push_back(PairRefused{proof.pair(), good.error()});
    ended_.push_back({std::move(proof), std::move(good).error()});
  }
  proofs_ = std::move(kept);
  if (proofs_.empty()) fail(*refusal_);
}

// --- stanzas

void Inbound::Impl::handle_stanza(xmpp::Stanza stanza) {
  const auto speaks = [&](const PeerProof& proof) {
    return stanza.is_between(proof.pair().remote, proof.pair().local);
  };
  if (const auto proof = std::ranges::find_if(proofs_, speaks); proof != proofs_.end()) {
    outputs_.emplace_back(std::in_place_type<StanzaReceived>, *proof, std::move(stanza));
    return;
  }
  const xmpp::Jid from = stanza.from();
  const xmpp::Jid to = stanza.to();
  if (const auto ended = std::ranges::find_if(ended_, speaks, &Ended::proof); ended != ended_.end()) {
    outputs_.push_back(StanzaRejected{ended->proof,
                                      {ended->error, stanza.kind(), from.domain(), from, to.domain(),
                                       to.text(), std::string(stanza.id()), std::string(stanza.type())}});
    return;
  }
  if (is_over()) return;
  fail(judge_stray(from.domain(), to.domain()));
}

// Which of the stanza's addresses ends the stream: RFC 6120 8.1.2.2 (`from`, invalid-from), then 8.1.1.2
// (`to`, improper-addressing, whether the domain is served here or not: host-unknown is for
// headers, 4.9.3.6).
Error Inbound::Impl::judge_stray(const xmpp::Domain& from, const xmpp::Domain& to) const {
  if (!tls_ && floor_ == TlsRule::kRequired) return {Code::kTlsRequired, "stanza"};
  if (proofs_.empty()) return {Code::kStreamNotAuthorized, from.ascii()};
  const auto speaks = [&from](const PeerProof& proof) { return proof.pair().remote == from; };
  if (std::ranges::none_of(proofs_, speaks)) return {Code::kStanzaFromInvalid, from.ascii()};
  return {Code::kStanzaToInvalid, to.ascii() + " was not proved on this stream"};
}

void Inbound::Impl::handle_bad_stanza(xmpp::BadStanza stanza) {
  const Pair pair{stanza.to_domain, stanza.from_domain};
  if (const auto proof = std::ranges::find(proofs_, pair, &PeerProof::pair); proof != proofs_.end()) {
    outputs_.push_back(StanzaRejected{*proof, std::move(stanza)});
    return;
  }
  const auto ended = std::ranges::find(ended_, pair, [](const Ended& each) { return each.proof.pair(); });
  if (ended != ended_.end()) {
    stanza.error = ended->error;
    outputs_.push_back(StanzaRejected{ended->proof, std::move(stanza)});
    return;
  }
  if (is_over()) return;
  fail(judge_stray(stanza.from_domain, stanza.to_domain));
}

// --- time and the end

bool Inbound::Impl::is_tls_awaited() const {
  return phase_ == Phase::kTls || (!tls_ && proofs_.empty() && floor_ == TlsRule::kRequired);
}

std::optional<Time> Inbound::Impl::poll_timeout() const {
  if (phase_ == Phase::kClosed) return std::nullopt;
  if (phase_ == Phase::kClosing) return close_deadline();
  Time at =
      proofs_.empty() ? accepted_at_ + limits::kNegotiationTimeout : last_moved_ + limits::kStreamIdleTimeout;
  if (is_tls_awaited()) at = std::min(at, accepted_at_ + limits::kTlsTimeout);
  if (linger_until_) at = std::min(at, *linger_until_);
  if (rest_deadline()) at = std::min(at, *rest_deadline());
  for (const auto* list : {&asking_, &verifying_, &checking_}) at = list->earliest(at);
  return at;
}

void Inbound::Impl::handle_timeout(Time now) {
  if (phase_ == Phase::kClosed) return;
  now_ = now;
  if (phase_ == Phase::kClosing) return handle_close_timeout();
  handle_rest_timeout();
  expire_questions();
  if (is_over()) return;
  if (is_tls_awaited() && now >= accepted_at_ + limits::kTlsTimeout) {
    return fail({Code::kStreamNegotiationTimeout, "TLS"});
  }
  if (!is_negotiating()) {
    if (now >= last_moved_ + limits::kStreamIdleTimeout) begin_close(Error{Code::kStreamIdle, {}});
    return;
  }
  if (now >= accepted_at_ + limits::kNegotiationTimeout) {
    // A stream that only asked about keys has served its purpose.
    if (proofs_.empty() && (was_asked_ || refusal_)) return begin_close(refusal_);
    return fail({Code::kStreamNegotiationTimeout, std::string(phase_name(phase_))});
  }
  if (linger_until_ && now >= *linger_until_) {
    if (checking_.empty()) return begin_close(refusal_);
    linger_until_ = now + limits::kCloseTimeout;
  }
}

void Inbound::Impl::expire_questions() {
  const Error late{Code::kDialbackTimeout, {}};
  while (const auto request = checking_.take_expired(now_)) write(dialback_error(*request, late).xml());
  while (const auto request = verifying_.take_expired(now_)) refuse(*request, late);
  while (const auto request = asking_.take_expired(now_)) {
    asked_about_.erase(pair_of(*request));
    refuse(*request, late);
  }
}

void Inbound::Impl::handle_end(std::optional<Error> error) {
  asking_.clear();
  asked_about_.clear();
  verifying_.clear();
  checking_.clear();
  // A peer that goes because it was refused has the refusal as its reason, however it goes.
  const bool went = !error || error->code == Code::kStreamLost || error->code == Code::kStreamErrorByPeer;
  if (went && proofs_.empty()) {
    if (refusal_) error = refusal_;
    // Somebody who came, was not offered EXTERNAL because of policy, and went.
    if (!error && !was_asked_ && local_ && remote_) {
      if (Result<void> admitted = judge_.admits({*local_, *remote_}); !admitted)
        error = std::move(admitted).error();
    }
  }
  outputs_.push_back(Closed{std::move(error)});
}

// --- the public face

Inbound::Inbound(const Judge& judge, Random& random, bool direct_tls, Time now)
    : impl_(std::make_unique<Impl>(judge, random, direct_tls, now)) {}
Inbound::~Inbound() = default;
Inbound::Inbound(Inbound&&) noexcept = default;
Inbound& Inbound::operator=(Inbound&&) noexcept = default;

void Inbound::handle_bytes(std::string_view bytes, Time now) { impl_->handle_bytes(bytes, now); }
std::size_t Inbound::handle_some(std::string_view bytes, Time now) { return impl_->handle_some(bytes, now); }
void Inbound::handle_tls(const TlsFacts& facts, Time now) { impl_->handle_tls(facts, now); }
void Inbound::handle_verified(const Pair& pair, const std::string& stream_id, Result<VerifyAnswer> answer,
                              Time now) {
  impl_->handle_verified(pair, stream_id, std::move(answer), now);
}
void Inbound::handle_key_checked(const Pair& pair, const std::string& stream_id, Result<bool> valid,
                                 Time now) {
  impl_->handle_key_checked(pair, stream_id, std::move(valid), now);
}
void Inbound::handle_admission(const Pair& pair, Result<void> answer, Time now) {
  impl_->handle_admission(pair, std::move(answer), now);
}
void Inbound::handle_timeout(Time now) { impl_->handle_timeout(now); }
std::optional<Time> Inbound::poll_timeout() const { return impl_->poll_timeout(); }
void Inbound::handle_disconnected(std::optional<Error> why) { impl_->handle_disconnected(std::move(why)); }
void Inbound::judge_again(Time now) { impl_->judge_again(now); }
void Inbound::close(std::optional<Error> reason, Time now) { impl_->close(std::move(reason), now); }
std::optional<InboundOutput> Inbound::poll() { return impl_->poll(); }
bool Inbound::has_output() const { return impl_->has_output(); }
bool Inbound::take_output(std::string& out) { return impl_->take_output(out); }
Phase Inbound::phase() const { return impl_->phase(); }
const std::string& Inbound::stream_id() const { return impl_->stream_id(); }
const std::vector<PeerProof>& Inbound::proofs() const { return impl_->proofs(); }
const std::optional<TlsFacts>& Inbound::tls() const { return impl_->tls(); }

}  // namespace sallyport::s2s
