#include "xmpp/xml_stream.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"

namespace sallyport::xmpp {
namespace {

constexpr std::string_view kStream =
    "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' "
    "xmlns:db='jabber:server:dialback' from='a.example' to='b.example' version='1.0'>";
constexpr std::string_view kHeaderLine = "header from=a.example to=b.example id= version=1.0 lang= db\n";
constexpr std::string_view kOpen = "<message from='u@a.example' to='v@b.example'>";
constexpr std::string_view kClose = "</message>";

std::string line(const StreamEvent& event) {
  struct Visitor {
    std::string operator()(const StreamHeader& h) const {
      return fmt::format("header from={} to={} id={} version={} lang={}{}", h.from, h.to, h.id, h.version,
                         h.lang, h.dialback ? " db" : "");
    }
    std::string operator()(const Element& e) const { return "element " + e.xml(); }
    std::string operator()(const Stanza& s) const { return std::string(s.xml()); }
    std::string operator()(const BadStanza& b) const {
      return fmt::format("bad {} {} from={} to={} id={} type={}", code_row(b.error.code).name,
                         kind_name(b.kind), b.from ? b.from->text() : "?@" + b.from_domain.ascii(), b.to,
                         b.id, b.type);
    }
    std::string operator()(const StreamFooter&) const { return "footer"; }
  };
  return std::visit(Visitor(), event);
}

void drain(XmlStream& stream, std::string& out) {
  while (auto event = stream.poll()) {
    out += *event ? line(**event) : fmt::format("error {}", code_row(event->error().code).name);
    out += '\n';
  }
}

// Returns the events of the pieces, one line for each.
std::string events_of(const std::vector<std::string_view>& pieces,
                      const ParseLimits& limits = ParseLimits::authenticated()) {
  XmlStream stream(limits);
  std::string out;
  for (const auto piece : pieces) {
    stream.handle_bytes(piece);
    drain(stream, out);
  }
  return out;
}

struct Row {
  std::string_view name;
  std::string input;
  std::string expected;
};

// Returns where the part begins that a row does not share with the others.
std::size_t own_part(std::string_view in) {
  std::size_t at = in.starts_with(kStream) ? kStream.size() : 0;
  if (in.substr(at).starts_with(kOpen)) at += kOpen.size();
  return at;
}

// Feeds each row whole, byte by byte, split at every place, and, if its own part is short, at every two
// places.
void expect_rows(const std::vector<Row>& rows) {
  constexpr std::size_t kShort = 60;
  for (const auto& row : rows) {
    const std::string_view in = row.input;
    EXPECT_EQ(events_of({in}), row.expected) << row.name;
    std::vector<std::string_view> bytes;
    for (std::size_t i = 0; i < in.size(); ++i) bytes.push_back(in.substr(i, 1));
    EXPECT_EQ(events_of(bytes), row.expected) << row.name << ", byte by byte";
    const std::size_t own = own_part(in);
    const bool pairs = in.size() - own <= kShort;
    for (std::size_t i = 1; i < in.size(); ++i) {
      ASSERT_EQ(events_of({in.substr(0, i), in.substr(i)}), row.expected) << row.name << ", cut at " << i;
      for (std::size_t j = i + 1; pairs && i >= own && j < in.size(); ++j) {
        ASSERT_EQ(events_of({in.substr(0, i), in.substr(i, j - i), in.substr(j)}), row.expected)
            << row.name << ", cut at " << i << " and " << j;
      }
    }
  }
}

// Makes a row that begins with the header.
Row after_header(std::string_view name, std::string_view input, std::string_view expected) {
  return {name, fmt::format("{}{}", kStream, input), fmt::format("{}{}", kHeaderLine, expected)};
}

Row in_stanza(std::string_view name, std::string_view input, std::string_view expected) {
  return after_header(name, fmt::format("{}{}{}", kOpen, input, kClose), expected);
}

// The same, where the result is a stanza.
Row becomes(std::string_view name, std::string_view input, std::string_view expected) {
  return in_stanza(name, input, fmt::format("{}{}{}\n", kOpen, expected, kClose));
}

TEST(XmlStream, a_header_is_read_whatever_its_prefixes) {
  expect_rows({
      {"usual", std::string(kStream), std::string(kHeaderLine)},
      {"declaration", "<?xml version='1.0'?>" + std::string(kStream), std::string(kHeaderLine)},
      {"declaration with encoding", "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n" + std::string(kStream),
       std::string(kHeaderLine)},
      {"white space in front", " \r\n\t" + std::string(kStream), std::string(kHeaderLine)},
      {"another prefix", "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server' to='b'>",
       "header from= to=b id= version= lang=\n"},
      {"no prefix", "<stream xmlns='http://etherx.jabber.org/streams' id='1' xml:lang='de'>",
       "header from= to= id=1 version= lang=de\n"},
      {"content namespace by prefix",
       "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns:c='jabber:server'>",
       "header from= to= id= version= lang=\n"},
      {"escapes",
       "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server' from='a&amp;&#x62;'>",
       "header from=a&b to= id= version= lang=\n"},
      {"a `to` in a namespace is another attribute",
       "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server' s:to='x'>",
       "header from= to= id= version= lang=\n"},
      {"empty stream", "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server'/>",
       "header from= to= id= version= lang=\nfooter\n"},
  });
}

TEST(XmlStream, a_header_in_the_wrong_namespaces_is_refused) {
  expect_rows({
      {"client", "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:client'>",
       "error xml.namespace\n"},
      {"component", "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:component:accept'>",
       "error xml.namespace\n"},
      {"no content namespace", "<s:stream xmlns:s='http://etherx.jabber.org/streams'>",
       "error xml.namespace\n"},
      {"other stream namespace", "<s:stream xmlns:s='urn:x' xmlns='jabber:server'>", "error xml.namespace\n"},
      {"other name", "<s:flow xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server'>",
       "error xml.namespace\n"},
      {"a stanza", "<message/>", "error xml.namespace\n"},
      {"unbound prefix", "<stream:stream xmlns='jabber:server'>", "error xml.not-well-formed\n"},
  });
}

TEST(XmlStream, negotiation_elements_come_as_elements) {
  expect_rows({
      after_header("features",
                   "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>",
                   "element <stream:features xmlns:stream='http://etherx.jabber.org/streams'>"
                   "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>\n"),
      after_header(
          "dialback", "<db:result to='b' from='a'>k&lt;</db:result>",
          "element <db:result xmlns:db='jabber:server:dialback' to='b' from='a'>k&lt;</db:result>\n"),
      after_header("text in pieces", "<x xmlns='u'>a<y/>b<![CDATA[<c>]]>d</x>",
                   "element <x xmlns='u'>ab&lt;c&gt;d<y/></x>\n"),
      after_header("unknown in jabber:server", "<presense/>", "element <presense/>\n"),
      after_header("a stanza's name in another namespace", "<message xmlns='jabber:client' from='a' to='b'/>",
                   "element <message xmlns='jabber:client' from='a' to='b'/>\n"),
      after_header("in the namespace of xml", "<xml:x/>", "element <xml:x/>\n"),
      after_header("white space between", " \r\n<db:verify/>\t<db:verify/>  ",
                   "element <db:verify xmlns:db='jabber:server:dialback'/>\n"
                   "element <db:verify xmlns:db='jabber:server:dialback'/>\n"),
      after_header("footer", "</stream:stream>", "footer\n"),
      after_header("white space after the footer", "</stream:stream > \n", "footer\n"),
      after_header("an element after the footer", "</stream:stream>\n<x/>",
                   "footer\nerror xml.not-well-formed\n"),
      after_header("text after the footer", "</stream:stream>x", "footer\nerror xml.not-well-formed\n"),
      after_header("another footer", "</stream:strea>", "error xml.not-well-formed\n"),
      after_header("a second stream", "<stream:stream>", "" /* an element that is not whole */),
  });
}

TEST(XmlStream, a_stanza_comes_out_in_canonical_form) {
  expect_rows({
      becomes("as it is", "<body>hi</body>", "<body>hi</body>"),
      becomes("empty element in full", "<x xmlns='u'></x>", "<x xmlns='u'/>"),
      becomes("space in tags", "<x  xmlns = \"u\"\n a=\"1\"  ></x >", "<x xmlns='u' a='1'/>"),
      becomes("quotes", "<x a=\"it's\" b='\"'/>", "<x a='it&apos;s' b='\"'/>"),
      becomes("references", "&#65;&#x42;&lt;&gt;&amp;&apos;&quot;", "AB&lt;&gt;&amp;'\""),
      becomes("line ends", "a\r\nb\rc\n&#13;", "a\nb\nc\n&#13;"),
      becomes("white space in attributes", "<x a='1\t2\n3&#9;4&#10;5&#13;'/>",
              "<x a='1 2 3&#9;4&#10;5&#13;'/>"),
      becomes("CDATA", "<![CDATA[<a>&amp;]]]]><![CDATA[>]]>", "&lt;a&gt;&amp;amp;]]&gt;"),
      becomes("empty CDATA", "<a><![CDATA[]]></a>", "<a/>"),
      becomes("other scripts", "<b>é日🎉\xc2\x85</b>", "<b>é日🎉\xc2\x85</b>"),
      becomes("default namespace inherited", "<x xmlns='u'><y/><z xmlns='v'><w/></z><y/></x>",
              "<x xmlns='u'><y/><z xmlns='v'><w/></z><y/></x>"),
      becomes("redundant declarations", "<x xmlns='u' xmlns:q='v'><y xmlns='u'/></x>",
              "<x xmlns='u'><y/></x>"),
      becomes("prefixes", "<p:x xmlns:p='u'><p:y/><z/><p:w p:a='1'/></p:x>",
              "<x xmlns='u'><y/><z xmlns='jabber:server'/><w xmlns:ns1='u' ns1:a='1'/></x>"),
      becomes("no namespace", "<x xmlns=''><y/></x><b/>", "<x xmlns=''><y/></x><b/>"),
      becomes("prefix of the stream header", "<db:x/>", "<x xmlns='jabber:server:dialback'/>"),
      becomes("two namespaces in attributes", "<x xmlns:a='u' xmlns:b='v' c='0' b:c='1' a:c='2' b:d='3'/>",
              "<x xmlns:ns1='v' xmlns:ns2='u' c='0' ns1:c='1' ns2:c='2' ns1:d='3'/>"),
      becomes("xml attributes", "<x xml:lang='de' xml:space='preserve'> </x>",
              "<x xml:lang='de' xml:space='preserve'> </x>"),
      becomes("an element in the namespace of xml", "<xml:x><y/></xml:x><xml:x/>",
              "<xml:x><y/></xml:x><xml:x/>"),
      becomes("a namespace that needs escapes", "<x xmlns='a&apos;b&amp;c'/>", "<x xmlns='a&apos;b&amp;c'/>"),
      becomes("a stanza inside a stanza is a plain element",
              "<x xmlns='u'><message xmlns='jabber:server' from='admin@core'/></x>",
              "<x xmlns='u'><message xmlns='jabber:server' from='admin@core'/></x>"),
  });
}

TEST(XmlStream, a_stanzas_own_attributes_are_canonical) {
  expect_rows({
      after_header("order",
                   "<iq type='get' id='1' to='B.example.' xml:lang='en' x='y' from='U@a.EXAMPLE/R'/>",
                   "<iq from='u@a.example/R' to='b.example' id='1' type='get' xml:lang='en' x='y'/>\n"),
      after_header("A-labels", "<presence from='u@xn--bcher-kva.example' to='b'/>",
                   "<presence from='u@bücher.example' to='b'/>\n"),
      after_header("empty ones are absent", "<message from='a' to='b' id='' type='' xml:lang=''/>",
                   "<message from='a' to='b'/>\n"),
      after_header("namespaced ones", "<message from='a' db:from='x' to='b'/>",
                   "<message from='a' to='b' xmlns:ns1='jabber:server:dialback' ns1:from='x'/>\n"),
      after_header("an unknown type of message", "<message from='a' to='b' type='frob'/>",
                   "<message from='a' to='b' type='frob'/>\n"),
      after_header("a repeated namespace", "<message xmlns='jabber:server' from='a' to='b'/>",
                   "<message from='a' to='b'/>\n"),
      after_header("a prefix for it",
                   "<j:message xmlns:j='jabber:server' xmlns='u' from='a' to='b'><x/></j:message>",
                   "<message from='a' to='b'><x xmlns='u'/></message>\n"),
  });
}

TEST(XmlStream, a_stanza_takes_its_language_and_its_namespaces_from_any_header) {
  const std::string german =
      "<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server' xml:lang='de'>";
  const std::string bare = "<stream xmlns='http://etherx.jabber.org/streams' xmlns:j='jabber:server'>";
  expect_rows({
      {"inherited", german + "<message from='a' to='b'/>",
       "header from= to= id= version= lang=de\n<message from='a' to='b' xml:lang='de'/>\n"},
      {"its own", german + "<message from='a' to='b' xml:lang='fr'/>",
       "header from= to= id= version= lang=de\n<message from='a' to='b' xml:lang='fr'/>\n"},
      {"none", german + "<message from='a' to='b' xml:lang=''/>",
       "header from= to= id= version= lang=de\n<message from='a' to='b'/>\n"},
      {"header without prefix, stanza says its namespace",
       bare + "<message xmlns='jabber:server' from='a' to='b'/>",
       "header from= to= id= version= lang=\n<message from='a' to='b'/>\n"},
      {"header without prefix, stanza by prefix",
       bare + "<j:iq from='a' to='b' type='set' id='1'><j:x/></j:iq>",
       "header from= to= id= version= lang=\n<iq from='a' to='b' id='1' type='set'><x/></iq>\n"},
      {"header without prefix, features", bare + "<features/>",
       "header from= to= id= version= lang=\n"
       "element <stream:features xmlns:stream='http://etherx.jabber.org/streams'/>\n"},
      {"header without prefix, stream inside", bare + "<j:message from='a' to='b'><x/></j:message>",
       "header from= to= id= version= lang=\nerror xml.stream-inside\n"},
  });
}

TEST(XmlStream, a_stanza_without_addresses_ends_the_stream_and_a_bad_one_is_told) {
  expect_rows({
      after_header("no from", "<message to='b'/>", "error stanza.address-missing\n"),
      after_header("no to", "<message from='a'/>", "error stanza.address-missing\n"),
      after_header("bad from", "<message from='a@b@c' to='b'/>", "error stanza.from-malformed\n"),
      after_header("empty from", "<message from='' to='b'/>", "error stanza.from-malformed\n"),
      after_header("bad to", "<message from='a' to='b@c@d'/>", "error stanza.to-invalid\n"),
      after_header("empty to", "<message from='a' to=''/>", "error stanza.to-invalid\n"),
      after_header("an IP address", "<message from='u@192.0.2.1' to='b'/>", "error stanza.from-malformed\n"),
      after_header("no domain after a bad localpart", "<message from=' @/x' to='b'/>",
                   "error stanza.from-malformed\n"),
      after_header("both bad, one without a domain", "<message from=' @a' to='/x'/>",
                   "error stanza.to-invalid\n"),
      after_header("bad localpart of to",
                   "<message from='a' to='@b'><body>x</body></message><presence from='a' to='b'/>",
                   "bad stanza.to-invalid message from=a to=@b id= type=\n<presence from='a' to='b'/>\n"),
      after_header(
          "bad resource of to", "<message from='a' to='v@b/&#x7f;' id='1'/><presence from='a' to='b'/>",
          "bad stanza.to-invalid message from=a to=v@b/\x7f id=1 type=\n<presence from='a' to='b'/>\n"),
      after_header("bad localpart of from",
                   "<message from='u v@a' to='b'><body>x</body></message><presence from='a' to='b'/>",
                   "bad stanza.from-invalid message from=?@a to=b id= type=\n<presence from='a' to='b'/>\n"),
      after_header("bad resource of from",
                   "<iq from='u@a/' to='b' type='get' id='1'/><presence from='a' to='b'/>",
                   "bad stanza.from-invalid iq from=?@a to=b id=1 type=get\n<presence from='a' to='b'/>\n"),
      after_header("both bad", "<presence from='u@A/' to='@b'/>",
                   "bad stanza.from-invalid presence from=?@a to=@b id= type=\n"),
      after_header("iq without type", "<iq from='a' to='b' id='1'/>",
                   "bad stanza.type-invalid iq from=a to=b id=1 type=\n"),
      after_header("presence of an unknown type", "<presence from='a' to='b' type='x'/>",
                   "bad stanza.type-invalid presence from=a to=b id= type=x\n"),
      after_header("request without id", "<iq from='a' to='b' type='get'/>",
                   "bad stanza.id-invalid iq from=a to=b id= type=get\n"),
      after_header("result without id", "<iq from='a' to='b' type='result'/>",
                   "<iq from='a' to='b' type='result'/>\n"),
  });
}

TEST(XmlStream, every_type_that_the_rfcs_know_is_known) {
  for (const std::string_view type : {"get", "set", "result", "error"}) {
    const auto in = fmt::format("{}<iq from='a' to='b' id='1' type='{}'/>", kStream, type);
    EXPECT_EQ(events_of({in}), fmt::format("{}<iq from='a' to='b' id='1' type='{}'/>\n", kHeaderLine, type));
  }
  for (const std::string_view type :
       {"error", "probe", "subscribe", "subscribed", "unavailable", "unsubscribe", "unsubscribed"}) {
    const auto in = fmt::format("{}<presence from='a' to='b' type='{}'/>", kStream, type);
    EXPECT_EQ(events_of({in}), fmt::format("{}<presence from='a' to='b' type='{}'/>\n", kHeaderLine, type));
  }
}

// THREATS A, each in the header, between first-level elements and inside a stanza.
TEST(XmlStream, what_xmpp_forbids_is_refused_wherever_it_stands) {
  struct Case {
    std::string_view name, input, code_in_front, code_between, code_inside;
  };
  const Case cases[] = {
      {"entity bomb (A1)", "<!DOCTYPE s [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>",
       "xml.restricted", "xml.restricted", "xml.restricted"},
      {"comment (A2)", "<!--x-->", "xml.restricted", "xml.restricted", "xml.restricted"},
      {"instruction (A2)", "<?pi x?>", "xml.restricted", "xml.restricted", "xml.restricted"},
      {"instruction named like the declaration", "<?xml-stylesheet href='x'?>", "xml.restricted",
       "xml.restricted", "xml.restricted"},
      {"entity (A2)", "&foo;", "xml.not-well-formed", "xml.text-between", "xml.restricted"},
      {"long entity", "&foofoofoofoofoofoofoofoofoofoo;", "xml.not-well-formed", "xml.text-between",
       "xml.restricted"},
      {"declaration", "<?xml version='1.0'?>", "", "xml.restricted", "xml.restricted"},
      {"CDATA", "<![CDATA[x]]>", "xml.restricted", "xml.restricted", ""},
      {"text", "x", "xml.not-well-formed", "xml.text-between", ""},
      {"byte order mark", "\xef\xbb\xbf", "xml.encoding", "xml.text-between", ""},
      {"UTF-16LE (A3)", std::string_view("\xff\xfe<\0s\0", 6), "xml.encoding", "xml.text-between",
       "xml.not-well-formed"},
      {"UTF-16BE (A3)", std::string_view("\xfe\xff\0<\0s", 6), "xml.encoding", "xml.text-between",
       "xml.not-well-formed"},
      {"UTF-16LE without mark", std::string_view("<\0s\0", 4), "xml.encoding", "xml.not-well-formed",
       "xml.not-well-formed"},
      {"UTF-16BE without mark", std::string_view("\0<\0s", 4), "xml.encoding", "xml.text-between",
       "xml.not-well-formed"},
      {"overlong (A3)", "\xc0\xae", "xml.encoding", "xml.text-between", "xml.not-well-formed"},
      {"surrogate (A3)", "\xed\xa0\x80", "xml.encoding", "xml.text-between", "xml.not-well-formed"},
      {"NUL reference (A3)", "&#0;", "xml.not-well-formed", "xml.text-between", "xml.not-well-formed"},
      {"noncharacter reference (A3)", "&#xFFFE;", "xml.not-well-formed", "xml.text-between",
       "xml.not-well-formed"},
      {"white space by reference", "&#32;", "xml.not-well-formed", "xml.text-between", ""},
      {"control", "\x01", "xml.not-well-formed", "xml.text-between", "xml.not-well-formed"},
      {"stream (A5)", "<stream:stream/>", "xml.not-well-formed", "", "xml.stream-inside"},
      {"stream error inside", "<x><stream:error/></x>", "xml.namespace", "xml.stream-inside",
       "xml.stream-inside"},
      {"end tag", "</x>", "xml.not-well-formed", "xml.not-well-formed", "xml.not-well-formed"},
      {"end of CDATA", "]]>", "xml.not-well-formed", "xml.text-between", "xml.not-well-formed"},
      {"less in a value", "<x a='<'/>", "xml.not-well-formed", "xml.not-well-formed", "xml.not-well-formed"},
      {"entity in a value", "<x a='&foo;'/>", "xml.restricted", "xml.restricted", "xml.restricted"},
      {"attribute twice", "<x a='1' a='2'/>", "xml.not-well-formed", "xml.not-well-formed",
       "xml.not-well-formed"},
      {"attribute twice by prefixes", "<x xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>", "xml.not-well-formed",
       "xml.not-well-formed", "xml.not-well-formed"},
      {"unbound prefix", "<p:x/>", "xml.not-well-formed", "xml.not-well-formed", "xml.not-well-formed"},
      {"prefix undone", "<x xmlns:p=''/>", "xml.not-well-formed", "xml.not-well-formed",
       "xml.not-well-formed"},
      {"xml bound to another", "<x xmlns:xml='u'/>", "xml.not-well-formed", "xml.not-well-formed",
       "xml.not-well-formed"},
      {"xmlns bound", "<x xmlns:xmlns='u'/>", "xml.not-well-formed", "xml.not-well-formed",
       "xml.not-well-formed"},
      {"two colons", "<a:b:c xmlns:a='u'/>", "xml.not-well-formed", "xml.not-well-formed",
       "xml.not-well-formed"},
      {"separator in a namespace (A4)", "<m xmlns='u&#1;m'/>", "xml.not-well-formed", "xml.not-well-formed",
       "xml.not-well-formed"},
      {"empty tag", "<>", "xml.not-well-formed", "xml.not-well-formed", "xml.not-well-formed"},
      {"space in front of a name", "< x/>", "xml.not-well-formed", "xml.not-well-formed",
       "xml.not-well-formed"},
      {"no quotes", "<x a=1/>", "xml.not-well-formed", "xml.not-well-formed", "xml.not-well-formed"},
  };
  const auto error = [](std::string_view code) {
    return code.empty() ? "" : fmt::format("error {}\n", code);
  };
  std::vector<Row> rows;
  for (const auto& c : cases) {
    // Before the header: if the input is not rejected there, the header is accepted.
    if (!c.code_in_front.empty())
      rows.push_back({c.name, fmt::format("{}{}", c.input, kStream), error(c.code_in_front)});
    if (!c.code_between.empty()) rows.push_back(after_header(c.name, c.input, error(c.code_between)));
    if (!c.code_inside.empty()) rows.push_back(in_stanza(c.name, c.input, error(c.code_inside)));
  }
  expect_rows(rows);
}

TEST(XmlStream, a_declaration_of_anything_but_xml_1_0_in_utf_8_is_refused) {
  expect_rows({
      {"1.1", "<?xml version='1.1'?>" + std::string(kStream), "error xml.version\n"},
      {"latin", "<?xml version='1.0' encoding='ISO-8859-1'?>" + std::string(kStream), "error xml.encoding\n"},
      {"UTF-16", "<?xml version='1.0' encoding='UTF-16'?>" + std::string(kStream), "error xml.encoding\n"},
      {"no version", "<?xml encoding='UTF-8'?>" + std::string(kStream), "error xml.not-well-formed\n"},
      {"twice", "<?xml version='1.0'?><?xml version='1.0'?>" + std::string(kStream),
       "error xml.restricted\n"},
      {"after white space", " <?xml version='1.0'?>" + std::string(kStream), "error xml.restricted\n"},
  });
}

TEST(XmlStream, a_newline_in_a_namespace_makes_no_stanza) {
  // THREATS A4: neither the reference nor the character splits the name.
  expect_rows({
      after_header("reference", "<m xmlns='jabber:server&#10;message'/>",
                   "element <m xmlns='jabber:server&#10;message'/>\n"),
      after_header("character", "<m xmlns='jabber:server\nmessage'/>",
                   "element <m xmlns='jabber:server message'/>\n"),
  });
}

TEST(XmlStream, events_before_an_error_are_told_before_it) {
  const std::string in = fmt::format("{}{}{}<!--", kStream, kOpen, kClose);
  XmlStream stream(ParseLimits::authenticated());
  stream.handle_bytes(in);
  EXPECT_TRUE(std::holds_alternative<StreamHeader>(stream.poll()->value()));
  EXPECT_TRUE(std::holds_alternative<Stanza>(stream.poll()->value()));
  EXPECT_EQ(stream.poll()->error().code, Code::kXmlRestricted);
  EXPECT_FALSE(stream.poll());
  // An error is final.
  stream.handle_bytes(kStream);
  EXPECT_FALSE(stream.poll());
  EXPECT_FALSE(stream.between_elements());
}

TEST(XmlStream, it_knows_whether_something_is_half_parsed) {
  XmlStream stream(ParseLimits::authenticated());
  EXPECT_FALSE(stream.between_elements());
  stream.handle_bytes(kStream);
  EXPECT_TRUE(stream.between_elements());
  EXPECT_EQ(stream.pending_bytes(), 0U);
  stream.handle_bytes(" ");
  EXPECT_TRUE(stream.between_elements());
  for (const auto& [bytes, pending] : std::vector<std::pair<std::string_view, std::size_t>>{
           {"<", 1}, {"db:verify", 10}, {">k", 12}, {"</db:verify", 23}}) {
    stream.handle_bytes(bytes);
    EXPECT_FALSE(stream.between_elements()) << bytes;
    EXPECT_EQ(stream.pending_bytes(), pending) << bytes;
  }
  stream.handle_bytes(">");
  EXPECT_TRUE(stream.between_elements());
  EXPECT_EQ(stream.pending_bytes(), 0U);
  stream.handle_bytes("</stream:stream>");
  EXPECT_FALSE(stream.between_elements());
}

}  // namespace
}  // namespace sallyport::xmpp
