#include "s2s/stream.h"

#include <charconv>
#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "base/limits.h"
#include "xmpp/xml.h"

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

namespace {

void append_attribute(std::string& out, std::string_view name, std::string_view value) {
  out.append(" ").append(name).append("='");
  xmpp::append_escaped_attribute(out, value);
  out.append("'");
}

}  // namespace

std::string stream_header_xml(const HeaderFields& fields) {
  std::string out =
      fmt::format("<?xml version='1.0'?><stream:stream xmlns='{}' xmlns:stream='{}' xmlns:db='{}'",
                  xmpp::ns::kServer, xmpp::ns::kStreams, xmpp::ns::kDialback);
  append_attribute(out, "from", fields.from);
  if (!fields.to.empty()) append_attribute(out, "to", fields.to);
  if (!fields.id.empty()) append_attribute(out, "id", fields.id);
  if (!fields.lang.empty()) append_attribute(out, "xml:lang", fields.lang);
  out.append(" version='1.0'>");
  return out;
}

std::string stream_error_xml(const Error& error) {
  const CodeRow& row = code_row(error.code);
  // RFC 6120 4.9.3.21: what has no condition of its own.
  const std::string_view condition =
      row.stream_condition.empty() ? std::string_view("undefined-condition") : row.stream_condition;
  std::string out = fmt::format("<stream:error><{0} xmlns='{1}'/><text xmlns='{1}' xml:lang='en'>", condition,
                                xmpp::ns::kStreamErrors);
  xmpp::append_escaped_text(out, row.sentence);
  out.append("</text></stream:error>");
  return out;
}

bool is_version_supported(std::string_view version) {
  const std::size_t dot = version.find('.');
  if (dot == std::string_view::npos) return false;
  const auto number = [](std::string_view digits) -> std::optional<unsigned> {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  };
  const auto major = number(version.substr(0, dot));
  return major && *major >= 1 && number(version.substr(dot + 1));
}

std::string bounded(std::string_view text) {
  if (text.size() <= limits::kShownBytesMax) return std::string(text);
  std::size_t size = limits::kShownBytesMax;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  return std::string(text.substr(0, size));
}

std::string peer_condition(const xmpp::Element& element, std::string_view space) {
  std::string condition;
  for (const xmpp::Element& child : element.children) {
    if (child.name.space != space || child.name.local == "text") continue;
    condition = child.name.local;
    break;
  }
  const xmpp::Element* text = element.child(space, "text");
  if (text != nullptr && !text->text.empty()) condition.append(": ").append(text->text);
  return bounded(condition);
}

StreamMachine::StreamMachine(Phase phase, Time now)
    : phase_(phase), now_(now), last_moved_(now), parser_(xmpp::ParseLimits::unauthenticated()) {}

void StreamMachine::handle_bytes(std::string_view bytes, Time now) {
  while (!bytes.empty()) bytes.remove_prefix(handle_some(bytes, now));
}

std::size_t StreamMachine::handle_some(std::string_view bytes, Time now) {
  if (phase_ == Phase::kClosed || bytes.empty()) return bytes.size();
  now_ = last_moved_ = now;
  // Plain bytes after the agreement on TLS (CVE-2011-0411's class). A stream error would fall into the
  // handshake.
  if (phase_ == Phase::kTls) {
    fail({Code::kStreamEarlyBytes, {}});
    return bytes.size();
  }
  rest_ = bytes;
  do {
    rest_.remove_prefix(parser_->handle_some(rest_));
    // A restart in `dispatch` puts a new parser here, which has nothing to give.
    while (auto event = parser_->poll()) {
      if (*event) {
        dispatch(std::move(**event));
      } else {
        fail(std::move(*event).error());
      }
      if (phase_ == Phase::kClosed) return bytes.size();
    }
  } while (!rest_.empty() && !has_outputs());
  if (!rest_at_ && parser_->can_rest()) rest_at_ = now + limits::kParserKept;
  return bytes.size() - std::exchange(rest_, {}).size();
}

