#include "s2s/inbound.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "s2s/admission.h"
#include "s2s/receiving_dialback.h"
#include "s2s/receiving_negotiation.h"
#include "s2s/session.h"
#include "s2s/starttls.h"
#include "s2s/stream_management.h"

namespace sallyport::s2s {

// The parts refer to each other and to the stream, so they stay where they are made.
class Inbound::Impl final : private StreamHandler {
 public:
  Impl(const StreamPolicy& policy, Random& random, bool direct_tls, Time now)
      : stream_(*this, direct_tls ? Phase::kTls : Phase::kHeader, now),
        session_(stream_, Session::Entity::kReceiving),
        admission_(stream_, policy, session_.receiving(), outputs_),
        negotiation_(stream_, policy, random, admission_, outputs_, direct_tls),
        dialback_(stream_, policy, admission_, session_.receiving(), outputs_),
        acks_(stream_, random) {}

  Stream& stream() { return stream_; }
  const std::vector<PeerProof>& proofs() const { return session_.receiving().proofs(); }
  std::optional<InboundOutput> poll() {
    if (outputs_.empty()) return std::nullopt;
    std::optional<InboundOutput> output(std::move(outputs_.front()));
    outputs_.drop_front();
    return output;
  }

  void handle_tls(const TlsFacts& facts, Time now) { negotiation_.handle_tls(facts, now); }
  void handle_verified(const Pair& pair, const std::string& id, Result<VerifyAnswer> answer, Time now);
  void handle_key_checked(const Pair& pair, const std::string& id, Result<bool> valid, Time now);
  void handle_admission(const Pair& pair, Result<void> answer, Time now);
  void handle_timeout(Time now);
  std::optional<Time> poll_timeout() const;
  void check_again(Time now);
  void acknowledge(std::uint32_t number) { acks_.handle(number); }
  void leave_unacknowledged(std::uint32_t number) { acks_.leave(number); }
  bool is_owing() const { return acks_.is_owing() && !stream_.is_over(); }
  void hold(bool on) { acks_.hold(on); }
  // Nobody knows what lies unread in a stream that is held.
  Time idle_since() const { return acks_.is_held() ? stream_.now() : stream_.last_moved(); }
  void resume(const std::string& id, HandledCount count, Time now) {
    if (stream_.is_over()) return;
    stream_.set_now(now);
    acks_.resume(id, std::move(count));
  }
  void refuse_resume(std::optional<std::uint32_t> handled, Time now) {
    if (stream_.is_over()) return;
    stream_.set_now(now);
    acks_.refuse_resume(handled);
  }
  std::optional<Suspended> suspend() {
    if (acks_.id().empty() || !stream_.output().is_broken()) return std::nullopt;
    return Suspended{acks_.id(), acks_.take_count()};
  }
  const std::string& resume_id() const { return acks_.id(); }

 private:
  void handle_header(const xmpp::StreamHeader& header) override;
  void handle_element(const xmpp::Element& element) override;
  void handle_stanza(xmpp::Stanza stanza) override;
  void handle_bad_stanza(xmpp::BadStanza stanza) override {
    acks_.skip();
    handle_rejected(session_.reject(std::move(stanza)));
  }
  void write_header() override;
  void write_before_footer() override { acks_.close(); }
  void handle_end(std::optional<Error> error) override;
  bool has_outputs() const override { return !outputs_.empty(); }

  void handle_management(const xmpp::Element& element);
  void handle_rejected(Result<StanzaRejected> rejected);
  bool is_tls_awaited() const;

