#include "link/session_impl.h"

#include <algorithm>

#include "base/overloaded.h"

namespace sallyport::link {
namespace {

// A reconnect will not change these soon.
bool is_final(Code code) {
  return code == Code::kLinkVersion || code == Code::kLinkSecondCore || code == Code::kLinkDomain ||
         code == Code::kLinkSameIdentity;
}

std::optional<Time> earlier(std::optional<Time> a, std::optional<Time> b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

}  // namespace

// --- the connection

void LinkSession::Impl::connect(Time now) {
  if (state_ != State::kDown) disconnect(now);
  state_ = State::kGreeting;
  was_up_ = false;
  connected_ = last_received_ = last_sent_ = last_ping_ = now;
  if (config_.role == NodeRole::kCore) greet();
}

void LinkSession::Impl::greet() {
  const bool resume = session_ != 0;
  frame::append(shared_.out,
                frame::Hello{.version_highest = config_.version_highest,
                             .role = 0,
                             .name = frame::cut(config_.name, limits::kLinkStringBytesMax),
                             .program_version = frame::cut(config_.version, limits::kLinkStringBytesMax),
                             .instance = config_.instance,
                             .edge_instance = resume ? std::string_view(peer_instance_) : "",
                             .session = session_,
                             .position = resume ? received_ : 0});
}

void LinkSession::Impl::receive(std::string_view bytes, Time now) {
  if (!bytes.empty()) last_received_ = now;
  while (state_ == State::kGreeting || state_ == State::kUp) {
    const bool greeting = state_ == State::kGreeting;
    const auto raw = reader_.next(bytes, greeting ? limits::kGreetingBytesMax : limits::kFrameBytesMax);
    if (!raw) return;
    const Result<void> done = *raw ? dispatch(**raw, now) : Result<void>(raw->error());
    if (!done) fail(done.error());
  }
}

// The type numbers of the protocol's table: greetings below 0x04, numbered frames 0x1X.
Result<void> LinkSession::Impl::dispatch(const frame::Raw& raw, Time now) {
  if (frame::is_numbered(raw.type) && state_ == State::kUp) {
    auto done = handle_numbered(raw, now);
    if (done) note_numbered(frame::kHeaderBytes + raw.payload.size(), now);
    return done;
  }
  const auto f = frame::decode(raw);
  if (!f) return f.error();
  if (const auto* refuse = std::get_if<frame::Refuse>(&*f)) {
    Error error = error_of(refuse->reason, Code::kLinkRefused);
    const bool final = is_final(error.code);
    close(std::move(error), final);
    return {};
  }
  return state_ == State::kGreeting ? handle_greeting(*f, now) : handle_established(*f, now);
}

Result<void> LinkSession::Impl::handle_greeting(const frame::Frame& f, Time now) {
  const auto* hello = std::get_if<frame::Hello>(&f);
  if (hello != nullptr && config_.role == NodeRole::kEdge) return handle_hello(*hello, now);
  const auto* welcome = std::get_if<frame::Welcome>(&f);
  if (welcome != nullptr && config_.role == NodeRole::kCore) return handle_welcome(*welcome, now);
  return {Code::kLinkFrame, std::string(frame::type_name(frame::type_of(f))) + " before the greeting"};
}

Result<void> LinkSession::Impl::handle_numbered(const frame::Raw& raw, Time now) {
  if (raw.type == frame::Type::kStanza) {
    const auto stanza = frame::decode_stanza(raw);
    return stanza ? receiver_.handle_stanza(*stanza, now) : Result<void>(stanza.error());
  }
  const auto f = frame::decode(raw);
  if (!f) return f.error();
  return handle_established(*f, now);
}

// Frames of the greeting come first and never again; REFUSE and STANZA are handled before.
Result<void> LinkSession::Impl::handle_established(const frame::Frame& f, Time now) {
  const auto out_of_order = [&f](const auto&) -> Result<void> {
    return {Code::kLinkFrame, std::string(frame::type_name(frame::type_of(f))) + " after the greeting"};
  };
  return std::visit(Overloaded{
                        [&](const frame::Settle& settle) { return sender_.handle_settle(settle, now); },
                        [&](const frame::SettleAhead& ahead) { return sender_.handle_settle_ahead(ahead); },
                        [&](const frame::Open& open) { return receiver_.handle_open(open); },
                        [&](const frame::Close& close) { return receiver_.handle_close(close); },
                        [&](const frame::Void& nothing) { return receiver_.handle_void(nothing, now); },
                        [&](const frame::Window& window) { return sender_.handle_window(window); },
                        [&](const frame::Ack& ack) { return sender_.handle_ack(ack.position); },
                        [&](const frame::Ping& ping) { return handle_ping(ping); },
                        [&](const frame::Pong& pong) { return handle_pong(pong); },
                        [&](const frame::Drain&) { return handle_drain(); },
                        [&](const frame::Heard& heard) { return handle_heard(heard); },
                        [&](const frame::Ask& ask) { return control_.handle_ask(ask); },
                        [&](const frame::Answer& answer) { return control_.handle_answer(answer); },
                        [&](const frame::Push& push) { return control_.handle_push(push); },
                        [&](const frame::PushChunk& chunk) { return control_.handle_push_chunk(chunk); },
                        [&](const frame::PushDone& done) { return control_.handle_push_done(done); },
                        [&](const frame::Hello& hello) { return out_of_order(hello); },
                        [&](const frame::Welcome& welcome) { return out_of_order(welcome); },
                        [&](const frame::Refuse& refuse) { return out_of_order(refuse); },
                        [&](const frame::Stanza& stanza) { return out_of_order(stanza); },
                    },
                    f);
}

Result<void> LinkSession::Impl::handle_drain() {
  if (shared_.version < frame::kVersionAttempts) return {Code::kLinkFrame, "DRAIN in an earlier version"};
  shared_.events.emplace_back(PeerDrains{});
  return {};
}

Result<void> LinkSession::Impl::handle_heard(const frame::Heard& heard) {
  if (config_.role == NodeRole::kCore) return {Code::kLinkFrame, "HEARD of an edge"};
  if (shared_.version < frame::kVersionHeard) return {Code::kLinkFrame, "HEARD in an earlier version"};
  auto local = xmpp::Domain::parse(heard.local);
  auto remote = xmpp::Domain::parse(heard.remote);
  if (!local || !remote) return {Code::kLinkFrame, "HEARD: a domain is not valid"};
  shared_.events.emplace_back(PeerHeard{{*std::move(local), *std::move(remote)}, heard.ping});
  return {};
}

void LinkSession::Impl::heard(const xmpp::Pair& pair, std::uint64_t ping) {
  if (state_ != State::kUp || shared_.version < frame::kVersionHeard) return;
  frame::append(shared_.out, frame::Heard{ping, pair.local.ascii(), pair.remote.ascii()});
}

void LinkSession::Impl::note_numbered(std::size_t bytes, Time now) {
  // A numbered frame counts even if it was answered with REFUSE.
  if (received_ == acknowledged_) acknowledge_by_ = now + limits::kAckDelay;
  ++received_;
  unacknowledged_bytes_ += bytes;
  if (unacknowledged_bytes_ >= limits::kAckAfterBytes) acknowledge_by_ = now;
}

// --- greeting

Result<void> LinkSession::Impl::handle_hello(const frame::Hello& hello, Time now) {
  if (hello.role != 0) return {Code::kLinkFrame, "HELLO of an edge"};
  const auto version = std::min(hello.version_highest, config_.version_highest);
  if (version < std::max(hello.version_lowest, frame::kVersionLowest)) {
    return {Code::kLinkVersion, "the edge supports " + std::to_string(frame::kVersionLowest) + " to " +
                                    std::to_string(config_.version_highest) + ", the core " +
                                    std::to_string(hello.version_lowest) + " to " +
                                    std::to_string(hello.version_highest)};
  }
  const bool resumed = session_ != 0 && hello.session == session_ &&
                       hello.edge_instance == config_.instance && hello.instance == peer_instance_ &&
                       shared_.log.can_acknowledge(hello.position);
  if (!resumed) start_session(++last_session_, hello.instance);
  frame::append(shared_.out,
                frame::Welcome{.version = version,
                               .name = frame::cut(config_.name, limits::kLinkStringBytesMax),
                               .program_version = frame::cut(config_.version, limits::kLinkStringBytesMax),
                               .instance = config_.instance,
                               .session = session_,
                               .resumed = resumed,
                               .position = received_});
  if (resumed) {
    if (auto done = sender_.handle_ack(hello.position); !done) return done;
  }
  shared_.version = version;
  come_up(hello.name, hello.program_version, resumed, now);
  return {};
}

Result<void> LinkSession::Impl::handle_welcome(const frame::Welcome& welcome, Time now) {
  if (welcome.version < frame::kVersionLowest || welcome.version > config_.version_highest) {
    return {Code::kLinkVersion, "the edge chose " + std::to_string(welcome.version)};
  }
  if (welcome.resumed) {
    if (session_ == 0 || welcome.session != session_ || welcome.instance != peer_instance_) {
      return {Code::kLinkFrame, "WELCOME resumes another session"};
    }
    if (auto done = sender_.handle_ack(welcome.position); !done) return done;
  } else {
    if (welcome.position != 0) return {Code::kLinkFrame, "WELCOME: a new session does not begin at 0"};
    start_session(welcome.session, welcome.instance);
  }
  shared_.version = welcome.version;
  come_up(welcome.name, welcome.program_version, welcome.resumed, now);
  return {};
}

void LinkSession::Impl::start_session(std::uint64_t session, std::string_view peer_instance) {
  session_ = session;
  peer_instance_ = peer_instance;
  received_ = acknowledged_ = 0;
  unacknowledged_bytes_ = 0;
  shared_.log.clear();
  sent_again_ = sender_.start_anew(config_.may_repeat);
  receiver_.start_anew();
}

void LinkSession::Impl::come_up(std::string_view peer_name, std::string_view peer_version, bool resumed,
                                Time now) {
  state_ = State::kUp;
  shared_.up = was_up_ = true;
  outage_since_.reset();
  last_ping_ = now;
  acknowledged_ = received_;  // the greeting contained it
  unacknowledged_bytes_ = 0;
  shared_.events.push_back(
      Up{std::string(peer_name), std::string(peer_version), resumed, resumed ? 0 : sent_again_});
  // Before the settlements that say so of single stanzas.
  if (draining_ && shared_.version >= frame::kVersionAttempts) frame::append(shared_.out, frame::Drain{});
  drain_wanted_ = false;
  if (resumed) sender_.replay();
  control_.resume();
  sender_.resume();
}

// --- the end of a connection

void LinkSession::Impl::fail(const Error& error) {
  if (state_ != State::kGreeting && state_ != State::kUp) return;
  frame::append(shared_.out, frame::Refuse{shared_.verdict_on(error)});
  close(error, false);
}

void LinkSession::Impl::close(Error error, bool final) {
  state_ = State::kClosing;
  shared_.up = false;
  // A frame that one side rejects would be replayed for ever.
  if (error.code == Code::kLinkFrame) session_ = 0;
  failure_ = Down{std::move(error), final};
}

void LinkSession::Impl::disconnect(Time now) {
  if (state_ == State::kDown) return;
  state_ = State::kDown;
  shared_.up = false;
  shared_.out.clear();
  reader_.reset();
  ping_wanted_ = false;
  pong_wanted_.reset();
  control_.disconnect();
  Down down = failure_.value_or(Down{Error{Code::kLinkDown, "the connection ended"}, false});
  failure_.reset();
  if (was_up_) {
    // A timeout counts from the last byte.
    outage_since_ = down.error.code == Code::kLinkDead ? last_received_ : now;
    dead_reported_ = false;
  }
  shared_.events.push_back(std::move(down));
  report_outage(now);
}

void LinkSession::Impl::report_outage(Time now) {
  if (!outage_since_) return;
  if (!dead_reported_ && now >= *outage_since_ + limits::kLinkDeadAfter) {
    dead_reported_ = true;
    shared_.events.push_back(Dead{});
  }
  if (config_.role == NodeRole::kEdge && now >= *outage_since_ + limits::kLinkSessionKept) {
    outage_since_.reset();
    start_session(0, "");
    shared_.events.push_back(Forgotten{});
  }
}

// --- time

void LinkSession::Impl::pass(Time now) {
  report_outage(now);
  const bool silent = (state_ == State::kGreeting && now >= connected_ + limits::kLinkDeadAfter) ||
                      (state_ == State::kUp && now >= last_received_ + limits::kLinkDeadAfter);
  if (silent) {
    // The peer does not read: pending output would only delay the end.
    shared_.out.clear();
    close({Code::kLinkDead, was_up_ ? "no frame arrived" : "the greeting was not answered"}, false);
  }
  if (state_ != State::kUp) return;
  if (now >= next_ping()) {
    last_ping_ = now;
    ping_wanted_ = true;
  }
  sender_.handle_timeout(now);
}

std::optional<Time> LinkSession::Impl::poll_timeout() const {
  std::optional<Time> next;
  if (outage_since_) {
    if (!dead_reported_)
      next = *outage_since_ + limits::kLinkDeadAfter;
    else if (config_.role == NodeRole::kEdge)
      next = *outage_since_ + limits::kLinkSessionKept;
  }
  if (state_ == State::kGreeting) next = earlier(next, connected_ + limits::kLinkDeadAfter);
  if (state_ != State::kUp) return next;
  next = earlier(next, std::min(last_received_ + limits::kLinkDeadAfter, next_ping()));
  if (received_ != acknowledged_) next = earlier(next, acknowledge_by_);
  if (const auto push = control_.poll_timeout()) next = earlier(next, *push);
  return earlier(earlier(next, receiver_.poll_timeout()), sender_.poll_timeout());
}

// --- output

bool LinkSession::Impl::take_output(std::string& out, Time now) {
  if (state_ == State::kUp) {
    control_.flush_push(now);
    if (ping_wanted_) frame::append(shared_.out, frame::Ping{++pings_});
    if (pong_wanted_) frame::append(shared_.out, frame::Pong{*pong_wanted_});
    if (drain_wanted_ && shared_.version >= frame::kVersionAttempts)
      frame::append(shared_.out, frame::Drain{});
    drain_wanted_ = false;
    ping_wanted_ = false;
    pong_wanted_.reset();

    const bool piggyback = !shared_.out.empty();
    const auto settle_by = receiver_.poll_timeout();
    const bool settle = settle_by && (piggyback || now >= *settle_by);
    // Before the settlements, which may be of stanzas that it acknowledges.
    if (received_ != acknowledged_ && (piggyback || settle || now >= acknowledge_by_)) {
      frame::append(shared_.out, frame::Ack{received_});
      acknowledged_ = received_;
      unacknowledged_bytes_ = 0;
    }
    if (settle) receiver_.flush(now);
  }
  if (shared_.out.empty()) return false;
  last_sent_ = now;
  if (out.empty()) {
    out.swap(shared_.out);
  } else {
    out.append(shared_.out);
    shared_.out.clear();
  }
  return true;
}

// --- the public interface

LinkSession::LinkSession(SessionConfig config) : impl_(std::make_unique<Impl>(std::move(config))) {}
LinkSession::~LinkSession() = default;
LinkSession::LinkSession(LinkSession&&) noexcept = default;
LinkSession& LinkSession::operator=(LinkSession&&) noexcept = default;

void LinkSession::handle_connected(Time now) { impl_->connect(now); }
void LinkSession::handle_bytes(std::string_view bytes, Time now) { impl_->receive(bytes, now); }
void LinkSession::handle_disconnected(Time now) { impl_->disconnect(now); }
void LinkSession::handle_timeout(Time now) { impl_->pass(now); }
std::optional<Time> LinkSession::poll_timeout() const { return impl_->poll_timeout(); }
bool LinkSession::take_output(std::string& out, Time now) { return impl_->take_output(out, now); }
bool LinkSession::wants_close() const { return impl_->state() == Impl::State::kClosing; }
const std::string& LinkSession::peer_instance() const { return impl_->peer_instance(); }
bool LinkSession::is_up() const { return impl_->state() == Impl::State::kUp; }
std::uint16_t LinkSession::version() const { return impl_->shared().version; }

std::optional<Event> LinkSession::poll() {
  auto& events = impl_->shared().events;
  return events.empty() ? std::nullopt : std::optional(events.pop_front());
}

bool LinkSession::can_send(const xmpp::Pair& pair, std::size_t stanza_bytes) const {
  return impl_->sender().can_send(pair, stanza_bytes);
}
void LinkSession::send(const xmpp::Pair& pair, xmpp::Stanza stanza, Ticket ticket, Time,
                       const Provenance& provenance, Attempt attempt) {
  impl_->sender().send(pair, std::move(stanza), ticket, provenance, attempt);
}
void LinkSession::settle(const Receipt& receipt, Outcome outcome, Time now) {
  impl_->receiver().settle(receipt, std::move(outcome), now);
}
void LinkSession::grant(const xmpp::Pair& pair, std::uint32_t window_bytes) {
  impl_->receiver().grant(pair, window_bytes);
}
std::vector<Unsettled> LinkSession::abandon() { return impl_->sender().abandon(); }
bool LinkSession::withdraw(const xmpp::Pair& pair, Ticket ticket) {
  return impl_->sender().withdraw(pair, ticket);
}
std::size_t LinkSession::unsettled_bytes() const { return impl_->sender().unsettled_bytes(); }
std::size_t LinkSession::unsettled() const { return impl_->sender().unsettled(); }
bool LinkSession::owes_settlements() const { return impl_->owes_settlements(); }

std::uint64_t LinkSession::ask(Ask ask) { return impl_->control().ask(std::move(ask)); }
void LinkSession::answer(std::uint64_t id, Answer answer) { impl_->control().answer(id, std::move(answer)); }
void LinkSession::push(std::uint64_t generation, std::shared_ptr<const SecretBytes> bytes) {
  impl_->control().push(generation, std::move(bytes));
}
void LinkSession::push_done(std::uint64_t generation, Result<void> result) {
  impl_->control().push_done(generation, result);
}
void LinkSession::drain() { impl_->drain(); }
void LinkSession::heard(const xmpp::Pair& pair, std::uint64_t ping) { impl_->heard(pair, ping); }
void LinkSession::refuse(Error reason) { impl_->refuse(reason); }

}  // namespace sallyport::link
