#include "s2s/stream.h"

#include <utility>

#include "base/limits.h"
#include "base/overloaded.h"

namespace sallyport::s2s {

std::string_view phase_name(Phase phase) {
  switch (phase) {
    case Phase::kHeader:
      return "header";
    case Phase::kFeatures:
      return "features";
    case Phase::kTls:
      return "tls";
    case Phase::kSecureHeader:
      return "secure-header";
    case Phase::kSecureFeatures:
      return "secure-features";
    case Phase::kSasl:
      return "sasl";
    case Phase::kReady:
      return "ready";
    case Phase::kClosing:
      return "closing";
    case Phase::kClosed:
      return "closed";
  }
  return "unknown";
}

Stream::Stream(StreamHandler& handler, Phase phase, Time now)
    : handler_(handler),
      phase_(phase),
      now_(now),
      last_moved_(now),
      parser_(xmpp::ParseLimits::unauthenticated()) {}

// --- input

void Stream::handle_bytes(std::string_view bytes, Time now) {
  while (!bytes.empty()) bytes.remove_prefix(handle_some(bytes, now));
}

std::size_t Stream::handle_some(std::string_view bytes, Time now) {
  if (is_closed() || bytes.empty()) return bytes.size();
  set_moved(now);
  // Plain bytes after the agreement on TLS (CVE-2011-0411's class). A stream error would fall into the
  // handshake.
  if (phase_ == Phase::kTls) {
    fail({Code::kStreamEarlyBytes, {}});
    return bytes.size();
  }
  unparsed_ = bytes;
  do {
    unparsed_.remove_prefix(parser_->handle_some(unparsed_));
    // A restart in `handle_event` puts a new parser here, which has nothing to give.
    while (auto event = parser_->poll()) {
      if (*event) {
        handle_event(std::move(**event));
      } else {
        fail(std::move(*event).error());
      }
      if (is_closed()) return bytes.size();
    }
  } while (!unparsed_.empty() && !handler_.has_outputs());
  if (!parser_kept_until_ && parser_->can_rest()) parser_kept_until_ = now + limits::kParserKept;
  return bytes.size() - std::exchange(unparsed_, {}).size();
}

void Stream::handle_event(xmpp::StreamEvent&& event) {
  std::visit(Overloaded{
                 [this](xmpp::Stanza&& stanza) { handler_.handle_stanza(std::move(stanza)); },
                 [this](xmpp::BadStanza&& stanza) { handler_.handle_bad_stanza(std::move(stanza)); },
                 [this](const xmpp::StreamHeader& header) {
                   if (!is_over()) handler_.handle_header(header);
                 },
                 [this](const xmpp::Element& element) {
                   if (element.name.is(xmpp::ns::kStreams, "error")) return handle_peer_error(element);
                   if (!is_over()) handler_.handle_element(element);
                 },
                 [this](const xmpp::StreamFooter&) { handle_footer(); },
             },
             std::move(event));
}

// See-other-host among them: we never follow (THREATS B9).
void Stream::handle_peer_error(const xmpp::Element& error) {
  if (output_.is_open() && phase_ != Phase::kClosing) write("</stream:stream>");
  if (closing_.reason) return finish(closing_.reason);
  finish(Error{Code::kStreamErrorByPeer, peer_condition(error, xmpp::ns::kStreamErrors)});
}

void Stream::handle_footer() {
  if (phase_ != Phase::kClosing && output_.is_open()) {
    handler_.write_before_footer();
    write("</stream:stream>");
  }
  finish(closing_.reason);
}

bool Stream::handle_tls(const TlsFacts& facts, bool direct, Time now) {
  if (phase_ != Phase::kTls) return false;
  set_moved(now);
  tls_ = facts;
  phase_ = Phase::kSecureHeader;
  if (!direct || facts.alpn.empty() || facts.alpn == "xmpp-server") return true;
  fail({Code::kTlsAlpn, bounded(facts.alpn)});
  return false;
}

void Stream::handle_disconnected(std::optional<Error> why) {
  if (is_closed()) return;
  output_.set_broken();
  if (phase_ == Phase::kClosing) return finish(closing_.reason);
  finish(why ? std::move(why) : Error{Code::kStreamLost, {}});
}

void Stream::close(std::optional<Error> reason, Time now) {
  set_now(now);
  if (is_closed()) return;
  if (reason) return fail(std::move(*reason));
  begin_close(std::nullopt);
}

// --- for the parts that negotiate

void Stream::restart() {
  parser_.emplace(xmpp::ParseLimits::unauthenticated());
  output_.restart();
  unparsed_ = {};
}

bool Stream::something_follows(bool white_space) const {
  if (white_space) return !unparsed_.empty();
  return unparsed_.find_first_not_of(" \t\r\n") != std::string_view::npos;
}

void Stream::fail(Error error) {
  if (is_closed()) return;
  const bool writable = phase_ != Phase::kTls && phase_ != Phase::kClosing;
  if (writable && !output_.is_open()) handler_.write_header();
  if (writable && output_.is_open()) {
    handler_.write_before_footer();
    write(stream_error_xml(error));
    write("</stream:stream>");
  }
  finish(std::move(error));
}

void Stream::fail_order(std::string_view element) {
  if (!is_over()) fail({Code::kStreamOrder, bounded(element)});
}

void Stream::begin_close(std::optional<Error> reason, Duration patience) {
  if (is_over()) return;
  if (!output_.is_open()) return finish(std::move(reason));
  handler_.write_before_footer();
  write("</stream:stream>");
  phase_ = Phase::kClosing;
  closing_ = {now_ + patience, std::move(reason)};
}

void Stream::finish(std::optional<Error> error) {
  if (is_closed()) return;
  phase_ = Phase::kClosed;
  handler_.handle_end(std::move(error));
}

// --- time

std::optional<Time> Stream::close_deadline() const {
  if (phase_ != Phase::kClosing) return std::nullopt;
  return closing_.until;
}

void Stream::handle_close_timeout() {
  if (phase_ == Phase::kClosing && now_ >= closing_.until) finish(closing_.reason);
}

void Stream::handle_parser_timeout() {
  if (!parser_kept_until_ || now_ < *parser_kept_until_) return;
  parser_kept_until_.reset();
  if (now_ < last_moved_ + limits::kParserKept) {
    parser_kept_until_ = last_moved_ + limits::kParserKept;
  } else {
    parser_->rest();
  }
}

}  // namespace sallyport::s2s