  ReceivingOutputs outputs_;
  Stream stream_;
  Session session_;
  Admission admission_;
  ReceivingNegotiation negotiation_;
  ReceivingDialback dialback_;
  AckAnswers acks_;
};

// --- from the peer

void Inbound::Impl::handle_header(const xmpp::StreamHeader& header) {
  if (Result<void> good = negotiation_.check_header(header); !good)
    return stream_.fail(std::move(good).error());
  write_header();
  negotiation_.offer_features();
}

void Inbound::Impl::write_header() {
  dialback_.handle_restart();
  negotiation_.write_header();
}

void Inbound::Impl::handle_element(const xmpp::Element& element) {
  const std::string& name = element.name.local;
  if (negotiation_.is_auth_waiting()) return stream_.fail({Code::kStreamOrder, "after <auth/>"});
  if (is_starttls(element, "starttls")) return negotiation_.handle_starttls();
  if (negotiation_.is_tls_missing()) return stream_.fail({Code::kTlsRequired, bounded(name)});
  if (element.name.space == xmpp::ns::kSasl) return negotiation_.handle_sasl(element);
  if (element.name.space == xmpp::ns::kDialback) return dialback_.handle_element(element);
  if (element.name.space == kManagement) return handle_management(element);
  stream_.fail({Code::kStanzaUnknown, bounded(name)});
}

void Inbound::Impl::handle_management(const xmpp::Element& element) {
  const bool was_resumable = !acks_.id().empty();
  if (auto previous = acks_.handle_element(element, !proofs().empty())) {
    outputs_.push_back(ResumeAsked{*std::move(previous)});
  } else if (!was_resumable && !acks_.id().empty()) {
    outputs_.push_back(Resumable{acks_.id()});
  }
}

void Inbound::Impl::handle_stanza(xmpp::Stanza stanza) {
  // After our footer no acknowledgement can follow: the peer deals with the stanza as one that was not read.
  if (acks_.is_on() && stream_.is_over()) return;
  if (const PeerProof* proof = session_.proof_of(stanza)) {
    outputs_.emplace_back(std::in_place_type<StanzaReceived>, *proof, std::move(stanza),
                          acks_.handle_received());
    return;
  }
  acks_.skip();
  handle_rejected(session_.reject(std::as_const(stanza)));
}

void Inbound::Impl::handle_rejected(Result<StanzaRejected> rejected) {
  if (rejected) {
    outputs_.push_back(*std::move(rejected));
  } else if (!stream_.is_over()) {
    stream_.fail(negotiation_.is_tls_missing() ? Error{Code::kTlsRequired, "stanza"}
                                               : std::move(rejected).error());
  }
}

// --- from the owner

void Inbound::Impl::handle_verified(const Pair& pair, const std::string& id, Result<VerifyAnswer> answer,
                                    Time now) {
  if (stream_.is_over() || id != stream_.id()) return;
  stream_.set_now(now);
  dialback_.handle_verified(pair, std::move(answer));
}

void Inbound::Impl::handle_key_checked(const Pair& pair, const std::string& id, Result<bool> valid,
                                       Time now) {
  if (stream_.is_over()) return;
  stream_.set_now(now);
  dialback_.handle_key_checked(pair, id, std::move(valid));
}

void Inbound::Impl::handle_admission(const Pair& pair, Result<void> answer, Time now) {
  if (stream_.is_over() || !admission_.end_question(pair)) return;
  stream_.set_now(now);
  negotiation_.handle_admission(pair, answer);
  dialback_.handle_admission(pair, std::move(answer));
}

void Inbound::Impl::check_again(Time now) {
  if (stream_.is_over()) return;
  stream_.set_now(now);
  admission_.check_again();
}

// --- time and the end

bool Inbound::Impl::is_tls_awaited() const {
  return stream_.phase() == Phase::kTls || (proofs().empty() && negotiation_.is_tls_missing());
}

std::optional<Time> Inbound::Impl::poll_timeout() const {
  if (stream_.is_closed()) return std::nullopt;
  if (stream_.phase() == Phase::kClosing) return stream_.close_deadline();
  const Time accepted_at = negotiation_.accepted_at();
  Time at = proofs().empty() ? accepted_at + limits::kNegotiationTimeout
                             : idle_since() + limits::kStreamIdleTimeout;
  if (is_tls_awaited()) at = std::min(at, accepted_at + limits::kTlsTimeout);
  if (stream_.parser_deadline()) at = std::min(at, *stream_.parser_deadline());
  if (const auto answer = acks_.deadline()) at = std::min(at, *answer);
  return dialback_.earliest(at);
}

void Inbound::Impl::handle_timeout(Time now) {
  if (stream_.is_closed()) return;
  stream_.set_now(now);
  if (stream_.phase() == Phase::kClosing) return stream_.handle_close_timeout();
  stream_.handle_parser_timeout();
  dialback_.expire();
  acks_.handle_timeout(now);
  if (stream_.is_over()) return;
  const Time accepted_at = negotiation_.accepted_at();
  if (is_tls_awaited() && now >= accepted_at + limits::kTlsTimeout)
    return stream_.fail({Code::kStreamNegotiationTimeout, "TLS"});
  const bool negotiating = proofs().empty() || stream_.phase() == Phase::kSasl;
  if (!negotiating) {
    if (now >= idle_since() + limits::kStreamIdleTimeout) stream_.begin_close(Error{Code::kStreamIdle, {}});
    return;
  }
  if (now < accepted_at + limits::kNegotiationTimeout) return dialback_.handle_linger_timeout();
  // A stream that only asked about keys has served its purpose.
  if (proofs().empty() && (dialback_.was_asked() || admission_.refusal()))
    return stream_.begin_close(admission_.refusal());
  stream_.fail({Code::kStreamNegotiationTimeout, std::string(phase_name(stream_.phase()))});
}

void Inbound::Impl::handle_end(std::optional<Error> error) {
  admission_.clear();
  dialback_.clear();
  // A peer that goes because it was refused has the refusal as its reason, however it goes.
  const bool went = !error || error->code == Code::kStreamLost || error->code == Code::kStreamErrorByPeer;
  if (went && proofs().empty()) {
    if (admission_.refusal()) error = admission_.refusal();
    // A peer that was not offered EXTERNAL because of policy, and went.
    if (!error && !dialback_.was_asked()) error = negotiation_.header_refusal();
  }
  outputs_.push_back(Closed{std::move(error)});
}

// --- the public interface

Inbound::Inbound(const StreamPolicy& policy, Random& random, bool direct_tls, Time now)
    : impl_(std::make_unique<Impl>(policy, random, direct_tls, now)) {}
Inbound::~Inbound() = default;
Inbound::Inbound(Inbound&&) noexcept = default;
Inbound& Inbound::operator=(Inbound&&) noexcept = default;

void Inbound::handle_bytes(std::string_view bytes, Time now) { impl_->stream().handle_bytes(bytes, now); }
std::size_t Inbound::handle_some(std::string_view bytes, Time now) {
  return impl_->stream().handle_some(bytes, now);
}
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
void Inbound::handle_disconnected(std::optional<Error> why) {
  impl_->stream().handle_disconnected(std::move(why));
}
void Inbound::check_again(Time now) { impl_->check_again(now); }
void Inbound::acknowledge(std::uint32_t number) { impl_->acknowledge(number); }
void Inbound::leave_unacknowledged(std::uint32_t number) { impl_->leave_unacknowledged(number); }
void Inbound::resume(const std::string& id, HandledCount count, Time now) {
  impl_->resume(id, std::move(count), now);
}
void Inbound::refuse_resume(std::optional<std::uint32_t> handled, Time now) {
  impl_->refuse_resume(handled, now);
}
std::optional<Inbound::Suspended> Inbound::suspend() { return impl_->suspend(); }
const std::string& Inbound::resume_id() const { return impl_->resume_id(); }
bool Inbound::is_owing() const { return impl_->is_owing(); }
void Inbound::hold(bool on) { impl_->hold(on); }
void Inbound::close(std::optional<Error> reason, Time now) { impl_->stream().close(std::move(reason), now); }
void Inbound::close_cleanly(Error reason, Time now, Duration patience) {
  impl_->stream().set_now(now);
  impl_->stream().begin_close(std::move(reason), patience);
}
std::optional<InboundOutput> Inbound::poll() { return impl_->poll(); }
bool Inbound::take_output(std::string& out) { return impl_->stream().output().take(out); }
bool Inbound::has_output() const { return !impl_->stream().output().empty(); }
Phase Inbound::phase() const { return impl_->stream().phase(); }
const std::string& Inbound::stream_id() const { return impl_->stream().id(); }
const std::vector<PeerProof>& Inbound::proofs() const { return impl_->proofs(); }
const std::optional<TlsFacts>& Inbound::tls() const { return impl_->stream().tls(); }

}  // namespace sallyport::s2s
