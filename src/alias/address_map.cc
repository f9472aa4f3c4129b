#include "alias/address_map.h"

#include <algorithm>
#include <utility>

#include "alias/mapped_text.h"
#include "base/limits.h"
#include "xmpp/xml.h"

namespace sallyport::alias {
namespace {

// Payloads that must not be changed: a change would break their signature or reveal that we read them.
// Matched as prefixes, so that every version and sub-namespace is covered.
constexpr std::string_view kSealedSpaces[] = {
    "http://jabber.org/protocol/xhtml-im",  // XEP-0071
    "http://www.w3.org/1999/xhtml",
    "eu.siacs.conversations.axolotl",  // XEP-0384 before 0.4
    "urn:xmpp:omemo:",                 // XEP-0384
    "urn:xmpp:openpgp:",               // XEP-0373
    "urn:xmpp:sce:",                   // XEP-0420
    "jabber:x:encrypted",              // XEP-0027
    "jabber:x:signed",
    "http://www.w3.org/2001/04/xmlenc#",
    "http://www.w3.org/2000/09/xmldsig#",
};

bool is_sealed_space(std::string_view space) {
  return std::ranges::any_of(kSealedSpaces,
                             [&](std::string_view sealed) { return space.starts_with(sealed); });
}

// The namespaces of stanzas: canonical ones are in jabber:server, forwarded ones (XEP-0297) mostly in
// jabber:client.
bool is_stanza_space(std::string_view space) {
  return space == xmpp::ns::kServer || space == "jabber:client";
}

// Reads canonical bytes (docs/canonical-form.md): no prefixes on elements, xmlns only where it changes,
// attributes in single quotes. Any other form is an error.
class Rewriter {
 public:
  // `by_service`: the stanza comes from a room service or a room, not from an occupant or a user.
  Rewriter(std::string_view in, const AddressMap::Names& names, bool by_service)
      : rest_(in), names_(names), by_service_(by_service) {
    out_.reserve(in.size() + 256);
  }

  bool run() {
    while (!rest_.empty()) {
      const bool read = !rest_.starts_with('<') ? text() : rest_.starts_with("</") ? end_tag() : start_tag();
      if (!read) return false;
    }
    return open_.empty();
  }
  std::string take() { return std::move(out_); }

 private:
  // The treatment of the text directly in an element.
  enum class Text : std::uint8_t {
    kMapped,
    kProse,     // text of a user: unchanged
    kSentence,  // text of a room service
    kSealed,    // unchanged, with all elements and attributes inside
  };
  struct Open {
    std::string_view space;
    Text text;
    // For a message: the treatment of its <body/> and <subject/>; for all others kMapped.
    Text prose;
  };
  // The relevant attributes of a start tag.
  struct Tag {
    std::string_view name;
    std::string_view space;
    std::string_view from;
    std::string_view type;
    bool sealed = false;
  };

  // Copies the input up to and including the next `size` bytes.
  std::string_view copy(std::size_t size) {
    const std::string_view copied = rest_.substr(0, size);
    out_.append(copied);
    rest_.remove_prefix(copied.size());
    return copied;
  }

  bool text() {
    const std::string_view run = rest_.substr(0, rest_.find('<'));
    rest_.remove_prefix(run.size());
    if (open_.empty()) return false;
    switch (open_.back().text) {
      case Text::kMapped:
        append_mapped(out_, run, names_, Written::kCanonical);
        break;
      case Text::kSentence:
        append_mapped_sentence(out_, run, names_);
        break;
      case Text::kProse:
      case Text::kSealed:
        out_.append(run);
    }
    return true;
  }

  bool end_tag() {
    const auto close = rest_.find('>');
    if (close == std::string_view::npos || open_.empty()) return false;
    open_.pop_back();
    copy(close + 1);
    return true;
  }

  bool start_tag() {
    const auto name_end = rest_.find_first_of(" />", 1);
    if (name_end == std::string_view::npos) return false;
    Tag tag{.name = copy(name_end).substr(1),
            .space = open_.empty() ? xmpp::ns::kServer : open_.back().space,
            .from = {},
            .type = {},
            .sealed = !open_.empty() && open_.back().text == Text::kSealed};
    while (rest_.starts_with(' ')) {
      if (!attribute(tag)) return false;
    }
    if (rest_.starts_with("/>")) {
      copy(2);
      return true;
    }
    if (!rest_.starts_with('>')) return false;
    copy(1);
    open_.push_back({tag.space, text_of(tag), prose_of(tag)});
    return true;
  }

