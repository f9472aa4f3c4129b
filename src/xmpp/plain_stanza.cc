#include "xmpp/plain_stanza.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "base/limits.h"
#include "xmpp/xml.h"

namespace sallyport::xmpp {
namespace {

// Deeper elements and longer attribute lists are rare: the parser reads them.
constexpr std::size_t kDepthPlainMax = 16;
constexpr std::size_t kAttributesPlainMax = 16;

constexpr std::string_view kXmlnsSpace = "http://www.w3.org/2000/xmlns/";

// The syntactic roles that a byte may have.
enum Class : std::uint8_t {
  kText = 1,       // unescaped text
  kValue = 2,      // an unescaped attribute value in single quotes
  kBareValue = 4,  // a value in either kind of quotes
  kNameStart = 8,
  kName = 16,
};

constexpr std::array<std::uint8_t, 256> make_classes() {
  std::array<std::uint8_t, 256> classes{};
  for (int c = 0x20; c < 0x80; ++c) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool digit = c >= '0' && c <= '9';
    std::uint8_t mask = 0;
    if (c != '<' && c != '&' && c != '>') {
      mask |= kText;
      if (c != '\'') mask |= kValue;
      if (c != '\'' && c != '"' && c != 0x7f) mask |= kBareValue;
    }
    if (letter) mask |= kNameStart | kName;
    if (digit || c == '-' || c == '.') mask |= kName;
    classes[static_cast<std::size_t>(c)] = mask;
  }
  classes['\t'] = classes['\n'] = kText;
  return classes;
}
constexpr auto kClasses = make_classes();

bool is_in(char c, Class what) { return (kClasses[static_cast<unsigned char>(c)] & what) != 0; }

// Returns the size of the character that begins there, which is not ASCII; 0 if it is not a character that
// XML allows (XML 1.0 2.2, RFC 3629 3).
std::size_t character_at(std::string_view text) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto follows = [&](std::size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned first = byte(0);
  if (first >= 0xC2 && first <= 0xDF) return follows(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool overlong = first == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = first == 0xED && byte(1) >= 0xA0;
    const bool no_character = first == 0xEF && byte(1) == 0xBF && byte(2) >= 0xBE;
    return follows(1) && follows(2) && !overlong && !surrogate && !no_character ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool overlong = first == 0xF0 && byte(1) < 0x90;
    const bool beyond = first == 0xF4 && byte(1) >= 0x90;
    return follows(1) && follows(2) && follows(3) && !overlong && !beyond ? 4 : 0;
  }
  return 0;
}

// Returns the first byte from `at` on that may need attention: a control, not ASCII, or a byte that is
// special somewhere. Sixteen bytes at a time where the CPU can.
const char* end_of_quiet(const char* at, const char* end) {
#ifdef __SSE2__
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const auto is = [&bytes](char c) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)); };
    // As signed numbers, non-ASCII bytes are below the space, too.
    const __m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(' '));
    const __m128i markup = _mm_or_si128(_mm_or_si128(is('<'), is('>')), is('&'));
    const __m128i other = _mm_or_si128(_mm_or_si128(is('\''), is('"')), is('\x7f'));
    const auto mask =
        static_cast<unsigned>(_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, markup), other)));
    if (mask != 0) return at + std::countr_zero(mask);
  }
#endif
  while (at != end && is_in(*at, kBareValue)) ++at;
  return at;
}

