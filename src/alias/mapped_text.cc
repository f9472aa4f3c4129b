#include "alias/mapped_text.h"

#include <algorithm>
#include <optional>

#include "base/limits.h"
#include "xmpp/precis.h"
#include "xmpp/xml.h"

namespace sallyport::alias {
namespace {

using Names = AddressMap::Names;
namespace precis = xmpp::precis;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, lower, lower);
}

std::optional<int> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return std::nullopt;
}

// RFC 3986 2.1; a text that is not an escape stays unchanged.
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

// RFC 7622 3.3.1, and white space: prose with an `@` in it must not be taken for an address.
bool may_be_localpart(std::string_view text) {
  return !text.empty() && text.find_first_of("\"&':<>@ \t\n\r") == std::string_view::npos;
}

// An address whose domain is mapped.
struct Found {
  std::string_view domain;  // as written
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

// Appends `value` with the domain in `bare`, a part of it, replaced; everything before `done` has been
// appended.
bool replace_in(std::string& out, std::string_view bare, const char*& done, const Names& names, bool in_uri) {
  const auto found = domain_in(bare, names, in_uri);
  if (!found) return false;
  out.append(done, found->domain.data());
  out.append(in_uri ? found->name->domain.ascii() : found->name->unicode);
  done = found->domain.data() + found->domain.size();
  return true;
}

constexpr std::string_view kScheme = "xmpp:";

// RFC 5122 2.2: xmpp:[//authority/]path[?query][#fragment]; authority and path are both addresses.
void append_uri(std::string& out, std::string_view value, const Names& names) {
  const char* done = value.data();
  std::string_view rest = value.substr(kScheme.size());
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

// White space in canonical XML: in text, line feeds and tabs are literal; in attributes they are references;
// a carriage return is always one.
constexpr std::string_view kCanonicalSpace[] = {" ", "\t", "\n", "&#9;", "&#10;", "&#13;"};
constexpr std::string_view kPlainSpace[] = {" ", "\t", "\n", "\r"};

// Returns `value` without the white space around it; empty, at its end, if there is nothing else.
template <std::size_t kCount>
std::string_view trimmed(std::string_view value, const std::string_view (&spaces)[kCount]) {
  for (bool any = true; any;) {
    any = false;
    for (const std::string_view space : spaces) {
      if (value.starts_with(space)) value.remove_prefix(space.size()), any = true;
      if (value.ends_with(space)) value.remove_suffix(space.size()), any = true;
    }
  }
  return value;
}

// --- sentences

// Decodes the references that canonical text may have.
std::string unescaped(std::string_view text) {
  constexpr std::pair<std::string_view, char> kReferences[] = {
      {"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&#13;", '\r'}};
  std::string plain;
  plain.reserve(text.size());
  while (!text.empty()) {
    const auto* reference =
        std::ranges::find_if(kReferences, [&](const auto& each) { return text.starts_with(each.first); });
    const bool found = reference != std::end(kReferences);
    plain.push_back(found ? reference->second : text.front());
    text.remove_prefix(found ? reference->first.size() : 1);
  }
  return plain;
}

bool is_word(char c) { return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9'); }

// Returns whether a label of a domain may have the character, unchanged or mapped (RFC 5895 2): capitals and
// full-width letters count.
bool is_in_names(char32_t c) {
  const std::u32string meant = precis::width_and_case_mapped({&c, 1});
  return std::ranges::any_of(meant, [](char32_t m) {
    if (m < 0x80) return is_word(static_cast<char>(m)) || m == U'-' || m == U'_';
    const auto property = precis::property(m);
    return property == precis::Property::kValid || property == precis::Property::kContextJ ||
           property == precis::Property::kContextO;
  });
}

// Returns how many UTF-8 bytes the character at the front has; ill-formed text counts as single bytes.
std::size_t size_of_first(std::string_view text) {
  const auto byte = static_cast<unsigned char>(text.front());
  const std::size_t size = byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
  return std::min(size, text.size());
}

// Splits one text into tokens and the characters between them.
class Tokens {
 public:
  explicit Tokens(std::string_view text) : rest_(text) {}
  bool at_end() const { return rest_.empty(); }

  // Returns the token at the front without taking it; empty if another character is there.
  std::string_view peek(std::size_t skipped = 0) {
    const std::string_view text = rest_.substr(skipped);
    std::size_t size = 0;
    while (size < text.size()) {
      const std::size_t next = size_of_first(text.substr(size));
      if (!is_part(text.substr(size, next))) break;
      size += next;
    }
    return text.substr(0, size);
  }
  std::string_view take(std::size_t size) {
    const std::string_view taken = rest_.substr(0, size);
    rest_.remove_prefix(taken.size());
    return taken;
  }
  std::string_view take_character() { return take(size_of_first(rest_)); }
  std::string_view rest() const { return rest_; }

 private:
  bool is_part(std::string_view character) {
    const char c = character.front();
    if (static_cast<unsigned char>(c) < 0x80)
      return is_word(c) || std::string_view("-._%@/+~#$^\\").find(c) != std::string_view::npos;
    if (++looked_up_ > limits::kSentenceLookupsMax) return false;
    const auto decoded = precis::decode(character);
    return !decoded || is_in_names(decoded->front());
  }

  std::string_view rest_;
  std::size_t looked_up_ = 0;
};

std::string_view without_last_dots(std::string_view token) {
  const auto last = token.find_last_not_of('.');
  return last == std::string_view::npos ? token.substr(0, 0) : token.substr(0, last + 1);
}

// `before`: the character before the token, 0 if it is the first.
void append_token(std::string& out, std::string_view token, char before, const Names& names) {
  const std::string_view bare = token.substr(0, token.find('/'));
  std::string_view domain = bare;
  if (const auto at = bare.rfind('@'); at != std::string_view::npos) {
    domain = bare.substr(at + 1);
    // A localpart may end in a character that ends tokens, such as a bracket.
    const bool has_local = at > 0 ? bare[at - 1] != '@' : before != 0 && may_be_localpart({&before, 1});
    if (!has_local) domain = {};
  }
  const auto* name = names.spelled(domain);
  if (name == nullptr) {
    out.append(token);
    return;
  }
  out.append(token.data(), domain.data());
  out.append(name->unicode);
  out.append(domain.data() + domain.size(), token.data() + token.size());
}

std::string mapped_sentence(std::string_view text, const Names& names) {
  std::string out;
  out.reserve(text.size() + 64);
  Tokens tokens(text);
  char before = 0;
  while (!tokens.at_end()) {
    const std::string_view run = tokens.peek();
    if (run.empty()) {
      out.append(tokens.take_character());
    } else if (equal_ignoring_case(run, "xmpp") && tokens.rest().substr(run.size()).starts_with(':')) {
      const std::string_view address = without_last_dots(tokens.peek(kScheme.size()));
      append_uri(out, tokens.take(kScheme.size() + address.size()), names);
    } else {
      append_token(out, without_last_dots(run), before, names);
      out.append(run.substr(without_last_dots(run).size()));
      tokens.take(run.size());
    }
    before = *(tokens.rest().data() - 1);
  }
  return out;
}

}  // namespace

void append_mapped(std::string& out, std::string_view value, const Names& names, Written written) {
  const std::string_view address =
      written == Written::kPlain ? trimmed(value, kPlainSpace) : trimmed(value, kCanonicalSpace);
  if (address.empty()) {
    out.append(value);
    return;
  }
  out.append(value.data(), address.data());
  if (address.size() > kScheme.size() && equal_ignoring_case(address.substr(0, kScheme.size()), kScheme)) {
    append_uri(out, address, names);
  } else {
    const char* done = address.data();
    replace_in(out, address.substr(0, address.find('/')), done, names, false);
    out.append(done, address.data() + address.size());
  }
  out.append(address.data() + address.size(), value.data() + value.size());
}

bool is_bare_mapped(std::string_view address, const Names& names) {
  return address.find('/') == std::string_view::npos && domain_in(address, names, false).has_value();
}

void append_mapped_sentence(std::string& out, std::string_view text, const Names& names) {
  xmpp::append_escaped_text(out, mapped_sentence(unescaped(text), names));
}

}  // namespace sallyport::alias
