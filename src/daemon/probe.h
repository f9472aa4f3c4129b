// Opens one server-to-server stream as an edge would and checks each step, for `check tls` and `check
// domain`. It is a role that the driver serves like any other.
//
// With a certificate for a local domain it proves that domain by SASL EXTERNAL where the peer offers it (RFC
// 6120 6.4) and continues until the features after it. It never sends a stanza, and does not carry out
// dialback, for which the peer would have to connect back. Without a local domain it sends no `from`. Pure,
// like every role.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "daemon/check_certificate.h"
#include "daemon/check_steps.h"
#include "gate/event.h"
#include "s2s/stream_policy.h"
#include "s2s/tls_facts.h"
#include "xmpp/xml_stream.h"

namespace sallyport::daemon {

// The server, and the domain that it must prove.
struct ProbeTarget {
  gate::DialPlan plan;
  xmpp::Domain name;
  bool direct_tls = false;  // even if the plan does not imply it
  // The local domain that the stream is from, if any, and the certificate that is offered for it, if any.
  std::optional<xmpp::Domain> own;
  std::optional<OfferedCertificate> offered;
  // The policy's rules for the peer, where they are known.
  std::optional<policy::PeerRules> rules;
};

class Probe : public gate::Role {
 public:
  // Adds its steps to `steps`, which outlives it. It ends at `deadline` at the latest.
  Probe(ProbeTarget target, CheckSteps& steps, Time deadline);

  // Whether it is over; nothing more happens then.
  bool is_done() const { return done_; }

  void handle_accepted(gate::ConnId conn, const gate::Accepted& accepted, Now now) override;
  void handle_connected(gate::ConnId conn, const gate::Connected& connected, Now now) override;
  void handle_dial_failed(gate::ConnId conn, Error error, Now now) override;
  void handle_link(gate::ConnId conn, std::size_t peer, const dns::SocketAddress& endpoint, Now now) override;
  void handle_bytes(gate::ConnId conn, std::string_view bytes, Now now) override;
  void handle_tls(gate::ConnId conn, Result<s2s::TlsFacts> facts, Now now) override;
  void handle_written(gate::ConnId conn, std::uint64_t bytes_total, Now now) override;
  void handle_disconnected(gate::ConnId conn, Error error, Now now) override;
  void handle_timeout(Now now) override;
  std::optional<Time> poll_timeout() const override;
  std::optional<gate::Output> poll() override;
  bool take_output(gate::ConnId conn, std::string& out, Now now) override;
  std::string control(std::string_view question, Now now) override;
  void drain(Now now) override;
  bool is_drained() const override { return done_; }

 private:
  enum class Phase {
    kDialling,
    kHeader,
    kFeatures,
    kProceed,
    kTls,
    kSecureHeader,
    kSecureFeatures,
    kAuth,
    kSessionHeader,
    kSessionFeatures
  };

  void begin_stream(Phase header);
  void begin_tls();
  void handle_event(const xmpp::StreamEvent& event);
  void handle_header(const xmpp::StreamHeader& header);
  void handle_element(const xmpp::Element& element);
  void handle_features(const xmpp::Element& features);
  void handle_auth_answer(const xmpp::Element& element);
  void ask_for_tls(const xmpp::Element& features);
  void prove_ourselves(const xmpp::Element& features);
  // Adds the failed step and ends; a warning where the peer rejects us for lack of a certificate.
  void fail(std::string_view what, const Error& error);
  bool wants_our_certificate(const Error& error) const;
  bool refuses_our_certificate(const Error& error) const;
  void finish();
  std::string_view phase_text() const;

  ProbeTarget target_;
  CheckSteps& steps_;
  Phase phase_ = Phase::kDialling;
  Time deadline_;
  bool direct_ = false;
  bool done_ = false;
  bool disconnect_ = false;
  bool dial_ = true;
  bool tls_ = false;
  bool begun_tls_ = false;
  bool flushed_ = false;
  bool peer_is_proved_ = false;
  bool certificate_shown_ = false;
  bool dialback_spoken_ = false;
  std::optional<xmpp::XmlStream> stream_;
  std::string out_;
};

}  // namespace sallyport::daemon
