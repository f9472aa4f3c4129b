#include "xmpp/jid.h"

#include <fmt/format.h>
#include <unicode/uidna.h>

#include <algorithm>
#include <array>
#include <vector>

#include "base/limits.h"
#include "xmpp/precis.h"

namespace sallyport::xmpp {
namespace {

constexpr std::string_view kAcePrefix = "xn--";

Error invalid(std::string_view part, std::string_view why) {
  return {Code::kJidInvalid, fmt::format("{}: {}", part, why)};
}
Error invalid_domain(std::string_view why) { return invalid("domainpart", why); }

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Calls `f` with each label; stops at the first error.
template <typename F>
Result<void> for_each_label(std::string_view name, F f) {
  for (std::size_t begin = 0; begin <= name.size();) {
    const auto end = std::min(name.find('.', begin), name.size());
    if (auto good = f(name.substr(begin, end - begin)); !good) return good;
    begin = end + 1;
  }
  return {};
}

// RFC 5890 2.3.1: letters, digits and hyphens, no hyphen at either end, and "--" in the third and fourth
// place only in an A-label.
Result<void> check_ldh_label(std::string_view label) {
  if (label.empty()) return invalid_domain("an empty label");
  if (label.size() > limits::kDomainLabelBytesMax) return invalid_domain("a label is too long");
  if (label.front() == '-' || label.back() == '-')
    return invalid_domain("a label begins or ends with a hyphen");
  if (label.substr(2 < label.size() ? 2 : label.size()).starts_with("--") && !label.starts_with(kAcePrefix)) {
    return invalid_domain("a label has hyphens where only A-labels have them");
  }
  const bool ldh =
      std::ranges::all_of(label, [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-'; });
  if (!ldh) return invalid_domain("a character that is not a letter, digit or hyphen");
  return {};
}

// `name` is lower-case ASCII. Checks everything except the contents of A-labels.
Result<void> check_ascii_name(std::string_view name) {
  if (name.empty()) return invalid_domain("it is empty");
  if (name.size() > limits::kDomainBytesMax) return invalid_domain("it is too long");
  if (auto labels = for_each_label(name, check_ldh_label); !labels) return labels;
  // A last label of digits makes an IPv4 address, complete or short: these are not federated names.
  const auto last = name.substr(name.rfind('.') + 1);
  if (std::ranges::all_of(last, is_digit)) return invalid_domain("an IP address is not a federated name");
  return {};
}

bool has_ace_label(std::string_view name) {
  return name.starts_with(kAcePrefix) || name.find(".xn--") != std::string_view::npos;
}

// IDNA2008 (RFC 5891 5) by way of UTS #46, non-transitional, with every check it has.
const UIDNA* idna() {
  static const UIDNA* const instance = [] {
    UErrorCode status = U_ZERO_ERROR;
    return uidna_openUTS46(UIDNA_USE_STD3_RULES | UIDNA_CHECK_BIDI | UIDNA_CHECK_CONTEXTJ |
                               UIDNA_CHECK_CONTEXTO | UIDNA_NONTRANSITIONAL_TO_ASCII |
                               UIDNA_NONTRANSITIONAL_TO_UNICODE,
                           &status);
  }();
  return instance;
}

using IdnaFunction = int32_t(const UIDNA*, const char*, int32_t, char*, int32_t, UIDNAInfo*, UErrorCode*);

// Returns an empty string if the name is invalid.
std::string idna_mapped(IdnaFunction* function, std::string_view name) {
  std::array<char, 4 * limits::kJidPartBytesMax> out{};
  UIDNAInfo info = UIDNA_INFO_INITIALIZER;
  UErrorCode status = U_ZERO_ERROR;
  const int32_t size = function(idna(), name.data(), static_cast<int32_t>(name.size()), out.data(),
                                static_cast<int32_t>(out.size()), &info, &status);
  if (U_FAILURE(status) || info.errors != 0) return {};
  return {out.data(), static_cast<std::size_t>(size)};
}

std::vector<std::string_view> labels_of(std::string_view name) {
  std::vector<std::string_view> labels;
  (void)for_each_label(name, [&](std::string_view label) {
    labels.push_back(label);
    return Result<void>();
  });
  return labels;
}

bool begins_with_ace_prefix(std::string_view label) {
  return label.size() >= kAcePrefix.size() &&
         std::ranges::equal(label.substr(0, kAcePrefix.size()), kAcePrefix, {}, lower);
}

// RFC 5892 2.7, which PRECIS lacks: combining marks for symbols and musical notation.
bool is_in_ignorable_block(char32_t c) {
  return (c >= 0x20D0 && c <= 0x20FF) || (c >= 0x1D100 && c <= 0x1D24F);
}

// UTS #46 is more permissive than IDNA2008: it maps ligatures, circled letters and the like, and allows
// symbols. A name must be what its reader sees, so only case, width and composition may differ (RFC 5895 2),
// and only characters that IDNA2008 allows are valid.
Result<void> check_u_label(std::string_view written, std::string_view u_label) {
  const auto read = precis::decode(u_label);
  if (!read) return invalid_domain(read.error().text);
  for (const char32_t c : *read) {
    const auto p = precis::property(c);
    const bool fits =
        p == precis::Property::kValid || p == precis::Property::kContextJ || p == precis::Property::kContextO;
    if (!fits || is_in_ignorable_block(c)) return invalid_domain("a character that IDNA2008 does not allow");
  }
  if (!precis::context_is_right(*read)) return invalid_domain("a character is not allowed in its context");
  if (begins_with_ace_prefix(written)) return {};
  const auto plain = precis::decode(written);
  if (!plain) return invalid_domain(plain.error().text);
  if (precis::width_and_case_mapped(*plain) != *read) {
    return invalid_domain("a character that stands for another one");
  }
  return {};
}

Result<std::string> internationalised(std::string_view text) {
  const std::string u = idna_mapped(uidna_nameToUnicodeUTF8, text);
  if (u.empty()) return invalid_domain("it is not valid in IDNA2008");
  const auto written = labels_of(text);
  const auto mapped = labels_of(u);
  // Only U+002E separates labels; UTS #46 accepts three more characters.
  if (written.size() != mapped.size()) return invalid_domain("a character that stands for a dot");
  for (std::size_t i = 0; i < written.size(); ++i) {
    if (auto good = check_u_label(written[i], mapped[i]); !good) return good.error();
  }
  std::string a = idna_mapped(uidna_nameToASCII_UTF8, u);
  if (a.empty()) return invalid_domain("it is not valid in IDNA2008");
  return a;
}

// RFC 7622 3.3.1: characters that PRECIS allows in a username but XMPP not in a localpart.
bool has_excluded(std::string_view local) {
  return local.find_first_of("\"&'/:<>@") != std::string_view::npos;
}

// Plain ASCII, which is nearly everything, needs no Unicode tables.
Result<std::string> parse_local(std::string_view text) {
  std::string local;
  if (std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7f; })) {
    local.resize(text.size());
    std::ranges::transform(text, local.begin(), lower);
  } else {
    if (text.size() > 4 * limits::kJidPartBytesMax) return invalid("localpart", "it is too long");
    auto prepared = precis::username_case_mapped(text);
    if (!prepared) return invalid("localpart", prepared.error().text);
    local = *std::move(prepared);
  }
  if (local.empty()) return invalid("localpart", "it is empty");
  if (local.size() > limits::kJidPartBytesMax) return invalid("localpart", "it is too long");
  if (has_excluded(local)) return invalid("localpart", "a character that XMPP does not allow");
  return local;
}

Result<std::string> parse_resource(std::string_view text) {
  std::string resource;
  if (std::ranges::all_of(text, [](char c) { return c >= 0x20 && c < 0x7f; })) {
    resource = text;
  } else {
    if (text.size() > 4 * limits::kJidPartBytesMax) return invalid("resourcepart", "it is too long");
    auto prepared = precis::opaque_string(text);
    if (!prepared) return invalid("resourcepart", prepared.error().text);
    resource = *std::move(prepared);
  }
  if (resource.empty()) return invalid("resourcepart", "it is empty");
  if (resource.size() > limits::kJidPartBytesMax) return invalid("resourcepart", "it is too long");
  return resource;
}

constexpr std::array<bool, 256> table_of(auto is_member) {
  std::array<bool, 256> table{};
  for (std::size_t c = 0; c < table.size(); ++c) table[c] = is_member(static_cast<char>(c));
  return table;
}

// Characters of a localpart that preparation does not change: printable ASCII except capitals and the
// characters that XMPP excludes.
constexpr auto kPlainLocal = table_of([](char c) {
  return c > 0x20 && c < 0x7f && !(c >= 'A' && c <= 'Z') &&
         std::string_view("\"&'/:<>@").find(c) == std::string_view::npos;
});
constexpr auto kPlainResource = table_of([](char c) { return c >= 0x20 && c < 0x7f; });

// Returns how many bytes from the front are in the table.
std::size_t run_of(const std::array<bool, 256>& table, std::string_view text) {
  std::size_t size = 0;
  while (size < text.size() && table[static_cast<unsigned char>(text[size])]) ++size;
  return size;
}

bool is_plain_part(const std::array<bool, 256>& table, std::string_view part) {
  return !part.empty() && part.size() <= limits::kJidPartBytesMax && run_of(table, part) == part.size();
}

}  // namespace

// The same as check_ascii_name in one pass; returns false for labels with hyphens in third and fourth place.
bool Domain::is_plain(std::string_view text) {
  if (text.empty() || text.size() > limits::kDomainBytesMax) return false;
  std::size_t label = 0;    // where the current one begins
  bool digits_only = true;  // so far, in this label: the last one would end an IP address
  const auto ends_well = [&](std::size_t end) {
    return end > label && end - label <= limits::kDomainLabelBytesMax && text[end - 1] != '-';
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c >= 'a' && c <= 'z') {
      digits_only = false;
    } else if (c == '.') {
      if (!ends_well(i)) return false;
      label = i + 1;
      digits_only = true;
    } else if (c == '-') {
      if (i == label || (i == label + 3 && text[i - 1] == '-')) return false;
      digits_only = false;
    } else if (!is_digit(c)) {
      return false;
    }
  }
  return ends_well(text.size()) && !digits_only;
}

