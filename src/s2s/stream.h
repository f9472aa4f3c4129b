// What accepted and initiated streams have in common (RFC 6120 4): the header and its restarts, stream
// errors, the closing handshake, and the way from bytes to events. Inbound and Outbound build on it; what a
// header, an element or a stanza means is theirs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "s2s/identity.h"
#include "s2s/tls_facts.h"
#include "xmpp/xml_stream.h"

namespace sallyport::s2s {

// --- what both kinds of stream ask of their owner

// Take what is written so far to the socket, then do a TLS handshake on it. Bytes that were read
// already are a violation the machine has seen to (RFC 6120 5.4.3.3).
struct StartTls {
  // Accepting: the domain whose certificate is shown (RFC 6120 5.4.3.1; DESIGN "Which certificate").
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

// How far a stream has come; printable, for `connections` and logs.
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

// --- what both write and judge

// RFC 6120 4.7. Declares the prefixes `stream` and `db` (XEP-0220 2.3.1). `to`, `id` and `lang` are left out
// when empty; `from` is written even so (RFC 6120 4.9.1.2: empty where no name of ours is known).
struct HeaderFields {
  std::string from;
  std::string to;
  std::string id;
  std::string lang;
};
std::string stream_header_xml(const HeaderFields& fields);
// RFC 6120 4.9.1: the condition of the code's row and its sentence. `error.text` stays here: it may hold
// what the peer must not learn.
std::string stream_error_xml(const Error& error);
// RFC 6120 4.7.5: at least 1.0, compared as numbers.
bool is_version_supported(std::string_view version);
// What a peer said, cut at limits::kShownBytesMax on a character boundary, otherwise raw.
std::string bounded(std::string_view text);
// The condition and text of an element with children in the namespace `space`: "host-unknown: we left".
std::string peer_condition(const xmpp::Element& element, std::string_view space);

// One end of one stream, from the first header to the end of the connection.
class StreamMachine {
 public:
  virtual ~StreamMachine() = default;
  StreamMachine(const StreamMachine&) = delete;
  StreamMachine& operator=(const StreamMachine&) = delete;

  void handle_bytes(std::string_view bytes, Time now);
  // The same for the front of `bytes`, up to the first output to be polled; how many were taken. So a queue
  // of outputs need not hold all that one read brings.
  std::size_t handle_some(std::string_view bytes, Time now);
  // The connection is gone: what was awaited fails, Closed is the last output, no byte is written.
  void handle_disconnected(std::optional<Error> why);
  // With a reason: a stream error, and the end. Without: the closing handshake (RFC 6120 4.4). Where no
  // stream is open, or a TLS handshake is under way, nothing is written.
  void close(std::optional<Error> reason, Time now);
  // Bytes to write: appended to `out`; true when there were any. They count as taken: what is still here when
  // the stream ends can be sent elsewhere.
  bool take_output(std::string& out);
  bool has_output() const { return !out_.empty(); }

  Phase phase() const { return phase_; }
  const std::string& stream_id() const { return stream_id_; }
  const std::vector<PeerProof>& proofs() const { return proofs_; }
  const std::optional<TlsFacts>& tls() const { return tls_; }

 protected:
  StreamMachine(Phase phase, Time now);

  // The peer's header, and what follows it, in order.
  virtual void handle_header(const xmpp::StreamHeader& header) = 0;
  virtual void handle_element(const xmpp::Element& element) = 0;
  virtual void handle_stanza(xmpp::Stanza stanza) = 0;
  virtual void handle_bad_stanza(xmpp::BadStanza stanza) = 0;
  // Writes our header, from what is known so far; called where an error comes before it, too.
  virtual void write_header() = 0;
  // The end, once: fails what waits, then gives Closed.
  virtual void handle_end(std::optional<Error> error) = 0;
  virtual bool has_outputs() const = 0;

  // A new stream on the same connection: no knowledge from the parser of the old one is kept (RFC
  // 6120 4.3.3).
  void restart();
  void open(const HeaderFields& fields);
  void write(std::string_view xml) { out_.append(xml); }
  // More bytes than the element in hand came with it. `white_space`: that counts, too (RFC 6120 5.4.3.3).
  bool something_follows(bool white_space);

  // Ends the stream with a stream error: inside an opened stream, then the footer, then the connection
  // (RFC 6120 4.9.1.1).
  void fail(Error error);
  // Ends it with the closing handshake; `reason` is for Closed, the peer is not told.
  void begin_close(std::optional<Error> reason);
  // Ends it with no further byte.
  void finish(std::optional<Error> error);
  // How many bytes the stream has written, those included that nobody has taken yet.
  std::uint64_t output_end() const { return taken_ + out_.size(); }
  std::uint64_t taken() const { return taken_; }
  // The connection is gone: nothing more can be written.
  bool is_broken() const { return broken_; }
  bool is_over() const { return phase_ == Phase::kClosing || phase_ == Phase::kClosed; }
  std::optional<Time> close_deadline() const;
  void handle_close_timeout();
  // When the parser may be given up if nothing moves until then; nothing where there is none to give up.
  const std::optional<Time>& rest_deadline() const { return rest_at_; }
  void handle_rest_timeout();

  Phase phase_;
  Time now_;
  Time last_moved_;  // bytes went one way or the other
  std::string stream_id_;
  std::optional<TlsFacts> tls_;
  std::vector<PeerProof> proofs_;
  std::optional<xmpp::XmlStream> parser_;
  std::string out_;

 private:
  void dispatch(xmpp::StreamEvent event);
  void handle_footer();

  bool open_ = false;  // our header is written
  bool broken_ = false;
  std::uint64_t taken_ = 0;  // of the bytes written, by take_output
  std::string_view rest_;    // of the bytes in hand: what the parser has not seen
  std::optional<Time> rest_at_;
  Time closing_since_;
  std::optional<Error> close_reason_;
};

}  // namespace sallyport::s2s
