#include "gate/address_map.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace sallyport::gate {
namespace {

// Payloads that are not ours to read: a change would break their signature or give away that we looked.
// Matched from the beginning, so that every version and sub-namespace is covered.
constexpr std::string_view kOpaqueSpaces[] = {
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

bool is_opaque_space(std::string_view space) {
  return std::ranges::any_of(kOpaqueSpaces,
                             [&](std::string_view opaque) { return space.starts_with(opaque); });
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return std::nullopt;
}

// RFC 3986 2.1; what is no escape stays as it is.
std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
    const auto low = high ? hex_digit(text[i + 2]) : std::nullopt;
    decoded += low ? static_cast<char>(*high * 16 + *low) : text[i];
    if (low) i += 2;
  }
  return decoded;
}

// RFC 7622 3.3.1, and white space: what keeps prose with an `@` in it from being taken for an address.
bool may_be_localpart(std::string_view text) {
  return !text.empty() && text.find_first_of("\"&':<>@ \t\n") == std::string_view::npos;
}

using Names = AddressMap::Names;

// An address whose domain is mapped.
struct Found {
  std::string_view domain;  // as it is written
  const Names::Name* name;
};

std::optional<Found> domain_in(std::string_view bare, const Names& names, bool in_uri) {
  if (const auto at = bare.find('@'); at != std::string_view::npos) {
    if (!may_be_localpart(bare.substr(0, at))) return std::nullopt;
    bare.remove_prefix(at + 1);
  }
  const bool encoded = in_uri && bare.find('%') != std::string_view::npos;
  const auto* name = encoded ? names.spelled(percent_decoded(bare)) : names.spelled(bare);
  return name == nullptr ? std::nullopt : std::optional(Found{bare, name});
}

// Appends `value` with the domain in `bare`, a part of it, replaced; what is in front of `done` has been
// appended.
bool replace_in(std::string& out, std::string_view bare, const char*& done, const Names& names, bool in_uri) {
  const auto found = domain_in(bare, names, in_uri);
  if (!found) return false;
  out.append(done, found->domain.data());
  out.append(in_uri ? found->name->domain.ascii() : found->name->unicode);
  done = found->domain.data() + found->domain.size();
  return true;
}

// RFC 5122 2.2: xmpp:[//authority/]path[?query][#fragment]; authority and path are both addresses.
void append_uri(std::string& out, std::string_view value, const Names& names) {
  const char* done = value.data();
  std::string_view rest = value.substr(5);
  rest = rest.substr(0, rest.find_first_of("?#"));
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    const auto slash = std::min(rest.find('/'), rest.size());
    replace_in(out, rest.substr(0, slash), done, names, true);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  replace_in(out, rest.substr(0, rest.find('/')), done, names, true);
  out.append(done, value.data() + value.size());
}

// Appends `value`, mapped if it is an address; `around` are the characters that may stand around one.
void append_mapped(std::string& out, std::string_view value, const Names& names, std::string_view around) {
  const auto first = value.find_first_not_of(around);
  if (first == std::string_view::npos) {
    out.append(value);
    return;
  }
  const auto last = value.find_last_not_of(around);
  const std::string_view address = value.substr(first, last - first + 1);
  out.append(value.substr(0, first));
  if (address.size() > 5 && equal_ignoring_case(address.substr(0, 5), "xmpp:")) {
    append_uri(out, address, names);
  } else {
    const char* done = address.data();
    replace_in(out, address.substr(0, address.find('/')), done, names, false);
    out.append(done, address.data() + address.size());
  }
  out.append(value.substr(last + 1));
}

