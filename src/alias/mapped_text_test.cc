#include "alias/mapped_text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "alias/alias_fixture.h"
#include "base/limits.h"

namespace sallyport::alias {
namespace {

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    text.replace(at, what.size(), by);
  return text;
}

std::string mapped(std::string_view xml, std::string_view from = kNode, std::string_view to = kAlias) {
  const auto result = AddressMap(domain(from), domain(to)).map(stanza(xml));
  EXPECT_TRUE(result) << xml;
  EXPECT_EQ(stanza(result->xml()).xml(), result->xml());
  return std::string(result->xml());
}

std::string message(std::string_view from, std::string_view payload, std::string_view attributes = "") {
  return fmt::format("<message from='{}' to='bob@federated.com'{}>{}</message>", from, attributes, payload);
}

// Returns the text of the body that a room of the node sends, as it is seen on the public side.
std::string said(std::string_view sentence, std::string_view from = kNode, std::string_view to = kAlias) {
  const std::string out =
      mapped(message(fmt::format("den@{}", from), fmt::format("<body>{}</body>", sentence)), from, to);
  const auto begin = out.find("<body>") + 6;
  return out.substr(begin, out.find("</body>") - begin);
}

TEST(Sentence, whole_tokens_are_translated) {
  struct Case {
    std::string before, after;  // after empty: unchanged
  };
  const Case cases[] = {
      // Prosody; ejabberd.
      {"alice@corp.org invited you to the room den@conference-2.corp.example (talk)",
       "alice@corp.org invited you to the room den@chatroom1.example.com (talk)"},
      {"alice@corp.org invites you to the room den@conference-2.corp.example, the password is 'x'",
       "alice@corp.org invites you to the room den@chatroom1.example.com, the password is 'x'"},
      {"conference-2.corp.example", "chatroom1.example.com"},
      {"den@conference-2.corp.example", "den@chatroom1.example.com"},
      {"Welcome to conference-2.corp.example.", "Welcome to chatroom1.example.com."},
      {"den@conference-2.corp.example... and so on", "den@chatroom1.example.com... and so on"},
      {"Is it conference-2.corp.example? Or den@conference-2.corp.example!",
       "Is it chatroom1.example.com? Or den@chatroom1.example.com!"},
      {"(den@conference-2.corp.example), [conference-2.corp.example]; {conference-2.corp.example}:",
       "(den@chatroom1.example.com), [chatroom1.example.com]; {chatroom1.example.com}:"},
      {"\"den@conference-2.corp.example\" 'conference-2.corp.example' &lt;den@conference-2.corp.example&gt;",
       "\"den@chatroom1.example.com\" 'chatroom1.example.com' &lt;den@chatroom1.example.com&gt;"},
      {"\xE2\x80\x9E"
       "den@conference-2.corp.example\xE2\x80\x9C \xC2\xAB"
       "conference-2.corp.example\xC2\xBB",
       "\xE2\x80\x9E"
       "den@chatroom1.example.com\xE2\x80\x9C \xC2\xAB"
       "chatroom1.example.com\xC2\xBB"},
      // An ideographic full stop, a full-width comma, a no-break space.
      {"den@conference-2.corp.example\xE3\x80\x82 "
       "conference-2.corp.example\xEF\xBC\x8Cx\xC2\xA0"
       "conference-2.corp.example",
       "den@chatroom1.example.com\xE3\x80\x82 chatroom1.example.com\xEF\xBC\x8Cx\xC2\xA0"
       "chatroom1.example.com"},
      {"a\tconference-2.corp.example\nconference-2.corp.example&#13;\nconference-2.corp.example",
       "a\tchatroom1.example.com\nchatroom1.example.com&#13;\nchatroom1.example.com"},
      {"Conference-2.CORP.example and Den@CONFERENCE-2.corp.example",
       "chatroom1.example.com and Den@chatroom1.example.com"},
      {"den@conference-2.corp.example/Nick, conference-2.corp.example/x",
       "den@chatroom1.example.com/Nick, chatroom1.example.com/x"},
      {"a,den@conference-2.corp.example,conference-2.corp.example,b",
       "a,den@chatroom1.example.com,chatroom1.example.com,b"},
      {"room=den@conference-2.corp.example node=conference-2.corp.example|conference-2.corp.example:5269",
       "room=den@chatroom1.example.com node=chatroom1.example.com|chatroom1.example.com:5269"},
      {"what?@conference-2.corp.example a(b)@conference-2.corp.example",
       "what?@chatroom1.example.com a(b)@chatroom1.example.com"},
      {"xmpp:den@conference-2.corp.example?join", "xmpp:den@chatroom1.example.com?join"},
      {"(XMPP:den@conference%2D2.corp.example?join;password=a@b).",
       "(XMPP:den@chatroom1.example.com?join;password=a@b)."},
      {"xmpp:conference-2.corp.example.", "xmpp:chatroom1.example.com."},
      {"see xmpp://bob@federated.com/den@conference-2.corp.example, and go",
       "see xmpp://bob@federated.com/den@chatroom1.example.com, and go"},
      {"xmpp: den@conference-2.corp.example", "xmpp: den@chatroom1.example.com"},
      // No white space, as in Chinese: the domain follows the last `@`.
      {"alice@corp.org\xE9\x82\x80\xE8\xAF\xB7\xE4\xBD\xA0"
       "den@conference-2.corp.example",
       "alice@corp.org\xE9\x82\x80\xE8\xAF\xB7\xE4\xBD\xA0"
       "den@chatroom1.example.com"},
      {"&amp;conference-2.corp.example&amp;", "&amp;chatroom1.example.com&amp;"},

      {"nothing &amp; nobody", ""},
      {"xconference-2.corp.example", ""},
      {"x-conference-2.corp.example", ""},
      {"x.conference-2.corp.example den@x.conference-2.corp.example", ""},
      {"conference-2.corp.example.evil", ""},
      {"conference-2.corp.examples", ""},
      {"conference-2.corp.example-evil", ""},
      {"conference-2.corp.example_evil", ""},
      {"\xC3\xA4"
       "conference-2.corp.example conference-2.corp.example\xC3\xA4",
       ""},
      {"conference-2.corp.example@evil.example", ""},
      {"den@conference-2.corp.example@evil.example", ""},
      {"conference-2.corp.example+x@evil.example", ""},
      {"bob@federated.com/conference-2.corp.example", ""},
      {"@conference-2.corp.example a &lt;@conference-2.corp.example", ""},
      {"http://conference-2.corp.example/x https://den@conference-2.corp.example/x", ""},
      {"conference%2D2.corp.example den@conference%2D2.corp.example", ""},
      {"corp.example conference-2.corp conference-2", ""},
      {"...", ""},
      {"xmpp:", ""},
  };
  for (const auto& [before, after] : cases) EXPECT_EQ(said(before), after.empty() ? before : after);
}

TEST(Sentence, names_in_other_scripts_are_known_in_each_spelling) {
  for (const std::string spelling :
       {"r\xC3\xA4ume.corp.example", "R\xC3\x84UME.corp.example", "xn--rume-loa.corp.example"}) {
    EXPECT_EQ(said("the room den@" + spelling + ", " + spelling + ".", "r\xC3\xA4ume.corp.example", kAlias),
              "the room den@chatroom1.example.com, chatroom1.example.com.")
        << spelling;
  }
  // Addresses take U-labels, URIs A-labels.
  EXPECT_EQ(said("den@chatroom1.example.com or xmpp:den@chatroom1.example.com?join", kAlias,
                 "r\xC3\xA4ume.corp.example"),
            "den@r\xC3\xA4ume.corp.example or xmpp:den@xn--rume-loa.corp.example?join");
}

TEST(Sentence, only_the_room_and_its_service_speak_for_themselves) {
  const std::string text = "come to den@conference-2.corp.example";
  const std::string translated = "come to den@chatroom1.example.com";
  struct Case {
    const char* who;
    std::string from, attributes;
    bool is_own;
  };
  const std::string node(kNode);
  for (const Case& c :
       {Case{"a room", "den@" + node, "", true}, Case{"the service", node, "", true},
        Case{"a room, to all", "den@" + node, " type='groupchat'", true},
        Case{"an occupant", "den@" + node + "/Alice", " type='groupchat'", false},
        Case{"an occupant, privately", "den@" + node + "/Alice", " type='chat'", false},
        Case{"a resource of the service", node + "/x", "", false},
        Case{"a user", "alice@example.com", "", false}, Case{"a server", "example.com", "", false},
        Case{"another room service", "den@rooms.example.com", "", false},
        // It returns the text of its addressee.
        Case{"an error", "den@" + node, " type='error'", false}}) {
    SCOPED_TRACE(c.who);
    for (const char* pattern :
         {"<body>{}</body>", "<subject>{}</subject>", "<body xml:lang='de'>{}</body><subject>x</subject>",
          "<x xmlns='urn:x'/><body>{}</body>"}) {
      const std::string before = replaced(pattern, "{}", text);
      const std::string after = replaced(pattern, "{}", c.is_own ? translated : text);
      EXPECT_EQ(mapped(message(c.from, before, c.attributes)),
                stanza(message(replaced(c.from, node, kAlias), after, c.attributes)).xml())
          << pattern;
    }
  }
}

TEST(Sentence, other_elements_of_a_room_are_not_sentences) {
  const std::string room = "den@conference-2.corp.example";
  for (const char* pattern :
       {"<x xmlns='http://jabber.org/protocol/muc#user'><invite><reason>come to {}</reason></invite></x>",
        "<body xmlns='urn:x'>come to {}</body>", "<body><i xmlns='urn:x'>come to {}</i></body>",
        "<html xmlns='http://jabber.org/protocol/xhtml-im'><body "
        "xmlns='http://www.w3.org/1999/xhtml'>{}</body></html>"}) {
    const std::string payload = replaced(pattern, "{}", room);
    EXPECT_EQ(mapped(message(room, payload)), stanza(message("den@chatroom1.example.com", payload)).xml())
        << pattern;
  }
}

TEST(Sentence, an_archive_of_the_room_has_its_sentences_and_those_of_users) {
  const auto archived = [](std::string_view by, std::string_view from, std::string_view body) {
    return message(
        by, fmt::format("<result xmlns='urn:xmpp:mam:2'><forwarded xmlns='urn:xmpp:forward:0'><message "
                        "xmlns='jabber:client' from='{}'><body>{}</body></message></forwarded></result>",
                        from, body));
  };
  const std::string text = "come to den@conference-2.corp.example";
  EXPECT_EQ(mapped(archived("den@conference-2.corp.example", "den@conference-2.corp.example", text)),
            stanza(archived("den@chatroom1.example.com", "den@chatroom1.example.com",
                            "come to den@chatroom1.example.com"))
                .xml());
  EXPECT_EQ(mapped(archived("den@conference-2.corp.example", "den@conference-2.corp.example/Bob", text)),
            stanza(archived("den@chatroom1.example.com", "den@chatroom1.example.com/Bob", text)).xml());
  // A user who forwards something may have written it.
  EXPECT_EQ(mapped(archived("alice@example.com", "den@conference-2.corp.example", text)),
            stanza(archived("alice@example.com", "den@chatroom1.example.com", text)).xml());
}

// A stanza that could not be delivered is mapped back before its sender is answered.
TEST(Sentence, what_was_translated_comes_back_the_same) {
  const std::string inside = message("den@conference-2.corp.example",
                                     "<body>alice invited you to den@conference-2.corp.example.</body>");
  const std::string outside = mapped(inside);
  EXPECT_EQ(outside.find(kNode), std::string::npos);
  EXPECT_EQ(mapped(outside, kAlias, kNode), inside);
}

TEST(Sentence, every_mapped_node_is_known_to_each) {
  const AddressMap map(
      std::vector<AddressMap::Row>{{domain("node-1.corp.example"), domain("a1.example.com")},
                                   {domain("node-2.corp.example"), domain("a2.example.com")}});
  const auto out =
      map.map(stanza(message("den@node-1.corp.example", "<body>now at den@node-2.corp.example</body>")));
  ASSERT_TRUE(out);
  EXPECT_EQ(out->xml(), message("den@a1.example.com", "<body>now at den@a2.example.com</body>"));
}

TEST(Sentence, characters_are_looked_up_in_tables_so_often_and_no_more) {
  // Each letter is looked up; without the tables it ends the token, and the rest is the node's name.
  const std::string letter = "\xC3\xA4";
  const auto with = [&letter](std::size_t letters) {
    std::string text;
    for (std::size_t i = 1; i < letters; ++i) text += letter + " ";
    return text + letter;
  };
  const std::string at_bound = with(limits::kSentenceLookupsMax) + "conference-2.corp.example";
  EXPECT_EQ(said(at_bound), at_bound);
  EXPECT_EQ(said(with(limits::kSentenceLookupsMax + 1) + "conference-2.corp.example"),
            with(limits::kSentenceLookupsMax + 1) + "chatroom1.example.com");
}

}  // namespace
}  // namespace sallyport::alias
