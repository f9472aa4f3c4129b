#include "link/session.h"

#include <gtest/gtest.h>

#include "link/session_fixture.h"

namespace sallyport::link {
namespace {

TEST(LinkGreeting, both_come_up_and_know_each_other) {
  Link link;
  link.connect();
  EXPECT_FALSE(link.core.session.is_up());
  link.exchange();
  const auto core = link.core.take<Up>();
  const auto edge = link.edge.take<Up>();
  ASSERT_EQ(core.size(), 1U);
  ASSERT_EQ(edge.size(), 1U);
  EXPECT_EQ(core[0].peer_name, "vcse.example.com");
  EXPECT_EQ(core[0].peer_version, "0.1.1");
  EXPECT_FALSE(core[0].resumed);
  EXPECT_EQ(edge[0].peer_name, "core-1");
  EXPECT_EQ(edge[0].peer_version, "0.1.0");
  EXPECT_FALSE(edge[0].resumed);
}

TEST(LinkGreeting, the_edge_says_nothing_before_the_core) {
  Link link;
  link.connect();
  std::string out;
  EXPECT_FALSE(link.edge.session.take_output(out, link.now));
  EXPECT_TRUE(link.core.session.take_output(out, link.now));
}

TEST(LinkStanza, arrives_as_it_was_sent_and_is_settled) {
  Link link;
  link.up();
  xmpp::Stanza sent = stanza(kPair, "a");
  link.core.session.send(kPair, sent, 7, link.now);
  link.exchange();
  auto received = link.edge.take<Received>();
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0].pair(), kPair);
  const xmpp::Stanza& got = received[0].stanza;
  EXPECT_EQ(got.kind(), sent.kind());
  EXPECT_EQ(got.from(), sent.from());
  EXPECT_EQ(got.to(), sent.to());
  EXPECT_EQ(got.id(), sent.id());
  EXPECT_EQ(got.type(), sent.type());
  EXPECT_EQ(got.lang(), sent.lang());
  EXPECT_EQ(got.xml(), sent.xml());
  EXPECT_GT(link.core.session.unsettled_bytes(), 0U);
  EXPECT_GT(link.core.session.unsettled(), 0U);

  link.edge.session.settle(received[0].receipt, std::nullopt, link.now);
  link.pass(limits::kSettleDelay);
  EXPECT_EQ(outcomes(link.core.take<Settled>()), Strings{"7:"});
  EXPECT_EQ(link.core.session.unsettled_bytes(), 0U);
  EXPECT_EQ(link.core.session.unsettled(), 0U);
}

TEST(LinkStanza, goes_inward_with_its_provenance) {
  Link link;
  link.up();
  const Provenance first{"external", "198.51.100.7:5269"};
  const Provenance second{"dialback", "198.51.100.8:40000"};
  link.send_in("a", 1, first);
  link.send_in("b", 2, first);
  link.send_in("c", 3, second);
  link.send_in("d", 4, first);
  link.exchange();
  const auto received = link.core.take<Received>();
  ASSERT_EQ(ids(received), (Strings{"a", "b", "c", "d"}));
  EXPECT_EQ(received[1].provenance().method, "external");
  EXPECT_EQ(received[2].provenance().method, "dialback");
  EXPECT_EQ(received[2].provenance().peer_address, "198.51.100.8:40000");
  EXPECT_EQ(received[3].provenance().method, "external");
}

TEST(LinkStanza, on_a_core_bytes_that_speak_for_themselves_are_believed_and_nothing_beside_them) {
  const std::string xml =
      "<message from='bob@partner.example/x' to='alice@example.com' id='in-the-bytes' "
      "type='chat'><body>x</body>"
      "</message>";
  const std::string of_another =
      "<message from='eve@other.example' to='alice@example.com' id='in-the-bytes'/>";
  const auto bob = *xmpp::Jid::parse("bob@partner.example/x");
  const auto alice = *xmpp::Jid::parse("alice@example.com");
  const struct {
    const char* name;
    std::string bytes;
    bool validated;
    std::string id;
  } cases[] = {
      {"plain", xml, true, "in-the-bytes"},
      {"the parser must decide", "<message id=\"in-the-bytes\"><!-- --></message>", false, "beside"},
      {"more than one", xml + xml, false, "beside"},
      {"of another domain", of_another, false, "beside"},
  };
  for (const auto& c : cases) {
    Link link;
    link.up();
    link.edge.session.send(kPair, {xmpp::StanzaKind::kMessage, bob, alice, "beside", "", "", c.bytes}, 1,
                           link.now);
    link.core.session.send(kPair, {xmpp::StanzaKind::kMessage, alice, bob, "beside", "", "", c.bytes}, 2,
                           link.now);
    link.exchange();
    const auto inward = link.core.take<Received>();
    ASSERT_EQ(inward.size(), 1U) << c.name;
    EXPECT_EQ(inward[0].validated, c.validated) << c.name;
    EXPECT_EQ(inward[0].stanza.id(), c.id) << c.name;
    EXPECT_EQ(inward[0].stanza.xml(), c.bytes) << c.name;
    // An edge relies on the core's frame.
    const auto outward = link.edge.take<Received>();
    ASSERT_EQ(outward.size(), 1U) << c.name;
    EXPECT_FALSE(outward[0].validated) << c.name;
    EXPECT_EQ(outward[0].stanza.id(), "beside") << c.name;
  }
}

}  // namespace
}  // namespace sallyport::link
