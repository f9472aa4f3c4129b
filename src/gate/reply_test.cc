#include "gate/reply.h"

#include <gtest/gtest.h>

#include "gate/slots.h"

namespace sallyport::gate {
namespace {

using xmpp::StanzaKind;

xmpp::Stanza stanza(StanzaKind kind, std::string type, std::string xml = {}) {
  return {kind, *xmpp::Jid::parse("a@example.com"), *xmpp::Jid::parse("b@partner.example/x"), "1", std::move(type), {},
          std::move(xml)};
}

TEST(Reply, what_starts_and_what_answers) {
  struct Case {
    StanzaKind kind;
    std::string type;
    std::string xml;
    bool answer;
  };
  const Case cases[] = {
      {StanzaKind::kMessage, "", "", false},
      {StanzaKind::kMessage, "chat", "", false},
      {StanzaKind::kMessage, "groupchat", "", false},
      {StanzaKind::kMessage, "error", "", true},
      {StanzaKind::kIq, "get", "", false},
      {StanzaKind::kIq, "set", "", false},
      {StanzaKind::kIq, "result", "", true},
      {StanzaKind::kIq, "error", "", true},
      {StanzaKind::kPresence, "", "", true},
      {StanzaKind::kPresence, "unavailable", "", true},
      {StanzaKind::kPresence, "subscribed", "", true},
      {StanzaKind::kPresence, "unsubscribed", "", true},
      {StanzaKind::kPresence, "error", "", true},
      {StanzaKind::kPresence, "subscribe", "", false},
      {StanzaKind::kPresence, "probe", "", false},
      {StanzaKind::kPresence, "", "<presence><x xmlns='http://jabber.org/protocol/muc'/></presence>", false},
      {StanzaKind::kPresence, "", "<presence><x xmlns='http://jabber.org/protocol/muc#user'/></presence>", true},
  };
  for (const auto& c : cases)
    EXPECT_EQ(is_answer(stanza(c.kind, c.type, c.xml)), c.answer) << xmpp::kind_name(c.kind) << " " << c.type << c.xml;
}

xmpp::BadStanza bad(StanzaKind kind, std::string type) {
  return {{Code::kStanzaToInvalid, "a@b@c"}, kind, *xmpp::Jid::parse("b@partner.example/x"), "a@b@c", "7", std::move(type)};
}

const xmpp::Pair kPair{*xmpp::Domain::parse("example.com"), *xmpp::Domain::parse("partner.example")};

TEST(Reply, a_stanza_to_no_address_is_answered_by_the_domain) {
  const auto answer = answer_bad(kPair, bad(StanzaKind::kMessage, "chat"));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->type, "error");
  EXPECT_EQ(answer->id, "7");
  EXPECT_EQ(answer->from.text(), "example.com");
  EXPECT_EQ(answer->to.text(), "b@partner.example/x");
  EXPECT_NE(answer->xml.find("jid-malformed"), std::string::npos) << answer->xml;
}

TEST(Reply, an_error_to_no_address_is_not_answered) {
  EXPECT_FALSE(answer_bad(kPair, bad(StanzaKind::kMessage, "error")));
  EXPECT_FALSE(answer_bad(kPair, bad(StanzaKind::kIq, "result")));
}

TEST(Slots, numbers_are_used_again_and_stale_ones_are_nobody) {
  Slots<int> slots;
  const auto a = slots.put(10);
  const auto b = slots.put(20);
  EXPECT_NE(a, 0u);
  EXPECT_EQ(slots.take(a), 10);
  EXPECT_EQ(slots.take(a), std::nullopt);
  EXPECT_EQ(slots.put(30), a);
  EXPECT_EQ(slots.take(b), 20);
  EXPECT_EQ(slots.take(0), std::nullopt);
  EXPECT_EQ(slots.take(99), std::nullopt);
  EXPECT_EQ(slots.size(), 1u);
}

}  // namespace
}  // namespace sallyport::gate
