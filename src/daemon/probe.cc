#include "daemon/probe.h"

#include <fmt/format.h>

#include <boost/json.hpp>

#include "base/limits.h"
#include "s2s/identity.h"
#include "xmpp/xml.h"

namespace sallyport::daemon {
namespace {

constexpr gate::ConnId kConn = 2;

std::string names_of(const s2s::CertificateNames& names) {
  std::string out;
  for (const auto* list : {&names.dns, &names.srv, &names.xmpp_addr}) {
    for (const std::string& name : *list) out += (out.empty() ? "" : ", ") + name;
  }
  return out.empty() ? "no names" : out;
}

// "EXTERNAL, dialback, limits 262144": what a server offers, by the features' own words.
std::string offers_of(const xmpp::Element& features) {
  std::string out;
  const auto add = [&out](std::string_view word) {
    out += fmt::format("{}{}", out.empty() ? "" : ", ", word);
  };
  if (features.child(xmpp::ns::kTls, "starttls") != nullptr) add("STARTTLS");
  if (const xmpp::Element* sasl = features.child(xmpp::ns::kSasl, "mechanisms")) {
    for (const xmpp::Element& mechanism : sasl->children) add("SASL " + mechanism.text);
  }
  if (features.child(xmpp::ns::kDialbackFeature, "dialback") != nullptr) add("dialback");
  for (const xmpp::Element& feature : features.children) {
    const bool known = feature.name.space == xmpp::ns::kTls || feature.name.space == xmpp::ns::kSasl ||
                       feature.name.space == xmpp::ns::kDialbackFeature;
    if (!known) add(feature.name.space);
  }
  return out.empty() ? "nothing" : out;
}

}  // namespace

Probe::Probe(ProbeTarget target, Now now)
    : target_(std::move(target)),
      deadline_(now.mono + limits::kNegotiationTimeout),
      direct_(target_.direct_tls) {}

void Probe::handle_accepted(gate::ConnId, const gate::Accepted&, Now) {}
void Probe::handle_link(gate::ConnId, std::size_t, const gate::Endpoint&, Now) {}
void Probe::handle_written(gate::ConnId, std::uint64_t, Now) {}

void Probe::handle_connected(gate::ConnId, const gate::Connected& connected, Now) {
  step("connection", fmt::format("{} ({})", connected.peer.text(), connected.how));
  direct_ = direct_ || connected.direct_tls;
  if (direct_) {
    begin_tls();
  } else {
    begin_stream(Phase::kHeader);
  }
}

void Probe::handle_dial_failed(gate::ConnId, Error error, Now) {
  fail("connection", error);
  done_ = true;  // there is no connection to end
  disconnect_ = false;
}

void Probe::handle_disconnected(gate::ConnId, Error error, Now) {
  if (!done_) fail(phase_text(), error);
  done_ = true;
  disconnect_ = false;
}

void Probe::begin_stream(Phase header) {
  phase_ = header;
  stream_.emplace(xmpp::ParseLimits::unauthenticated());
  std::string name;
  xmpp::append_escaped_attribute(name, target_.name.unicode());
  out_ += fmt::format(
      "<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' xmlns:db='{}' to='{}' version='1.0'>",
      xmpp::ns::kServer, xmpp::ns::kStreams, xmpp::ns::kDialback, name);
}

void Probe::begin_tls() { phase_ = Phase::kTls; }

void Probe::handle_bytes(gate::ConnId, std::string_view bytes, Now) {
  if (!stream_ || done_) return;
  stream_->handle_bytes(bytes);
  while (stream_ && !done_) {
    const auto event = stream_->poll();
    if (!event) return;
    if (!event->has_value()) return fail(phase_text(), event->error());
    handle_event(**event);
  }
}

void Probe::handle_event(const xmpp::StreamEvent& event) {
  if (const auto* header = std::get_if<xmpp::StreamHeader>(&event)) {
    if (header->version.empty()) return fail("stream", {Code::kStreamVersion, "the header has no version"});
    if (phase_ == Phase::kHeader) phase_ = Phase::kFeatures;
    if (phase_ == Phase::kSecureHeader) phase_ = Phase::kSecureFeatures;
  } else if (const auto* element = std::get_if<xmpp::Element>(&event)) {
    handle_element(*element);
  } else if (std::holds_alternative<xmpp::StreamFooter>(event)) {
    fail(phase_text(), {Code::kStreamClosedByPeer, ""});
  }
}

void Probe::handle_element(const xmpp::Element& element) {
  if (element.name.is(xmpp::ns::kStreams, "error")) {
    const std::string condition = element.children.empty() ? "" : element.children.front().name.local;
    return fail(phase_text(), {Code::kStreamErrorByPeer, condition});
  }
  if (element.name.is(xmpp::ns::kStreams, "features")) {
    step(tls_ ? "features after TLS" : "features", offers_of(element));
    if (phase_ == Phase::kSecureFeatures) return finish();
    if (element.child(xmpp::ns::kTls, "starttls") == nullptr) {
      return fail("STARTTLS", {Code::kTlsRequired, "the server does not offer it"});
    }
    phase_ = Phase::kProceed;
    out_ += fmt::format("<starttls xmlns='{}'/>", xmpp::ns::kTls);
  } else if (element.name.is(xmpp::ns::kTls, "proceed") && phase_ == Phase::kProceed) {
    stream_.reset();
    begin_tls();
  } else if (element.name.is(xmpp::ns::kTls, "failure")) {
    fail("STARTTLS", {Code::kTlsHandshake, "the server refused it"});
  }
}

void Probe::handle_tls(gate::ConnId, Result<s2s::TlsFacts> facts, Now) {
  if (!facts) return fail("TLS", facts.error());
  tls_ = true;
  step("TLS", fmt::format("{} {}{}", facts->version, facts->cipher, direct_ ? ", direct" : ""));
  judge_certificate(*facts);
  begin_stream(Phase::kSecureHeader);
}

// Goes on whatever the certificate is like: what the server offers is worth knowing even so.
void Probe::judge_certificate(const s2s::TlsFacts& facts) {
  if (!facts.peer_certificate) return doubt("certificate", {Code::kTlsNoCertificate, ""});
  step("certificate", fmt::format("{}; {}", names_of(facts.names), facts.key_pin));
  const Result<void> named = s2s::certificate_names_domain(facts, target_.name);
  if (named) return step("proves the domain", target_.name.ascii());
  doubt("proves the domain", named.error());
}

void Probe::handle_timeout(Now now) {
  if (!done_ && now.mono >= deadline_) fail(phase_text(), {Code::kStreamNegotiationTimeout, ""});
}

std::optional<Time> Probe::poll_timeout() const {
  return done_ ? std::nullopt : std::optional<Time>(deadline_);
}

std::optional<gate::Output> Probe::poll() {
  if (dial_) {
    dial_ = false;
    return gate::Dial{kConn, target_.plan};
  }
  if (disconnect_) {
    disconnect_ = false;
    return gate::Disconnect{kConn};
  }
  if (done_) return std::nullopt;
  if (phase_ == Phase::kTls && !stream_ && !begun_tls_) {
    begun_tls_ = true;
    return gate::BeginTls{kConn, false, target_.name, target_.name.ascii(), direct_};
  }
  if (!out_.empty() && !flushed_) {
    flushed_ = true;
    return gate::Flush{kConn};
  }
  return std::nullopt;
}

bool Probe::take_output(gate::ConnId, std::string& out, Now) {
  flushed_ = false;
  if (out_.empty()) return false;
  out.swap(out_);
  return true;
}

std::string Probe::control(std::string_view, Now) { return "{}"; }

void Probe::drain(Now) { finish(); }

void Probe::step(std::string_view what, std::string detail) {
  steps_.push_back({{"what", what}, {"ok", true}, {"detail", std::move(detail)}});
}

void Probe::doubt(std::string_view what, const Error& error) {
  const CodeRow& row = code_row(error.code);
  steps_.push_back({{"what", what},
                    {"ok", false},
                    {"detail", error.text.empty() ? std::string(row.sentence)
                                                  : fmt::format("{} {}", row.sentence, error.text)},
                    {"code", row.name}});
  good_ = false;
}

void Probe::fail(std::string_view what, const Error& error) {
  doubt(what, error);
  finish();
}

void Probe::finish() {
  if (done_) return;
  if (stream_) out_ += "</stream:stream>";
  done_ = true;
  disconnect_ = phase_ != Phase::kDialling;
}

std::string_view Probe::phase_text() const {
  switch (phase_) {
    case Phase::kDialling:
      return "connection";
    case Phase::kHeader:
    case Phase::kSecureHeader:
      return "stream header";
    case Phase::kFeatures:
    case Phase::kSecureFeatures:
      return "features";
    case Phase::kProceed:
      return "STARTTLS";
    case Phase::kTls:
      return "TLS";
  }
  return "stream";
}

}  // namespace sallyport::daemon
