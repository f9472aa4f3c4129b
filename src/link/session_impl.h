// The implementation of a link session: its state, and which part of it handles which frame. session.cc
// defines it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "link/control.h"
#include "link/receiver.h"
#include "link/sender.h"
#include "link/session.h"
#include "link/session_state.h"

namespace sallyport::link {

class LinkSession::Impl {
 public:
  explicit Impl(SessionConfig config) : config_(std::move(config)), shared_{.role = config_.role} {}

  // The states of docs/link-protocol.md.
  enum class State { kDown, kGreeting, kUp, kClosing };

  void connect(Time now);
  void receive(std::string_view bytes, Time now);
  void disconnect(Time now);
  void pass(Time now);
  std::optional<Time> poll_timeout() const;
  bool take_output(std::string& out, Time now);
  void refuse(const Error& reason) { fail(reason); }
  void heard(const xmpp::Pair& pair, std::uint64_t ping);
  void drain() { draining_ = drain_wanted_ = true; }

  State state() const { return state_; }
  const std::string& peer_instance() const { return peer_instance_; }
  SessionState& shared() { return shared_; }
  Sender& sender() { return sender_; }
  Receiver& receiver() { return receiver_; }
  bool owes_settlements() const { return receiver_.has_waiting() || shared_.log.settlement_bytes() > 0; }
  Control& control() { return control_; }

 private:
  Result<void> dispatch(const frame::Raw& raw, Time now);
  Result<void> handle_greeting(const frame::Frame& f, Time now);
  Result<void> handle_numbered(const frame::Raw& raw, Time now);
  Result<void> handle_established(const frame::Frame& f, Time now);
  Result<void> handle_ping(const frame::Ping& ping) {
    pong_wanted_ = ping.number;
    return {};
  }
  Result<void> handle_pong(const frame::Pong& pong) const {
    if (pong.number > 0 && pong.number <= pings_) return {};
    return {Code::kLinkFrame, "PONG without PING"};
  }
  Result<void> handle_drain();
  Result<void> handle_heard(const frame::Heard& heard);
  Result<void> handle_hello(const frame::Hello& hello, Time now);
  Result<void> handle_welcome(const frame::Welcome& welcome, Time now);
  void greet();
  void start_session(std::uint64_t session, std::string_view peer_instance);
  void come_up(std::string_view peer_name, std::string_view peer_version, bool resumed, Time now);
  void fail(const Error& error);
  void close(Error error, bool final);
  void note_numbered(std::size_t bytes, Time now);
  void report_outage(Time now);
  Time next_ping() const {
    return std::max(last_ping_, std::min(last_received_, last_sent_)) + limits::kLinkPingAfter;
  }

  SessionConfig config_;
  SessionState shared_;
  Sender sender_{shared_};
  Receiver receiver_{shared_};
  Control control_{shared_};
  frame::Reader reader_;

  State state_ = State::kDown;
  std::optional<Down> failure_;  // the reason for closing
  bool was_up_ = false;          // in this connection

  // The session number; 0: no session that could be resumed.
  std::uint64_t session_ = 0;
  std::uint64_t last_session_ = 0;  // the last number that this edge assigned
  std::string peer_instance_;
  std::uint64_t received_ = 0;      // numbered frames
  std::uint64_t acknowledged_ = 0;  // of those
  std::size_t unacknowledged_bytes_ = 0;
  Time acknowledge_by_{};

  Time connected_{};
  Time last_received_{};
  Time last_sent_{};
  Time last_ping_{};
  std::uint64_t pings_ = 0;
  bool ping_wanted_ = false;
  std::optional<std::uint64_t> pong_wanted_;
  std::uint64_t sent_again_ = 0;  // with the beginning of the session
  bool draining_ = false;
  bool drain_wanted_ = false;  // the other node is to be told

  std::optional<Time> outage_since_;
  bool dead_reported_ = false;
};

}  // namespace sallyport::link