// Reads from the front of the input; each step returns whether it found what it looked for.
class MarkupReader {
 public:
  explicit MarkupReader(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  const char* place() const { return at_; }
  template <std::size_t kSize>
  bool word(const char (&what)[kSize]) {
    // The size is a constant where this is inlined: the comparison needs no call.
    if (static_cast<std::size_t>(end_ - at_) < kSize - 1) return false;
    if (std::memcmp(at_, what, kSize - 1) != 0) return false;
    at_ += kSize - 1;
    return true;
  }
  bool word(std::string_view what) {
    if (static_cast<std::size_t>(end_ - at_) < what.size()) return false;
    if (std::memcmp(at_, what.data(), what.size()) != 0) return false;
    at_ += what.size();
    return true;
  }
  std::string_view run(Class what) {
    const char* begin = at_;
    do at_ = end_of_quiet(at_, end_);
    while (at_ != end_ && is_in(*at_, what) && ++at_ != end_);
    return {begin, static_cast<std::size_t>(at_ - begin)};
  }
  // Returns an empty view if there is no name.
  std::string_view name() {
    const char* begin = at_;
    if (at_ == end_ || !is_in(*at_, kNameStart)) return {};
    while (++at_ != end_ && is_in(*at_, kName)) {
    }
    return {begin, static_cast<std::size_t>(at_ - begin)};
  }
  // Reads text, or a value up to its closing quote; returns false if it is not in canonical form.
  bool canonical(Class what) {
    for (;;) {
      run(what);
      if (at_ == end_) return true;
      if (*at_ == '&') {
        if (!reference(what)) return false;
      } else if (static_cast<unsigned char>(*at_) >= 0x80) {
        const std::size_t size = character_at({at_, static_cast<std::size_t>(end_ - at_)});
        if (size == 0) return false;
        at_ += size;
      } else {
        return true;
      }
    }
  }

 private:
  bool reference(Class what) {
    if (word("&amp;") || word("&lt;") || word("&gt;") || word("&#13;")) return true;
    return what == kValue && (word("&apos;") || word("&#9;") || word("&#10;"));
  }

  const char* at_;
  const char* end_;
};

// A string_view without a constructor: arrays of them cost nothing to create.
struct Piece {
  const char* data;
  std::size_t size;

  void operator=(std::string_view text) { data = text.data(), size = text.size(); }
  operator std::string_view() const { return {data, size}; }
};

template <std::size_t kSize>
bool is(std::string_view text, const char (&what)[kSize]) {
  return text.size() == kSize - 1 && std::memcmp(text.data(), what, kSize - 1) == 0;
}

}  // namespace

// The stanza's root tag.
struct PlainReader::Root {
  struct Attribute {
    Piece name;
    Piece value;
  };
  StanzaKind kind;
  std::string_view from;
  std::string_view to;
  std::string_view id;
  std::string_view type;
  std::optional<std::string_view> lang;
  std::array<Attribute, kAttributesPlainMax> others;
  std::size_t others_size = 0;
  std::size_t size = 0;  // of all

  bool read(MarkupReader& reader);
  // Returns whether the tag is canonical as received, except for an inherited language.
  bool is_canonical() const { return in_order_; }

 private:
  bool read_kind(MarkupReader& reader);
  bool place(std::string_view name, std::string_view value);
  // Records the place of an attribute in the canonical order.
  bool ordered(int rank) {
    in_order_ = in_order_ && rank >= rank_;
    rank_ = rank;
    return true;
  }

  bool space_declared_ = false;  // declares the content namespace, which canonical stanzas leave out
  bool in_order_ = true;
  int rank_ = 0;
};

// The caller checks the byte after the name.
bool PlainReader::Root::read_kind(MarkupReader& reader) {
  if (reader.word("<message")) {
    kind = StanzaKind::kMessage;
  } else if (reader.word("<presence")) {
    kind = StanzaKind::kPresence;
  } else if (reader.word("<iq")) {
    kind = StanzaKind::kIq;
  } else {
    return false;
  }
  return true;
}

// Returns false for a second attribute of that name.
bool PlainReader::Root::place(std::string_view name, std::string_view value) {
  const auto once = [&](std::string_view& field, int rank) {
    if (field.data() != nullptr) return false;
    field = value;
    in_order_ = in_order_ && !value.empty();
    return ordered(rank);
  };
  if (is(name, "from")) return once(from, 1);
  if (is(name, "to")) return once(to, 2);
  if (is(name, "id")) return once(id, 3);
  if (is(name, "type")) return once(type, 4);
  if (is(name, "xml:lang")) {
    if (lang) return false;
    lang = value;
    in_order_ = in_order_ && !value.empty();
    return ordered(5);
  }
  if (is(name, "xmlns")) {
    in_order_ = false;
    return value == ns::kServer && !std::exchange(space_declared_, true);
  }
  for (std::size_t i = 0; i < others_size; ++i)
    if (std::string_view(others[i].name) == name) return false;
  others[others_size].name = name;
  others[others_size++].value = value;
  return ordered(6);
}

