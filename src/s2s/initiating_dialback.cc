#include "s2s/initiating_dialback.h"

#include <utility>

#include "base/limits.h"

namespace sallyport::s2s {

using Kind = DialbackElement::Kind;
using Type = DialbackElement::Type;

InitiatingDialback::InitiatingDialback(Stream& stream, const StreamPolicy& policy, Session& session,
                                       InitiatingOutputs& outputs, Pair first, bool prove_first)
    : stream_(stream), policy_(policy), session_(session), outputs_(outputs), first_(std::move(first)) {
  if (prove_first) pairs_.push_back({first_, Step::kWaiting, {}});
}

// --- our pairs (XEP-0220 2.1.1 step 1, as the originating server)

// Proves the server at the other end for this pair, by the rules of this very pair (CVE-2021-32919).
Result<PeerProof> InitiatingDialback::prove_peer(const Pair& pair) const {
  const PeerRules rules = policy_.rules(pair);
  const std::optional<TlsFacts>& tls = stream_.tls();
  if (!tls && rules.tls == TlsRule::kRequired) return Error{Code::kTlsRequired, {}};
  if (tls) {
    Result<PeerProof> proof = CertificateIdentity::prove(pair, *tls, Method::kExternal);
    if (proof) return proof;
    if (!rules.address_proves && rules.authenticate == Authenticate::kCertificate) return proof;
  }
  if (rules.address_proves) return CertificateIdentity::trust_address(pair, rules);
  return DialbackIdentity::trust_dns(pair, rules);
}

bool InitiatingDialback::may_prove_first() const {
  return !pairs_.empty() && pairs_.front().pair == first_ && prove_peer(first_);
}

bool InitiatingDialback::is_first_pending() const {
  const auto state = find(first_);
  return state != pairs_.end() && waits(state->step);
}

void InitiatingDialback::add_pair(const Pair& pair) {
  const auto known = find(pair);
  if (known != pairs_.end() && (waits(known->step) || known->step == Step::kReady)) return;
  if (Result<void> room = make_room(pair); !room) {
    outputs_.push_back(PairFailed{pair, std::move(room).error()});
    return;
  }
  pairs_.push_back({pair, Step::kWaiting, {}});
  if (negotiated_) start_pair(pairs_.back());
}

// Forgets the pair if it failed before, and the others that did when there are too many.
Result<void> InitiatingDialback::make_room(const Pair& pair) {
  if (stream_.phase() == Phase::kClosing) return Error{Code::kStreamClosedByPeer, "the stream is closing"};
  // DNS and the address led to one remote domain: nothing was proved about another.
  if (pair.remote != first_.remote) return Error{Code::kInternal, "another remote domain"};
  std::erase_if(pairs_, [&pair](const PairState& state) { return state.pair == pair; });
  if (pairs_.size() < limits::kPairsPerStreamMax) return {};
  std::erase_if(pairs_, [](const PairState& state) { return state.step == Step::kFailed; });
  if (pairs_.size() < limits::kPairsPerStreamMax) return {};
  return Error{Code::kDialbackTooMany, "pairs"};
}

void InitiatingDialback::start_pair(PairState& state) {
  if (state.step != Step::kWaiting) return;
  if (Result<PeerProof> proof = prove_peer(state.pair); !proof) {
    const Error error = std::move(proof).error();
    fail_pair(state, error);
    return close_if_useless(error, true);
  }
  if (negotiated_->authenticated && state.pair == first_) return make_ready(state);
  if (!negotiated_->dialback) {
    const Error error = negotiated_->sasl_refusal.value_or(Error{Code::kStreamNoOffer, {}});
    fail_pair(state, error);
    return close_if_useless(error, false);
  }
  state.step = Step::kKey;
  state.deadline = stream_.now() + limits::kDialbackTimeout;
  outputs_.push_back(NeedKey{state.pair, stream_.id()});
}

void InitiatingDialback::handle_key(const Pair& pair, const std::string& id, Result<std::string> key) {
  if (id != stream_.id()) return;
  const auto state = find(pair);
  if (state == pairs_.end() || state->step != Step::kKey) return;
  if (!key) {
    fail_pair(*state, key.error());
    return close_if_useless(key.error(), false);
  }
  write_request({Kind::kResult, Type::kRequest, pair.local, pair.remote, {}, *key, {}, {}});
  state->step = Step::kAsked;
}

// XEP-0220 2.1.1 step 4 and 2.4.
void InitiatingDialback::handle_result(const DialbackElement& answer) {
  const auto state = find({answer.to, answer.from});
  if (state != pairs_.end() && state->step == Step::kTimedOut) {
    state->step = Step::kFailed;
    return;
  }
  if (state == pairs_.end() || state->step != Step::kAsked) {
    return stream_.fail({Code::kDialbackUnsolicited, bounded(answer.xml())});
  }
  if (answer.type == Type::kValid) return make_ready(*state);
  Error error{Code::kDialbackInvalid, "the peer refuses our key"};
  if (answer.type == Type::kError) {
    error = {Code::kDialbackError,
             bounded(answer.text.empty() ? answer.condition : answer.condition + ": " + answer.text)};
  }
  fail_pair(*state, error);
  close_if_useless(error, false);
}

void InitiatingDialback::make_ready(PairState& state) {
  // The rules may have changed while the peer thought.
  Result<PeerProof> proof = prove_peer(state.pair);
  if (!proof) {
    const Error error = std::move(proof).error();
    fail_pair(state, error);
    return close_if_useless(error, true);
  }
  state.step = Step::kReady;
  stream_.raise_limits();
  session_.sending().add(*proof);
  outputs_.push_back(PairReady{*std::move(proof)});
}

void InitiatingDialback::fail_pair(PairState& state, Error error, Step step) {
  state.step = step;
  SendLane& lane = session_.sending();
  lane.remove(state.pair);
  if (lane.proofs().empty()) {
    if (auto ended = session_.end_sending(std::nullopt)) outputs_.push_back(*std::move(ended));
  }
  outputs_.push_back(PairFailed{state.pair, std::move(error)});
}

void InitiatingDialback::close_if_useless(const Error& error, bool ours) {
  if (stream_.is_over() || !session_.sending().proofs().empty() || is_pending()) return;
  if (ours) return stream_.fail(error);
  stream_.begin_close(error);
}

void InitiatingDialback::check_again() {
  for (PairState& state : pairs_) {
    if (state.step != Step::kReady) continue;
    Result<PeerProof> proof = prove_peer(state.pair);
    if (proof) continue;
    const Error error = std::move(proof).error();
    fail_pair(state, error);
    close_if_useless(error, true);
    if (stream_.is_over()) return;
  }
}

// --- our questions about keys (XEP-0220 2.1.1 step 2, as the receiving server)

void InitiatingDialback::verify(const Pair& pair, const std::string& id, const std::string& key) {
  Question question{pair, id, key, Step::kWaiting, stream_.now() + limits::kDialbackTimeout};
  if (stream_.phase() == Phase::kClosing || pair.remote != first_.remote) {
    return answer_question(question, Error{Code::kDialbackUnreachable, "not on this stream"});
  }
  if (questions_.size() >= limits::kQuestionsPerStreamMax) {
    return answer_question(question, Error{Code::kDialbackTooMany, "verifications"});
  }
  questions_.push_back(std::move(question));
  if (negotiated_) ask(questions_.back());
}

void InitiatingDialback::ask(Question& question) {
  if (question.step != Step::kWaiting) return;
  question.step = Step::kAsked;
  write_request({Kind::kVerify,
                 Type::kRequest,
                 question.pair.local,
                 question.pair.remote,
                 question.id,
                 question.key,
                 {},
                 {}});
}

// XEP-0220 2.1.1 step 3.
void InitiatingDialback::handle_verify_answer(const DialbackElement& answer) {
  const auto question = std::ranges::find_if(questions_, [&answer](const Question& asked) {
    return asked.step != Step::kWaiting && asked.id == answer.id &&
           asked.pair == Pair{answer.to, answer.from};
  });
  if (question == questions_.end()) return stream_.fail({Code::kDialbackUnsolicited, bounded(answer.xml())});
  const Question asked = std::move(*question);
  questions_.erase(question);
  if (asked.step == Step::kTimedOut) return;
  if (answer.type == Type::kError) {
    return answer_question(asked, Error{Code::kDialbackError, bounded(answer.condition)});
  }
  const bool certificate = stream_.tls() && certificate_names_domain(*stream_.tls(), asked.pair.remote);
  answer_question(asked, VerifyAnswer{answer.type == Type::kValid, certificate});
}

void InitiatingDialback::answer_question(const Question& question, Result<VerifyAnswer> answer) {
  outputs_.push_back(Verified{question.pair, question.id, std::move(answer)});
}

// --- both

void InitiatingDialback::start(const Negotiated& negotiated) {
  negotiated_ = negotiated;
  session_.sending().note_traffic(stream_.now());
  for (Question& question : questions_) ask(question);
  // By index: a pair that fails may end the stream, but pairs only ever join.
  for (std::size_t i = 0; i < pairs_.size() && !stream_.is_over(); ++i) start_pair(pairs_[i]);
}

void InitiatingDialback::write_request(const DialbackElement& request) {
  stream_.write(request.xml());
  session_.sending().note_traffic(stream_.now());
}

void InitiatingDialback::handle_element(const xmpp::Element& element) {
  const Result<DialbackElement> answer = DialbackElement::parse(element);
  if (!answer) return stream_.fail(answer.error());
  if (answer->type == Type::kRequest) return stream_.fail_order(element.name.local);
  if (answer->kind == Kind::kResult) return handle_result(*answer);
  handle_verify_answer(*answer);
}

bool InitiatingDialback::is_pending() const {
  return std::ranges::any_of(pairs_, waits, &PairState::step) ||
         std::ranges::any_of(questions_, waits, &Question::step);
}

void InitiatingDialback::fail_pending(const Error& error) {
  for (const PairState& state : pairs_) {
    if (waits(state.step)) outputs_.push_back(PairFailed{state.pair, error});
  }
  for (const Question& question : questions_) {
    if (waits(question.step)) answer_question(question, error);
  }
}

Time InitiatingDialback::earliest(Time at) const {
  for (const PairState& state : pairs_) {
    if (state.step == Step::kKey || state.step == Step::kAsked) at = std::min(at, state.deadline);
  }
  for (const Question& question : questions_) {
    if (waits(question.step)) at = std::min(at, question.deadline);
  }
  return at;
}

void InitiatingDialback::expire() {
  const Time now = stream_.now();
  const Error late{Code::kDialbackTimeout, {}};
  for (Question& question : questions_) {
    if (!waits(question.step) || question.deadline > now) continue;
    answer_question(question, late);
    question.step = question.step == Step::kAsked ? Step::kTimedOut : Step::kFailed;
  }
  std::erase_if(questions_, [](const Question& question) { return question.step == Step::kFailed; });
  bool failed = false;
  for (PairState& state : pairs_) {
    if ((state.step != Step::kKey && state.step != Step::kAsked) || state.deadline > now) continue;
    fail_pair(state, late, state.step == Step::kAsked ? Step::kTimedOut : Step::kFailed);
    failed = true;
  }
  if (failed) close_if_useless(late, false);
}

}  // namespace sallyport::s2s
