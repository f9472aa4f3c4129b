#include "xmpp/plain_stanza.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

#include "base/limits.h"
#include "xmpp/xml_stream.h"

namespace sallyport::xmpp {
namespace {

constexpr std::string_view kOpen = "<message from='u@a.example' to='v@b.example'>";
constexpr std::string_view kClose = "</message>";

std::string inside(std::string_view content) { return fmt::format("{}{}{}", kOpen, content, kClose); }

// Returns the parser's result, nothing if it is not a stanza. An element in two pieces bypasses the fast
// path.
std::optional<Stanza> parsed(std::string_view element, std::string_view lang = {}) {
  XmlStream stream(ParseLimits::authenticated());
  stream.handle_bytes(fmt::format(
      "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' xml:lang='{}'>",
      lang));
  (void)stream.poll();
  stream.handle_bytes(element.substr(0, 1));
  stream.handle_bytes(element.substr(1));
  auto event = stream.poll();
  if (!event || !*event || !stream.between_elements() || stream.poll()) return std::nullopt;
  auto* stanza = std::get_if<Stanza>(&**event);
  return stanza == nullptr ? std::nullopt : std::optional(std::move(*stanza));
}

std::string all_of(const Stanza& s) {
  return fmt::format("{} from {} ({}) to {} ({}) id '{}' type '{}' lang '{}': {}", kind_name(s.kind()),
                     s.from_text(), s.from_domain(), s.to_text(), s.to_domain(), s.id(), s.type(), s.lang(),
                     s.xml());
}

std::optional<PlainReader::Found> plain(std::string_view bytes, std::string_view lang = {}) {
  return PlainReader().read(bytes, ParseLimits::authenticated(), lang);
}

// Expects that PlainReader accepts the bytes, with the parser's result.
void expect_plain(std::string_view bytes, std::string_view lang = {}) {
  const auto found = plain(bytes, lang);
  ASSERT_TRUE(found) << bytes;
  EXPECT_EQ(found->size, bytes.size()) << bytes;
  const auto other = parsed(bytes, lang);
  ASSERT_TRUE(other) << bytes;
  EXPECT_EQ(all_of(found->stanza), all_of(*other)) << bytes;
}

TEST(PlainReader, what_servers_write_is_plain) {
  const std::string rows[] = {
      // Prosody, ejabberd, jabberd2: the order of attributes is free.
      "<message from='a@x.example/r' to='b@y.example' id='1' type='chat' "
      "xml:lang='en'><body>hi</body></message>",
      "<message xml:lang='en' to='b@y.example' from='a@x.example/r' type='chat' "
      "id='1'><body>hi</body></message>",
      "<presence to='b@y.example' from='a@x.example/r'/>",
      "<presence from='a@x.example/r' to='b@y.example'><show>away</show><priority>5</priority></presence>",
      "<iq from='x.example' to='y.example' type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>",
      "<iq xmlns='jabber:server' from='x.example' to='y.example' type='result' id='q'/>",
      // The root tag of servers that write double quotes.
      "<presence from=\"a@x.example/r\" to=\"b@y.example\"/>",
      inside("<body>a 'quoted' \"word\" &amp; &lt;markup&gt;</body>"),
      inside("<body>gr\xC3\xBC\xC3\x9F \xE2\x82\xAC \xF0\x9F\x98\x80</body>"),
      inside("<body xml:lang='de'>x</body><subject/>"),
      inside("\n\t<a>\n</a> "),
      inside("<x xmlns='urn:x' a='1' b='&apos;&#9;&#10;&#13;&amp;&lt;&gt;\"'><y>&#13;</y></x>"),
      inside("<f xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>x</body></message></f>"),
      inside("<a xmlns='urn:a'><b xmlns='urn:b'/><c/></a><d/>"),
      "<message from='a@x.example' to='b@y.example' other='1' one='\x7e'/>",
      "<message from='a@x.example' to='b@y.example' id='' type='' xml:lang=''/>",
  };
  for (const auto& row : rows) {
    expect_plain(row);
    expect_plain(row, "de");
  }
}

TEST(PlainReader, what_the_parser_must_decide_is_left_to_it) {
  const std::string rows[] = {
      "",
      "<",
      "<message",
      "<message from='a' to='b'",
      "<message from='a' to='b'><body>x</body>",
      "<message from='a' to='b'><body>x</body></messag",
      "<db:result from='a' to='b'/>",
      "<stream:features/>",
      "</stream:stream>",
      "<message to='b'/>",
      "<message from='a'/>",
      "<message from='a' to='b' from='a'/>",
      "<message from='a' to='b' x='1' x='2'/>",
      "<message from='a' to='b' xml:lang='de' xml:lang='en'/>",
      "<message from='a' to='b' xmlns='jabber:client'/>",
      "<message from='a' to='b' xmlns='jabber:server' xmlns='jabber:server'/>",
      "<message from='a' to='b' xmlns:x='urn:x'/>",
      "<message from='a' to='b' id='&amp;'/>",
      "<message from='a' to='b' id='\xC3\xBC'/>",
      "<message from='a' to='b' id=\"'\"/>",
      "<message from='A' to='b'/>",
      "<message from='U@a' to='b'/>",
      "<message from='a' to='b.'/>",
      "<message from='a' to='xn--bcher-kva.example'/>",
      "<message from='a' to='192.0.2.1'/>",
      "<message from='a@b@c' to='b'/>",
      "<message from='@a' to='b'/>",
      "<message from='a/' to='b'/>",
      "<message from='a' to='-b'/>",
      "<iq from='a' to='b' id='1'/>",
      "<iq from='a' to='b' type='get'/>",
      "<presence from='a' to='b' type='x'/>",
      "<message  from='a' to='b'/>",
      "<message from='a' to='b' />",
      "<message from = 'a' to='b'/>",
      "<message from='a' to='b'></message>",
      inside("<a></a>"),
      inside("<a>x</b>"),
      inside("<a>x</a >"),
      inside("<a />"),
      inside("<a b=\"c\"/>"),
      inside("<a b='c' b='d'/>"),
      inside("<a b='c'd='e'/>"),
      inside("<a xmlns='jabber:server'/>"),
      inside("<a xmlns=''/>"),
      inside("<a b='c' xmlns='urn:a'/>"),
      inside("<a xmlns='urn:a' xmlns='urn:b'/>"),
      inside("<a xmlns='http://etherx.jabber.org/streams'/>"),
      inside("<a xmlns='http://www.w3.org/XML/1998/namespace'/>"),
      inside("<a xmlns='http://www.w3.org/2000/xmlns/'/>"),
      inside("<p:a xmlns:p='urn:p'/>"),
      inside("<stream:error/>"),
      inside("<a p:b='c'/>"),
      inside("<a xml:space='preserve'/>"),
      inside("<a xml:language='x'/>"),
      inside("<1/>"),
      inside("<!--x-->"),
      inside("<![CDATA[x]]>"),
      inside("<?x?>"),
      inside("a > b"),
      inside("]]>"),
      inside("&quot;"),
      inside("&apos;"),
      inside("&#65;"),
      inside("&x;"),
      inside("&"),
      inside("\r"),
      inside("\x01"),
      inside(std::string_view("\0", 1)),
      inside("<a b='\t'/>"),
      inside("<a b='\n'/>"),
      inside("<a b='>'/>"),
      inside("<a b='&quot;'/>"),
      inside("\xC3"),
      inside("\xC0\xAE"),
      inside("\xE0\x80\x80"),
      inside("\xED\xA0\x80"),
      inside("\xEF\xBF\xBE"),
      inside("\xF4\x90\x80\x80"),
      inside("\xF0\x80\x80\x80"),
      inside("\x80"),
      inside("\xFF"),
  };
  for (const auto& row : rows) EXPECT_FALSE(plain(row)) << row;
  EXPECT_FALSE(plain("<message from='a' to='b'/>", "d'e")) << "a language that must be escaped";
}

TEST(PlainReader, every_bound_holds_and_one_past_it_is_the_parsers) {
  const auto nested = [](std::size_t depth) {
    std::string in, out;
    for (std::size_t i = 1; i < depth; ++i) in += "<a>", out += "</a>";
    return inside(in + "x" + out);
  };
  const auto limits = [](std::size_t bytes, std::size_t depth, std::size_t attributes, std::size_t children) {
    return ParseLimits{bytes, depth, attributes, children};
  };
  const auto taken = [](const std::string& bytes, const ParseLimits& bounds) {
    return PlainReader().read(bytes, bounds, {}).has_value();
  };
  const std::string three = nested(3);
  EXPECT_TRUE(taken(three, limits(three.size(), 3, 2, 3)));
  EXPECT_FALSE(taken(three, limits(three.size() - 1, 3, 2, 3)));
  EXPECT_FALSE(taken(three, limits(three.size(), 2, 2, 3)));
  EXPECT_FALSE(taken(three, limits(three.size(), 3, 1, 3)));
  EXPECT_FALSE(taken(three, limits(three.size(), 3, 2, 2)));
  const auto space = [](std::size_t size) { return inside("<a xmlns='" + std::string(size, 'n') + "'/>"); };
  EXPECT_TRUE(plain(space(limits::kNamespaceBytesMax)));
  EXPECT_FALSE(plain(space(limits::kNamespaceBytesMax + 1)));
  const auto id = [](std::size_t size) {
    return "<message from='a' to='b' id='" + std::string(size, 'i') + "'/>";
  };
  EXPECT_TRUE(plain(id(limits::kStanzaIdBytesMax)));
  EXPECT_FALSE(plain(id(limits::kStanzaIdBytesMax + 1)));
  // PlainReader's own limits: the parser reads deep elements and long attribute lists.
  EXPECT_TRUE(plain(nested(16)));
  EXPECT_FALSE(plain(nested(17)));
}

TEST(PlainReader, a_stanza_is_taken_whole_whatever_stands_behind_it) {
  PlainReader reader;
  const std::string first = inside("<body>x</body>");
  for (const std::string_view behind :
       {"", "<", " ", "</stream:stream>", "x", "<message from='c' to='d'/>"}) {
    const auto found = reader.read(first + std::string(behind), ParseLimits::authenticated(), {});
    ASSERT_TRUE(found) << behind;
    EXPECT_EQ(found->size, first.size());
    EXPECT_EQ(found->stanza.xml(), first);
  }
  for (std::size_t size = 0; size < first.size(); ++size) EXPECT_FALSE(plain(first.substr(0, size))) << size;
  // The remembered domains must not be taken for those of the next stanza.
  const auto other =
      reader.read("<message from='x@c.example' to='b.example'/>", ParseLimits::authenticated(), {});
  ASSERT_TRUE(other);
  EXPECT_EQ(other->stanza.from_domain(), "c.example");
  EXPECT_FALSE(reader.read("<message from='x@C.example' to='b.example'/>", ParseLimits::authenticated(), {}));
}

// Changes every nearly plain stanza of the rows above at random in one byte or a few: each is either left to
// the parser or read with the parser's result.
TEST(PlainReader, what_it_takes_the_parser_reads_alike) {
  const std::string seeds[] = {
      "<message xml:lang='en' to='b@y.example' from='a@x.example/r' type='chat' id='1'><body>hi &amp; "
      "ho</body></message>",
      "<iq id='1' from='x.example' to=\"y.example\" type='get'><q xmlns='urn:q'><i a='b' "
      "c='&#10;'/>t\xC3\xBC</q></iq>",
      "<presence from='a@x.example' to='y.example'><x xmlns='urn:x'/><y/><z "
      "xml:lang='de'>&gt;</z></presence>",
  };
  constexpr std::string_view kBytes = "<>/='\"&; \t\n\raAx1:-.@#!?]\x7f\xC3\xBC\x80";
  std::mt19937 random(7);
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  std::size_t taken = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string text = seeds[below(std::size(seeds))];
    for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
      const std::size_t at = below(text.size());
      switch (below(4)) {
        case 0:
          text[at] = kBytes[below(kBytes.size())];
          break;
        case 1:
          text.erase(at, 1 + below(4));
          break;
        case 2:
          text.insert(at, 1, kBytes[below(kBytes.size())]);
          break;
        default:
          text.insert(at, text.substr(below(text.size()), below(12)));
          break;
      }
    }
    const auto found = plain(text, "fr");
    if (!found) continue;
    ++taken;
    const auto other = parsed(std::string_view(text).substr(0, found->size), "fr");
    ASSERT_TRUE(other) << text;
    ASSERT_EQ(all_of(found->stanza), all_of(*other)) << text;
  }
  EXPECT_GT(taken, 1'000u);
}

}  // namespace
}  // namespace sallyport::xmpp