  Text text_of(const Tag& tag) const {
    if (tag.sealed) return Text::kSealed;
    const bool named = tag.name == "body" || tag.name == "subject";
    return named && !open_.empty() && tag.space == open_.back().space ? open_.back().prose : Text::kMapped;
  }
  Text prose_of(const Tag& tag) const {
    if (tag.sealed || tag.name != "message" || !is_stanza_space(tag.space)) return Text::kMapped;
    // An error returns the text of its addressee.
    const bool own_words = by_service_ && tag.type != "error" && is_bare_mapped(tag.from, names_);
    return own_words ? Text::kSentence : Text::kProse;
  }

  // Reads one attribute, with the space before it. `xmlns` is the first and decides whether the element is
  // sealed.
  bool attribute(Tag& tag) {
    const auto quote = rest_.find('\'');
    if (quote == std::string_view::npos || quote < 3 || rest_[quote - 1] != '=') return false;
    const std::string_view name = rest_.substr(1, quote - 2);
    const bool is_space = name == "xmlns" || name.starts_with("xmlns:");
    copy(quote + 1);
    const auto end = rest_.find('\'');
    if (end == std::string_view::npos) return false;
    const std::string_view value = rest_.substr(0, end);
    if (name == "xmlns") {
      tag.space = value;
      if (is_sealed_space(value)) tag.sealed = true;
    } else if (name == "from") {
      tag.from = value;
    } else if (name == "type") {
      tag.type = value;
    }
    if (tag.sealed || is_space) {
      out_.append(value);
    } else {
      append_mapped(out_, value, names_, Written::kCanonical);
    }
    rest_.remove_prefix(end);
    copy(1);
    return true;
  }

  std::string_view rest_;
  const AddressMap::Names& names_;
  bool by_service_;
  std::string out_;
  std::vector<Open> open_;
};

}  // namespace

void AddressMap::Names::add(const xmpp::Domain& from, const xmpp::Domain& to) {
  by_domain_.emplace(from.ascii(), Name{to, to.unicode()});
  dots_.insert(static_cast<std::size_t>(std::ranges::count(from.ascii(), '.')));
}

const AddressMap::Names::Name* AddressMap::Names::of(const xmpp::Domain& domain) const {
  const auto at = by_domain_.find(domain.ascii());
  return at == by_domain_.end() ? nullptr : &at->second;
}

const AddressMap::Names::Name* AddressMap::Names::spelled(std::string_view text) const {
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.size() > limits::kJidPartBytesMax) return nullptr;
  // No other character separates labels, so most texts need no closer look.
  if (!dots_.contains(static_cast<std::size_t>(std::ranges::count(text, '.')))) return nullptr;
  const bool ascii = std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!ascii) {
    const auto parsed = xmpp::Domain::parse(text);
    return parsed ? of(*parsed) : nullptr;
  }
  // In ASCII a domain has one spelling except for case; for other scripts the parser decides.
  std::string lowered(text);
  std::ranges::transform(lowered, lowered.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto at = by_domain_.find(lowered);
  return at == by_domain_.end() ? nullptr : &at->second;
}

AddressMap::AddressMap(xmpp::Domain from, xmpp::Domain to)
    : AddressMap(std::vector<Row>{{std::move(from), std::move(to)}}) {}

AddressMap::AddressMap(const std::vector<Row>& rows) {
  for (const auto& row : rows) names_.add(row.from, row.to);
}

Result<xmpp::Stanza> AddressMap::map(const xmpp::Stanza& stanza) const {
  const xmpp::Jid from = stanza.from();
  const bool by_service = !from.has_resource() && names_.of(from.domain()) != nullptr;
  Rewriter rewriter(stanza.xml(), names_, by_service);
  if (!rewriter.run()) return Error{Code::kXmlNotWellFormed, "not in the canonical form"};
  const auto own = [&](const xmpp::Jid& jid) {
    const auto* name = names_.of(jid.domain());
    return name == nullptr ? jid : jid.in(name->domain);
  };
  std::string id;
  append_mapped(id, stanza.id(), names_, Written::kPlain);
  const std::string xml = rewriter.take();
  if (xml.size() > limits::kCanonicalBytesMax || id.size() > limits::kStanzaIdBytesMax)
    return Error{Code::kXmlTooLarge, "it is too large with the other name of its node"};
  return xmpp::Stanza(stanza.kind(), own(from), own(stanza.to()), id, stanza.type(), stanza.lang(), xml);
}

}  // namespace sallyport::alias
