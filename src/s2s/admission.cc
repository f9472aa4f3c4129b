#include "s2s/admission.h"

#include <utility>

namespace sallyport::s2s {

Result<void> Admission::check(const Pair& pair) const {
  if (Result<void> served = policy_.serves(pair.local); !served) return served;
  if (Result<void> admitted = policy_.admits(pair); !admitted) return admitted;
  if (!stream_.tls() && policy_.rules(pair).tls == TlsRule::kRequired) return Error{Code::kTlsRequired, {}};
  return {};
}

Result<void> Admission::check(const PeerProof& proof) const {
  if (Result<void> good = check(proof.pair()); !good) return good;
  if (proof.method() == Method::kDialback &&
      policy_.rules(proof.pair()).authenticate == Authenticate::kCertificate) {
    return Error{Code::kTlsNoCertificate, "proved by dialback alone"};
  }
  return {};
}

bool Admission::ask(const Pair& pair) {
  if (!policy_.must_ask(pair)) return false;
  if (asked_.insert(pair).second) outputs_.push_back(AskAdmission{pair});
  return true;
}

void Admission::admit(PeerProof proof) {
  refusal_.reset();
  stream_.raise_limits();
  stream_.set_phase(Phase::kReady);
  lane_.add(proof);
  // Policy changed between the answer and the proof, or the answer has been forgotten.
  const bool ask_again = policy_.must_ask(proof.pair());
  outputs_.push_back(Admitted{std::move(proof)});
  if (ask_again) outputs_.push_back(AskAdmission{lane_.proofs().back().pair(), true});
}

void Admission::refuse(const Pair& pair, Error error) {
  refusal_ = error;
  outputs_.push_back(PairRefused{pair, std::move(error)});
}

void Admission::check_again() {
  if (lane_.proofs().empty()) return;
  lane_.end_unless([this](const PeerProof& proof) {
    Result<void> good = check(proof);
    if (!good) {
      refuse(proof.pair(), good.error());
    } else if (policy_.must_ask(proof.pair())) {
      outputs_.push_back(AskAdmission{proof.pair(), true});
    }
    return good;
  });
  if (lane_.proofs().empty()) stream_.fail(*refusal_);
}

}  // namespace sallyport::s2s
