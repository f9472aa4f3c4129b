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

// Deeper, or with more attributes, there are few: the parser takes them.
constexpr std::size_t kDepthPlainMax = 16;
constexpr std::size_t kAttributesPlainMax = 16;

constexpr std::string_view kXmlnsSpace = "http://www.w3.org/2000/xmlns/";

// What a byte may be part of.
enum Class : std::uint8_t {
  kText = 1,       // text as it stands
  kValue = 2,      // an attribute value in single quotes as it stands
  kBareValue = 4,  // a value in either quotes
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

// The size of the character that begins there, which is not ASCII; 0 where it is none that XML takes (XML
// 1.0 2.2, RFC 3629 3).
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

// The first byte from `at` on that is no plain character of text: a control, not ASCII, or one that means
// something in some place. Sixteen at a time where the machine can.
const char* end_of_quiet(const char* at, const char* end) {
#ifdef __SSE2__
  for (; end - at >= 16; at += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const auto is = [&bytes](char c) { return _mm_cmpeq_epi8(bytes, _mm_set1_epi8(c)); };
    // As signed numbers, bytes that are not ASCII are below the space, too.
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

// Reads from the front of what is left; each step says whether what it looked for stood there.
class Walk {
 public:
  explicit Walk(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  const char* place() const { return at_; }
  template <std::size_t kSize>
  bool word(const char (&what)[kSize]) {
    // The size is known where this is called: no call is made for the comparison.
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
  // Empty: none.
  std::string_view name() {
    const char* begin = at_;
    if (at_ == end_ || !is_in(*at_, kNameStart)) return {};
    while (++at_ != end_ && is_in(*at_, kName)) {
    }
    return {begin, static_cast<std::size_t>(at_ - begin)};
  }
  // Of text, or of a value up to the quote that ends it: all that is in canonical form.
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

// A view that is nothing until it is set: arrays of them cost nothing to have.
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

// The stanza's own tag.
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

  bool read(Walk& walk);
  // Whether the tag is canonical as it stands, but for a language that is inherited.
  bool is_canonical() const { return in_order_; }

 private:
  bool read_kind(Walk& walk);
  bool place(std::string_view name, std::string_view value);
  // Notes the place of an attribute in the canonical order.
  bool ordered(int rank) {
    in_order_ = in_order_ && rank >= rank_;
    rank_ = rank;
    return true;
  }

  bool space_said_ = false;  // the content namespace, which stands in no canonical stanza
  bool in_order_ = true;
  int rank_ = 0;
};

// What stands behind the name is looked at by whoever reads on.
bool PlainReader::Root::read_kind(Walk& walk) {
  if (walk.word("<message")) {
    kind = StanzaKind::kMessage;
  } else if (walk.word("<presence")) {
    kind = StanzaKind::kPresence;
  } else if (walk.word("<iq")) {
    kind = StanzaKind::kIq;
  } else {
    return false;
  }
  return true;
}

// Whether it is its first of that name.
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
    return value == ns::kServer && !std::exchange(space_said_, true);
  }
  for (std::size_t i = 0; i < others_size; ++i)
    if (std::string_view(others[i].name) == name) return false;
  others[others_size].name = name;
  others[others_size++].value = value;
  return ordered(6);
}

// Up to what ends the tag.
bool PlainReader::Root::read(Walk& walk) {
  if (!read_kind(walk)) return false;
  while (walk.word(" ")) {
    if (++size > kAttributesPlainMax) return false;
    const bool is_lang = walk.word("xml:lang");
    const std::string_view name = is_lang ? "xml:lang" : walk.name();
    if (name.empty() || !walk.word("=")) return false;
    const bool is_single = walk.word("'");
    if (!is_single && !walk.word("\"")) return false;
    const std::string_view value = walk.run(kBareValue);
    if (!(is_single ? walk.word("'") : walk.word("\"")) || !place(name, value)) return false;
    in_order_ = in_order_ && is_single;
  }
  return from.data() != nullptr && to.data() != nullptr;
}

namespace {

// The elements inside, down to the end tag of the stanza.
class Content {
 public:
  Content(Walk& walk, const ParseLimits& limits, std::string_view root)
      : walk_(walk), limits_(limits), depth_(1) {
    open_[0].name = root;
    open_[0].space = ns::kServer;
  }

  // From behind the `>` of the stanza's own tag to behind its end tag.
  bool read() {
    const char* content = walk_.place();  // of the element opened last, until something is in it
    while (depth_ > 0) {
      if (!walk_.canonical(kText)) return false;
      const char* here = walk_.place();
      if (walk_.word("</")) {
        // Without content it would be written `<name/>`.
        if (here == content) return false;
        if (!walk_.word(open_[depth_ - 1].name) || !walk_.word(">")) return false;
        --depth_;
      } else {
        if (!walk_.word("<") || !element()) return false;
        content = opened_ ? walk_.place() : nullptr;
      }
    }
    return true;
  }

 private:
  struct Open {
    Piece name;
    Piece space;
  };

  // A start tag or an empty element, from behind the `<`.
  bool element() {
    const std::string_view name = walk_.name();
    if (name.empty() || ++children_ > limits_.children || depth_ >= limits_.depth) return false;
    std::string_view space = open_[depth_ - 1].space;
    names_size_ = 0;
    if (walk_.word(" xmlns='")) {
      const std::string_view said = walk_.run(kBareValue);
      if (!walk_.word("'") || said == space || !may_be_default(said)) return false;
      space = said;
      names_[names_size_++] = std::string_view("xmlns");
    }
    while (walk_.word(" ")) {
      if (!attribute()) return false;
    }
    opened_ = walk_.word(">");
    if (!opened_) return walk_.word("/>");
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
    const bool is_lang = walk_.word("xml:lang");
    const std::string_view name = is_lang ? "xml:lang" : walk_.name();
    if (name.empty() || name == "xmlns" || names_size_ == kAttributesPlainMax) return false;
    for (std::size_t i = 0; i < names_size_; ++i)
      if (std::string_view(names_[i]) == name) return false;
    names_[names_size_++] = name;
    return walk_.word("='") && walk_.canonical(kValue) && walk_.word("'");
  }

  Walk& walk_;
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
  Walk walk(bytes.substr(0, limits.element_bytes));
  Root root;
  if (!root.read(walk) || root.size > limits.attributes) return std::nullopt;
  if (!check_type_and_id(root.kind, root.type, root.id)) return std::nullopt;
  const char* behind_root = walk.place();
  if (!walk.word("/>") && !(walk.word(">") && Content(walk, limits, kind_name(root.kind)).read())) {
    return std::nullopt;
  }
  const auto from_domain = from_.domain_of(root.from);
  const auto to_domain = to_.domain_of(root.to);
  if (!from_domain || !to_domain) return std::nullopt;

  const std::string_view lang = root.lang.value_or(stream_lang);
  if (!is_bare(lang)) return std::nullopt;
  const auto stanza_size = static_cast<std::size_t>(walk.place() - bytes.data());

  if (root.is_canonical() && (root.lang || lang.empty()))
    return Found{copied(root, *from_domain, *to_domain, bytes.substr(0, stanza_size)), stanza_size};
  const std::string_view rest(behind_root, static_cast<std::size_t>(walk.place() - behind_root));
  // Every attribute again, and the words that may come on top.
  const std::size_t room = stanza_size + lang.size() + 16;
  return Found{written(root, *from_domain, *to_domain, lang, rest, room), stanza_size};
}

// Nearly all are canonical, of what another door wrote: in one piece, as it stands.
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

// The stanza's own tag anew, then `rest` as it stands.
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
