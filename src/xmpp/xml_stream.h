// One direction of an XML stream: bytes in; header, negotiation elements and
// canonical stanzas out. Bounded while parsing; nothing forbidden gets through.
//
// Refused while parsing (RFC 6120 11): DTD, comments, processing instructions,
// entities other than the predefined five, encodings other than UTF-8, XML versions other than
// 1.0, ill-formed XML and namespaces; anything over the limits (THREATS A1-A8). A refusal is
// final: the stream then takes no more bytes.
//
// A parser serves one stream header: after TLS and after SASL a new XmlStream is made
// (RFC 6120 4.3.3). Owned by one machine; not thread-safe; pure.
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

// `<stream:stream …>` as received (RFC 6120 4.7). Fields are empty when absent; what is
// required of them is the s2s machines' judgement, not the parser's.
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

  // Parses all of `bytes`. Events that came whole before an error are there to be polled;
  // the error comes after them, from `poll`. May be called with any split of the input.
  void handle_bytes(std::string_view bytes);
  // The same for the front of `bytes`, up to the end of the first event or error; how many were taken. All of
  // them: no event yet. Precondition: everything was polled.
  std::size_t handle_some(std::string_view bytes);

  // The next event in order; an error once, as the last; nothing when more bytes are needed.
  std::optional<Result<StreamEvent>> poll();

  // Proved peers get more room. Takes effect from the next first-level element on.
  void raise_limits(const ParseLimits& limits);

  // True when the last byte consumed ended the header or a first-level element, or was white
  // space after it: nothing half-parsed is held.
  bool between_elements() const;

  // Bytes held for a first-level element that is not whole yet.
  std::size_t pending_bytes() const;

  // An XML parser is kept although nothing half-parsed needs it. `rest` gives up that and what else a busy
  // time left (an idle stream in 10,000 should hold nothing); the next bytes that need it make it anew.
  bool can_rest() const;
  void rest();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Judges one whole stanza as it stands in canonical bytes (what an edge sends on the
// link): parsed again, in the same one form, or refused. Reuses one parser between calls.
class StanzaReader {
 public:
  StanzaReader();
  ~StanzaReader();
  StanzaReader(StanzaReader&&) noexcept;
  StanzaReader& operator=(StanzaReader&&) noexcept;
  // Errors: any kXml*, kStanza*; kStanzaUnknown where the bytes are not exactly one stanza.
  Result<Stanza> read(std::string_view bytes);
  // Its quick half: nothing where the parser must be asked.
  std::optional<Stanza> read_plain(std::string_view bytes);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sallyport::xmpp
