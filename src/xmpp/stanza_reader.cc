// Validates one whole stanza that arrives outside a stream: on the fast path, else with an XmlStream of its
// own.
#include <optional>
#include <utility>

#include "base/limits.h"
#include "xmpp/plain_stanza.h"
#include "xmpp/xml_stream.h"

namespace sallyport::xmpp {
namespace {

// A canonical stanza is larger than the received one: each element may declare its own namespace and one for
// each attribute, and the root an inherited xml:lang.
constexpr ParseLimits kCanonicalLimits{limits::kCanonicalBytesMax, limits::kDepthMax,
                                       2 * limits::kAttributesMax + 2, limits::kChildrenMax};

}  // namespace

class StanzaReader::Impl {
 public:
  std::optional<Stanza> read_plain(std::string_view bytes) {
    auto found = plain_.read(bytes, kCanonicalLimits, {});
    if (!found || found->size != bytes.size()) return std::nullopt;
    return std::move(found->stanza);
  }

  Result<Stanza> read(std::string_view bytes) {
    if (auto plain = read_plain(bytes)) return *std::move(plain);
    if (!stream_) stream_ = fresh();
    auto stanza = read_once(bytes);
    if (!stanza) stream_.reset();
    return stanza;
  }

 private:
  // Makes a stream with our own header, which is the context of canonical bytes.
  static XmlStream fresh() {
    XmlStream stream(kCanonicalLimits);
    stream.handle_bytes("<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server'>");
    (void)stream.poll();
    return stream;
  }

  Result<Stanza> read_once(std::string_view bytes) {
    const bool framed = bytes.starts_with('<') && bytes.ends_with('>');
    if (!framed) return Error{Code::kStanzaUnknown, "not one element"};
    stream_->handle_bytes(bytes);
    auto first = stream_->poll();
    if (!first) return Error{Code::kStanzaUnknown, "not a whole element"};
    if (!*first) return std::move(*first).error();
    if (const auto* bad = std::get_if<BadStanza>(&**first)) return bad->error;
    auto* stanza = std::get_if<Stanza>(&**first);
    if (stanza == nullptr) return Error{Code::kStanzaUnknown, "not a stanza"};
    if (auto second = stream_->poll(); second || !stream_->between_elements()) {
      return Error{Code::kStanzaUnknown, "more than one element"};
    }
    return std::move(*stanza);
  }

  PlainReader plain_;
  std::optional<XmlStream> stream_;
};

StanzaReader::StanzaReader() : impl_(std::make_unique<Impl>()) {}
StanzaReader::~StanzaReader() = default;
StanzaReader::StanzaReader(StanzaReader&&) noexcept = default;
StanzaReader& StanzaReader::operator=(StanzaReader&&) noexcept = default;
Result<Stanza> StanzaReader::read(std::string_view bytes) { return impl_->read(bytes); }
std::optional<Stanza> StanzaReader::read_plain(std::string_view bytes) { return impl_->read_plain(bytes); }

}  // namespace sallyport::xmpp