Result<Domain> Domain::parse(std::string_view text) {
  // RFC 7622 3.2: the root label's dot is not part of the address.
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.size() > limits::kJidPartBytesMax) return invalid_domain("it is too long");
  std::string name;
  if (is_ascii(text)) {
    name.resize(text.size());
    std::ranges::transform(text, name.begin(), lower);
    if (auto good = check_ascii_name(name); !good) return good.error();
    if (!has_ace_label(name)) return Domain(std::move(name));
    text = name;
  }
  auto ascii = internationalised(text);
  if (!ascii) return ascii.error();
  if (auto good = check_ascii_name(*ascii); !good) return good.error();
  // An A-label has one spelling (RFC 5891 4.4): a label that does not map back to itself is a fake.
  if (!name.empty() && *ascii != name) return invalid_domain("a label that only looks like an A-label");
  return Domain(*std::move(ascii));
}

std::string Domain::unicode() const {
  if (!has_ace_label(ascii())) return ascii();
  return idna_mapped(uidna_nameToUnicodeUTF8, ascii());
}

bool Domain::is_below(const Domain& parent) const {
  const std::string& child = ascii();
  const std::string& above = parent.ascii();
  return child.size() > above.size() + 1 && child.ends_with(above) &&
         child[child.size() - above.size() - 1] == '.';
}

