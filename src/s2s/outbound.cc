#include "s2s/outbound.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"
#include "s2s/initiating_dialback.h"
#include "s2s/initiating_negotiation.h"
#include "s2s/session.h"
#include "s2s/stream_management.h"
#include "s2s/stream_xml.h"

namespace sallyport::s2s {

namespace {

bool may_ask(policy::Confirm confirm, const PeerTraits& traits) {
  return confirm == policy::Confirm::kAck || (confirm == policy::Confirm::kAuto && traits.acknowledges);
}

}  // namespace

// The parts refer to each other and to the stream, so they stay where they are made.
class Outbound::Impl final : private StreamHandler {
 public:
  Impl(const StreamPolicy& policy, const Pair& first, bool authenticate_first, bool direct_tls, Time now,
       PeerTraits traits, std::optional<ResumePoint> previous)
      : stream_(*this, Phase::kHeader, now),
        session_(stream_, Session::Entity::kInitiating),
        negotiation_(stream_, policy, session_.sending(), outputs_, first,
                     {direct_tls, traits.takes_certificate}),
        dialback_(stream_, policy, session_, outputs_, first, authenticate_first),
        acks_(stream_, session_.sending(), may_ask(policy.rules(first).confirm, traits),
              policy.rules(first).ack_timeout, std::move(previous)) {}

  Stream& stream() { return stream_; }
  const Stream& stream() const { return stream_; }
  Session& session() { return session_; }
  InitiatingNegotiation& negotiation() { return negotiation_; }
  std::optional<OutboundOutput> poll() {
    if (outputs_.empty()) return std::nullopt;
    std::optional<OutboundOutput> output(std::move(outputs_.front()));
    outputs_.drop_front();
    return output;
  }

  void handle_key(const Pair& pair, const std::string& id, Result<std::string> key, Time now);
  void handle_timeout(Time now);
  std::optional<Time> poll_timeout() const;
  void add_pair(const Pair& pair, Time now);
  void verify(const Pair& pair, const std::string& id, const std::string& key, Time now);
  void handle_written(std::uint64_t total, Time now);
  void confirm(std::uint64_t mark);
  std::optional<std::uint64_t> ping(const PeerProof& proof, std::string_view id, Time now);
  void acknowledge_to(std::uint64_t mark) { report(session_.sending().acknowledge_to(mark)); }
  bool is_resuming() const { return acks_.is_resuming(); }
  bool has_acknowledged() const { return acks_.has_answer(); }
  std::optional<Time> ack_deadline() const { return acks_.deadline(); }
  bool assume_read() {
    if (!session_.sending().is_written()) return false;
    report(session_.sending().assume_read());
    return true;
  }
  void set_confirmed_by(ConfirmedBy by) { report(session_.sending().set_confirmed_by(by)); }
  void check_again(Time now);
  bool send(const PeerProof& proof, const xmpp::Stanza& stanza, Time now) {
    if (acks_.is_resuming() || !session_.send(proof, stanza, now)) return false;
    acks_.handle_sent();
    return true;
  }
  bool is_owing() const {
    const SendLane& lane = session_.sending();
    return lane.confirmed_by() != ConfirmedBy::kWrites && lane.in_flight() > 0 && !stream_.is_over();
  }
  bool is_quiet() const {
    return stream_.output().empty() && outputs_.empty() && !dialback_.is_pending() && !acks_.deadline() &&
           !is_owing();
  }

 private:
  void handle_header(const xmpp::StreamHeader& header) override { negotiation_.handle_header(header); }
  void handle_element(const xmpp::Element& element) override {
    if (element.name.space == kManagement) return handle_management(element);
    handle_negotiation(element);
    if (!session_.sending().proofs().empty()) acks_.start();
  }
  void handle_stanza(xmpp::Stanza stanza) override {
    handle_rejected(session_.reject(std::as_const(stanza)));
  }
  void handle_bad_stanza(xmpp::BadStanza stanza) override {
    handle_rejected(session_.reject(std::move(stanza)));
  }
  void write_header() override { negotiation_.write_header(); }
  // A silent peer has not read the footer, as far as anyone knows.
  void write_before_footer() override {
    if (!is_silent_) acks_.close();
  }
  void handle_end(std::optional<Error> error) override;
  bool has_outputs() const override { return !outputs_.empty(); }

  template <typename Event>
  void report(std::optional<Event> event) {
    if (event) outputs_.push_back(*event);
  }
  void handle_negotiation(const xmpp::Element& element);
  void handle_management(const xmpp::Element& element);
  // The receiving lane is not open here: it rejects every stanza with an error.
  void handle_rejected(const Result<StanzaRejected>& rejected) {
    if (!stream_.is_over()) stream_.fail(rejected.error());
  }
  Time idle_deadline() const;

