#include "s2s/receive_lane.h"

#include <gtest/gtest.h>

#include <string>

#include "s2s/stream_fixture.h"

namespace sallyport::s2s::dialogue {
namespace {

const Pair kFirst = pair("local.example", "remote.example");
const Pair kSecond = pair("other-local.example", "rooms.remote.example");

std::string shown(const Result<StanzaRejected>& rejected) {
  if (!rejected) return "stream error " + text(rejected.error());
  return text(rejected->proof.pair()) + " " + text(rejected->stanza.error);
}
xmpp::BadStanza bad(const std::string& from, const std::string& to) {
  return {{Code::kStanzaToInvalid, {}},
          xmpp::StanzaKind::kMessage,
          domain(from),
          std::nullopt,
          domain(to),
          "@" + to,
          {},
          {}};
}

struct ReceiveLaneTest : ::testing::Test {
  void proves_both() {
    lane.add(proof(kFirst));
    lane.add(proof(kSecond));
  }
  void ends(const Pair& ended) {
    lane.end_unless([&ended](const PeerProof& each) -> Result<void> {
      if (each.pair() == ended) return Error{Code::kPolicyDenied, {}};
      return {};
    });
  }
  std::string rejects(const std::string& from, const std::string& to) {
    const xmpp::Stanza each = stanza(from, to);
    EXPECT_EQ(lane.proof_of(each), nullptr);
    return shown(lane.reject(each));
  }
  ReceiveLane lane;
};

TEST_F(ReceiveLaneTest, without_a_proof_no_stanza_is_accepted) {
  EXPECT_EQ(rejects("u@remote.example", "v@local.example"), "stream error stream.not-authorized");
  EXPECT_EQ(shown(lane.reject(bad("remote.example", "local.example"))), "stream error stream.not-authorized");
}

TEST_F(ReceiveLaneTest, a_stanza_belongs_to_the_proof_for_both_its_domains) {
  proves_both();
  const PeerProof* found = lane.proof_of(stanza("u@rooms.remote.example/x", "other-local.example"));
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->pair(), kSecond);
}

TEST_F(ReceiveLaneTest, the_senders_domain_is_blamed_before_the_receivers) {
  proves_both();
  EXPECT_EQ(rejects("u@else.example", "v@nobody.example"), "stream error stanza.from-invalid");
  EXPECT_EQ(rejects("u@local.example", "v@remote.example"), "stream error stanza.from-invalid");
  EXPECT_EQ(rejects("u@remote.example", "v@nobody.example"), "stream error stanza.to-invalid");
  // Each domain is proved, but not in one pair.
  EXPECT_EQ(rejects("u@remote.example", "v@other-local.example"), "stream error stanza.to-invalid");
}

TEST_F(ReceiveLaneTest, a_stanza_of_a_pair_that_was_ended_is_rejected_and_the_other_pair_lives) {
  proves_both();
  ends(kSecond);
  const xmpp::Stanza late = stanza("u@rooms.remote.example", "v@other-local.example");
  EXPECT_EQ(lane.proof_of(late), nullptr);
  const Result<StanzaRejected> rejected = lane.reject(late);
  EXPECT_EQ(shown(rejected), text(kSecond) + " policy.denied");
  EXPECT_EQ(rejected->stanza.from->text(), "u@rooms.remote.example");
  EXPECT_EQ(rejected->stanza.to, "v@other-local.example");
  EXPECT_EQ(rejected->stanza.id, "7");
  EXPECT_NE(lane.proof_of(stanza("u@remote.example", "v@local.example")), nullptr);
  EXPECT_FALSE(lane.has(kSecond));
  EXPECT_EQ(lane.pairs(), 2u) << "it still takes its place";
}

TEST_F(ReceiveLaneTest, a_pair_that_was_ended_may_be_proved_again) {
  proves_both();
  ends(kSecond);
  lane.add(proof(kSecond));
  EXPECT_NE(lane.proof_of(stanza("u@rooms.remote.example", "v@other-local.example")), nullptr);
  EXPECT_EQ(lane.pairs(), 2u);
}

TEST_F(ReceiveLaneTest, a_stanza_that_cannot_be_moved_is_rejected_with_its_error_or_that_of_its_pair) {
  proves_both();
  EXPECT_EQ(shown(lane.reject(bad("remote.example", "local.example"))), text(kFirst) + " stanza.to-invalid");
  ends(kFirst);
  EXPECT_EQ(shown(lane.reject(bad("remote.example", "local.example"))), text(kFirst) + " policy.denied");
  EXPECT_EQ(shown(lane.reject(bad("else.example", "local.example"))), "stream error stanza.from-invalid");
}

}  // namespace
}  // namespace sallyport::s2s::dialogue
