#include "xmpp/xml_stream.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "base/ring.h"
#include "xmpp/canonical.h"
#include "xmpp/expat_parser.h"
#include "xmpp/plain_stanza.h"

namespace sallyport::xmpp {
namespace {

std::optional<StanzaKind> kind_of(QNameView name) {
  if (name.space != ns::kServer) return std::nullopt;
  for (const auto kind : {StanzaKind::kMessage, StanzaKind::kPresence, StanzaKind::kIq}) {
    if (name.local == kind_name(kind)) return kind;
  }
  return std::nullopt;
}

// The attributes of a stanza's root tag that are checked here.
struct Addressing {
  std::optional<std::string_view> from;
  std::optional<std::string_view> to;
  std::string_view id;
  std::string_view type;
  std::optional<std::string_view> lang;

  explicit Addressing(AttributesView attributes) {
    for (const auto [name, value] : attributes) {
      if (name.space == ns::kXml && name.local == "lang") lang = value;
      if (!name.space.empty()) continue;
      if (name.local == "from") from = value;
      if (name.local == "to") to = value;
      if (name.local == "id") id = value;
      if (name.local == "type") type = value;
    }
  }
};

}  // namespace

// Scanner, parser and writer of one stream, and its events. Lives behind a pointer: the parser holds its
// address.
class XmlStream::Impl final : public XmlHandler {
 public:
  explicit Impl(const ParseLimits& limits) : scanner_(limits) {}

  std::size_t handle_some(std::string_view bytes);
  std::optional<Result<StreamEvent>> poll();
  void raise_limits(const ParseLimits& limits) { scanner_.raise_limits(limits); }
  bool between_elements() const { return !error_ && scanner_.between_elements(); }
  std::size_t pending_bytes() const { return scanner_.pending_bytes(); }
  bool can_rest() const { return parser_.has_value() && is_between(); }
  void rest();

  void handle_namespace(std::string_view prefix, std::string_view space) override;
  void handle_start(QNameView name, AttributesView attributes) override;
  void handle_end(QNameView name) override;
  void handle_text(std::string_view text) override;

 private:
  enum class Phase : std::uint8_t {
    kHeader,   // before the header
    kBetween,  // between first-level elements
    kStanza,
    kBadStanza,  // parsed to its end, not written
    kElement,
    kPriming,  // a new parser reads the header again
  };

  // Returns true if nothing is half-parsed and stanzas may follow.
  bool is_between() const { return phase_ == Phase::kBetween && depth_ == 1 && between_elements(); }
  std::size_t read_plain(std::string_view bytes);
  std::size_t read_piece(std::string_view bytes);
  void feed(std::string_view bytes);
  void fail(Error error);
  void make_parser();
  void start_header(QNameView name, AttributesView attributes);
  void start_first_level(QNameView name, AttributesView attributes);
  void start_stanza(StanzaKind kind, AttributesView attributes);
  void start_bad_stanza(Error error, StanzaKind kind, const Addressing& a);
  void start_element(QNameView name, AttributesView attributes);
  void finish_first_level();
  bool has_content_namespace() const;
  void check_canonical_size();

  XmlScanner scanner_;
  PlainReader plain_;
  std::optional<ExpatParser> parser_;  // absent while not needed
  CanonicalWriter writer_;
  std::string held_;              // the beginning of an incomplete tag
  std::string header_bytes_;      // as received, to prime a new parser
  std::size_t parsed_bytes_ = 0;  // by the current parser
  Phase phase_ = Phase::kHeader;
  std::size_t depth_ = 0;  // open elements, the stream included

  StreamHeader header_;
  std::optional<std::string> header_default_;
  bool header_has_server_prefix_ = false;

  // The attributes of the current stanza.
  struct Head {
    StanzaKind kind;
    Jid from;
    Jid to;
    std::string id;
    std::string type;
    std::string lang;
  };
  std::optional<Head> head_;
  std::optional<BadStanza> bad_stanza_;
  Element element_;
  std::vector<Element*> open_;  // from element_ down to the innermost open one