// Reads up to the `/` or `>` that ends the tag.
bool PlainReader::Root::read(MarkupReader& reader) {
  if (!read_kind(reader)) return false;
  while (reader.word(" ")) {
    if (++size > kAttributesPlainMax) return false;
    const bool is_lang = reader.word("xml:lang");
    const std::string_view name = is_lang ? "xml:lang" : reader.name();
    if (name.empty() || !reader.word("=")) return false;
    const bool is_single = reader.word("'");
    if (!is_single && !reader.word("\"")) return false;
    const std::string_view value = reader.run(kBareValue);
    if (!(is_single ? reader.word("'") : reader.word("\"")) || !place(name, value)) return false;
    in_order_ = in_order_ && is_single;
  }
  return from.data() != nullptr && to.data() != nullptr;
}

namespace {

// Reads the elements inside the stanza, up to its end tag.
class Content {
 public:
  Content(MarkupReader& reader, const ParseLimits& limits, std::string_view root)
      : reader_(reader), limits_(limits), depth_(1) {
    open_[0].name = root;
    open_[0].space = ns::kServer;
  }

  // Reads from after the `>` of the root tag to the end of its end tag.
  bool read() {
    const char* content = reader_.place();  // of the element opened last, while it is empty
    while (depth_ > 0) {
      if (!reader_.canonical(kText)) return false;
      const char* here = reader_.place();
      if (reader_.word("</")) {
        // The canonical form of an empty element is `<name/>`.
        if (here == content) return false;
        if (!reader_.word(open_[depth_ - 1].name) || !reader_.word(">")) return false;
        --depth_;
      } else {
        if (!reader_.word("<") || !element()) return false;
        content = opened_ ? reader_.place() : nullptr;
      }
    }
    return true;
  }

 private:
  struct Open {
    Piece name;
    Piece space;
  };

  // Reads a start tag or an empty element, from after the `<`.
  bool element() {
    const std::string_view name = reader_.name();
    if (name.empty() || ++children_ > limits_.children || depth_ >= limits_.depth) return false;
    std::string_view space = open_[depth_ - 1].space;
    names_size_ = 0;
    if (reader_.word(" xmlns='")) {
      const std::string_view declared = reader_.run(kBareValue);
      if (!reader_.word("'") || declared == space || !may_be_default(declared)) return false;
      space = declared;
      names_[names_size_++] = std::string_view("xmlns");
    }
    while (reader_.word(" ")) {
      if (!attribute()) return false;
    }
    opened_ = reader_.word(">");
    if (!opened_) return reader_.word("/>");
    if (depth_ == kDepthPlainMax) return false;
    open_[depth_].name = name;
    open_[depth_++].space = space;
    return true;
  }

  static bool may_be_default(std::string_view space) {
    return !space.empty() && space.size() <= limits::kNamespaceBytesMax && space != ns::kStreams &&
           space != ns::kXml && space != kXmlnsSpace;
  }

  bool attribute() {
    const bool is_lang = reader_.word("xml:lang");
    const std::string_view name = is_lang ? "xml:lang" : reader_.name();
    if (name.empty() || name == "xmlns" || names_size_ == kAttributesPlainMax) return false;
    for (std::size_t i = 0; i < names_size_; ++i)
      if (std::string_view(names_[i]) == name) return false;
    names_[names_size_++] = name;
    return reader_.word("='") && reader_.canonical(kValue) && reader_.word("'");
  }

  MarkupReader& reader_;
  const ParseLimits& limits_;
  std::array<Open, kDepthPlainMax> open_;
  std::size_t depth_;
  std::size_t children_ = 1;  // the stanza itself
  std::array<Piece, kAttributesPlainMax> names_;
  std::size_t names_size_ = 0;
  bool opened_ = false;
};

bool is_bare(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return is_in(c, kBareValue); });
}

}  // namespace