void StreamMachine::dispatch(xmpp::StreamEvent event) {
  std::visit(
      [this](auto&& value) {
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, xmpp::StreamFooter>) {
          handle_footer();
        } else if constexpr (std::is_same_v<T, xmpp::Stanza>) {
          // Stanzas under way when we closed still count (RFC 6120 4.4).
          handle_stanza(std::move(value));
        } else if constexpr (std::is_same_v<T, xmpp::BadStanza>) {
          handle_bad_stanza(std::move(value));
        } else if constexpr (std::is_same_v<T, xmpp::StreamHeader>) {
          if (!is_over()) handle_header(value);
        } else if (value.name.is(xmpp::ns::kStreams, "error")) {
          // See-other-host among them: we never follow (THREATS B9).
          if (open_ && phase_ != Phase::kClosing) write("</stream:stream>");
          finish(close_reason_
                     ? close_reason_
                     : Error{Code::kStreamErrorByPeer, peer_condition(value, xmpp::ns::kStreamErrors)});
        } else if (!is_over()) {
          handle_element(value);
        }
      },
      std::move(event));
}

void StreamMachine::handle_footer() {
  if (phase_ != Phase::kClosing && open_) write("</stream:stream>");
  finish(close_reason_);
}

void StreamMachine::handle_disconnected(std::optional<Error> why) {
  if (phase_ == Phase::kClosed) return;
  broken_ = true;
  if (phase_ == Phase::kClosing) return finish(close_reason_);
  finish(why ? std::move(why) : Error{Code::kStreamLost, {}});
}

void StreamMachine::close(std::optional<Error> reason, Time now) {
  now_ = now;
  if (phase_ == Phase::kClosed) return;
  if (reason) return fail(std::move(*reason));
  begin_close(std::nullopt);
}

bool StreamMachine::take_output(std::string& out) {
  if (out_.empty()) return false;
  taken_ += out_.size();
  if (out.empty()) {
    out.swap(out_);
  } else {
    out.append(out_);
    out_.clear();
  }
  return true;
}

void StreamMachine::restart() {
  parser_.emplace(xmpp::ParseLimits::unauthenticated());
  open_ = false;
  rest_ = {};
}

void StreamMachine::open(const HeaderFields& fields) {
  write(stream_header_xml(fields));
  open_ = true;
}

bool StreamMachine::something_follows(bool white_space) {
  if (white_space) return !rest_.empty();
  return rest_.find_first_not_of(" \t\r\n") != std::string_view::npos;
}

void StreamMachine::fail(Error error) {
  if (phase_ == Phase::kClosed) return;
  const bool writable = phase_ != Phase::kTls && phase_ != Phase::kClosing;
  if (writable && !open_) write_header();
  if (writable && open_) {
    write(stream_error_xml(error));
    write("</stream:stream>");
  }
  finish(std::move(error));
}

void StreamMachine::begin_close(std::optional<Error> reason) {
  if (is_over()) return;
  if (!open_) return finish(std::move(reason));
  write("</stream:stream>");
  phase_ = Phase::kClosing;
  closing_since_ = now_;
  close_reason_ = std::move(reason);
}

void StreamMachine::finish(std::optional<Error> error) {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  handle_end(std::move(error));
}

std::optional<Time> StreamMachine::close_deadline() const {
  if (phase_ != Phase::kClosing) return std::nullopt;
  return closing_since_ + limits::kCloseTimeout;
}

void StreamMachine::handle_rest_timeout() {
  if (!rest_at_ || now_ < *rest_at_) return;
  rest_at_.reset();
  if (now_ < last_moved_ + limits::kParserKept) {
    rest_at_ = last_moved_ + limits::kParserKept;
  } else {
    parser_->rest();
  }
}

void StreamMachine::handle_close_timeout() {
  if (phase_ == Phase::kClosing && now_ >= closing_since_ + limits::kCloseTimeout) finish(close_reason_);
}

}  // namespace sallyport::s2s
