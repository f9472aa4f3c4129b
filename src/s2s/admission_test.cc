#include "s2s/admission.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "s2s/stream_fixture.h"

namespace sallyport::s2s::dialogue {
namespace {

using Outputs = std::vector<std::string>;
const Pair kFirst = pair("local.example", "remote.example");
const Pair kSecond = pair("local.example", "rooms.remote.example");

struct AdmissionTest : ::testing::Test {
  AdmissionTest() { policy.usual.tls = TlsRule::kOptional; }

  Outputs take() {
    Outputs out;
    while (!outputs.empty()) out.push_back(describe(outputs.pop_front()));
    return out;
  }
  std::string check(const Pair& p) {
    const Result<void> good = admission.check(p);
    return good ? "good" : text(good.error());
  }

  TestPolicy policy;
  LoneStream lone{Phase::kSecureFeatures};
  ReceiveLane lane;
  ReceivingOutputs outputs;
  Admission admission{lone.stream, policy, lane, outputs};
};

TEST_F(AdmissionTest, a_pair_is_held_to_its_own_rules) {
  EXPECT_EQ(check(kFirst), "good");
  EXPECT_EQ(check(pair("nobody.example", "remote.example")), "stream.host-unknown");
  PeerRules strict;
  strict.tls = TlsRule::kRequired;
  policy.special.emplace(kSecond.remote, strict);
  EXPECT_EQ(check(kFirst), "good");
  EXPECT_EQ(check(kSecond), "tls.required");
  policy.refused.emplace(kSecond.remote, Code::kPolicyDenied);
  EXPECT_EQ(check(kSecond), "policy.denied") << "policy comes before TLS";
}

TEST_F(AdmissionTest, a_question_is_out_once_until_it_ends) {
  EXPECT_FALSE(admission.ask(kFirst)) << "policy here knows";
  policy.unknown.insert(kFirst.remote);
  EXPECT_TRUE(admission.ask(kFirst));
  EXPECT_TRUE(admission.ask(kFirst));
  EXPECT_EQ(take(), Outputs{"AskAdmission " + text(kFirst)});
  EXPECT_TRUE(admission.end_question(kFirst));
  EXPECT_FALSE(admission.end_question(kFirst));
  EXPECT_TRUE(admission.ask(kFirst));
  EXPECT_EQ(take(), Outputs{"AskAdmission " + text(kFirst)});
}

TEST_F(AdmissionTest, a_proof_opens_the_lane_and_clears_the_refusal) {
  admission.refuse(kSecond, {Code::kPolicyDenied, {}});
  EXPECT_EQ(admission.refusal()->code, Code::kPolicyDenied);
  admission.admit(proof(kFirst));
  EXPECT_FALSE(admission.refusal());
  EXPECT_TRUE(lane.has(kFirst));
  EXPECT_EQ(lone.stream.phase(), Phase::kReady);
  EXPECT_EQ(take(), (Outputs{"PairRefused " + text(kSecond) + " policy.denied",
                             "Admitted " + text(kFirst) + " external"}));
}

TEST_F(AdmissionTest, a_proved_pair_that_policy_does_not_know_is_asked_about) {
  policy.unknown.insert(kFirst.remote);
  admission.admit(proof(kFirst));
  const std::string asked = "AskAdmission " + text(kFirst) + " proved";
  EXPECT_EQ(take(), (Outputs{"Admitted " + text(kFirst) + " external", asked}));
  admission.check_again();
  EXPECT_EQ(take(), Outputs{asked});
  EXPECT_TRUE(lane.has(kFirst)) << "it keeps what it has";
}

TEST_F(AdmissionTest, a_pair_that_policy_ends_leaves_the_stream_and_the_last_one_ends_it) {
  admission.admit(proof(kFirst));
  admission.admit(proof(kSecond));
  take();
  policy.refused.emplace(kSecond.remote, Code::kPolicyDenied);
  admission.check_again();
  EXPECT_EQ(take(), Outputs{"PairRefused " + text(kSecond) + " policy.denied"});
  EXPECT_FALSE(lane.has(kSecond));
  EXPECT_FALSE(lone.ended);
  policy.served.clear();
  admission.check_again();
  EXPECT_EQ(take(), Outputs{"PairRefused " + text(kFirst) + " stream.host-unknown"});
  ASSERT_TRUE(lone.end);
  EXPECT_EQ(lone.end->code, Code::kStreamHostUnknown);
}

}  // namespace
}  // namespace sallyport::s2s::dialogue
