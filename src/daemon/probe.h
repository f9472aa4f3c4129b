// Opens one server-to-server stream as far as the features after TLS, and tells what it met on the way: what
// `check tls` and `check domain` show. A role without a gateway: the driver serves it like any other.
//
// It sends no `from` and authenticates to nobody. Pure, like every role.
#pragma once

#include <boost/json/array.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"
#include "gate/event.h"
#include "s2s/tls_facts.h"
#include "xmpp/xml_stream.h"

namespace sallyport::daemon {

// What the server is asked to be, and where it is.
struct ProbeTarget {
  gate::DialPlan plan;
  xmpp::Domain name;
  bool direct_tls = false;  // whatever the plan says
};

class Probe : public gate::Role {
 public:
  Probe(ProbeTarget target, Now now);

  // Over, well or not; nothing more happens.
  bool is_done() const { return done_; }
  // Whether every step was good.
  bool is_good() const { return good_; }
  // [{`what`, `ok`, `detail`, `code`}], as `explain` answers (docs/control.md).
  const boost::json::array& steps() const { return steps_; }

  void handle_accepted(gate::ConnId conn, const gate::Accepted& accepted, Now now) override;
  void handle_connected(gate::ConnId conn, const gate::Connected& connected, Now now) override;
  void handle_dial_failed(gate::ConnId conn, Error error, Now now) override;
  void handle_link(gate::ConnId conn, std::size_t peer, const gate::Endpoint& endpoint, Now now) override;
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
  enum class Phase { kDialling, kHeader, kFeatures, kProceed, kTls, kSecureHeader, kSecureFeatures };

  void begin_stream(Phase header);
  void begin_tls();
  void handle_event(const xmpp::StreamEvent& event);
  void handle_element(const xmpp::Element& element);
  void judge_certificate(const s2s::TlsFacts& facts);
  void step(std::string_view what, std::string detail);
  void doubt(std::string_view what, const Error& error);  // and goes on
  void fail(std::string_view what, const Error& error);   // and ends
  void finish();
  std::string_view phase_text() const;

  ProbeTarget target_;
  Phase phase_ = Phase::kDialling;
  Time deadline_;
  bool direct_ = false;
  bool good_ = true;
  bool done_ = false;
  bool disconnect_ = false;
  bool dial_ = true;
  bool tls_ = false;
  bool begun_tls_ = false;
  bool flushed_ = false;
  std::optional<xmpp::XmlStream> stream_;
  std::string out_;
  boost::json::array steps_;
};

}  // namespace sallyport::daemon
