// Accepted streams: dialback in both of its roles there, and refusals.
#include "base/limits.h"
#include "s2s/inbound_dialogue.h"

namespace sallyport::s2s::dialogue::accepting {
namespace {

std::string refusal(const std::string& condition, std::string_view code) {
  return dialback_error("remote.example", "local.example", condition, code);
}
void remote_is_denied(TestPolicy& policy) {
  policy.usual.authenticate = Authenticate::kDialback;
  policy.refused.emplace(domain("remote.example"), Code::kPolicyDenied);
}
std::string verify_error(const std::string& from, const std::string& n, const std::string& condition,
                         std::string_view code) {
  return "<db:verify from='" + from + "' to='remote.example' id='" + n + "' type='error'>" +
         error_inside(condition, code) + "</db:verify>";
}

// --- db:result

TEST(InboundDialback, a_certificate_for_one_name_proves_no_other) {
  // CVE-2021-32919: EXTERNAL for remote.example, then a key for victim.example.
  converse("THREATS B3", {}, authenticated(),
           {says(result("victim.example", "local.example", "k"))
                .yields({"VerifyKey local.example<victim.example " + id(3) + " k"}),
            verified(pair("local.example", "victim.example"), 3, VerifyAnswer{true, false})
                .writes({dialback_error("victim.example", "local.example", "not-authorized",
                                        "tls.no-certificate")})
                .yields({"PairRefused local.example<victim.example tls.no-certificate"}),
            says("<message from='u@victim.example' to='v@local.example'/>")
                .writes({stream_error("invalid-from", "stanza.from-invalid")})
                .yields({"Closed stanza.from-invalid"})});
}

TEST(InboundDialback, an_unknown_target_is_told_so_and_the_stream_lives) {
  converse("item-not-found", dns_is_enough, until_dialback(),
           {says(result("remote.example", "nobody.example", "k"))
                .writes({dialback_error("remote.example", "nobody.example", "item-not-found",
                                        "stream.host-unknown")})
                .yields({"PairRefused nobody.example<remote.example stream.host-unknown"}),
            asked(),
            verified(kPair, 2, VerifyAnswer{true, false})
                .writes({valid("remote.example")})
                .yields({kAdmittedDialback})});
}

TEST(InboundDialback, a_refused_peer_learns_why_and_is_sent_off) {
  converse("policy", remote_is_denied, until_dialback(),
           {says(kResult)
                .writes({refusal("policy-violation", "policy.denied")})
                .yields({"PairRefused local.example<remote.example policy.denied"}),
            time_is_up().after(limits::kCloseTimeout - 1us), time_is_up().after(1us).writes({kFooter}),
            says(kFooter).yields({"Closed policy.denied"})});
  // It may go by itself, too.
  converse("leaves", remote_is_denied, until_dialback(),
           {says(kFooter).writes({kFooter}).yields({"Closed policy.denied"})});
}

TEST(InboundDialback, a_key_that_is_not_valid_ends_a_stream_without_other_pairs) {
  converse("invalid", dns_is_enough, until_dialback() + Steps{asked()},
           {verified(kPair, 2, VerifyAnswer{false, true})
                .writes({"<db:result from='local.example' to='remote.example' type='invalid'/>", kFooter})
                .yields({"PairRefused local.example<remote.example dialback.invalid"}),
            says(kFooter).yields({"Closed dialback.invalid"})});
}

TEST(InboundDialback, a_key_that_is_not_valid_leaves_other_pairs_alone) {
  converse("forbidden", {}, authenticated(),
           {says(result("evil.example", "local.example", "k"))
                .yields({"VerifyKey local.example<evil.example " + id(3) + " k"}),
            verified(pair("local.example", "evil.example"), 3, VerifyAnswer{false, false})
                .writes({dialback_error("evil.example", "local.example", "forbidden", "dialback.invalid")})
                .yields({"PairRefused local.example<evil.example dialback.invalid"}),
            says(kMessage).yields({kDeliver})});
}

TEST(InboundDialback, a_verification_that_fails_is_a_dialback_error) {
  const std::pair<Code, const char*> cases[] = {{Code::kDialbackUnreachable, "remote-connection-failed"},
                                                {Code::kDnsNoName, "remote-server-not-found"},
                                                {Code::kDialbackTimeout, "remote-server-timeout"},
                                                {Code::kDialbackError, "remote-server-not-found"}};
  for (const auto& [code, condition] : cases) {
    converse(condition, dns_is_enough, until_dialback() + Steps{asked()},
             {verified(kPair, 2, Error{code, "inside 10.0.0.5"})
                  .writes({refusal(condition, code_row(code).name)})
                  .yields({"PairRefused local.example<remote.example " + std::string(code_row(code).name)})});
  }
}

TEST(InboundDialback, the_peer_never_learns_the_text_of_an_error) {
  Lone lone(dns_is_enough);
  lone.go(until_dialback() + Steps{asked()});
  const auto answer = lone.trial->perform(verified(kPair, 2, Error{Code::kInternal, "10.0.0.5"}), 1);
  EXPECT_EQ(answer.written.find("10.0.0.5"), std::string::npos);
}

TEST(InboundDialback, a_verification_that_is_not_answered_times_out) {
  converse("timeout", dns_is_enough, until_dialback() + Steps{asked()},
           {time_is_up().after(limits::kDialbackTimeout - 1us),
            time_is_up()
                .after(1us)
                .writes({refusal("remote-server-timeout", "dialback.timeout")})
                .yields({"PairRefused local.example<remote.example dialback.timeout"}),
            // Too late: nothing is proved by it.
            verified(kPair, 2, VerifyAnswer{true, true})});
}

TEST(InboundDialback, verdicts_count_only_for_a_question_of_this_stream) {
  converse("other stream, other pair", dns_is_enough, until_dialback() + Steps{asked()},
           {verified(kPair, 1, VerifyAnswer{true, true}), verified(kPair, 9, VerifyAnswer{true, true}),
            verified(pair("other-local.example", "remote.example"), 2, VerifyAnswer{true, true}),
            verified(pair("local.example", "evil.example"), 2, VerifyAnswer{true, true}),
            says(kResult),  // asked already: one answer will do
            verified(kPair, 2, VerifyAnswer{true, false})
                .writes({valid("remote.example")})
                .yields({kAdmittedDialback}),
            verified(kPair, 2, VerifyAnswer{true, false})});
}

TEST(InboundDialback, an_answer_on_an_accepted_stream_is_a_forgery) {
  for (const char* type : {"valid", "invalid", "error"}) {
    for (const char* name : {"result", "verify"}) {
      converse("THREATS B1", dns_is_enough, until_dialback() + Steps{asked()},
               {says(fmt::format("<db:{} from='remote.example' to='local.example' id='{}' type='{}'/>", name,
                                 id(2), type))
                    .writes({stream_error("policy-violation", "dialback.unsolicited")})
                    .yields({"Closed dialback.unsolicited"})});
    }
  }
}

TEST(InboundDialback, policy_is_asked_again_when_the_verdict_comes) {
  Lone lone(dns_is_enough);
  lone.go(until_dialback() + Steps{asked()});
  lone.world.policy.refused.emplace(domain("remote.example"), Code::kPolicyNotListed);
  const auto answer = lone.trial->perform(verified(kPair, 2, VerifyAnswer{true, true}), 1);
  EXPECT_EQ(answer.outputs,
            std::vector<std::string>{"PairRefused local.example<remote.example policy.not-listed"});
  expect_written(answer.written, {refusal("policy-violation", "policy.not-listed")}, "");
}

TEST(InboundDialback, malformed_elements_end_the_stream) {
  struct {
    std::string bytes;
    const char* condition;
    const char* code;
  } cases[] = {
      {"<db:result to='local.example'>k</db:result>", "improper-addressing", "stream.header-invalid"},
      {"<db:result from='remote.example'>k</db:result>", "improper-addressing", "stream.header-invalid"},
      {"<db:result from='remote.example' to='local.example'/>", "bad-format", "dialback.malformed"},
      {"<db:verify from='remote.example' to='local.example'>k</db:verify>", "bad-format",
       "dialback.malformed"},
      {"<db:result from='remote.example' to='local.example' type='x'>k</db:result>", "bad-format",
       "dialback.malformed"},
      {"<db:else from='remote.example' to='local.example'/>", "policy-violation", "stream.order"},
      {"<stream:features/>", "unsupported-stanza-type", "stanza.unknown"},
      {"<r xmlns='urn:xmpp:sm:3'/>", "policy-violation", "stream.order"},
  };
  for (const auto& [bytes, condition, code] : cases) {
    Lone lone(dns_is_enough);
    lone.go(until_dialback());
    const auto answer = lone.trial->bytes(bytes);
    EXPECT_EQ(answer.outputs, std::vector<std::string>{std::string("Closed ") + code}) << bytes;
    expect_written(answer.written, {stream_error(condition, code)}, bytes);
  }
}

TEST(InboundDialback, verifications_at_once_are_bounded) {
  Lone lone(dns_is_enough);
  lone.go(until_dialback());
  const auto ask = [&](std::size_t n) {
    return lone.trial->bytes(result(fmt::format("r{}.example", n), "local.example", "k"));
  };
  for (std::size_t n = 1; n <= limits::kVerificationsPerStreamMax; ++n) {
    EXPECT_EQ(ask(n).outputs.size(), 1u);
  }
  const auto over = ask(limits::kVerificationsPerStreamMax + 1);
  EXPECT_EQ(over.outputs, std::vector<std::string>{"PairRefused local.example<r9.example dialback.too-many"});
  expect_written(over.written,
                 {dialback_error("r9.example", "local.example", "resource-constraint", "dialback.too-many")},
                 "");
  lone.trial->perform(verified(pair("local.example", "r1.example"), 2, VerifyAnswer{true, false}), 1);
  EXPECT_EQ(ask(9).outputs, std::vector<std::string>{"VerifyKey local.example<r9.example " + id(2) + " k"});
}

TEST(InboundDialback, pairs_on_a_stream_are_bounded) {
  Lone lone;
  lone.go(until_secure({"*.remote.example"}, {kFeaturesDialback}));
  const auto ask = [&](std::size_t n) {
    return lone.trial->bytes(result(fmt::format("r{}.remote.example", n), "local.example", "k"));
  };
  for (std::size_t n = 1; n <= limits::kPairsPerStreamMax; ++n) {
    EXPECT_EQ(ask(n).outputs.front().substr(0, 8), "Admitted");
  }
  EXPECT_EQ(lone.trial->machine().proofs().size(), limits::kPairsPerStreamMax);
  const auto over = ask(limits::kPairsPerStreamMax + 1);
  EXPECT_EQ(over.outputs,
            std::vector<std::string>{"PairRefused local.example<r65.remote.example dialback.too-many"});
  EXPECT_FALSE(lone.trial->closed());
}

// --- db:verify

TEST(InboundDialback, a_key_of_a_local_domain_is_checked_whatever_policy_says) {
  converse("verify", remote_is_denied, until_dialback(),
           {says(verify("remote.example", "local.example", "77", "k"))
                .yields({"CheckKey local.example<remote.example 77 k"}),
            checked(kPair, "77", true).writes({verify_answer("valid")}),
            says(verify("remote.example", "local.example", "78", "k"))
                .yields({"CheckKey local.example<remote.example 78 k"}),
            checked(kPair, "78", false).writes({verify_answer("invalid", "78")}),
            checked(kPair, "78", true),  // nobody asks any more
            says(kFooter).writes({kFooter}).yields({"Closed"})});
}

TEST(InboundDialback, a_key_is_still_checked_after_its_asker_was_refused) {
  converse("refused, then verify", remote_is_denied, until_dialback(),
           {says(kResult)
                .writes({refusal("policy-violation", "policy.denied")})
                .yields({"PairRefused local.example<remote.example policy.denied"}),
            says(verify("remote.example", "local.example", "77", "k"))
                .yields({"CheckKey local.example<remote.example 77 k"}),
            time_is_up().after(limits::kCloseTimeout),  // an answer is owed: not yet
            checked(kPair, "77", true).writes({verify_answer("valid")}),
            time_is_up().after(limits::kCloseTimeout).writes({kFooter}),
            says(kFooter).yields({"Closed policy.denied"})});
}

TEST(InboundDialback, a_check_that_cannot_be_made_is_a_dialback_error) {
  const S ask = says(verify("remote.example", "local.example", "77", "k"))
                    .yields({"CheckKey local.example<remote.example 77 k"});
  converse("no core", {}, until_dialback(),
           {ask, checked(kPair, "77", Error{Code::kLinkDown, {}})
                     .writes({verify_error("local.example", "77", "remote-server-timeout", "link.down")})});
  converse(
      "no answer", {}, until_dialback(),
      {ask, time_is_up()
                .after(limits::kDialbackTimeout)
                .writes({verify_error("local.example", "77", "remote-server-timeout", "dialback.timeout")})});
  converse("not ours", {}, until_dialback(),
           {says(verify("remote.example", "nobody.example", "77", "k"))
                .writes({verify_error("nobody.example", "77", "item-not-found", "stream.host-unknown")})});
}

TEST(InboundDialback, checks_at_once_are_told_apart_and_bounded) {
  Lone lone;
  lone.go(until_dialback());
  const auto ask = [&](const std::string& n, const std::string& key) {
    return lone.trial->bytes(verify("remote.example", "local.example", n, key));
  };
  for (std::size_t n = 1; n <= limits::kVerificationsPerStreamMax; ++n) {
    EXPECT_EQ(ask(std::to_string(n), "k").outputs.size(), 1u);
  }
  EXPECT_EQ(ask("1", "k").written, "") << "the same question: one answer";
  expect_written(ask("1", "other").written,
                 {verify_error("local.example", "1", "resource-constraint", "dialback.too-many")},
                 "another key for the same id");
  const auto over = ask("99", "k");
  EXPECT_TRUE(over.outputs.empty());
  expect_written(over.written,
                 {verify_error("local.example", "99", "resource-constraint", "dialback.too-many")}, "");
}

}  // namespace
}  // namespace sallyport::s2s::dialogue::accepting
