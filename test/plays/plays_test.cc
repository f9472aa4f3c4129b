// Plays: what Sallyport does for its users, each as a script (stage.h has the cast).
#include "stage.h"

namespace sallyport::plays {
namespace {

using Play = Stage;
const std::string kPartner = "[[allow]]\ndomain = \"partner.example\"\n";
const std::string kOther = "[[allow]]\ndomain = \"other.example\"\n";
const std::string kOld =
    "[[allow]]\ndomain = \"old.example\"\n[[peer]]\ndomain = \"old.example\"\nauthenticate = \"dialback\"\n";

// A stanza that policy allows goes out and an answer comes back; each domain proves itself by its
// certificate, and when both have arrived nothing is kept.
TEST_F(Play, users_of_two_domains_talk) {
  policy(kPartner);
  says("alice@example.com", "bob@partner.example", "lunch?");
  EXPECT_EQ(heard("bob@partner.example"), Lines{"alice@example.com: lunch?"});
  says("bob@partner.example", "alice@example.com", "at noon");
  EXPECT_EQ(heard("alice@example.com"), Lines{"bob@partner.example: at noon"});
  EXPECT_EQ(proofs(), (Lines{"out partner.example external", "in partner.example external"}));
  EXPECT_EQ(unsettled(), R"({"stanzas":0,"bytes":0})");
}

// Policy is applied on the stream, where a refusal reaches its sender; nobody is looked for.
TEST_F(Play, a_stanza_that_policy_refuses_is_bounced_once) {
  policy(kPartner);
  says("alice@example.com", "carol@stranger.example", "hello");
  EXPECT_EQ(heard("alice@example.com"), Lines{"carol@stranger.example refuses: not-allowed"});
  EXPECT_EQ(heard("carol@stranger.example"), Lines{});
  EXPECT_EQ(looked_for(), Lines{});
  // And from outside: the stranger is refused while it negotiates, and its own server tells it.
  says("carol@stranger.example", "alice@example.com", "psst");
  EXPECT_EQ(heard("carol@stranger.example"), Lines{"stranger.example could not send"});
  EXPECT_EQ(heard("alice@example.com"), Lines{});
}

// The edge dies with a stanza in its hands. The core still has it, and sends it again to the edge's next
// process: it is delivered once, and the sender is told nothing.
TEST_F(Play, an_edge_that_is_killed_loses_nothing_of_the_core) {
  policy(kPartner);
  says("alice@example.com", "bob@partner.example", "are you there?");
  passes(60ms);  // the edge has it, and is still opening a stream to partner.example
  edge_dies();
  passes(2s);
  EXPECT_EQ(heard("bob@partner.example"), Lines{});
  edge_starts();
  passes(15s);
  EXPECT_EQ(heard("bob@partner.example"), Lines{"alice@example.com: are you there?"});
  EXPECT_EQ(heard("alice@example.com"), Lines{});
}

// A room is known outside by its alias: names are translated both ways, and the internal one never shows.
TEST_F(Play, a_room_is_joined_through_its_alias) {
  policy(kPartner);
  joins("bob@partner.example", "team@chatroom1.example.com/bob");
  EXPECT_EQ(heard("team@conference-2.corp.example"),
            Lines{"bob@partner.example joins as team@conference-2.corp.example/bob"});
  says("team@conference-2.corp.example", "bob@partner.example", "welcome to team@conference-2.corp.example");
  EXPECT_EQ(heard("bob@partner.example"),
            Lines{"team@chatroom1.example.com: welcome to team@chatroom1.example.com"});
  // The node's own name is not a federated one.
  says("bob@partner.example", "team@conference-2.corp.example", "hello");
  EXPECT_EQ(heard("team@conference-2.corp.example"), Lines{});
}

// A domain that DNS alone proves is admitted where a [[peer]] row says so. When it gets a certificate, that
// is used, with no change of policy.
TEST_F(Play, a_partner_moves_from_dialback_to_external) {
  policy(kOld);
  says("dave@old.example", "alice@example.com", "hello");
  EXPECT_EQ(heard("alice@example.com"), Lines{"dave@old.example: hello"});
  EXPECT_EQ(proofs(), Lines{"in old.example dialback"});
  installs_certificate("old.example");
  passes(2s);
  says("dave@old.example", "alice@example.com", "hello again");
  EXPECT_EQ(heard("alice@example.com"), Lines{"dave@old.example: hello again"});
  EXPECT_EQ(proofs(), (Lines{"in old.example dialback", "in old.example external"}));
}

// Policy changes while streams are open: the refused domain's end, and no other.
TEST_F(Play, a_change_of_policy_ends_what_it_refuses_and_nothing_else) {
  policy(kPartner + kOther);
  says("alice@example.com", "bob@partner.example", "one");
  says("alice@example.com", "erin@other.example", "two");
  EXPECT_EQ(heard("bob@partner.example"), Lines{"alice@example.com: one"});
  EXPECT_EQ(heard("erin@other.example"), Lines{"alice@example.com: two"});
  policy(kOther);
  says("alice@example.com", "bob@partner.example", "three");
  says("alice@example.com", "erin@other.example", "four");
  EXPECT_EQ(heard("alice@example.com"), Lines{"bob@partner.example refuses: not-allowed"});
  EXPECT_EQ(heard("bob@partner.example"), Lines{});
  EXPECT_EQ(heard("erin@other.example"), Lines{"alice@example.com: four"});
  EXPECT_EQ(looked_for(), (Lines{"partner.example", "other.example"})) << "no stream was opened anew";
}

}  // namespace
}  // namespace sallyport::plays