Jid::Jid(std::string local, Domain domain, std::string resource)
    : local_(std::move(local)), domain_(std::move(domain)), resource_(std::move(resource)) {}

Result<Jid> Jid::parse(std::string_view text) {
  // RFC 7622 3.1: the first slash ends the domainpart, the first at-sign before it begins the domainpart.
  std::string local;
  std::string resource;
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    auto part = parse_resource(text.substr(slash + 1));
    if (!part) return part.error();
    resource = *std::move(part);
    text = text.substr(0, slash);
  }
  if (const auto at = text.find('@'); at != std::string_view::npos) {
    auto part = parse_local(text.substr(0, at));
    if (!part) return part.error();
    local = *std::move(part);
    text = text.substr(at + 1);
  }
  auto domain = Domain::parse(text);
  if (!domain) return domain.error();
  return Jid(std::move(local), *std::move(domain), std::move(resource));
}

Result<Domain> Jid::domain_of(std::string_view text) {
  text = text.substr(0, text.find('/'));
  const auto at = text.find('@');
  return Domain::parse(at == std::string_view::npos ? text : text.substr(at + 1));
}

std::optional<std::string_view> Jid::plain_domain_of(std::string_view text, std::string_view known) {
  // Neither `/` nor `@` can be in a localpart, and every character of a domain can.
  const std::size_t local = run_of(kPlainLocal, text);
  if (local < text.size() && text[local] == '@') {
    if (local == 0 || local > limits::kJidPartBytesMax) return std::nullopt;
    text.remove_prefix(local + 1);
  } else if (local < text.size() && text[local] != '/') {
    return std::nullopt;
  }
  const bool is_known =
      !known.empty() && text.starts_with(known) && (text.size() == known.size() || text[known.size()] == '/');
  const std::string_view domain = is_known ? text.substr(0, known.size()) : text.substr(0, text.find('/'));
  if (!is_known && !Domain::is_plain(domain)) return std::nullopt;
  if (domain.size() < text.size() && !is_plain_part(kPlainResource, text.substr(domain.size() + 1)))
    return std::nullopt;
  return domain;
}

Jid Jid::of_canonical(std::string_view text, std::string_view domain) {
  const std::string_view bare = text.substr(0, text.find('/'));
  const std::string_view resource =
      bare.size() < text.size() ? text.substr(bare.size() + 1) : std::string_view();
  const auto at = bare.find('@');
  const std::string_view local = at == std::string_view::npos ? std::string_view() : bare.substr(0, at);
  return {std::string(local), Domain(std::string(domain)), std::string(resource)};
}

Jid Jid::of(const Domain& domain) { return {{}, domain, {}}; }

Jid Jid::in(const Domain& domain) const { return {local_, domain, resource_}; }

std::string Jid::text() const {
  std::string out;
  out.reserve(local_.size() + domain_.ascii().size() + resource_.size() + 2);
  if (has_local()) out.append(local_).push_back('@');
  out.append(domain_.unicode());
  if (has_resource()) out.append("/").append(resource_);
  return out;
}

}  // namespace sallyport::xmpp
