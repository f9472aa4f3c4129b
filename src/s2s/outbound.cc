#include "s2s/outbound.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/limits.h"
#include "base/ring.h"
#include "s2s/sasl_external.h"
#include "s2s/starttls.h"

namespace sallyport::s2s {

class Outbound::Impl final : public StreamMachine {
 public:
  Impl(const Judge& judge, Pair first, bool authenticate_first, bool direct_tls, Time now,
       bool may_use_external)
      : StreamMachine(Phase::kHeader, now),
        judge_(judge),
        first_(std::move(first)),
        direct_tls_(direct_tls),
        may_use_external_(may_use_external),
        started_at_(now),
        last_sent_(now) {
    if (authenticate_first) pairs_.push_back({first_, Step::kWaiting, {}});
  }

  void handle_connected(Time now);
  void handle_tls(const TlsFacts& facts, Time now);
  void handle_key(const Pair& pair, const std::string& id, Result<std::string> key, Time now);
  void handle_timeout(Time now);
  std::optional<Time> poll_timeout() const;
  void add_pair(const Pair& pair, Time now);
  void verify(const Pair& pair, const std::string& id, const std::string& key, Time now);
  bool send(const PeerProof& proof, const xmpp::Stanza& stanza, Time now);
  bool takes(const xmpp::Stanza& stanza) const {
    return !limits_.max_bytes || stanza.xml().size() <= *limits_.max_bytes;
  }
  bool is_full() const { return is_full_; }
  void handle_written(std::uint64_t total, Time now);
  void confirm(std::uint64_t mark);
  const StreamLimits& peer_limits() const { return limits_; }
  void judge_again(Time now);
  bool is_quiet() const;

  std::optional<OutboundOutput> poll() {
    if (outputs_.empty()) return std::nullopt;
    std::optional<OutboundOutput> output(std::move(outputs_.front()));
    outputs_.drop_front();
    return output;
  }

 private:
  enum class Step : std::uint8_t {
    kWaiting,  // for the stream to be ready
    kKey,      // the owner was asked for a key
    kAsked,    // db:result is out
    kReady,
    kFailed,
    kTimedOut,  // failed, but its answer may still come, and would be no forgery
  };
  struct PairState {
    Pair pair;
    Step step;
    Time deadline;
  };
  struct Question {
    Pair pair;
    std::string id;
    std::string key;
    Step step;  // kWaiting, kAsked, kTimedOut
    Time deadline;
  };

  void handle_header(const xmpp::StreamHeader& header) override;
  void handle_element(const xmpp::Element& element) override;
  void handle_stanza(xmpp::Stanza) override { violate("stanza"); }
  void handle_bad_stanza(xmpp::BadStanza) override { violate("stanza"); }
  void write_header() override;
  void handle_end(std::optional<Error> error) override;
  bool has_outputs() const override { return !outputs_.empty(); }

  // Without bidi (XEP-0288) a server only answers on the stream that we opened.
  void violate(std::string_view what) {
    if (!is_over()) fail({Code::kStreamOrder, bounded(what)});
  }
  void handle_features(const xmpp::Element& features);
  void begin_tls();
  bool wants_external(const xmpp::Element& features) const;
  void handle_sasl(const xmpp::Element& element);
  void become_ready();
  void handle_result(const DialbackElement& answer);
  void handle_verify_answer(const DialbackElement& answer);

  Result<PeerProof> prove_peer(const Pair& pair) const;
  Result<void> make_room(const Pair& pair);
  void start(PairState& state);
  void make_ready(PairState& state);
  void fail_pair(PairState& state, Error error, Step step = Step::kFailed);
  void end_lane(std::optional<Error> peer_error);
  void ask(Question& question);
  void answer_question(const Question& question, Result<VerifyAnswer> answer);
  // Ends a stream that can be of no more use; `ours`: the peer learns our reason.
  void close_if_useless(const Error& error, bool ours);
  void expire();
  bool is_negotiating() const;
  Time idle_deadline() const;
  static bool is_pending(Step step) {
    return step == Step::kWaiting || step == Step::kKey || step == Step::kAsked;
  }
  bool anything_pending() const {
    return std::ranges::any_of(pairs_, is_pending, &PairState::step) ||
           std::ranges::any_of(questions_, is_pending, &Question::step);
  }
  auto find(const Pair& pair) { return std::ranges::find(pairs_, pair, &PairState::pair); }

