// Initiated streams: dialback for our own pairs, further pairs, and questions about keys.
#include "base/limits.h"
#include "s2s/outbound_dialogue.h"

namespace sallyport::s2s::dialogue::initiating {
namespace {

// --- dialback for our pairs

TEST(OutboundDialback, a_refused_key_ends_a_stream_that_carries_nothing_else) {
  converse("invalid", {}, asked(),
           {says(result("invalid"))
                .writes({kFooter})
                .yields({"PairFailed local.example<remote.example dialback.invalid"}),
            says(kFooter).yields({"Closed dialback.invalid"})});
  converse("error", {}, asked(),
           {says(result("error", "local.example", kDialbackError))
                .writes({kFooter})
                .yields({"PairFailed local.example<remote.example dialback.error"}),
            says(kFooter).yields({"Closed dialback.error"})});
  converse("no key", {},
           until_secure() + Steps{says(header(2) + features(kOffersDialback))
                                      .yields({"NeedKey local.example<remote.example s2"})},
           {keyed(kPair, "s2", Error{Code::kLinkDown, {}})
                .writes({kFooter})
                .yields({"PairFailed local.example<remote.example link.down"}),
            says(kFooter).yields({"Closed link.down"})});
}

TEST(OutboundDialback, the_peers_condition_is_kept) {
  Lone lone;
  lone.go(asked());
  lone.trial->machine().handle_bytes(result("error", "local.example", kDialbackError), lone.trial->now());
  const auto output = lone.trial->machine().poll();
  ASSERT_TRUE(output && std::holds_alternative<PairFailed>(*output));
  EXPECT_EQ(std::get<PairFailed>(*output).error.text, "policy-violation");
}

TEST(OutboundDialback, an_answer_that_nobody_asked_for_ends_the_stream) {
  const std::string kForged = "Closed dialback.unsolicited";
  const std::string answers[] = {
      "<db:result from='bank.example' to='local.example' type='valid'/>",
      result("valid", "other-local.example"), verdict("valid"), verdict("invalid", "guess"),
      "<db:result from='remote.example' to='local.example' type='valid'/><db:result from='remote.example' "
      "to='local.example' type='valid'/>"};
  for (const std::string& bytes : answers) {
    Lone lone;
    lone.go(asked());
    EXPECT_EQ(lone.trial->bytes(bytes).outputs.back(), kForged) << bytes;
  }
  converse("THREATS B1", {}, authenticated(),
           {says(result("valid", "other-local.example"))
                .writes({stream_error("policy-violation", "dialback.unsolicited")})
                .yields({kForged})});
  // Before the key is out there is nothing to answer.
  converse("too early", {},
           until_secure() + Steps{says(header(2) + features(kOffersDialback))
                                      .yields({"NeedKey local.example<remote.example s2"})},
           {says(result("valid"))
                .writes({stream_error("policy-violation", "dialback.unsolicited")})
                .yields({"PairFailed local.example<remote.example dialback.unsolicited", kForged})});
}

TEST(OutboundDialback, a_key_counts_only_for_its_stream) {
  converse("keys", {},
           until_secure() + Steps{says(header(2) + features(kOffersDialback))
                                      .yields({"NeedKey local.example<remote.example s2"})},
           {keyed(kPair, "s1", std::string("k")), keyed(kOther, "s2", std::string("k")),
            keyed(kPair, "s2", std::string("k")).writes({ask("local.example", "k")}),
            keyed(kPair, "s2", std::string("k"))});
}

TEST(OutboundDialback, further_pairs_join_by_dialback_and_are_checked_one_by_one) {
  converse("second pair", {}, authenticated(),
           {adds(kOther).yields({"NeedKey other-local.example<remote.example s3"}), adds(kOther),
            keyed(kOther, "s3", std::string("k2")).writes({ask("other-local.example", "k2")}),
            says(result("valid", "other-local.example"))
                .yields({"PairReady other-local.example<remote.example external"}),
            adds(kPair)});
  converse("it fails alone", {}, authenticated(),
           {adds(kOther).yields({"NeedKey other-local.example<remote.example s3"}),
            keyed(kOther, "s3", std::string("k2")).writes({ask("other-local.example", "k2")}),
            says(result("error", "other-local.example", kDialbackError))
                .yields({"PairFailed other-local.example<remote.example dialback.error"}),
            adds(kOther).yields({"NeedKey other-local.example<remote.example s3"})});
  converse("another remote domain", {}, authenticated(),
           {adds(pair("local.example", "victim.example"))
                .yields({"PairFailed local.example<victim.example internal.error"})});
}

TEST(OutboundDialback, pairs_added_early_wait_for_the_end_of_negotiation) {
  converse("early", {}, {adds(kOther)},
           until_secure() + Steps{says(header(2) + kOffersBoth).writes({kAuth}),
                                  says(kSuccess).writes({kOurHeader}),
                                  says(header(3) + features(kOffersDialback))
                                      .yields({kReady, "NeedKey other-local.example<remote.example s3"})});
}

TEST(OutboundDialback, pairs_on_a_stream_are_bounded) {
  Lone lone;
  lone.go(authenticated());
  const auto add = [&](std::size_t n) {
    return lone.go({adds(pair(fmt::format("l{}.example", n), "remote.example"))}).outputs;
  };
  for (std::size_t n = 1; n < limits::kPairsPerStreamMax; ++n)
    EXPECT_EQ(add(n).front().substr(0, 7), "NeedKey");
  EXPECT_EQ(add(limits::kPairsPerStreamMax),
            Outputs{"PairFailed l64.example<remote.example dialback.too-many"});
  // A pair that failed makes room.
  lone.go({keyed(pair("l1.example", "remote.example"), "s3", Error{Code::kLinkDown, {}})});
  EXPECT_EQ(add(limits::kPairsPerStreamMax), Outputs{"NeedKey l64.example<remote.example s3"});
}

TEST(OutboundDialback, dialback_that_is_not_answered_times_out) {
  converse(
      "timeout", {},
      authenticated() +
          Steps{adds(kOther).yields({"NeedKey other-local.example<remote.example s3"}),
                keyed(kOther, "s3", std::string("k")).writes({ask("other-local.example", "k")})},
      {time_is_up().after(limits::kDialbackTimeout - 1us),
       time_is_up().after(1us).yields({"PairFailed other-local.example<remote.example dialback.timeout"}),
       says(result("valid", "other-local.example")),  // late, but no forgery
       says(result("valid", "other-local.example"))
           .writes({stream_error("policy-violation", "dialback.unsolicited")})
           .yields({"Closed dialback.unsolicited"})});
}

// --- questions

TEST(OutboundDialback, questions_are_asked_when_negotiation_has_ended) {
  ask_only(
      "verify", dns_is_enough,
      {verifies("77", "k"), connected(), says(header(1) + features(kOffersTls)).writes({kAsksTls}),
       says(kProceed).yields({"StartTls local.example remote.example"}), secured(facts({"remote.example"}))},
      {says(header(2) + kOffersBoth).writes({question("77", "k")}),
       verifies("78", "k2").writes({question("78", "k2")}),
       says(verdict("invalid", "78"))
           .yields({"Verified local.example<remote.example 78 invalid certificate"}),
       says(verdict("valid")).yields({"Verified local.example<remote.example 77 valid certificate"}),
       says(verdict("valid"))
           .writes({stream_error("policy-violation", "dialback.unsolicited")})
           .yields({"Closed dialback.unsolicited"})});
  ask_only("without certificate", {}, until_secure({}) + Steps{says(header(2) + features(kOffersDialback))},
           {verifies("77", "k").writes({question("77", "k")}),
            says(verdict("valid")).yields({"Verified local.example<remote.example 77 valid"}),
            verifies("78", "k").writes({question("78", "k")}),
            says(verdict("error", "78", kDialbackError))
                .yields({"Verified local.example<remote.example 78 dialback.error"})});
}

TEST(OutboundDialback, questions_and_pairs_share_a_stream) {
  converse("both", {}, authenticated(),
           {verifies("77", "k").writes({question("77", "k")}),
            says(verdict("valid")).yields({"Verified local.example<remote.example 77 valid certificate"})});
}

TEST(OutboundDialback, a_pair_that_fails_does_not_end_a_question) {
  converse("question out", {}, asked() + Steps{verifies("77", "k").writes({question("77", "k")})},
           {says(result("error", "local.example", kDialbackError))
                .yields({"PairFailed local.example<remote.example dialback.error"}),
            says(verdict("valid")).yields({"Verified local.example<remote.example 77 valid certificate"})});
}

TEST(OutboundDialback, every_question_is_answered_before_the_end) {
  ask_only("connection refused", {}, {verifies("77", "k")},
           {event<Outbound>([](Outbound& out, Time) {
              out.handle_disconnected(Error{Code::kDialRefused, {}});
            }).yields({"Verified local.example<remote.example 77 dial.refused", "Closed dial.refused"})});
  ask_only("footer", {},
           until_secure() +
               Steps{says(header(2) + kOffersBoth), verifies("77", "k").writes({question("77", "k")})},
           {says(kFooter).writes({kFooter}).yields(
               {"Verified local.example<remote.example 77 stream.closed-by-peer",
                "Closed stream.closed-by-peer"})});
  ask_only("timeout", {},
           until_secure() +
               Steps{says(header(2) + kOffersBoth), verifies("77", "k").writes({question("77", "k")})},
           {time_is_up()
                .after(limits::kDialbackTimeout)
                .yields({"Verified local.example<remote.example 77 dialback.timeout"}),
            says(verdict("valid"))});
  ask_only("wrong server", {}, {},
           {verifies("77", "k", pair("local.example", "else.example"))
                .yields({"Verified local.example<else.example 77 dialback.unreachable"})});
}

TEST(OutboundDialback, questions_at_once_are_bounded) {
  Lone lone({}, false);
  lone.go(until_secure() + Steps{says(header(2) + kOffersBoth)});
  for (std::size_t n = 0; n < limits::kQuestionsPerStreamMax; ++n) {
    EXPECT_TRUE(lone.go({verifies(std::to_string(n), "k")}).outputs.empty());
  }
  EXPECT_EQ(lone.go({verifies("over", "k")}).outputs,
            Outputs{"Verified local.example<remote.example over dialback.too-many"});
}

}  // namespace
}  // namespace sallyport::s2s::dialogue::initiating
