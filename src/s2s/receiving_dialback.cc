#include "s2s/receiving_dialback.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace sallyport::s2s {
namespace {

using Type = DialbackElement::Type;

Pair pair_of(const DialbackElement& request) { return PendingRequests::pair_of(request); }

}  // namespace

void ReceivingDialback::handle_element(const xmpp::Element& element) {
  Result<DialbackElement> request = DialbackElement::parse(element);
  if (!request) return stream_.fail(std::move(request).error());
  if (request->type != Type::kRequest)
    return stream_.fail({Code::kDialbackUnsolicited, bounded(request->xml())});
  if (request->kind == DialbackElement::Kind::kVerify) return handle_verify(*std::move(request));
  handle_result(*std::move(request));
}

// --- db:result: the peer proves a pair (XEP-0220 2.1.1 step 1, as the receiving server)

void ReceivingDialback::handle_result(DialbackElement request) {
  const Pair pair = pair_of(request);
  linger_until_.reset();
  if (Result<void> good = admission_.check(pair); !good) return refuse(request, std::move(good).error());
  if (lane_.has(pair)) return write(dialback_answer(request, Type::kValid));
  // One answer will do for both.
  if (verifying_.find(pair) != nullptr || asking_.find(pair) != nullptr) return;
  if (lane_.pairs() + verifying_.size() + asking_.size() >= limits::kPairsPerStreamMax) {
    return refuse(request, {Code::kDialbackTooMany, "pairs"});
  }
  if (!policy_.must_ask(pair)) return prove_result(std::move(request));
  if (asking_.size() >= limits::kVerificationsPerStreamMax) {
    return refuse(request, {Code::kDialbackTooMany, "admissions"});
  }
  admission_.ask(pair);
  asking_.add(std::move(request), stream_.now() + limits::kDialbackTimeout);
}

void ReceivingDialback::handle_admission(const Pair& pair, Result<void> answer) {
  std::optional<DialbackElement> request = asking_.take(pair);
  if (!request) return;
  // Policy may have changed while the question was out.
  if (answer) answer = admission_.check(pair);
  if (!answer) return refuse(*request, std::move(answer).error());
  prove_result(*std::move(request));
}

// Of a pair that is admitted.
void ReceivingDialback::prove_result(DialbackElement request) {
  const Pair pair = pair_of(request);
  if (stream_.tls()) {
    // XEP-0344 2.2: the key need not be verified where a certificate speaks for this very domain
    // (CVE-2021-32919).
    Result<PeerProof> proof = CertificateIdentity::prove(pair, *stream_.tls(), Method::kDialbackCertificate);
    if (proof) return accept(request, *std::move(proof));
  }
  if (verifying_.size() >= limits::kVerificationsPerStreamMax) {
    return refuse(request, {Code::kDialbackTooMany, "verifications"});
  }
  outputs_.push_back(VerifyKey{pair, stream_.id(), request.key});
  verifying_.add(std::move(request), stream_.now() + limits::kDialbackTimeout);
}

void ReceivingDialback::handle_verified(const Pair& pair, Result<VerifyAnswer> answer) {
  const std::optional<DialbackElement> pending = verifying_.take(pair);
  if (!pending) return;
  const DialbackElement& request = *pending;
  if (!answer) return refuse(request, std::move(answer).error());
  if (!answer->valid) return answer_invalid(request);
  // Policy may have changed while the question was out.
  if (Result<void> good = admission_.check(pair); !good) return refuse(request, std::move(good).error());
  const bool certificate_required = policy_.rules(pair).authenticate == Authenticate::kCertificate;
  Result<PeerProof> proof = DialbackIdentity::prove(pair, *answer, certificate_required);
  if (!proof) return refuse(request, std::move(proof).error());
  accept(request, *std::move(proof));
}

void ReceivingDialback::accept(const DialbackElement& request, PeerProof proof) {
  write(dialback_answer(request, Type::kValid));
  admission_.admit(std::move(proof));
}

// XEP-0220 2.4: with an error only this pair ends.
void ReceivingDialback::refuse(const DialbackElement& request, Error error) {
  write(dialback_error(request, error));
  const bool unknown_target = dialback_condition(error.code) == "item-not-found";
  admission_.refuse(pair_of(request), std::move(error));
  if (unknown_target || !lane_.proofs().empty() || !verifying_.empty() || !asking_.empty()) return;
  linger_until_ = stream_.now() + limits::kCloseTimeout;
}

// XEP-0220 2.1.2: type='invalid' ends the stream; an error where other pairs live on it.
void ReceivingDialback::answer_invalid(const DialbackElement& request) {
  Error error{Code::kDialbackInvalid, {}};
  if (!lane_.proofs().empty()) return refuse(request, std::move(error));
  write(dialback_answer(request, Type::kInvalid));
  admission_.refuse(pair_of(request), error);
  stream_.begin_close(std::move(error));
}

// --- db:verify: another server checks a key of ours (XEP-0220 2.1.1 step 3, as the authoritative server)

void ReceivingDialback::handle_verify(DialbackElement request) {
  const Pair pair = pair_of(request);
  if (Result<void> served = policy_.serves(pair.local); !served) {
    return write(dialback_error(request, served.error()));
  }
  was_asked_ = true;
  if (const DialbackElement* same = checking_.find(pair, request.id)) {
    // Answers are told apart by pair and id only.
    if (same->key == request.key) return;
    return write(dialback_error(request, {Code::kDialbackTooMany, {}}));
  }
  if (checking_.size() >= limits::kVerificationsPerStreamMax) {
    return write(dialback_error(request, {Code::kDialbackTooMany, {}}));
  }
  outputs_.push_back(CheckKey{pair, request.id, request.key});
  checking_.add(std::move(request), stream_.now() + limits::kDialbackTimeout);
}

void ReceivingDialback::handle_key_checked(const Pair& pair, const std::string& id, Result<bool> valid) {
  const std::optional<DialbackElement> request = checking_.take(pair, id);
  if (!request) return;
  write(valid ? dialback_answer(*request, *valid ? Type::kValid : Type::kInvalid)
              : dialback_error(*request, valid.error()));
}

// --- time and the end

Time ReceivingDialback::earliest(Time at) const {
  if (linger_until_) at = std::min(at, *linger_until_);
  for (const auto* list : {&asking_, &verifying_, &checking_}) at = list->earliest(at);
  return at;
}

void ReceivingDialback::expire() {
  const Time now = stream_.now();
  const Error late{Code::kDialbackTimeout, {}};
  while (const auto request = checking_.take_expired(now)) write(dialback_error(*request, late));
  while (const auto request = verifying_.take_expired(now)) refuse(*request, late);
  while (const auto request = asking_.take_expired(now)) {
    admission_.end_question(pair_of(*request));
    refuse(*request, late);
  }
}

void ReceivingDialback::handle_linger_timeout() {
  if (!linger_until_ || stream_.now() < *linger_until_) return;
  if (checking_.empty()) return stream_.begin_close(admission_.refusal());
  linger_until_ = stream_.now() + limits::kCloseTimeout;
}

void ReceivingDialback::clear() {
  asking_.clear();
  verifying_.clear();
  checking_.clear();
}

}  // namespace sallyport::s2s
