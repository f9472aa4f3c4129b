// One end of one stream, from the first header to the end of the connection (RFC 6120 4): the header and its
// restarts, stream errors, the closing handshake, and the way from bytes to events. The meaning of a header,
// an element or a stanza is decided by the StreamHandler, and by the parts that write to the stream.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/limits.h"
#include "base/result.h"
#include "base/time.h"
#include "s2s/stream_output.h"
#include "s2s/stream_xml.h"
#include "s2s/tls_facts.h"
#include "xmpp/jid.h"
#include "xmpp/xml_stream.h"

namespace sallyport::s2s {

// --- what both kinds of stream ask of their owner

// Take what is written so far to the socket, then do a TLS handshake on it. Bytes that were read
// already are a violation the machine has seen to (RFC 6120 5.4.3.3).
struct StartTls {
  // Accepting: the domain whose certificate is shown (RFC 6120 5.4.3.1).
  // Initiating: the domain whose certificate is shown if the server asks for one.
  xmpp::Domain own;
  // Initiating: sent as SNI, the XMPP domain. Accepting: unset.
  std::optional<xmpp::Domain> server_name;
  bool direct = false;  // ALPN xmpp-server (XEP-0368)
};
// Close the connection once its output is written; the last output of a machine, given exactly once.
// `error` has the refusal, or why a pair that was tried is not proved; nothing for a clean end.
struct Closed {
  std::optional<Error> error;
};

// The progress of a stream; printable, for `connections` and logs.
enum class Phase : std::uint8_t {
  kHeader,          // waiting for the peer's first header (initiating: or for the connection)
  kFeatures,        // in plain text, negotiating
  kTls,             // the owner does the handshake
  kSecureHeader,    // waiting for the header after TLS
  kSecureFeatures,  // negotiating authentication
  kSasl,            // initiating: EXTERNAL is asked; both: waiting for the header after SASL
  kReady,           // accepting: a pair is proved. Initiating: pairs can be proved and keys asked about
  kClosing,         // our `</stream:stream>` is written, the peer's is awaited
  kClosed,
};
std::string_view phase_name(Phase phase);

// Receives the events of one stream, in order. It outlives the stream.
class StreamHandler {
 public:
  // The peer's header. Neither headers nor elements come once the stream is over.
  virtual void handle_header(const xmpp::StreamHeader& header) = 0;
  // A first-level element that is neither a stanza nor a stream error.
  virtual void handle_element(const xmpp::Element& element) = 0;
  // Stanzas come after our close, too: those under way then still count (RFC 6120 4.4).
  virtual void handle_stanza(xmpp::Stanza stanza) = 0;
  virtual void handle_bad_stanza(xmpp::BadStanza stanza) = 0;
  // Writes our header, from what is known so far; an error may come before it.
  virtual void write_header() = 0;
  // Writes what the peer is to know before our `</stream:stream>`, or the stream error before it.
  virtual void write_before_footer() = 0;
  // The end, once: fails what waits, then gives Closed.
  virtual void handle_end(std::optional<Error> error) = 0;
  // Whether an output waits to be polled.
  virtual bool has_outputs() const = 0;

 protected:
  ~StreamHandler() = default;
};

class Stream {
 public:
  // `handler` outlives the stream.
  Stream(StreamHandler& handler, Phase phase, Time now);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // --- input, from the owner of the connection

  void handle_bytes(std::string_view bytes, Time now);
  // The same for the front of `bytes`, up to the first output to be polled; how many were taken. So a queue
  // of outputs need not hold all that one read brings.
  std::size_t handle_some(std::string_view bytes, Time now);
  // The handshake succeeded. False where none was awaited, or where the stream has failed: Direct TLS with
  // another protocol than xmpp-server (XEP-0368).
  bool handle_tls(const TlsFacts& facts, bool direct, Time now);
  // The connection is gone: pending requests fail, Closed is the last output, no byte is written.
  void handle_disconnected(std::optional<Error> why);
  // With a reason: a stream error, and the end. Without: the closing handshake (RFC 6120 4.4). Where no
  // stream is open, or a TLS handshake is under way, nothing is written.
  void close(std::optional<Error> reason, Time now);

  // --- state

  Phase phase() const { return phase_; }
  void set_phase(Phase phase) { phase_ = phase; }
  bool is_closed() const { return phase_ == Phase::kClosed; }
  // Closing or closed: nothing is negotiated or asked any more.
  bool is_over() const { return phase_ == Phase::kClosing || phase_ == Phase::kClosed; }
  Time now() const { return now_; }
  void set_now(Time now) { now_ = now; }
  // When bytes went one way or the other for the last time.
  Time last_moved() const { return last_moved_; }
  void set_moved(Time now) { now_ = last_moved_ = now; }
  // Of the header that the receiving entity wrote (RFC 6120 4.7.3).
  const std::string& id() const { return id_; }
  void set_id(std::string id) { id_ = std::move(id); }
  // Unset without TLS.
  const std::optional<TlsFacts>& tls() const { return tls_; }
  StreamOutput& output() { return output_; }
  const StreamOutput& output() const { return output_; }

  // --- for the parts that negotiate

  void write(std::string_view xml) { output_.write(xml); }
  // Writes our header as the handler knows it.
  void write_header() { handler_.write_header(); }
  // A new stream on the same connection: no knowledge from the parser of the old one is kept (RFC
  // 6120 4.3.3).
  void restart();
  // A pair is proved: the peer may send larger elements.
  void raise_limits() { parser_->raise_limits(xmpp::ParseLimits::authenticated()); }
  // More bytes than the element in hand came with it. `white_space`: that counts, too (RFC 6120 5.4.3.3).
  bool something_follows(bool white_space) const;
  // Ends the stream with a stream error: inside an opened stream, then the footer, then the connection
  // (RFC 6120 4.9.1.1).
  void fail(Error error);
  // The peer sent an element that is not allowed now. Nothing happens where the stream is over.
  void fail_order(std::string_view element);
  // Ends it with the closing handshake, for which the peer has `patience`; `reason` is for Closed, the peer
  // is not told.
  void begin_close(std::optional<Error> reason, Duration patience = limits::kCloseTimeout);

  // --- time

  // Unset unless our footer is written and the peer's is awaited.
  std::optional<Time> close_deadline() const;
  void handle_close_timeout();
  // When the parser may be given up if nothing moves until then; unset where there is none to give up.
  const std::optional<Time>& parser_deadline() const { return parser_kept_until_; }
  void handle_parser_timeout();

 private:
  struct Closing {
    Time until;
    std::optional<Error> reason;
  };

  void handle_event(xmpp::StreamEvent&& event);
  void handle_footer();
  void handle_peer_error(const xmpp::Element& error);
  // Ends the stream with no further byte.
  void finish(std::optional<Error> error);

  StreamHandler& handler_;
  Phase phase_;
  Time now_;
  Time last_moved_;
  std::string id_;
  std::optional<TlsFacts> tls_;
  std::optional<xmpp::XmlStream> parser_;
  StreamOutput output_;
  std::string_view unparsed_;  // of the bytes in hand
  std::optional<Time> parser_kept_until_;
  Closing closing_;
};

}  // namespace sallyport::s2s
