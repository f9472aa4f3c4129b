// Accepted streams whose policy does not know every name: what is held back until the answer, and what each
// answer leads to.
#include "base/limits.h"
#include "s2s/inbound_dialogue.h"

namespace sallyport::s2s::dialogue::accepting {
namespace {

const std::string kAsk = "AskAdmission local.example<remote.example";
void remote_is_unknown(TestPolicy& policy) {
  policy.usual.authenticate = Authenticate::kDialback;
  policy.unknown.insert(domain("remote.example"));
}
Steps until_secure_header(std::vector<std::string> names) {
  return {says(kHeader).writes({our_header(1), kTlsOffer}),
          says(kStartTls).writes({kProceed}).yields({"StartTls local.example -"}),
          secured(facts(std::move(names)))};
}
// The features are held back.
Steps until_held() {
  return until_secure_header({"remote.example"}) +
         Steps{says(kHeader).writes({our_header(2)}).yields({kAsk})};
}
// Held back, then the answer could not be had: EXTERNAL is offered all the same.
Steps until_external_unknown() {
  return until_held() + Steps{told(kPair, Error{Code::kLinkDown, {}}).writes({kFeaturesExternal})};
}
Steps until_dialback_unknown() {
  return until_secure_header({}) + Steps{says(kHeader).writes({our_header(2), kFeaturesDialback})};
}
const Error kInternalName{Code::kPolicyInsideName, {}};

TEST(InboundAdmission, features_wait_for_the_answer) {
  converse("admitted", remote_is_unknown, until_held(), {told(kPair, {}).writes({kFeaturesExternal})});
  converse("refused", remote_is_unknown, until_held(),
           {told(kPair, kInternalName).writes({kFeaturesDialback})});
  converse("no answer", remote_is_unknown, until_held(),
           {told(kPair, Error{Code::kLinkDown, {}}).writes({kFeaturesExternal})});
  converse("an answer about another pair", remote_is_unknown, until_held(),
           {told(pair("local.example", "other.example"), {}), told(kPair, {}).writes({kFeaturesExternal})});
}

TEST(InboundAdmission, features_that_offer_nothing_do_not_wait) {
  converse("no certificate for the name", remote_is_unknown, until_secure_header({"other.example"}),
           {says(kHeader).writes({our_header(2), kFeaturesDialback})});
  const auto refused = [](TestPolicy& policy) {
    remote_is_unknown(policy);
    policy.refused.emplace(domain("remote.example"), Code::kPolicyDenied);
  };
  converse("refused here", refused, until_secure_header({"remote.example"}),
           {says(kHeader).writes({our_header(2), kFeaturesDialback})});
}

TEST(InboundAdmission, an_answer_that_never_comes_ends_with_the_negotiation) {
  converse("silence", remote_is_unknown, until_held(),
           {time_is_up()
                .after(limits::kNegotiationTimeout)
                .writes({stream_error("connection-timeout", "stream.negotiation-timeout")})
                .yields({"Closed stream.negotiation-timeout"})});
}

TEST(InboundAdmission, auth_waits_for_the_answer) {
  const S asks = says(auth("=")).yields({kAsk});
  converse("admitted", remote_is_unknown, until_external_unknown(),
           {asks, told(kPair, {})
                      .writes({kSuccess})
                      .yields({"Admitted local.example<remote.example external", kAsk + " proved"})});
  converse("refused", remote_is_unknown, until_external_unknown(),
           {asks, told(kPair, kInternalName)
                      .writes({failure("not-authorized")})
                      .yields({"PairRefused local.example<remote.example policy.inside-name"})});
  converse("no answer", remote_is_unknown, until_external_unknown(),
           {asks, told(kPair, Error{Code::kLinkBusy, {}})
                      .writes({failure("temporary-auth-failure")})
                      .yields({"PairRefused local.example<remote.example link.busy"})});
}

TEST(InboundAdmission, nothing_may_follow_auth_while_it_waits) {
  for (const auto& bytes : {auth("="), kResult, kStartTls})
    converse(bytes, remote_is_unknown, until_external_unknown() + Steps{says(auth("=")).yields({kAsk})},
             {says(bytes)
                  .writes({stream_error("policy-violation", "stream.order")})
                  .yields({"Closed stream.order"})});
}

TEST(InboundAdmission, a_result_waits_for_the_answer_and_only_then_is_verified) {
  const S asks = says(kResult).yields({kAsk});
  converse("admitted", remote_is_unknown, until_dialback_unknown(),
           {asks, told(kPair, {}).yields({"VerifyKey local.example<remote.example " + id(2) + " k"})});
  converse("refused", remote_is_unknown, until_dialback_unknown(),
           {asks, told(kPair, kInternalName)
                      .writes({dialback_error("remote.example", "local.example", "policy-violation",
                                              "policy.inside-name")})
                      .yields({"PairRefused local.example<remote.example policy.inside-name"})});
  converse(
      "no answer", remote_is_unknown, until_dialback_unknown(),
      {asks,
       told(kPair, Error{Code::kLinkDown, {}})
           .writes({dialback_error("remote.example", "local.example", "remote-server-timeout", "link.down")})
           .yields({"PairRefused local.example<remote.example link.down"})});
  converse("asked twice", remote_is_unknown, until_dialback_unknown(),
           {asks, says(kResult),
            told(kPair, {}).yields({"VerifyKey local.example<remote.example " + id(2) + " k"})});
  converse("not asked about", remote_is_unknown, until_dialback_unknown(), {told(kPair, {})});
}

TEST(InboundAdmission, a_result_whose_answer_never_comes_is_refused_in_time) {
  converse("silence", remote_is_unknown, until_dialback_unknown(),
           {says(kResult).yields({kAsk}),
            time_is_up()
                .after(limits::kDialbackTimeout)
                .writes({dialback_error("remote.example", "local.example", "remote-server-timeout",
                                        "dialback.timeout")})
                .yields({"PairRefused local.example<remote.example dialback.timeout"}),
            told(kPair, {})});
}

TEST(InboundAdmission, as_many_results_wait_as_may_be_verified) {
  const auto all_unknown = [](TestPolicy& policy) {
    for (std::size_t i = 0; i <= limits::kVerificationsPerStreamMax; ++i)
      policy.unknown.insert(domain("r" + std::to_string(i) + ".example"));
  };
  Steps steps;
  for (std::size_t i = 0; i < limits::kVerificationsPerStreamMax; ++i) {
    const std::string name = "r" + std::to_string(i) + ".example";
    steps.push_back(says(result(name, "local.example", "k")).yields({"AskAdmission local.example<" + name}));
  }
  const std::string last = "r" + std::to_string(limits::kVerificationsPerStreamMax) + ".example";
  steps.push_back(
      says(result(last, "local.example", "k"))
          .writes({dialback_error(last, "local.example", "resource-constraint", "dialback.too-many")})
          .yields({"PairRefused local.example<" + last + " dialback.too-many"}));
  converse("one too many", all_unknown, until_dialback(), steps);
}

TEST(InboundAdmission, a_proved_pair_keeps_what_it_has_while_it_is_asked_about_again) {
  World world;
  world.policy.usual.authenticate = Authenticate::kDialback;
  Trial<Inbound> trial(Inbound(world.policy, world.random, false, Time(1h)));
  for (const S& step : authenticated()) trial.perform(step, std::string::npos);
  world.policy.unknown.insert(domain("remote.example"));
  trial.machine().check_again(trial.now());
  EXPECT_EQ(trial.take().outputs, std::vector<std::string>{kAsk + " proved"});
  EXPECT_EQ(trial.bytes(kMessage).outputs, std::vector<std::string>{kDeliver});
  // The answer comes by way of the policy.
  world.policy.unknown.clear();
  world.policy.refused.emplace(domain("remote.example"), Code::kPolicyInsideName);
  trial.machine().check_again(trial.now());
  EXPECT_EQ(trial.take().outputs,
            (std::vector<std::string>{"PairRefused local.example<remote.example policy.inside-name",
                                      "Closed policy.inside-name"}));
}

}  // namespace
}  // namespace sallyport::s2s::dialogue::accepting
