#include "alias/address_map.h"
#include "alias/aliases.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "alias/alias_fixture.h"
#include "base/limits.h"

namespace sallyport::alias {
namespace {

// Other bytes with the same addresses, which no parser makes.
xmpp::Stanza with_xml(const xmpp::Stanza& s, std::string_view xml) {
  return {s.kind(), s.from(), s.to(), s.id(), s.type(), s.lang(), xml};
}

// Maps, and checks that parsing the result gives the same stanza.
xmpp::Stanza mapped(std::string_view xml, std::string_view from = kNode, std::string_view to = kAlias) {
  const auto result = AddressMap(domain(from), domain(to)).map(stanza(xml));
  EXPECT_TRUE(result) << xml;
  const auto again = stanza(result->xml());
  EXPECT_EQ(again.xml(), result->xml());
  EXPECT_EQ(again.from(), result->from());
  EXPECT_EQ(again.to(), result->to());
  EXPECT_EQ(again.id(), result->id());
  EXPECT_EQ(again.type(), result->type());
  EXPECT_EQ(again.lang(), result->lang());
  return *result;
}

// Replaces each "{}" by the name.
std::string with(std::string_view pattern, std::string_view name) {
  std::string text(pattern);
  for (auto at = text.find("{}"); at != std::string::npos; at = text.find("{}", at + name.size()))
    text.replace(at, 2, name);
  return text;
}

TEST(AddressMap, whole_stanzas_go_out_without_the_internal_name_and_come_back_the_same) {
  const std::pair<std::string, std::string> cases[] = {
      {"a join",
       "<presence from='bob@federated.com/pda' to='room@{}/Bob'><x "
       "xmlns='http://jabber.org/protocol/muc'><history maxstanzas='20'/></x></presence>"},
      {"self-presence",
       "<presence from='room@{}/Bob' to='bob@federated.com/pda'><x "
       "xmlns='http://jabber.org/protocol/muc#user'>"
       "<item affiliation='none' jid='bob@federated.com/pda' role='participant'/><status "
       "code='110'/></x></presence>"},
      {"the presence of an occupant seen by an owner",
       "<presence from='room@{}/Alice' to='bob@federated.com/pda'><c xmlns='http://jabber.org/protocol/caps' "
       "hash='sha-1' node='https://client.example/caps' ver='x'/>"
       "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner' "
       "jid='alice@example.com/desk' nick='Alice' role='moderator'><actor "
       "jid='admin@{}'/></item></x></presence>"},
      {"history",
       "<message from='room@{}/Alice' to='bob@federated.com/pda' type='groupchat'><body>earlier</body>"
       "<delay xmlns='urn:xmpp:delay' from='room@{}' stamp='2026-01-01T00:00:00Z'/><stanza-id "
       "xmlns='urn:xmpp:sid:0' by='room@{}' id='s1'/></message>"},
      {"occupants",
       "<iq from='room@{}' to='bob@federated.com/pda' id='d1' type='result'><query "
       "xmlns='http://jabber.org/protocol/disco#items'>"
       "<item jid='room@{}/Alice' name='Alice'/><item jid='{}' name='Rooms'/></query></iq>"},
      {"a direct invitation",
       "<message from='alice@example.com' to='bob@federated.com'><x xmlns='jabber:x:conference' "
       "jid='room@{}' reason='join us'/></message>"},
      {"a mediated invitation",
       "<message from='room@{}' to='bob@federated.com'><x "
       "xmlns='http://jabber.org/protocol/muc#user'><invite "
       "from='room@{}/Alice'><reason>talk</reason></invite></x></message>"},
      {"a declined one, from outside",
       "<message from='bob@federated.com' to='room@{}'><x "
       "xmlns='http://jabber.org/protocol/muc#user'><decline to='alice@{}'/></x></message>"},
      {"an error that names who refused",
       "<presence from='room@{}/Bob' to='bob@federated.com/pda' type='error'><error by='room@{}' "
       "type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"},
      {"a redirection",
       "<presence from='room@{}/Bob' to='bob@federated.com/pda' type='error'><error type='modify'><gone "
       "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:other@{}?join</gone></error></presence>"},
      {"a carbon",
       "<message from='bob@federated.com' to='bob@federated.com/pda'><received "
       "xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>"
       "<message xmlns='jabber:client' from='room@{}/Alice' "
       "to='bob@federated.com/desk'><body>x</body></message></forwarded></received></message>"},
      {"an archived message",
       "<message from='room@{}' to='bob@federated.com/pda'><result xmlns='urn:xmpp:mam:2' id='1'><forwarded "
       "xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"
       "<message xmlns='jabber:client' from='room@{}/Alice' "
       "type='groupchat'><body>x</body></message></forwarded></result></message>"},
      {"a form",
       "<iq from='room@{}' to='bob@federated.com/pda' id='f' type='result'><query "
       "xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='form'>"
       "<title>Room</title><field var='muc#roomconfig_pubsub' "
       "type='jid-single'><value>room@{}</value></field><field "
       "var='uri'><value>xmpp:{}?disco;node=x</value></field></x></query></iq>"},
      {"extended addresses",
       "<message from='room@{}/Alice' to='bob@federated.com'><addresses "
       "xmlns='http://jabber.org/protocol/address'><address type='ofrom' jid='room@{}/Alice'/><address "
       "type='replyroom' uri='xmpp:room@{}'/></addresses></message>"},
      {"a bookmark",
       "<iq from='alice@example.com' to='bob@federated.com' id='b' type='result'><item "
       "id='room@{}'><conference xmlns='urn:xmpp:bookmarks:1'><nick>A</nick></conference></item></iq>"},
      {"the domain alone",
       "<iq from='{}' to='federated.com' id='p' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"},
      {"an id that is an address", "<iq from='{}' to='federated.com' id='room@{}/x' type='result'/>"},
      {"a namespaced attribute",
       "<message from='a@example.com' to='b@federated.com'><x xmlns='urn:x' xmlns:ns1='urn:y' "
       "ns1:jid='room@{}'/></message>"},
      {"white space around",
       "<message from='a@example.com' to='b@federated.com'><x xmlns='urn:x' jid=' room@{} '>\n  "
       "room@{}\n</x></message>"},
      {"resourceparts with anything in them",
       "<message from='room@{}/a &amp; &lt;b&gt; @ / {x} \xF0\x9F\x98\x80 ?#' to='b@federated.com'><x "
       "xmlns='urn:x' jid='room@{}/it&apos;s a/b@c &quot;d&quot;'>room@{}/x y@z</x></message>"},
  };
  for (const auto& [name, pattern] : cases) {
    SCOPED_TRACE(name);
    const std::string inside(stanza(with(pattern, kNode)).xml());
    const std::string outside(stanza(with(pattern, kAlias)).xml());
    const auto out = mapped(inside);
    EXPECT_EQ(out.xml(), outside);
    EXPECT_EQ(out.xml().find(kNode), std::string::npos);
    EXPECT_EQ(mapped(out.xml(), kAlias, kNode).xml(), inside);
  }
}

TEST(AddressMap, what_is_an_address_of_the_domain) {
  struct Case {
    std::string value, expected;  // expected empty: unchanged
  };
  const Case cases[] = {
      {"conference-2.corp.example", "chatroom1.example.com"},
      {"CONFERENCE-2.Corp.Example", "chatroom1.example.com"},
      {"conference-2.corp.example.", "chatroom1.example.com"},
      {"Room@Conference-2.CORP.example/Nick", "Room@chatroom1.example.com/Nick"},
      {"room@conference-2.corp.example/", "room@chatroom1.example.com/"},
      {"conference-2.corp.example/res", "chatroom1.example.com/res"},
      {"a\\40b@conference-2.corp.example", "a\\40b@chatroom1.example.com"},
      {"room@conference-2.corp.example/a conference-2.corp.example",
       "room@chatroom1.example.com/a conference-2.corp.example"},
      {"xmpp:room@conference-2.corp.example?join", "xmpp:room@chatroom1.example.com?join"},
      {"XMPP:conference-2.corp.example", "XMPP:chatroom1.example.com"},
      {"xmpp:room@conference-2.corp.example/Nick#top", "xmpp:room@chatroom1.example.com/Nick#top"},
      {"xmpp:room@conference%2D2.corp.example?join;password=a@b",
       "xmpp:room@chatroom1.example.com?join;password=a@b"},
      {"xmpp://bob@conference-2.corp.example", "xmpp://bob@chatroom1.example.com"},
      {"xmpp://bob@federated.com/room@conference-2.corp.example?join",
       "xmpp://bob@federated.com/room@chatroom1.example.com?join"},
      {"xmpp://a@conference-2.corp.example/room@CONFERENCE-2.corp.example/x?join",
       "xmpp://a@chatroom1.example.com/room@chatroom1.example.com/x?join"},

      {"", ""},
      {"@conference-2.corp.example", ""},
      {"x.conference-2.corp.example", ""},
      {"room@x.conference-2.corp.example", ""},
      {"corp.example", ""},
      {"conference-2.corp.example.com", ""},
      {"room@federated.com/conference-2.corp.example", ""},
      {"conference-2.corp.example..", ""},
      {"see conference-2.corp.example", ""},
      {"conference-2.corp.example, please", ""},
      {"write to room@conference-2.corp.example", ""},
      {"a@b@conference-2.corp.example", ""},
      {"http://conference-2.corp.example/x", ""},
      {"mailto:room@conference-2.corp.example", ""},
      {"xmpp:", ""},
      {"xmpp:?conference-2.corp.example", ""},
      {"xmpp:room@federated.com?invite", ""},
      {"xmpp:a b@conference-2.corp.example", ""},
      {"xmpp:room@conference%2-2.corp.example", ""},
  };
  for (const auto& [value, expected] : cases) {
    const auto& after = expected.empty() ? value : expected;
    const auto xml = [](std::string_view v) {
      return fmt::format(
          "<message from='a@example.com' to='b@federated.com'><x xmlns='urn:x' any='{0}'>{0}</x><y "
          "xmlns='urn:y'>{0}</y></message>",
          v);
    };
    EXPECT_EQ(mapped(xml(value)).xml(), stanza(xml(after)).xml()) << value;
  }
}

TEST(AddressMap, domains_in_other_scripts_are_one_identity) {
  const auto xml = [](std::string_view v) {
    return fmt::format(
        "<message from='a@example.com' to='b@federated.com'><x xmlns='urn:x' "
        "jid='room@{0}/x'>xmpp:room@{0}?join</x></message>",
        v);
  };
  for (const auto* spelling : {"räume.corp.example", "RÄUME.corp.example", "xn--rume-loa.corp.example",
                               "XN--RUME-loa.corp.example"}) {
    EXPECT_EQ(mapped(xml(spelling), "räume.corp.example", kAlias).xml(), stanza(xml(kAlias)).xml())
        << spelling;
  }
  // JIDs in XML take U-labels, URIs A-labels.
  EXPECT_EQ(
      mapped(xml(kAlias), kAlias, "räume.corp.example").xml(),
      "<message from='a@example.com' to='b@federated.com'><x xmlns='urn:x' jid='room@räume.corp.example/x'>"
      "xmpp:room@xn--rume-loa.corp.example?join</x></message>");
  EXPECT_EQ(
      mapped("<message from='xn--rume-loa.corp.example' to='b@federated.com'/>", "räume.corp.example", kAlias)
          .from_text(),
      kAlias);
}

TEST(AddressMap, prose_xhtml_and_sealed_payloads_are_not_read) {
  const std::string node(kNode);
  const std::string cases[] = {
      "<body xml:lang='de'>room@" + node + "</body>",
      // Text of users in forwarded messages: an archive, a carbon.
      "<result xmlns='urn:xmpp:mam:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' "
      "type='groupchat'><body>room@" +
          node + "</body><subject>" + node + "</subject></message></forwarded></result>",
      "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:server'><body>room@" + node +
          "</body></message></forwarded>",
      "<body>" + node + "</body>", "<body>xmpp:room@" + node + "?join</body>",
      "<subject>room@" + node + "</subject>",
      "<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'><a "
      "href='xmpp:room@" +
          node + "?join'>room@" + node + "</a></body></html>",
      "<div xmlns='http://www.w3.org/1999/xhtml'><p>" + node + "</p></div>",
      "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'><key rid='2'>" + node +
          "</key></header></encrypted>",
      "<list xmlns='eu.siacs.conversations.axolotl.devicelist'><device id='" + node + "'/></list>",
      "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'><keys jid='room@" + node +
          "'/></header></encrypted>",
      "<openpgp xmlns='urn:xmpp:openpgp:0'>" + node + "</openpgp>",
      "<signcrypt xmlns='urn:xmpp:openpgp:0'><to jid='room@" + node +
          "'/><payload><x xmlns='urn:x' jid='room@" + node + "'/></payload></signcrypt>",
      "<x xmlns='jabber:x:encrypted'>" + node + "</x>", "<x xmlns='jabber:x:signed'>" + node + "</x>",
      "<envelope xmlns='urn:xmpp:sce:1'><from jid='room@" + node + "'/></envelope>",
      "<EncryptedData xmlns='http://www.w3.org/2001/04/xmlenc#'><x>" + node + "</x></EncryptedData>",
      "<x xmlns='" + node + "'/>",  // a namespace is a name, not an address
  };
  for (const auto& payload : cases) {
    const auto xml = [&](std::string_view behind) {
      return "<message from='a@example.com' to='b@federated.com'>" + payload + std::string(behind) +
             "</message>";
    };
    EXPECT_EQ(mapped(xml("")).xml(), stanza(xml("")).xml());
    // The next element is rewritten again.
    EXPECT_EQ(mapped(xml("<y xmlns='urn:y' jid='room@" + node + "'/>")).xml(),
              stanza(xml("<y xmlns='urn:y' jid='room@chatroom1.example.com'/>")).xml());
  }
}

// Elements that look like prose to a program that reads only their names.
TEST(AddressMap, only_the_text_directly_in_body_and_subject_of_a_message_is_prose) {
  const std::pair<std::string, std::string> cases[] = {
      {"message", "<body xmlns='urn:x'>room@{}</body>"},
      {"message", "<subject xmlns='urn:x'>xmpp:room@{}?join</subject>"},
      {"message", "<body xmlns='jabber:client'>room@{}</body>"},
      {"message", "<body xmlns=''>room@{}</body>"},
      {"message", "<x xmlns='urn:x'><body>room@{}</body><subject>{}</subject></x>"},
      {"message", "<x xmlns='urn:x'><body xmlns='jabber:server'>room@{}</body></x>"},
      {"message", "<thread><body>room@{}</body></thread>"},
      {"message", "<message xmlns='urn:x'><body>room@{}</body></message>"},
      {"message", "<body><body>room@{}</body></body>"},
      {"message", "<body><i xmlns='x' jid='u@{}'/></body>"},
      {"message", "<body>text<i xmlns='x' jid='u@{}'>u@{}</i></body>"},
      {"message", "<subject><i><j jid='{}'/></i></subject>"},
      {"message", "<body jid='u@{}'>text</body>"},
      {"message",
       "<forwarded xmlns='urn:xmpp:forward:0'><presence xmlns='jabber:client'><body>u@{}</body>"
       "</presence></forwarded>"},
      {"presence", "<body>room@{}</body>"},
      {"presence", "<status>room@{}</status>"},
      {"iq", "<subject>room@{}</subject>"},
  };
  for (const auto& [kind, pattern] : cases) {
    const auto xml = [&, k = kind, p = pattern](std::string_view name) {
      return fmt::format("<{0} from='a@example.com' to='b@federated.com' id='1'{1}>{2}</{0}>", k,
                         k == "iq" ? " type='set'" : "", with(p, name));
    };
    EXPECT_EQ(mapped(xml(kNode)).xml(), stanza(xml(kAlias)).xml()) << pattern;
  }
}

TEST(AddressMap, every_white_space_of_the_canonical_form_may_stand_around_an_address) {
  for (const std::string space : {" ", "\t", "\n", "&#13;", "&#13;\n", " &#13; \t&#13;"}) {
    const auto xml = [&space](std::string_view name) {
      return fmt::format(
          "<message from='a@example.com' to='b@federated.com'><x xmlns='urn:x'>{0}u@{1}{0}</x></message>",
          space, name);
    };
    EXPECT_EQ(mapped(xml(kNode)).xml(), stanza(xml(kAlias)).xml()) << space;
  }
  for (const std::string space : {" ", "&#9;", "&#10;", "&#13;", "&#13;&#10;", " &#9; "}) {
    const auto xml = [&space](std::string_view name) {
      return fmt::format(
          "<message from='a@example.com' to='b@federated.com' id='{0}u@{1}{0}'><x xmlns='urn:x' "
          "jid='{0}u@{1}{0}' uri='{0}xmpp:{1}{0}'/></message>",
          space, name);
    };
    EXPECT_EQ(mapped(xml(kNode)).xml(), stanza(xml(kAlias)).xml()) << space;
  }
  // Text that only looks like a reference.
  const std::string same =
      "<message from='a@example.com' to='b@federated.com' id='&amp;#13;u@conference-2.corp.example'><x "
      "xmlns='urn:x'>&amp;#13;u@conference-2.corp.example</x></message>";
  EXPECT_EQ(mapped(same).xml(), stanza(same).xml());
}

TEST(AddressMap, the_result_has_a_limit) {
  // Each attribute grows by one byte.
  const auto filled = [](std::size_t size) {
    std::string xml = "<message from='a@example.com' to='b@federated.com'><x xmlns='urn:x' jid='a.bc'>";
    return xml + std::string(size - xml.size() - 14, 'x') + "</x></message>";
  };
  const AddressMap longer(domain("a.bc"), domain("a.bcd"));
  const xmpp::Stanza plain = stanza("<message from='a@example.com' to='b@federated.com'/>");
  const auto full = longer.map(with_xml(plain, filled(limits::kCanonicalBytesMax - 1)));
  ASSERT_TRUE(full);
  EXPECT_EQ(full->xml().size(), limits::kCanonicalBytesMax);
  const auto over = longer.map(with_xml(plain, filled(limits::kCanonicalBytesMax)));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, Code::kXmlTooLarge);
}

TEST(AddressMap, bytes_that_are_not_canonical_are_refused_wherever_they_are_cut) {
  const xmpp::Stanza made = stanza(
      "<message from='a@example.com' to='b@federated.com'><x xmlns='urn:x' "
      "jid='room@conference-2.corp.example'>t</x><y/></message>");
  const std::string whole(made.xml());
  const AddressMap map(domain(kNode), domain(kAlias));
  EXPECT_TRUE(map.map(made));
  for (std::size_t size = 1; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    EXPECT_FALSE(map.map(with_xml(made, cut))) << cut;
  }
  for (const auto* xml :
       {"<a b=\"c\"/>", "<a b/>", "<a ='x'/>", "<a b='x'", "</a>", "text", "<a></a></a>", "<a ", "<"}) {
    EXPECT_FALSE(map.map(with_xml(made, xml))) << xml;
  }
}

Aliases aliases_of(std::vector<AliasRow> rows) {
  return Aliases(std::make_shared<const AliasNames>(std::move(rows)));
}

TEST(Aliases, names_translate_by_their_rows) {
  const Aliases aliases = aliases_of({{domain("a1.example.com"), domain("node-1.corp.example")},
                                      {domain("a2.example.com"), domain("node-2.corp.example")}});
  EXPECT_EQ(aliases.node_of(domain("a2.example.com")), domain("node-2.corp.example"));
  EXPECT_EQ(aliases.node_of(domain("node-2.corp.example")), std::nullopt);
  EXPECT_EQ(aliases.alias_of(domain("node-1.corp.example"), domain("x.example")), domain("a1.example.com"));
  EXPECT_EQ(aliases.alias_of(domain("a1.example.com"), domain("x.example")), std::nullopt);
  EXPECT_TRUE(aliases.is_mapped_node(domain("node-1.corp.example")));
  EXPECT_FALSE(aliases.is_mapped_node(domain("a1.example.com")));
}

TEST(Aliases, the_first_row_shows_unless_the_pair_is_known_to_use_another) {
  const auto node = domain("node.corp.example");
  Aliases aliases = aliases_of({{domain("a1.example.com"), node}, {domain("a2.example.com"), node}});
  const auto shown_to = [&](std::string_view remote) {
    return aliases.alias_of(node, domain(remote))->ascii();
  };
  EXPECT_EQ(shown_to("x.example"), "a1.example.com");
  aliases.used(domain("a2.example.com"), domain("x.example"));
  EXPECT_EQ(shown_to("x.example"), "a2.example.com");
  EXPECT_EQ(shown_to("y.example"), "a1.example.com");
  aliases.used(domain("a1.example.com"), domain("x.example"));
  EXPECT_EQ(shown_to("x.example"), "a1.example.com");
  aliases.used(domain("no-alias.example.com"), domain("x.example"));
  EXPECT_EQ(shown_to("x.example"), "a1.example.com");
}

TEST(Aliases, the_oldest_knowledge_is_forgotten_past_the_limit) {
  const auto node = domain("node.corp.example");
  const auto second = domain("a2.example.com");
  Aliases aliases = aliases_of({{domain("a1.example.com"), node}, {second, node}});
  const auto remote = [](std::size_t i) { return domain(fmt::format("r{}.example", i)); };
  for (std::size_t i = 0; i < limits::kAliasesKnownMax; ++i) aliases.used(second, remote(i));
  EXPECT_EQ(aliases.alias_of(node, remote(0)), second);
  aliases.used(second, remote(0));  // already known: takes no new place
  aliases.used(second, remote(limits::kAliasesKnownMax));
  EXPECT_EQ(aliases.alias_of(node, remote(0)), domain("a1.example.com"));
  EXPECT_EQ(aliases.alias_of(node, remote(1)), second);
  EXPECT_EQ(aliases.alias_of(node, remote(limits::kAliasesKnownMax)), second);
}

TEST(Aliases, names_of_one_zone_have_their_share_of_what_is_known_and_not_one_more) {
  constexpr std::size_t kShare = limits::peer_share(limits::kAliasesKnownMax);
  const auto node = domain("node.corp.example");
  const auto first = domain("a1.example.com");
  const auto second = domain("a2.example.com");
  Aliases aliases = aliases_of({{first, node}, {second, node}});
  aliases.used(second, domain("honest.example"));
  const auto remote = [](std::size_t i) { return domain(fmt::format("r{}.zone.example", i)); };
  for (std::size_t i = 0; i <= kShare; ++i) aliases.used(second, remote(i));
  EXPECT_EQ(aliases.alias_of(node, remote(kShare - 1)), second);
  EXPECT_EQ(aliases.alias_of(node, remote(kShare)), first);
  EXPECT_EQ(aliases.alias_of(node, domain("honest.example")), second);
}

}  // namespace
}  // namespace sallyport::alias