// Walks over canonical bytes (docs/canonical-form.md): no prefixes on elements, xmlns only where it changes,
// attributes in single quotes. Whatever is not in that form ends the walk.
class Rewriter {
 public:
  Rewriter(std::string_view in, const Names& names) : rest_(in), names_(names) {
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
  // What is done with the content of an element.
  enum class Content : std::uint8_t { kMapped, kVerbatim };

  bool verbatim() const { return !open_.empty() && open_.back() == Content::kVerbatim; }

  // Copies up to and with the next `size` bytes.
  std::string_view copy(std::size_t size) {
    const std::string_view copied = rest_.substr(0, size);
    out_.append(copied);
    rest_.remove_prefix(copied.size());
    return copied;
  }

  bool text() {
    const std::string_view run = rest_.substr(0, rest_.find('<'));
    rest_.remove_prefix(run.size());
    if (verbatim())
      out_.append(run);
    else
      append_mapped(out_, run, names_, " \t\n");
    return !open_.empty();
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
    const std::string_view name = copy(name_end).substr(1);
    bool opaque = verbatim();
    while (rest_.starts_with(' ')) {
      if (!attribute(opaque)) return false;
    }
    if (rest_.starts_with("/>")) {
      copy(2);
      return true;
    }
    if (!rest_.starts_with('>')) return false;
    copy(1);
    const bool prose = name == "body" || name == "subject";
    open_.push_back(opaque || prose ? Content::kVerbatim : Content::kMapped);
    return true;
  }

  // One attribute, with the space in front. `xmlns` stands first and tells whether the element is opaque.
  bool attribute(bool& opaque) {
    const auto quote = rest_.find('\'');
    if (quote == std::string_view::npos || quote < 3 || rest_[quote - 1] != '=') return false;
    const std::string_view name = rest_.substr(1, quote - 2);
    const bool is_space = name == "xmlns" || name.starts_with("xmlns:");
    copy(quote + 1);
    const auto end = rest_.find('\'');
    if (end == std::string_view::npos) return false;
    const std::string_view value = rest_.substr(0, end);
    if (name == "xmlns" && is_opaque_space(value)) opaque = true;
    if (opaque || is_space) {
      out_.append(value);
    } else {
      append_mapped(out_, value, names_, " ");
    }
    rest_.remove_prefix(end);
    copy(1);
    return true;
  }

  std::string_view rest_;
  const Names& names_;
  std::string out_;
  std::vector<Content> open_;
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
  // No other character separates labels, so most texts need no second look.
  if (!dots_.contains(static_cast<std::size_t>(std::ranges::count(text, '.')))) return nullptr;
  const bool ascii = std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (!ascii) {
    const auto parsed = xmpp::Domain::parse(text);
    return parsed ? of(*parsed) : nullptr;
  }
  // In ASCII a domain has one spelling but for case; in other scripts the parser knows.
  std::string lowered(text);
  std::ranges::transform(lowered, lowered.begin(), lower);
  const auto at = by_domain_.find(lowered);
  return at == by_domain_.end() ? nullptr : &at->second;
}

AddressMap::AddressMap(xmpp::Domain from, xmpp::Domain to)
    : AddressMap(std::vector<Row>{{std::move(from), std::move(to)}}) {}

AddressMap::AddressMap(const std::vector<Row>& rows) {
  for (const auto& row : rows) names_.add(row.from, row.to);
}

Result<xmpp::Stanza> AddressMap::map(const xmpp::Stanza& stanza) const {
  Rewriter rewriter(stanza.xml(), names_);
  if (!rewriter.run()) return Error{Code::kXmlNotWellFormed, "not in the canonical form"};
  const auto own = [&](const xmpp::Jid& jid) {
    const auto* name = names_.of(jid.domain());
    return name == nullptr ? jid : jid.in(name->domain);
  };
  std::string id;
  append_mapped(id, stanza.id(), names_, " ");
  const std::string xml = rewriter.take();
  if (xml.size() > limits::kCanonicalBytesMax || id.size() > limits::kStanzaIdBytesMax)
    return Error{Code::kXmlTooLarge, "with the other name of its node"};
  return xmpp::Stanza(stanza.kind(), own(stanza.from()), own(stanza.to()), id, stanza.type(), stanza.lang(),
                      xml);
}

}  // namespace sallyport::gate
