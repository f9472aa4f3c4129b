#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "xmpp/xml_stream.h"

namespace sallyport::xmpp {
namespace {

constexpr std::string_view kStanza =
    "<message from='u@a.example' to='b.example' id='1'><body>x</body></message>";

TEST(StanzaReader, a_canonical_stanza_is_read_as_itself) {
  StanzaReader reader;
  for (int round = 0; round < 3; ++round) {
    const auto stanza = reader.read(kStanza);
    ASSERT_TRUE(stanza);
    EXPECT_EQ(stanza->xml(), kStanza);
    EXPECT_EQ(stanza->from().text(), "u@a.example");
    EXPECT_EQ(stanza->to().text(), "b.example");
    EXPECT_EQ(stanza->id(), "1");
    EXPECT_EQ(stanza->kind(), StanzaKind::kMessage);
  }
}

TEST(StanzaReader, what_is_not_exactly_one_stanza_is_refused_and_the_next_is_read) {
  const std::pair<std::string, Code> cases[] = {
      {"", Code::kStanzaUnknown},
      {"x", Code::kStanzaUnknown},
      {fmt::format(" {}", kStanza), Code::kStanzaUnknown},
      {fmt::format("{} ", kStanza), Code::kStanzaUnknown},
      {fmt::format("{}{}", kStanza, kStanza), Code::kStanzaUnknown},
      {fmt::format("{}x", kStanza), Code::kStanzaUnknown},
      {fmt::format("{} x>", kStanza), Code::kStanzaUnknown},
      {std::string(kStanza.substr(0, kStanza.size() - 1)), Code::kStanzaUnknown},
      {std::string(kStanza.substr(0, kStanza.find("</body>") + 7)), Code::kStanzaUnknown},
      {fmt::format("{}</s:stream>", kStanza), Code::kStanzaUnknown},
      {"</s:stream>", Code::kStanzaUnknown},
      {"<db:result xmlns:db='jabber:server:dialback'/>", Code::kStanzaUnknown},
      {"<s:features/>", Code::kStanzaUnknown},
      {"<message to='b.example'/>", Code::kStanzaAddressMissing},
      {"<message from='@' to='b.example'/>", Code::kStanzaFromMalformed},
      {"<message from='@a' to='b.example'/>", Code::kStanzaFromInvalid},
      {"<message from='a' to='@'/>", Code::kStanzaToInvalid},
      {"<message from='a' to='@b'/>", Code::kStanzaToInvalid},
      {"<iq from='a' to='b' id='1' type='x'/>", Code::kStanzaTypeInvalid},
      {"<iq from='a' to='b' type='get'/>", Code::kStanzaIdInvalid},
      {"<message from='a' to='b'><!--x--></message>", Code::kXmlRestricted},
      {"<message from='a' to='b'><s:error/></message>", Code::kXmlStreamInside},
      {"<message from='a' to='b'><p:x/></message>", Code::kXmlNotWellFormed},
  };
  StanzaReader reader;
  for (const auto& [bytes, code] : cases) {
    const auto stanza = reader.read(bytes);
    ASSERT_FALSE(stanza) << bytes;
    EXPECT_EQ(stanza.error().code, code) << bytes << ": " << stanza.error().text;
    EXPECT_TRUE(reader.read(kStanza)) << "after " << bytes;
  }
}

TEST(StanzaReader, what_is_not_canonical_comes_out_so) {
  EXPECT_EQ(StanzaReader().read("<message to=\"B\" from='a' ><x></x></message>")->xml(),
            "<message from='a' to='b'><x/></message>");
}

TEST(StanzaReader, the_largest_stanza_that_a_stream_lets_through_is_read) {
  // Attributes in as many namespaces as the header can declare: each is declared again where it is used.
  std::string header = "<s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams'";
  std::string attributes;
  for (std::size_t i = 0; i < limits::kAttributesMax - 2; ++i) {
    header += fmt::format(" xmlns:p{}='urn:{}'", i, i);
    attributes += fmt::format(" p{}:a=''", i);
  }
  const auto through = [&](const std::string& stanza) {
    XmlStream stream(ParseLimits::authenticated());
    stream.handle_bytes(header + ">" + stanza);
    (void)stream.poll();
    auto event = stream.poll();
    EXPECT_TRUE(event && event->has_value());
    return std::get<Stanza>(event->value());
  };
  const std::string open = "<message from='a' to='b'";
  std::string quotes(limits::kCanonicalBytesMax / 6 - 20, '\'');
  for (const auto& in :
       {fmt::format("{}><p0:x{}/></message>", open, attributes), fmt::format("{}{}/>", open, attributes),
        fmt::format("{} x=\"{}\"/>", open, quotes)}) {
    const auto stanza = through(in);
    StanzaReader reader;
    const auto read = reader.read(stanza.xml());
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(read->xml(), stanza.xml());
  }
}

}  // namespace
}  // namespace sallyport::xmpp
