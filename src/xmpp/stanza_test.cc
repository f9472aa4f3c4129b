#include "xmpp/stanza.h"

#include <gtest/gtest.h>

#include "xmpp/xml_stream.h"

namespace sallyport::xmpp {
namespace {

Stanza stanza(StanzaKind kind, std::string_view type, std::string_view to = "bob@remote.example/home") {
  return {kind,
          Jid::parse("alice@local.example/desk").value(),
          Jid::parse(to).value(),
          "i'1",
          std::string(type),
          {},
          {}};
}

TEST(Stanza, what_it_gave_a_view_of_stays_where_it_is_when_it_moves) {
  Stanza one = stanza(StanzaKind::kMessage, "chat");
  const std::string_view type = one.type();
  const Stanza other = std::move(one);
  EXPECT_EQ(other.type().data(), type.data());
  EXPECT_EQ(type, "chat");
}

TEST(Stanza, a_copy_says_the_same_and_stands_by_itself) {
  for (const std::string_view xml : {"", "<message/>"}) {
    std::optional<Stanza> one(std::in_place, StanzaKind::kIq, Jid::parse("a@local.example").value(),
                              Jid::parse("remote.example").value(), "i", "get", "", xml);
    const Stanza copy = *one;
    one.reset();
    EXPECT_EQ(copy.kind(), StanzaKind::kIq);
    EXPECT_EQ(copy.xml(), xml);
    EXPECT_EQ(copy.from_text(), "a@local.example");
    EXPECT_EQ(copy.from_domain(), "local.example");
    EXPECT_EQ(copy.to_text(), "remote.example");
    EXPECT_EQ(copy.id(), "i");
    EXPECT_EQ(copy.type(), "get");
    EXPECT_EQ(copy.lang(), "");
  }
}

TEST(Bounce, an_error_carries_the_condition_and_a_text_and_changes_sides) {
  const auto error =
      bounce(stanza(StanzaKind::kMessage, "chat"), "remote-server-not-found", "no server <accepted> it");
  ASSERT_TRUE(error);
  EXPECT_EQ(
      error->xml(),
      "<message from='bob@remote.example/home' to='alice@local.example/desk' id='i&apos;1' type='error'>"
      "<error type='cancel'><remote-server-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
      "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no server &lt;accepted&gt; it</text>"
      "</error></message>");
  EXPECT_TRUE(error->is_error());
  EXPECT_EQ(error->from().text(), "bob@remote.example/home");
  EXPECT_EQ(error->id(), "i'1");
}

TEST(Bounce, an_error_is_in_canonical_form) {
  StanzaReader reader;
  for (const auto kind : {StanzaKind::kMessage, StanzaKind::kPresence, StanzaKind::kIq}) {
    const auto type = kind == StanzaKind::kIq ? "get" : kind == StanzaKind::kPresence ? "subscribe" : "";
    const auto error = bounce(stanza(kind, type), "remote-server-timeout", "peer's \"reason\"\r\n& more");
    ASSERT_TRUE(error);
    const auto read = reader.read(error->xml());
    ASSERT_TRUE(read) << read.error().text;
    EXPECT_EQ(read->xml(), error->xml());
    EXPECT_EQ(read->kind(), kind);
  }
}

TEST(Bounce, a_text_that_xml_cannot_hold_is_escaped) {
  for (const std::string_view text : {"a\x1b[2J", "a\xff", "a\xef\xbf\xbe"}) {
    const auto error = bounce(stanza(StanzaKind::kMessage, ""), "remote-server-not-found", text);
    ASSERT_TRUE(error);
    EXPECT_TRUE(StanzaReader().read(error->xml())) << text;
  }
}

TEST(Bounce, only_what_somebody_waits_for_is_answered) {
  struct Case {
    StanzaKind kind;
    std::string_view type, to;
    bool answered;
  };
  const Case cases[] = {
      {StanzaKind::kMessage, "", "b.example", true},
      {StanzaKind::kMessage, "chat", "b.example", true},
      {StanzaKind::kMessage, "groupchat", "b.example", true},
      {StanzaKind::kMessage, "error", "b.example", false},
      {StanzaKind::kIq, "get", "b.example", true},
      {StanzaKind::kIq, "set", "b.example", true},
      {StanzaKind::kIq, "result", "b.example", false},
      {StanzaKind::kIq, "error", "b.example", false},
      {StanzaKind::kPresence, "", "r@b.example/nick", true},
      {StanzaKind::kPresence, "", "u@b.example", false},
      {StanzaKind::kPresence, "unavailable", "r@b.example/nick", false},
      {StanzaKind::kPresence, "subscribe", "u@b.example", true},
      {StanzaKind::kPresence, "subscribed", "u@b.example", false},
      {StanzaKind::kPresence, "unsubscribe", "u@b.example", false},
      {StanzaKind::kPresence, "unsubscribed", "u@b.example", false},
      {StanzaKind::kPresence, "probe", "u@b.example", true},
      {StanzaKind::kPresence, "error", "u@b.example/r", false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(bounce(stanza(c.kind, c.type, c.to), "remote-server-timeout", "x").has_value(), c.answered)
        << kind_name(c.kind) << " " << c.type << " " << c.to;
  }
}

BadStanza bad(Code code, StanzaKind kind, std::string to, std::string type) {
  return {{code, ""},
          kind,
          Domain::parse("remote.example").value(),
          Jid::parse("eve@remote.example/x").value(),
          Domain::parse("local.example").value(),
          std::move(to),
          "7",
          std::move(type)};
}

TEST(Bounce, a_stanza_to_no_address_is_answered_by_its_domain) {
  const auto error = bounce(bad(Code::kStanzaToInvalid, StanzaKind::kMessage, "a b@local.example", ""),
                            "jid-malformed", "no address");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->from().text(), "local.example");
  EXPECT_EQ(error->to().text(), "eve@remote.example/x");
  EXPECT_NE(error->xml().find("<jid-malformed "), std::string::npos);
  EXPECT_EQ(StanzaReader().read(error->xml()).value().xml(), error->xml());
}

TEST(Bounce, a_stanza_of_a_bad_type_is_answered_by_the_address_it_was_sent_to) {
  const auto error =
      bounce(bad(Code::kStanzaTypeInvalid, StanzaKind::kIq, "A@local.example/r", "frob"), "bad-request", "");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->from().text(), "a@local.example/r");
  EXPECT_NE(error->xml().find("<bad-request "), std::string::npos);
}

TEST(Bounce, a_bad_stanza_is_answered_where_its_sender_waits_for_it) {
  const auto answered = [](StanzaKind kind, const char* to, const char* type) {
    return bounce(bad(Code::kStanzaToInvalid, kind, to, type), "jid-malformed", "").has_value();
  };
  EXPECT_TRUE(answered(StanzaKind::kIq, "@local.example", "get"));
  EXPECT_TRUE(answered(StanzaKind::kIq, "@local.example", "frob"));
  EXPECT_FALSE(answered(StanzaKind::kIq, "@local.example", "result"));
  EXPECT_FALSE(answered(StanzaKind::kIq, "@local.example", "error"));
  EXPECT_FALSE(answered(StanzaKind::kMessage, "@local.example", "error"));
  EXPECT_FALSE(answered(StanzaKind::kPresence, "@local.example", "frob"));
  EXPECT_FALSE(answered(StanzaKind::kPresence, "@local.example", ""));
  EXPECT_TRUE(answered(StanzaKind::kPresence, "a@local.example/\x7f", ""));
}

TEST(Bounce, a_stanza_from_no_address_is_not_answered) {
  auto stanza = bad(Code::kStanzaFromInvalid, StanzaKind::kIq, "a@local.example", "get");
  stanza.from.reset();
  EXPECT_FALSE(bounce(stanza, "jid-malformed", ""));
}

TEST(Codes, every_condition_is_one_that_rfc_6120_knows) {
  for (const auto& row : code_table()) {
    EXPECT_TRUE(row.stanza_condition.empty() || is_stanza_condition(row.stanza_condition)) << row.name;
    EXPECT_TRUE(row.stream_condition.empty() || is_stream_condition(row.stream_condition)) << row.name;
  }
  EXPECT_FALSE(is_stanza_condition("frobnicated"));
  EXPECT_FALSE(is_stream_condition("frobnicated"));
}

TEST(Conditions, each_goes_with_its_error_type) {
  EXPECT_EQ(stanza_error_type("remote-server-timeout"), "wait");
  EXPECT_EQ(stanza_error_type("jid-malformed"), "modify");
  EXPECT_EQ(stanza_error_type("forbidden"), "auth");
  EXPECT_EQ(stanza_error_type("not-allowed"), "cancel");
}

}  // namespace
}  // namespace sallyport::xmpp
