#include "xmpp/xml.h"

#include <gtest/gtest.h>

namespace sallyport::xmpp {
namespace {

TEST(Xml, text_is_escaped_so_that_it_reads_back_as_itself) {
  struct Case {
    std::string_view text, content, attribute;
  };
  const Case cases[] = {
      {"", "", ""},
      {"plain", "plain", "plain"},
      {"a&b<c>d", "a&amp;b&lt;c&gt;d", "a&amp;b&lt;c&gt;d"},
      {"]]>", "]]&gt;", "]]&gt;"},
      {"it's \"so\"", "it's \"so\"", "it&apos;s \"so\""},
      {"a\tb\nc\rd", "a\tb\nc&#13;d", "a&#9;b&#10;c&#13;d"},
      {"é🎉", "é🎉", "é🎉"},
      {"&&", "&amp;&amp;", "&amp;&amp;"},
  };
  for (const auto& c : cases) {
    std::string content;
    append_escaped_text(content, c.text);
    EXPECT_EQ(content, c.content);
    std::string attribute;
    append_escaped_attribute(attribute, c.text);
    EXPECT_EQ(attribute, c.attribute);
  }
}

TEST(Xml, an_element_declares_what_its_place_does_not) {
  const Element starttls{
      {std::string(ns::kTls), "starttls"}, {}, {{{std::string(ns::kTls), "required"}, {}, {}, {}}}, {}};
  const Element features{{std::string(ns::kStreams), "features"}, {}, {starttls}, {}};
  EXPECT_EQ(features.xml(),
            "<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"
            "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>");
  EXPECT_EQ(starttls.xml(ns::kTls), "<starttls><required/></starttls>");
}

TEST(Xml, a_child_in_the_content_namespace_of_a_prefixed_parent_declares_nothing) {
  const Element result{{std::string(ns::kDialback), "result"},
                       {{{"", "from"}, "a'b"}, {{"", "type"}, "error"}},
                       {{{std::string(ns::kServer), "error"}, {}, {}, {}}},
                       {}};
  EXPECT_EQ(result.xml(),
            "<db:result xmlns:db='jabber:server:dialback' from='a&apos;b' type='error'><error/></db:result>");
}

TEST(Xml, an_attribute_in_a_namespace_gets_a_prefix_at_its_element) {
  const Element e{{std::string(ns::kServer), "x"},
                  {{{"urn:a", "p"}, "1"},
                   {{std::string(ns::kXml), "lang"}, "en"},
                   {{"urn:b", "p"}, "2"},
                   {{"urn:a", "q"}, "3"}},
                  {},
                  "t<"};
  EXPECT_EQ(e.xml(),
            "<x xmlns:ns1='urn:a' xmlns:ns2='urn:b' ns1:p='1' xml:lang='en' ns2:p='2' ns1:q='3'>t&lt;</x>");
}

TEST(Xml, an_element_without_namespace_undoes_the_default) {
  EXPECT_EQ((Element{{"", "x"}, {}, {}, {}}).xml(), "<x xmlns=''/>");
}

TEST(Xml, attributes_and_children_are_found_by_their_whole_names) {
  const Element e{{"urn:a", "x"},
                  {{{"urn:b", "id"}, "other"}, {{"", "id"}, "mine"}},
                  {{{"urn:b", "c"}, {}, {}, "1"}, {{"urn:a", "c"}, {}, {}, "2"}},
                  {}};
  ASSERT_NE(e.attribute("id"), nullptr);
  EXPECT_EQ(*e.attribute("id"), "mine");
  EXPECT_EQ(e.attribute("to"), nullptr);
  ASSERT_NE(e.child("urn:a", "c"), nullptr);
  EXPECT_EQ(e.child("urn:a", "c")->text, "2");
  EXPECT_EQ(e.child("", "c"), nullptr);
}

}  // namespace
}  // namespace sallyport::xmpp