  Ring<StreamEvent> events_;
  std::optional<Error> error_;
  bool error_returned_ = false;
};

std::size_t XmlStream::Impl::handle_some(std::string_view bytes) {
  if (error_) return bytes.size();  // an error is final
  const std::size_t events = events_.size();
  std::size_t taken = 0;
  while (taken < bytes.size() && !error_ && events_.size() == events) {
    const std::string_view rest = bytes.substr(taken);
    const std::size_t plain = read_plain(rest);
    taken += plain > 0 ? plain : read_piece(rest);
  }
  return taken;
}

// The fast path: returns how many bytes it took, 0 if the parser is needed.
std::size_t XmlStream::Impl::read_plain(std::string_view bytes) {
  if (!is_between() || bytes.front() != '<' || header_default_ != ns::kServer) return 0;
  auto found = plain_.read(bytes, scanner_.next_limits(), header_.lang);
  if (!found) return 0;
  scanner_.pass_element();
  events_.emplace_back(std::move(found->stanza));
  return found->size;
}

// Reads up to the end of the header or of a first-level element, or of the white space before one.
std::size_t XmlStream::Impl::read_piece(std::string_view bytes) {
  const std::size_t space = is_between() ? std::min(bytes.find_first_not_of(" \t\r\n"), bytes.size()) : 0;
  const auto step = scanner_.scan(space > 0 ? bytes.substr(0, space) : bytes);
  if (step.complete > 0 && space == 0) {
    feed(held_);
    held_.clear();
    feed(bytes.substr(0, step.complete));
  }
  if (error_) return bytes.size();
  if (step.error) {
    fail(*step.error);
    return bytes.size();
  }
  held_.append(bytes.substr(step.complete, step.scanned - step.complete));
  if (!step.boundary) return step.scanned;
  // The scanner saw an end that the parser did not: the parser waits for the rest of a character.
  if (phase_ != Phase::kBetween) fail({Code::kXmlNotWellFormed, "a character ends early"});
  if (parsed_bytes_ > limits::kParserReuseBytesMax && is_between()) parser_.reset();
  return step.scanned;
}

void XmlStream::Impl::feed(std::string_view bytes) {
  if (error_ || bytes.empty()) return;
  if (!parser_) make_parser();
  if (phase_ == Phase::kHeader) header_bytes_.append(bytes);
  parsed_bytes_ += bytes.size();
  if (auto parsed = parser_->parse(bytes); !parsed) fail(std::move(parsed).error());
}

void XmlStream::Impl::fail(Error error) {
  if (!error_) error_ = std::move(error);
  held_.clear();
}

// The first parser reads the header; a later one is primed with the header's bytes.
void XmlStream::Impl::make_parser() {
  parser_.emplace(*this);
  parsed_bytes_ = 0;
  if (phase_ == Phase::kHeader) return;
  depth_ = 0;
  phase_ = Phase::kPriming;
  if (auto parsed = parser_->parse(header_bytes_); !parsed) fail(std::move(parsed).error());
  phase_ = Phase::kBetween;
}

void XmlStream::Impl::rest() {
  if (!can_rest()) return;
  parser_.reset();
  writer_ = CanonicalWriter();
  element_ = Element();
  std::string().swap(held_);
  header_bytes_.shrink_to_fit();
}

std::optional<Result<StreamEvent>> XmlStream::Impl::poll() {
  if (!events_.empty()) {
    std::optional<Result<StreamEvent>> event(std::in_place, std::move(events_.front()));
    events_.drop_front();
    return event;
  }
  if (!error_ || std::exchange(error_returned_, true)) return std::nullopt;
  return Result<StreamEvent>(*error_);
}

void XmlStream::Impl::handle_namespace(std::string_view prefix, std::string_view space) {
  if (space.size() > limits::kNamespaceBytesMax)
    return parser_->stop({Code::kXmlTooLarge, "a namespace name"});
  if (phase_ != Phase::kHeader) return;
  if (prefix.empty()) header_default_ = space;
  if (!prefix.empty() && space == ns::kServer) header_has_server_prefix_ = true;
  if (!prefix.empty() && space == ns::kDialback) header_.dialback = true;
}

void XmlStream::Impl::handle_start(QNameView name, AttributesView attributes) {
  ++depth_;
  switch (phase_) {
    case Phase::kPriming:
      return;
    case Phase::kHeader:
      return start_header(name, attributes);
    case Phase::kBetween:
      return start_first_level(name, attributes);
    default:
      break;
  }
  if (name.space == ns::kStreams) return parser_->stop({Code::kXmlStreamInside, std::string(name.local)});
  if (phase_ == Phase::kStanza) {
    writer_.start(name, attributes);
    check_canonical_size();
  } else if (phase_ == Phase::kElement) {
    start_element(name, attributes);
  }
}

// RFC 6120 4.8.2: the content namespace is the header's default namespace; or, if the header itself has no
// prefix or declares the content namespace with one, each stanza declares it.
bool XmlStream::Impl::has_content_namespace() const {
  if (!header_default_) return header_has_server_prefix_;
  return *header_default_ == ns::kServer || *header_default_ == ns::kStreams;
}

void XmlStream::Impl::start_header(QNameView name, AttributesView attributes) {
  if (!name.is(ns::kStreams, "stream")) {
    return parser_->stop({Code::kXmlNamespace, "the first element is not a stream header"});
  }
  if (!has_content_namespace()) {
    return parser_->stop({Code::kXmlNamespace, "the default namespace is not jabber:server"});
  }
  for (const auto [attribute, value] : attributes) {
    if (attribute.space == ns::kXml && attribute.local == "lang") header_.lang = value;
    if (!attribute.space.empty()) continue;
    if (attribute.local == "from") header_.from = value;
    if (attribute.local == "to") header_.to = value;
    if (attribute.local == "id") header_.id = value;
    if (attribute.local == "version") header_.version = value;
  }
  if (header_.lang.size() > limits::kHeaderLangBytesMax) {
    return parser_->stop({Code::kXmlTooLarge, "the header's xml:lang"});
  }
  events_.emplace_back(header_);
  phase_ = Phase::kBetween;
}

void XmlStream::Impl::start_first_level(QNameView name, AttributesView attributes) {
  if (const auto kind = kind_of(name)) return start_stanza(*kind, attributes);
  phase_ = Phase::kElement;
  element_ = Element{};
  open_.clear();
  start_element(name, attributes);
}

void XmlStream::Impl::start_stanza(StanzaKind kind, AttributesView attributes) {
  const Addressing a(attributes);
  // RFC 6120 8.1.1.2, 8.1.2.2: between servers both are required.
  if (!a.from || !a.to) return parser_->stop({Code::kStanzaAddressMissing, a.from ? "no to" : "no from"});
  auto from = Jid::parse(*a.from);
  auto to = Jid::parse(*a.to);

  std::optional<Error> bad;
  if (!from) {
    bad = Error{Code::kStanzaFromInvalid, from.error().text};
  } else if (!to) {
    bad = Error{Code::kStanzaToInvalid, to.error().text};
  } else if (auto good = check_type_and_id(kind, a.type, a.id); !good) {
    bad = std::move(good).error();
  }
  if (bad) return start_bad_stanza(*std::move(bad), kind, a);
  // RFC 6120 8.1.5: a stanza inherits the stream's language.
  const std::string_view lang = a.lang.value_or(header_.lang);
  head_ =
      Head{kind, *std::move(from), *std::move(to), std::string(a.id), std::string(a.type), std::string(lang)};
  phase_ = Phase::kStanza;
  writer_.begin(kind_name(kind));
  writer_.attribute("from", head_->from.text());
  writer_.attribute("to", head_->to.text());
  if (!a.id.empty()) writer_.attribute("id", a.id);
  if (!a.type.empty()) writer_.attribute("type", a.type);
  if (!lang.empty()) writer_.attribute("xml:lang", lang);
  writer_.rest_of_root(attributes);
  check_canonical_size();
}

void XmlStream::Impl::start_bad_stanza(Error error, StanzaKind kind, const Addressing& a) {
  auto from_domain = Jid::domain_of(*a.from);
  // RFC 6120 4.9.3.7: a malformed address, not an address that the peer may not use.
  if (!from_domain) return parser_->stop({Code::kStanzaFromMalformed, from_domain.error().text});
  auto to_domain = Jid::domain_of(*a.to);
  if (!to_domain) return parser_->stop({Code::kStanzaToInvalid, to_domain.error().text});
  auto from = Jid::parse(*a.from);
  const bool id_fits = a.id.size() <= limits::kStanzaIdBytesMax;
  bad_stanza_ = BadStanza{std::move(error),
                          kind,
                          *std::move(from_domain),
                          from ? std::optional(*std::move(from)) : std::nullopt,
                          *std::move(to_domain),
                          std::string(*a.to),
                          std::string(id_fits ? a.id : std::string_view()),
                          std::string(a.type)};
  phase_ = Phase::kBadStanza;
}

void XmlStream::Impl::start_element(QNameView name, AttributesView attributes) {
  Element* element = &element_;
  if (!open_.empty()) element = &open_.back()->children.emplace_back();
  element->name = {std::string(name.space), std::string(name.local)};
  for (const auto [attribute, value] : attributes) {
    element->attributes.push_back(
        {{std::string(attribute.space), std::string(attribute.local)}, std::string(value)});
  }
  open_.push_back(element);
}

void XmlStream::Impl::handle_end(QNameView name) {
  --depth_;
  if (depth_ == 0) {
    events_.emplace_back(StreamFooter{});
    return;
  }
  if (phase_ == Phase::kStanza) {
    writer_.end(name);
    check_canonical_size();
    if (parser_->stopped()) return;
  } else if (phase_ == Phase::kElement) {
    open_.pop_back();
  }
  if (depth_ == 1) finish_first_level();
}

void XmlStream::Impl::finish_first_level() {
  switch (phase_) {
    case Phase::kStanza:
      events_.emplace_back(
          Stanza(head_->kind, head_->from, head_->to, head_->id, head_->type, head_->lang, writer_.xml()));
      break;
    case Phase::kBadStanza:
      events_.emplace_back(*std::move(bad_stanza_));
      break;
    default:
      events_.emplace_back(std::move(element_));
      break;
  }
  phase_ = Phase::kBetween;
}

void XmlStream::Impl::handle_text(std::string_view text) {
  if (phase_ == Phase::kStanza) {
    writer_.text(text);
    check_canonical_size();
  } else if (phase_ == Phase::kElement) {
    open_.back()->text.append(text);
  }
}

void XmlStream::Impl::check_canonical_size() {
  if (writer_.xml().size() > limits::kCanonicalBytesMax) {
    parser_->stop({Code::kXmlTooLarge, "a stanza in canonical form"});
  }
}

XmlStream::XmlStream(const ParseLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
XmlStream::~XmlStream() = default;
XmlStream::XmlStream(XmlStream&&) noexcept = default;
XmlStream& XmlStream::operator=(XmlStream&&) noexcept = default;
void XmlStream::handle_bytes(std::string_view bytes) {
  while (!bytes.empty()) bytes.remove_prefix(impl_->handle_some(bytes));
}
std::size_t XmlStream::handle_some(std::string_view bytes) { return impl_->handle_some(bytes); }
bool XmlStream::can_rest() const { return impl_->can_rest(); }
void XmlStream::rest() { impl_->rest(); }
std::optional<Result<StreamEvent>> XmlStream::poll() { return impl_->poll(); }
void XmlStream::raise_limits(const ParseLimits& limits) { impl_->raise_limits(limits); }
bool XmlStream::between_elements() const { return impl_->between_elements(); }
std::size_t XmlStream::pending_bytes() const { return impl_->pending_bytes(); }

}  // namespace sallyport::xmpp