  const Judge& judge_;
  const Pair first_;
  const bool direct_tls_;
  const bool may_use_external_;
  Time started_at_;

  bool connected_ = false;
  bool tls_asked_ = false;
  bool authenticated_ = false;  // by SASL: `first_` is proved to the peer
  bool ready_ = false;          // nothing of the ladder is left
  bool dialback_spoken_ = false;
  std::optional<Error> sasl_refusal_;
  StreamLimits limits_;  // of the peer
  Time last_sent_;       // of what the peer counts as traffic from us
  SendLane lane_;
  bool is_full_ = false;
  std::vector<PairState> pairs_;
  std::vector<Question> questions_;
  Ring<OutboundOutput> outputs_;
};

// --- the ladder

void Outbound::Impl::handle_connected(Time now) {
  if (connected_ || is_over()) return;
  now_ = last_moved_ = started_at_ = now;
  connected_ = true;
  if (!direct_tls_) return write_header();
  phase_ = Phase::kTls;
  outputs_.push_back(StartTls{first_.local, first_.remote, true});
}

void Outbound::Impl::write_header() {
  // No `xml:lang`: stanzas that pass through keep theirs, or none (RFC 6120 4.7.4).
  if (connected_) open({first_.local.unicode(), first_.remote.unicode(), {}, {}});
}

void Outbound::Impl::handle_tls(const TlsFacts& facts, Time now) {
  if (phase_ != Phase::kTls) return;
  now_ = last_moved_ = now;
  tls_ = facts;
  phase_ = Phase::kSecureHeader;
  if (direct_tls_ && !facts.alpn.empty() && facts.alpn != "xmpp-server") {
    return fail({Code::kTlsAlpn, bounded(facts.alpn)});
  }
  write_header();
}

void Outbound::Impl::handle_header(const xmpp::StreamHeader& header) {
  if (!is_version_supported(header.version)) return fail({Code::kStreamVersion, bounded(header.version)});
  if (header.id.empty() || header.id.size() > limits::kStreamIdBytesMax) {
    return fail({Code::kStreamHeaderInvalid, bounded("id " + header.id)});
  }
  stream_id_ = header.id;
  dialback_spoken_ = header.dialback;  // XEP-0220 2.3.1
  if (phase_ == Phase::kHeader) phase_ = Phase::kFeatures;
  if (phase_ == Phase::kSecureHeader) phase_ = Phase::kSecureFeatures;
}

void Outbound::Impl::handle_element(const xmpp::Element& element) {
  if (element.name.is(xmpp::ns::kStreams, "features")) return handle_features(element);
  if (element.name.space == xmpp::ns::kSasl) return handle_sasl(element);
  if (tls_asked_ && phase_ == Phase::kFeatures) {
    if (is_starttls(element, "proceed")) return begin_tls();
    if (is_starttls(element, "failure")) return fail({Code::kTlsHandshake, "the peer refuses STARTTLS"});
    return violate(element.name.local);
  }
  if (element.name.space == xmpp::ns::kDialback && ready_) {
    const Result<DialbackElement> answer = DialbackElement::parse(element);
    if (!answer) return fail(answer.error());
    if (answer->type == DialbackElement::Type::kRequest) return violate(element.name.local);
    return answer->kind == DialbackElement::Kind::kResult ? handle_result(*answer)
                                                          : handle_verify_answer(*answer);
  }
  if (element.name.space == xmpp::ns::kDialback)
    return fail({Code::kDialbackUnsolicited, bounded(element.name.local)});
  violate(element.name.local);
}

void Outbound::Impl::handle_features(const xmpp::Element& features) {
  limits_ = stream_limits(features);
  if (ready_) return;  // said again: nothing new to negotiate
  if (phase_ == Phase::kFeatures) {
    if (tls_asked_) return violate("features");
    const StarttlsOffer offer = starttls_offer(features);
    const TlsRule rule = judge_.rules(first_).tls;
    if (offer.offered && (rule != TlsRule::kNone || offer.required)) {
      tls_asked_ = true;
      return write(starttls_xml("starttls"));
    }
    if (rule == TlsRule::kRequired) return fail({Code::kTlsRequired, "STARTTLS is not offered"});
  }
  if (phase_ == Phase::kSasl && !authenticated_) return violate("features");
  if (features.child(xmpp::ns::kDialbackFeature, "dialback") != nullptr) dialback_spoken_ = true;
  if (!authenticated_ && wants_external(features)) {
    phase_ = Phase::kSasl;
    return write(external_auth_xml(first_.local));
  }
  become_ready();
}

void Outbound::Impl::begin_tls() {
  // Nothing that came in plain text may be taken for what TLS protects (THREATS B7).
  if (something_follows(true)) return fail({Code::kStreamEarlyBytes, "after <proceed/>"});
  restart();
  phase_ = Phase::kTls;
  outputs_.push_back(StartTls{first_.local, first_.remote, false});
}

bool Outbound::Impl::wants_external(const xmpp::Element& features) const {
  if (!tls_ || pairs_.empty() || pairs_.front().pair != first_ || !is_external_offered(features))
    return false;
  if (!may_use_external_ || !judge_.rules(first_).use_external) return false;
  const Result<xmpp::Domain> shown = xmpp::Domain::parse(tls_->own_certificate);
  // A peer that cannot prove itself learns nothing more from us.
  return shown && *shown == first_.local && prove_peer(first_);
}

void Outbound::Impl::handle_sasl(const xmpp::Element& element) {
  if (phase_ != Phase::kSasl || authenticated_) return violate(element.name.local);
  if (element.name.local == "success") {
    if (something_follows(false)) return violate("bytes after <success/>");
    authenticated_ = true;
    restart();
    return write_header();
  }
  if (element.name.local != "failure") return violate(element.name.local);
  // Dialback may still do (XEP-0178 leaves the stream open); ejabberd ends the stream, see handle_end.
  sasl_refusal_ = Error{Code::kSaslRefused, peer_condition(element, xmpp::ns::kSasl)};
  become_ready();
}

void Outbound::Impl::become_ready() {
  ready_ = true;
  last_sent_ = now_;
  phase_ = Phase::kReady;
  for (Question& question : questions_) ask(question);
  // By index: a pair that fails may end the stream, but pairs only ever join.
  for (std::size_t i = 0; i < pairs_.size() && !is_over(); ++i) start(pairs_[i]);
}

// --- pairs

// What proves the server at the other end for this pair, by the rules of this very pair (CVE-2021-32919).
Result<PeerProof> Outbound::Impl::prove_peer(const Pair& pair) const {
  const PeerRules rules = judge_.rules(pair);
  if (!tls_ && rules.tls == TlsRule::kRequired) return Error{Code::kTlsRequired, {}};
  if (tls_) {
    Result<PeerProof> proof = CertificateIdentity::prove(pair, *tls_, Method::kExternal);
    if (proof) return proof;
    if (!rules.address_proves && rules.authenticate == Authenticate::kCertificate) return proof;
  }
  if (rules.address_proves) return CertificateIdentity::trust_address(pair, rules);
  return DialbackIdentity::trust_dns(pair, rules);
}

void Outbound::Impl::add_pair(const Pair& pair, Time now) {
  if (phase_ == Phase::kClosed) return;
  now_ = now;
  const auto known = find(pair);
  if (known != pairs_.end() && (is_pending(known->step) || known->step == Step::kReady)) return;
  if (Result<void> room = make_room(pair); !room) {
    outputs_.push_back(PairFailed{pair, std::move(room).error()});
    return;
  }
  pairs_.push_back({pair, Step::kWaiting, {}});
  if (ready_) start(pairs_.back());
}

// Forgets the pair if it failed before, and the others that did when there are too many.
Result<void> Outbound::Impl::make_room(const Pair& pair) {
  if (phase_ == Phase::kClosing) return Error{Code::kStreamClosedByPeer, "the stream is closing"};
  // DNS and the address led to one remote domain: nothing was proved about another.
  if (pair.remote != first_.remote) return Error{Code::kInternal, "another remote domain"};
  std::erase_if(pairs_, [&pair](const PairState& state) { return state.pair == pair; });
  if (pairs_.size() < limits::kPairsPerStreamMax) return {};
  std::erase_if(pairs_, [](const PairState& state) { return state.step == Step::kFailed; });
  if (pairs_.size() < limits::kPairsPerStreamMax) return {};
  return Error{Code::kDialbackTooMany, "pairs"};
}

void Outbound::Impl::start(PairState& state) {
  if (state.step != Step::kWaiting) return;
  if (Result<PeerProof> proof = prove_peer(state.pair); !proof) {
    Error error = std::move(proof).error();
    fail_pair(state, error);
    return close_if_useless(error, true);
  }
  if (authenticated_ && state.pair == first_) return make_ready(state);
  if (!dialback_spoken_) {
    const Error error = sasl_refusal_.value_or(Error{Code::kStreamNoOffer, {}});
    fail_pair(state, error);
    return close_if_useless(error, false);
  }
  state.step = Step::kKey;
  state.deadline = now_ + limits::kDialbackTimeout;
  outputs_.push_back(NeedKey{state.pair, stream_id_});
}

void Outbound::Impl::handle_key(const Pair& pair, const std::string& id, Result<std::string> key, Time now) {
  if (is_over() || id != stream_id_) return;
  now_ = now;
  const auto state = find(pair);
  if (state == pairs_.end() || state->step != Step::kKey) return;
  if (!key) {
    fail_pair(*state, key.error());
    return close_if_useless(key.error(), false);
  }
  using Kind = DialbackElement::Kind;
  write(DialbackElement{
      Kind::kResult, DialbackElement::Type::kRequest, pair.local, pair.remote, {}, *key, {}, {}}
            .xml());
  last_sent_ = now_;
  state->step = Step::kAsked;
}

void Outbound::Impl::handle_result(const DialbackElement& answer) {
  const auto state = find({answer.to, answer.from});
  if (state != pairs_.end() && state->step == Step::kTimedOut) {
    state->step = Step::kFailed;
    return;
  }
  if (state == pairs_.end() || state->step != Step::kAsked) {
    return fail({Code::kDialbackUnsolicited, bounded(answer.xml())});
  }
  if (answer.type == DialbackElement::Type::kValid) return make_ready(*state);
  Error error{Code::kDialbackInvalid, "the peer refuses our key"};
  if (answer.type == DialbackElement::Type::kError) {
    error = {Code::kDialbackError,
             bounded(answer.text.empty() ? answer.condition : answer.condition + ": " + answer.text)};
  }
  fail_pair(*state, error);
  close_if_useless(error, false);
}

void Outbound::Impl::make_ready(PairState& state) {
  // The rules may have changed while the peer thought.
  Result<PeerProof> proof = prove_peer(state.pair);
  if (!proof) {
    const Error error = std::move(proof).error();
    fail_pair(state, error);
    return close_if_useless(error, true);
  }
  state.step = Step::kReady;
  parser_->raise_limits(xmpp::ParseLimits::authenticated());
  proofs_.push_back(*proof);
  outputs_.push_back(PairReady{*std::move(proof)});
}

void Outbound::Impl::fail_pair(PairState& state, Error error, Step step) {
  state.step = step;
  std::erase_if(proofs_, [&state](const PeerProof& proof) { return proof.pair() == state.pair; });
  if (proofs_.empty()) end_lane(std::nullopt);
  outputs_.push_back(PairFailed{state.pair, std::move(error)});
}

void Outbound::Impl::close_if_useless(const Error& error, bool ours) {
  if (is_over() || !proofs_.empty() || anything_pending()) return;
  if (ours) return fail(error);
  begin_close(error);
}

bool Outbound::Impl::send(const PeerProof& proof, const xmpp::Stanza& stanza, Time now) {
  if (is_over()) return false;
  const auto same = [&proof](const PeerProof& mine) { return mine.pair() == proof.pair(); };
  if (std::ranges::none_of(proofs_, same)) return false;
  now_ = last_moved_ = last_sent_ = now;
  sallyport::make_room(out_, stanza.xml().size());
  write(stanza.xml());
  lane_.add(output_end(), stanza.xml().size());
  if (output_end() - lane_.written() > limits::kWriteQueueBytesMax) is_full_ = true;
  return true;
}

void Outbound::Impl::handle_written(std::uint64_t total, Time now) {
  if (phase_ == Phase::kClosed) return;
  now_ = now;
  if (const auto doubt = lane_.handle_written(total)) {
    outputs_.push_back(*doubt);
    if (const auto delivered = lane_.overflow()) outputs_.push_back(*delivered);
  }
  if (output_end() - total <= limits::kWriteQueueBytesMax / 2) is_full_ = false;
}

void Outbound::Impl::confirm(std::uint64_t mark) {
  if (const auto delivered = lane_.confirm(mark)) outputs_.push_back(*delivered);
}

// What nobody has taken yet is written elsewhere, and so not here.
void Outbound::Impl::end_lane(std::optional<Error> peer_error) {
  if (lane_.in_flight() == 0) return;
  SendEnded ended = lane_.end(taken(), is_broken(), std::move(peer_error));
  if (ended.unsent > 0) out_.clear();
  outputs_.push_back(std::move(ended));
}

void Outbound::Impl::judge_again(Time now) {
  if (is_over()) return;
  now_ = now;
  for (PairState& state : pairs_) {
    if (state.step != Step::kReady) continue;
    Result<PeerProof> proof = prove_peer(state.pair);
    if (proof) continue;
    const Error error = std::move(proof).error();
    fail_pair(state, error);
    close_if_useless(error, true);
    if (is_over()) return;
  }
}

// --- questions about keys (XEP-0220 2.1.2)

void Outbound::Impl::verify(const Pair& pair, const std::string& id, const std::string& key, Time now) {
  if (phase_ == Phase::kClosed) return;
  now_ = now;
  Question question{pair, id, key, Step::kWaiting, now + limits::kDialbackTimeout};
  if (phase_ == Phase::kClosing || pair.remote != first_.remote) {
    return answer_question(question, Error{Code::kDialbackUnreachable, "not on this stream"});
  }
  if (questions_.size() >= limits::kQuestionsPerStreamMax) {
    return answer_question(question, Error{Code::kDialbackTooMany, "verifications"});
  }
  questions_.push_back(std::move(question));
  if (ready_) ask(questions_.back());
}

void Outbound::Impl::ask(Question& question) {
  if (question.step != Step::kWaiting) return;
  question.step = Step::kAsked;
  last_sent_ = now_;
  using Kind = DialbackElement::Kind;
  write(DialbackElement{
      Kind::kVerify,
      DialbackElement::Type::kRequest,
      question.pair.local,
      question.pair.remote,
      question.id,
      question.key,
      {},
      {}}.xml());
}

void Outbound::Impl::handle_verify_answer(const DialbackElement& answer) {
  const auto question = std::ranges::find_if(questions_, [&answer](const Question& asked) {
    return asked.step != Step::kWaiting && asked.id == answer.id &&
           asked.pair == Pair{answer.to, answer.from};
  });
  if (question == questions_.end()) return fail({Code::kDialbackUnsolicited, bounded(answer.xml())});
  const Question asked = std::move(*question);
  questions_.erase(question);
  if (asked.step == Step::kTimedOut) return;
  if (answer.type == DialbackElement::Type::kError) {
    return answer_question(asked, Error{Code::kDialbackError, bounded(answer.condition)});
  }
  const bool certificate = tls_ && certificate_names_domain(*tls_, asked.pair.remote);
  answer_question(asked, VerifyAnswer{answer.type == DialbackElement::Type::kValid, certificate});
}

void Outbound::Impl::answer_question(const Question& question, Result<VerifyAnswer> answer) {
  outputs_.push_back(Verified{question.pair, question.id, std::move(answer)});
}

// --- time and the end

bool Outbound::Impl::is_negotiating() const { return !ready_; }

// Our own limit counts both directions, the peer's only what we send. While the peer owes us an answer the
// stream is not idle: that has a deadline of its own.
Time Outbound::Impl::idle_deadline() const {
  const Time ours = last_moved_ + limits::kStreamIdleTimeout;
  return anything_pending() ? ours : std::min(ours, last_sent_ + idle_timeout(limits_));
}

std::optional<Time> Outbound::Impl::poll_timeout() const {
  if (phase_ == Phase::kClosed || !connected_) return std::nullopt;
  if (phase_ == Phase::kClosing) return close_deadline();
  Time at = idle_deadline();
  if (is_negotiating()) {
    const bool tls_awaited = !tls_ && (phase_ != Phase::kFeatures || tls_asked_);
    at = started_at_ + (tls_awaited ? Duration(limits::kTlsTimeout) : Duration(limits::kNegotiationTimeout));
  }
  if (rest_deadline()) at = std::min(at, *rest_deadline());
  for (const PairState& state : pairs_) {
    if (state.step == Step::kKey || state.step == Step::kAsked) at = std::min(at, state.deadline);
  }
  for (const Question& question : questions_) {
    if (is_pending(question.step)) at = std::min(at, question.deadline);
  }
  return at;
}

void Outbound::Impl::handle_timeout(Time now) {
  const std::optional<Time> due = poll_timeout();
  if (!due || now < *due) return;
  now_ = now;
  if (phase_ == Phase::kClosing) return handle_close_timeout();
  handle_rest_timeout();
  expire();
  if (is_over()) return;
  if (is_negotiating()) {
    const std::optional<Time> still_due = poll_timeout();
    if (still_due && now >= *still_due)
      fail({Code::kStreamNegotiationTimeout, std::string(phase_name(phase_))});
    return;
  }
  if (now >= idle_deadline()) begin_close(Error{Code::kStreamIdle, {}});
}

void Outbound::Impl::expire() {
  const Error late{Code::kDialbackTimeout, {}};
  for (Question& question : questions_) {
    if (!is_pending(question.step) || question.deadline > now_) continue;
    answer_question(question, late);
    question.step = question.step == Step::kAsked ? Step::kTimedOut : Step::kFailed;
  }
  std::erase_if(questions_, [](const Question& question) { return question.step == Step::kFailed; });
  bool failed = false;
  for (PairState& state : pairs_) {
    if ((state.step != Step::kKey && state.step != Step::kAsked) || state.deadline > now_) continue;
    fail_pair(state, late, state.step == Step::kAsked ? Step::kTimedOut : Step::kFailed);
    failed = true;
  }
  if (failed) close_if_useless(late, false);
}

void Outbound::Impl::handle_end(std::optional<Error> error) {
  if (!error && anything_pending()) error = Error{Code::kStreamClosedByPeer, {}};
  if (sasl_refusal_ && error && find(first_) != pairs_.end() && is_pending(find(first_)->step)) {
    // What the owner can do something about: the refusal, not how the stream ended after it.
    error = Error{Code::kSaslRefused, bounded(sasl_refusal_->text + ", then " +
                                              std::string(code_row(error->code).name) + " " + error->text)};
  }
  const bool by_peer = error && error->code == Code::kStreamErrorByPeer;
  end_lane(by_peer ? error : std::nullopt);
  for (PairState& state : pairs_) {
    if (is_pending(state.step)) outputs_.push_back(PairFailed{state.pair, *error});
  }
  for (const Question& question : questions_) {
    if (is_pending(question.step)) answer_question(question, *error);
  }
  outputs_.push_back(Closed{std::move(error)});
}

bool Outbound::Impl::is_quiet() const { return out_.empty() && outputs_.empty() && !anything_pending(); }

// --- the public face

Outbound::Outbound(const Judge& judge, Pair first, bool authenticate_first, bool direct_tls, Time now,
                   bool may_use_external)
    : impl_(std::make_unique<Impl>(judge, std::move(first), authenticate_first, direct_tls, now,
                                   may_use_external)) {}
Outbound::~Outbound() = default;
Outbound::Outbound(Outbound&&) noexcept = default;
Outbound& Outbound::operator=(Outbound&&) noexcept = default;

void Outbound::handle_connected(Time now) { impl_->handle_connected(now); }
void Outbound::handle_bytes(std::string_view bytes, Time now) { impl_->handle_bytes(bytes, now); }
std::size_t Outbound::handle_some(std::string_view bytes, Time now) { return impl_->handle_some(bytes, now); }
void Outbound::handle_tls(const TlsFacts& facts, Time now) { impl_->handle_tls(facts, now); }
void Outbound::handle_key(const Pair& pair, const std::string& stream_id, Result<std::string> key, Time now) {
  impl_->handle_key(pair, stream_id, std::move(key), now);
}
void Outbound::handle_timeout(Time now) { impl_->handle_timeout(now); }
std::optional<Time> Outbound::poll_timeout() const { return impl_->poll_timeout(); }
void Outbound::handle_disconnected(std::optional<Error> why) { impl_->handle_disconnected(std::move(why)); }
void Outbound::add_pair(const Pair& pair, Time now) { impl_->add_pair(pair, now); }
void Outbound::verify(const Pair& pair, const std::string& stream_id, const std::string& key, Time now) {
  impl_->verify(pair, stream_id, key, now);
}
bool Outbound::send(const PeerProof& proof, const xmpp::Stanza& stanza, Time now) {
  return impl_->send(proof, stanza, now);
}
bool Outbound::takes(const xmpp::Stanza& stanza) const { return impl_->takes(stanza); }
bool Outbound::is_full() const { return impl_->is_full(); }
void Outbound::handle_written(std::uint64_t total, Time now) { impl_->handle_written(total, now); }
void Outbound::confirm(std::uint64_t mark) { impl_->confirm(mark); }
bool Outbound::has_output() const { return impl_->has_output(); }
const StreamLimits& Outbound::peer_limits() const { return impl_->peer_limits(); }
void Outbound::judge_again(Time now) { impl_->judge_again(now); }
void Outbound::close(std::optional<Error> reason, Time now) { impl_->close(std::move(reason), now); }
std::optional<OutboundOutput> Outbound::poll() { return impl_->poll(); }
bool Outbound::take_output(std::string& out) { return impl_->take_output(out); }
Phase Outbound::phase() const { return impl_->phase(); }
const std::string& Outbound::stream_id() const { return impl_->stream_id(); }
const std::vector<PeerProof>& Outbound::proofs() const { return impl_->proofs(); }
const std::optional<TlsFacts>& Outbound::tls() const { return impl_->tls(); }
bool Outbound::is_quiet() const { return impl_->is_quiet(); }

}  // namespace sallyport::s2s