  InitiatingOutputs outputs_;
  Stream stream_;
  Session session_;
  InitiatingNegotiation negotiation_;
  InitiatingDialback dialback_;
  AckRequests acks_;
  bool is_silent_ = false;  // it did not acknowledge in time
};

// --- from the peer

void Outbound::Impl::handle_negotiation(const xmpp::Element& element) {
  const std::string& name = element.name.local;
  if (element.name.is(xmpp::ns::kStreams, "features")) {
    acks_.handle_features(element);
    if (negotiation_.handle_features(element, dialback_.may_prove_first()))
      dialback_.start(negotiation_.result());
    return;
  }
  if (element.name.space == xmpp::ns::kSasl) {
    if (negotiation_.handle_sasl(element)) dialback_.start(negotiation_.result());
    return;
  }
  if (negotiation_.is_tls_asked()) return negotiation_.handle_starttls(element);
  if (element.name.space != xmpp::ns::kDialback) return stream_.fail_order(name);
  if (!negotiation_.is_ended()) return stream_.fail({Code::kDialbackUnsolicited, bounded(name)});
  dialback_.handle_element(element);
}

void Outbound::Impl::handle_management(const xmpp::Element& element) {
  AckRequests::Outcome outcome = acks_.handle_element(element);
  report(outcome.delivered);
  report(outcome.in_doubt);
  report(outcome.resume);
}

// --- from the owner

void Outbound::Impl::handle_key(const Pair& pair, const std::string& id, Result<std::string> key, Time now) {
  if (stream_.is_over()) return;
  stream_.set_now(now);
  dialback_.handle_key(pair, id, std::move(key));
}

void Outbound::Impl::add_pair(const Pair& pair, Time now) {
  if (stream_.is_closed()) return;
  stream_.set_now(now);
  dialback_.add_pair(pair);
}

void Outbound::Impl::verify(const Pair& pair, const std::string& id, const std::string& key, Time now) {
  if (stream_.is_closed()) return;
  stream_.set_now(now);
  dialback_.verify(pair, id, key);
}

void Outbound::Impl::handle_written(std::uint64_t total, Time now) {
  if (stream_.is_closed()) return;
  stream_.set_now(now);
  SendLane& lane = session_.sending();
  if (const auto doubt = lane.handle_written(total, stream_.output().end())) {
    outputs_.push_back(*doubt);
    if (const auto delivered = lane.overflow()) outputs_.push_back(*delivered);
  }
}

void Outbound::Impl::confirm(std::uint64_t mark) { report(session_.sending().confirm(mark)); }

std::optional<std::uint64_t> Outbound::Impl::ping(const PeerProof& proof, std::string_view id, Time now) {
  if (stream_.is_over() || !session_.sending().has(proof.pair())) return std::nullopt;
  stream_.set_moved(now);
  session_.sending().note_traffic(now);
  stream_.write(ping_xml(proof.pair(), id));
  return stream_.output().end();
}

void Outbound::Impl::check_again(Time now) {
  if (stream_.is_over()) return;
  stream_.set_now(now);
  dialback_.check_again();
}

// --- time and the end

// Our own limit counts both directions, the peer's only what we send. While the peer owes us an answer the
// stream is not idle: that has a deadline of its own.
Time Outbound::Impl::idle_deadline() const {
  const Time ours = stream_.last_moved() + limits::kStreamIdleTimeout;
  const bool is_owed = dialback_.is_pending() || acks_.deadline();
  return is_owed ? ours : std::min(ours, session_.sending().peer_idle_deadline());
}

std::optional<Time> Outbound::Impl::poll_timeout() const {
  if (stream_.is_closed() || !negotiation_.is_connected()) return std::nullopt;
  if (stream_.phase() == Phase::kClosing) return stream_.close_deadline();
  Time at = negotiation_.is_ended() ? idle_deadline() : negotiation_.deadline();
  if (stream_.parser_deadline()) at = std::min(at, *stream_.parser_deadline());
  if (const auto ack = acks_.deadline()) at = std::min(at, *ack);
  return dialback_.earliest(at);
}

void Outbound::Impl::handle_timeout(Time now) {
  const std::optional<Time> due = poll_timeout();
  if (!due || now < *due) return;
  stream_.set_now(now);
  if (stream_.phase() == Phase::kClosing) return stream_.handle_close_timeout();
  stream_.handle_parser_timeout();
  dialback_.expire();
  if (stream_.is_over()) return;
  if (!negotiation_.is_ended()) {
    const std::optional<Time> still_due = poll_timeout();
    if (still_due && now >= *still_due)
      stream_.fail({Code::kStreamNegotiationTimeout, std::string(phase_name(stream_.phase()))});
    return;
  }
  if (const auto ack = acks_.deadline(); ack && now >= *ack) {
    is_silent_ = true;
    return stream_.fail({Code::kStreamAckTimeout, {}});
  }
  if (now >= idle_deadline()) stream_.begin_close(Error{Code::kStreamIdle, {}});
}

void Outbound::Impl::handle_end(std::optional<Error> error) {
  if (!error && dialback_.is_pending()) error = Error{Code::kStreamClosedByPeer, {}};
  const std::optional<Error>& sasl_refusal = negotiation_.result().sasl_refusal;
  if (sasl_refusal && error && dialback_.is_first_pending()) {
    // The owner can do something about the refusal, not about how the stream ended after it.
    error = Error{Code::kSaslRefused, bounded(sasl_refusal->text + ", then " +
                                              std::string(code_row(error->code).name) + " " + error->text)};
  }
  const bool by_peer = error && error->code == Code::kStreamErrorByPeer;
  auto resume = acks_.resume_point();
  if (auto ended = session_.end_sending(by_peer ? error : std::nullopt)) {
    ended->resume = std::move(resume);
    outputs_.push_back(*std::move(ended));
  }
  if (error) dialback_.fail_pending(*error);
  outputs_.push_back(Closed{std::move(error)});
}

// --- the public interface

Outbound::Outbound(const StreamPolicy& policy, Pair first, bool authenticate_first, bool direct_tls, Time now,
                   PeerTraits traits, std::optional<ResumePoint> previous)
    : impl_(std::make_unique<Impl>(policy, first, authenticate_first, direct_tls, now, traits,
                                   std::move(previous))) {}
Outbound::~Outbound() = default;
Outbound::Outbound(Outbound&&) noexcept = default;
Outbound& Outbound::operator=(Outbound&&) noexcept = default;

void Outbound::handle_connected(Time now) { impl_->negotiation().handle_connected(now); }
void Outbound::handle_bytes(std::string_view bytes, Time now) { impl_->stream().handle_bytes(bytes, now); }
std::size_t Outbound::handle_some(std::string_view bytes, Time now) {
  return impl_->stream().handle_some(bytes, now);
}
void Outbound::handle_tls(const TlsFacts& facts, Time now) { impl_->negotiation().handle_tls(facts, now); }
void Outbound::handle_key(const Pair& pair, const std::string& stream_id, Result<std::string> key, Time now) {
  impl_->handle_key(pair, stream_id, std::move(key), now);
}
void Outbound::handle_timeout(Time now) { impl_->handle_timeout(now); }
std::optional<Time> Outbound::poll_timeout() const { return impl_->poll_timeout(); }
void Outbound::handle_disconnected(std::optional<Error> why) {
  impl_->stream().handle_disconnected(std::move(why));
}
void Outbound::add_pair(const Pair& pair, Time now) { impl_->add_pair(pair, now); }
void Outbound::verify(const Pair& pair, const std::string& stream_id, const std::string& key, Time now) {
  impl_->verify(pair, stream_id, key, now);
}
bool Outbound::send(const PeerProof& proof, const xmpp::Stanza& stanza, Time now) {
  return impl_->send(proof, stanza, now);
}
std::optional<std::uint64_t> Outbound::ping(const PeerProof& proof, std::string_view id, Time now) {
  return impl_->ping(proof, id, now);
}
void Outbound::acknowledge_to(std::uint64_t mark) { impl_->acknowledge_to(mark); }
bool Outbound::has_acknowledged() const { return impl_->has_acknowledged(); }
bool Outbound::assume_read() { return impl_->assume_read(); }
void Outbound::set_confirmed_by(ConfirmedBy by) { impl_->set_confirmed_by(by); }
ConfirmedBy Outbound::confirmed_by() const { return impl_->session().sending().confirmed_by(); }
std::uint64_t Outbound::bytes_in_flight() const { return impl_->session().sending().bytes_in_flight(); }
std::uint64_t Outbound::credit_in_flight() const { return impl_->session().sending().credit_in_flight(); }
bool Outbound::takes(const xmpp::Stanza& stanza) const { return impl_->session().sending().takes(stanza); }
bool Outbound::is_full() const { return impl_->is_resuming() || impl_->session().sending().is_full(); }
bool Outbound::is_resuming() const { return impl_->is_resuming(); }
std::optional<Time> Outbound::ack_deadline() const { return impl_->ack_deadline(); }
void Outbound::handle_written(std::uint64_t total, Time now) { impl_->handle_written(total, now); }
void Outbound::confirm(std::uint64_t mark) { impl_->confirm(mark); }
bool Outbound::has_output() const { return !impl_->stream().output().empty(); }
const StreamLimits& Outbound::peer_limits() const { return impl_->session().sending().peer_limits(); }
void Outbound::check_again(Time now) { impl_->check_again(now); }
void Outbound::close(std::optional<Error> reason, Time now) { impl_->stream().close(std::move(reason), now); }
std::optional<OutboundOutput> Outbound::poll() { return impl_->poll(); }
bool Outbound::take_output(std::string& out) { return impl_->stream().output().take(out); }
Phase Outbound::phase() const { return impl_->stream().phase(); }
const std::string& Outbound::stream_id() const { return impl_->stream().id(); }
const std::vector<PeerProof>& Outbound::proofs() const { return impl_->session().sending().proofs(); }
const std::optional<TlsFacts>& Outbound::tls() const { return impl_->stream().tls(); }
bool Outbound::is_owing() const { return impl_->is_owing(); }
bool Outbound::is_quiet() const { return impl_->is_quiet(); }

}  // namespace sallyport::s2s