std::optional<std::string_view> PlainReader::KnownDomain::domain_of(std::string_view address) {
  const auto domain = Jid::plain_domain_of(address, last_);
  if (domain && *domain != last_) last_ = *domain;
  return domain;
}

std::optional<PlainReader::Found> PlainReader::read(std::string_view bytes, const ParseLimits& limits,
                                                    std::string_view stream_lang) {
  MarkupReader reader(bytes.substr(0, limits.element_bytes));
  Root root;
  if (!root.read(reader) || root.size > limits.attributes) return std::nullopt;
  if (!check_type_and_id(root.kind, root.type, root.id)) return std::nullopt;
  const char* behind_root = reader.place();
  if (!reader.word("/>") && !(reader.word(">") && Content(reader, limits, kind_name(root.kind)).read())) {
    return std::nullopt;
  }
  const auto from_domain = from_.domain_of(root.from);
  const auto to_domain = to_.domain_of(root.to);
  if (!from_domain || !to_domain) return std::nullopt;

  const std::string_view lang = root.lang.value_or(stream_lang);
  if (!is_bare(lang)) return std::nullopt;
  const auto stanza_size = static_cast<std::size_t>(reader.place() - bytes.data());

  if (root.is_canonical() && (root.lang || lang.empty()))
    return Found{copied(root, *from_domain, *to_domain, bytes.substr(0, stanza_size)), stanza_size};
  const std::string_view rest(behind_root, static_cast<std::size_t>(reader.place() - behind_root));
  // Room for every attribute, and for the names and quotes that are added.
  const std::size_t room = stanza_size + lang.size() + 16;
  return Found{written(root, *from_domain, *to_domain, lang, rest, room), stanza_size};
}

// Nearly all stanzas from another node are canonical: they are copied unchanged, in one piece.
Stanza PlainReader::copied(const Root& root, std::string_view from_domain, std::string_view to_domain,
                           std::string_view whole) {
  Stanza stanza(root.kind, whole.size());
  stanza.append(whole);
  stanza.end_xml();
  const auto span = [&whole](std::string_view text) {
    if (text.data() == nullptr) return Span{};
    return Span{static_cast<std::uint32_t>(text.data() - whole.data()),
                static_cast<std::uint32_t>(text.size())};
  };
  Stanza::Head& head = *stanza.head_;
  head.from = {span(root.from), span(from_domain)};
  head.to = {span(root.to), span(to_domain)};
  head.id = span(root.id);
  head.type = span(root.type);
  if (root.lang) head.lang = span(*root.lang);
  return stanza;
}

// Writes the root tag again, and then `rest` unchanged.
Stanza PlainReader::written(const Root& root, std::string_view from_domain, std::string_view to_domain,
                            std::string_view lang, std::string_view rest, std::size_t room) {
  Stanza stanza(root.kind, room);
  const auto write = [&](std::string_view name, std::string_view value) {
    stanza.append(name);
    const Span span = stanza.append(value);
    stanza.append("'");
    return span;
  };
  const auto address = [&](std::string_view name, std::string_view text, std::string_view domain) {
    const Span span = write(name, text);
    return Stanza::Address{span,
                           {static_cast<std::uint32_t>(span.at + (domain.data() - text.data())),
                            static_cast<std::uint32_t>(domain.size())}};
  };
  Stanza::Head& head = *stanza.head_;
  stanza.append("<");
  stanza.append(kind_name(root.kind));
  head.from = address(" from='", root.from, from_domain);
  head.to = address(" to='", root.to, to_domain);
  if (!root.id.empty()) head.id = write(" id='", root.id);
  if (!root.type.empty()) head.type = write(" type='", root.type);
  if (!lang.empty()) head.lang = write(" xml:lang='", lang);
  for (std::size_t i = 0; i < root.others_size; ++i) {
    stanza.append(" ");
    stanza.append(std::string_view(root.others[i].name));
    write("='", root.others[i].value);
  }
  stanza.append(rest);
  stanza.end_xml();
  return stanza;
}

}  // namespace sallyport::xmpp
