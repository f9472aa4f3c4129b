// One direction of an XML stream: bytes in; header, negotiation elements and canonical stanzas out. The
// limits apply while parsing.
//
// The parser rejects (RFC 6120 11) DTDs, comments, processing instructions, entities other than the
// predefined five, encodings other than UTF-8, XML versions other than 1.0, ill-formed XML and namespaces,
// and everything over the limits (THREATS A1-A8). An error is final: the stream then takes no more bytes.
//
// An XmlStream serves one stream header: after TLS and after SASL a new one is made (RFC 6120 4.3.3). Owned
// by one machine; not thread-safe; pure.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "xmpp/stanza.h"
#include "xmpp/xml.h"
#include "xmpp/xml_scanner.h"

namespace sallyport::xmpp {

// `<stream:stream …>` as received (RFC 6120 4.7). Fields are empty if absent; the s2s machines decide which
// are required.
struct StreamHeader {
  std::string from;
  std::string to;
  std::string id;
  std::string version;
  std::string lang;
  bool dialback = false;  // declares a prefix for jabber:server:dialback (XEP-0220 2.1.1)
};

// `</stream:stream>` (RFC 6120 4.4).
struct StreamFooter {};

using StreamEvent = std::variant<StreamHeader, Element, Stanza, BadStanza, StreamFooter>;

class XmlStream {
 public:
  explicit XmlStream(const ParseLimits& limits);
  ~XmlStream();
  XmlStream(XmlStream&&) noexcept;
  XmlStream& operator=(XmlStream&&) noexcept;

  // Parses all of `bytes`. `poll` returns the events that were complete before an error, and then the error.
  // The input may be split anywhere.
  void handle_bytes(std::string_view bytes);
  // Parses the front of `bytes`, up to the end of the first event or error, and returns how many were taken:
  // all of them if no event is complete. Precondition: everything was polled.
  std::size_t handle_some(std::string_view bytes);

  // Returns the next event in order; the error once, as the last; nothing if more bytes are needed.
  std::optional<Result<StreamEvent>> poll();

  // Sets the limits of an authenticated peer. Takes effect with the next first-level element.
  void raise_limits(const ParseLimits& limits);

  // Returns true if the last byte consumed ended the header or a first-level element, or was white space
  // after it: nothing is half-parsed.
  bool between_elements() const;

  // Returns the bytes held for an incomplete first-level element.
  std::size_t pending_bytes() const;

  // `can_rest` returns true if an XML parser is kept although nothing is half-parsed. `rest` frees it and all
  // buffers, so that idle streams hold next to nothing; the next bytes that need a parser make a new one.
  bool can_rest() const;
  void rest();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Validates one whole stanza in canonical bytes (as an edge sends it on the link) by parsing it again. Reuses
// one parser between calls.
class StanzaReader {
 public:
  StanzaReader();
  ~StanzaReader();
  StanzaReader(StanzaReader&&) noexcept;
  StanzaReader& operator=(StanzaReader&&) noexcept;
  // Errors: any kXml*, kStanza*; kStanzaUnknown if the bytes are not exactly one stanza.
  Result<Stanza> read(std::string_view bytes);
  // The fast path of `read`: returns nothing if the parser is needed.
  std::optional<Stanza> read_plain(std::string_view bytes);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::xmpp
