// Accepted streams: dialback in both of its roles there, refusals, stanzas, time.
#include "base/limits.h"
#include "s2s/inbound_dialogue.h"

namespace sallyport::s2s::dialogue::accepting {
namespace {

const std::string kAsk = result("remote.example", "local.example", "k");
S asked() { return says(kAsk).yields({"VerifyKey local.example<remote.example " + id(2) + " k"}); }
std::string refusal(const std::string& condition) {
  return dialback_error("remote.example", "local.example", condition);
}
void remote_is_denied(TestJudge& judge) {
  judge.usual.authenticate = Authenticate::kDialback;
  judge.refused.emplace(domain("remote.example"), Code::kPolicyDenied);
}
std::string verify_answer(const std::string& type, const std::string& n = "77") {
  return "<db:verify from='local.example' to='remote.example' id='" + n + "' type='" + type + "'";
}

// A machine of its own whose policy the test may change on the way.
struct Lone {
  explicit Lone(const Policy& policy = {}) {
    if (policy) policy(world.judge);
    trial.emplace(Inbound(world.judge, world.random, false, Time(1h)));
  }
  void go(const Steps& steps) {
    for (const S& step : steps) trial->perform(step, std::string::npos);
  }
  World world;
  std::optional<Trial<Inbound>> trial;
};

// --- db:result

TEST(InboundDialback, a_certificate_for_one_name_proves_no_other) {
  // CVE-2021-32919: EXTERNAL for remote.example, then a key for victim.example.
  converse("THREATS B3", {}, authenticated(),
           {says(result("victim.example", "local.example", "k"))
                .yields({"VerifyKey local.example<victim.example " + id(3) + " k"}),
            verified(pair("local.example", "victim.example"), 3, VerifyAnswer{true, false})
                .writes({dialback_error("victim.example", "local.example", "not-authorized")})
                .yields({"PairRefused local.example<victim.example tls.no-certificate"}),
            says("<message from='u@victim.example' to='v@local.example'/>")
                .writes(stream_error("invalid-from"))
                .yields({"Closed stanza.from-invalid"})});
}

TEST(InboundDialback, an_unknown_target_is_told_so_and_the_stream_lives) {
  converse("item-not-found", dns_is_enough, until_dialback(),
           {says(result("remote.example", "nobody.example", "k"))
                .writes({dialback_error("remote.example", "nobody.example", "item-not-found")})
                .yields({"PairRefused nobody.example<remote.example stream.host-unknown"}),
            asked(),
            verified(kPair, 2, VerifyAnswer{true, false})
                .writes({valid("remote.example")})
                .yields({kAdmittedDialback})});
}

TEST(InboundDialback, a_refused_peer_learns_why_and_is_sent_off) {
  converse("policy", remote_is_denied, until_dialback(),
           {says(kAsk)
                .writes({refusal("policy-violation"), "The remote domain is on the deny list."})
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
                .writes({dialback_error("evil.example", "local.example", "forbidden")})
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
                  .writes({refusal(condition)})
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
                .writes({refusal("remote-server-timeout")})
                .yields({"PairRefused local.example<remote.example dialback.timeout"}),
            // Too late: nothing is proved by it.
            verified(kPair, 2, VerifyAnswer{true, true})});
}

TEST(InboundDialback, verdicts_count_only_for_a_question_of_this_stream) {
  converse("other stream, other pair", dns_is_enough, until_dialback() + Steps{asked()},
           {verified(kPair, 1, VerifyAnswer{true, true}), verified(kPair, 9, VerifyAnswer{true, true}),
            verified(pair("other-local.example", "remote.example"), 2, VerifyAnswer{true, true}),
            verified(pair("local.example", "evil.example"), 2, VerifyAnswer{true, true}),
            says(kAsk),  // asked already: one answer will do
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
                    .writes(stream_error("policy-violation"))
                    .yields({"Closed dialback.unsolicited"})});
    }
  }
}

TEST(InboundDialback, policy_is_asked_again_when_the_verdict_comes) {
  Lone lone(dns_is_enough);
  lone.go(until_dialback() + Steps{asked()});
  lone.world.judge.refused.emplace(domain("remote.example"), Code::kPolicyNotListed);
  const auto answer = lone.trial->perform(verified(kPair, 2, VerifyAnswer{true, true}), 1);
  EXPECT_EQ(answer.outputs,
            std::vector<std::string>{"PairRefused local.example<remote.example policy.not-listed"});
  expect_pieces(answer.written, {refusal("policy-violation")}, "");
}

TEST(InboundDialback, malformed_elements_end_the_stream) {
  const std::pair<std::string, const char*> cases[] = {
      {"<db:result to='local.example'>k</db:result>", "improper-addressing"},
      {"<db:result from='remote.example'>k</db:result>", "improper-addressing"},
      {"<db:result from='remote.example' to='local.example'/>", "bad-format"},
      {"<db:verify from='remote.example' to='local.example'>k</db:verify>", "bad-format"},
      {"<db:result from='remote.example' to='local.example' type='x'>k</db:result>", "bad-format"},
      {"<db:else from='remote.example' to='local.example'/>", "policy-violation"},
      {"<stream:features/>", "unsupported-stanza-type"},
      {"<enable xmlns='urn:xmpp:sm:3'/>", "unsupported-stanza-type"},
  };
  for (const auto& [bytes, condition] : cases) {
    Lone lone(dns_is_enough);
    lone.go(until_dialback());
    const auto answer = lone.trial->bytes(bytes);
    EXPECT_TRUE(lone.trial->closed()) << bytes;
    expect_pieces(answer.written, stream_error(condition), bytes);
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
  expect_pieces(over.written, {dialback_error("r9.example", "local.example", "resource-constraint")}, "");
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
           {says(kAsk)
                .writes({refusal("policy-violation")})
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
                     .writes({verify_answer("error"), "remote-server-timeout"})});
  converse("no answer", {}, until_dialback(),
           {ask, time_is_up()
                     .after(limits::kDialbackTimeout)
                     .writes({verify_answer("error"), "remote-server-timeout"})});
  converse("not ours", {}, until_dialback(),
           {says(verify("remote.example", "nobody.example", "77", "k"))
                .writes({"<db:verify from='nobody.example' to='remote.example' id='77' type='error'",
                         "item-not-found"})});
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
  expect_pieces(ask("1", "other").written, {"type='error'", "resource-constraint"},
                "another key for the same id");
  const auto over = ask("99", "k");
  EXPECT_TRUE(over.outputs.empty());
  expect_pieces(over.written, {"id='99' type='error'", "resource-constraint"}, "");
}

// --- stanzas

struct StrayCase {
  std::string bytes;
  const char* condition;
  const char* code;
};

TEST(Inbound, a_stanza_needs_a_proof_for_both_its_domains) {
  converse("before proof", {}, until_external(),
           {says(kMessage).writes(stream_error("not-authorized")).yields({"Closed stream.not-authorized"})});
  const StrayCase cases[] = {
      {"<message from='u@other.example' to='v@local.example'/>", "invalid-from", "stanza.from-invalid"},
      {"<message from='u@sub.remote.example' to='v@local.example'/>", "invalid-from", "stanza.from-invalid"},
      {"<message from='u@local.example' to='v@local.example'/>", "invalid-from", "stanza.from-invalid"},
      {"<message from='u@remote.example' to='v@other-local.example'/>", "improper-addressing",
       "stanza.to-invalid"},
      {"<message from='u@remote.example' to='v@nobody.example'/>", "improper-addressing",
       "stanza.to-invalid"},
      {"<message to='v@local.example'/>", "improper-addressing", "stanza.address-missing"},
      {"<message from='u@remote.example'/>", "improper-addressing", "stanza.address-missing"},
      {"<message from='' to='v@local.example'/>", "improper-addressing", "stanza.from-malformed"},
      {"<message from='u@remote.example' to=''/>", "improper-addressing", "stanza.to-invalid"},
      {"<iq type='get' id='1' from='u@remote.example' to='192.0.2.1:5'/>", "improper-addressing",
       "stanza.to-invalid"},
  };
  for (const StrayCase& c : cases) {
    Lone lone;
    lone.go(authenticated());
    const auto answer = lone.trial->bytes(c.bytes);
    ASSERT_FALSE(answer.outputs.empty()) << c.bytes;
    EXPECT_EQ(answer.outputs.back(), std::string("Closed ") + c.code) << c.bytes;
    expect_pieces(answer.written, stream_error(c.condition), c.bytes);
  }
}

TEST(Inbound, a_stanza_that_cannot_be_moved_is_dropped_and_told_and_the_stream_goes_on) {
  const std::string long_name(1024, 'u');
  const std::string bad_to = "StanzaRejected local.example<remote.example stanza.to-invalid";
  const std::string bad_from = "StanzaRejected local.example<remote.example stanza.from-invalid";
  const std::tuple<const char*, std::string, std::string> cases[] = {
      {"empty localpart of to", "<iq type='get' id='1' from='u@remote.example' to='@local.example'/>",
       bad_to},
      {"white space", "<message from='u@remote.example' to='v w@local.example'/>", bad_to},
      {"too long", "<message from='u@remote.example' to='" + long_name + "@local.example'/>", bad_to},
      {"resource of to", "<message from='u@remote.example' to='v@local.example/&#x7f;'/>", bad_to},
      {"empty localpart of from", "<iq type='get' id='1' from='@remote.example' to='v@local.example'/>",
       bad_from},
      {"localpart of from", "<message from='u&#x2028;@remote.example' to='v@local.example'/>", bad_from},
      {"from too long", "<message from='" + long_name + "@remote.example' to='v@local.example'/>", bad_from},
      {"resource of from", "<message from='u@remote.example/' to='v@local.example'/>", bad_from},
  };
  for (const auto& [name, bytes, told] : cases) {
    converse(name, {}, authenticated(), {says(bytes).yields({told}), says(kMessage).yields({kDeliver})});
  }
}

TEST(Inbound, a_stanza_that_cannot_be_moved_needs_a_proof_as_any_other) {
  const StrayCase cases[] = {
      {"<message from='@other.example' to='v@local.example'/>", "invalid-from", "stanza.from-invalid"},
      {"<message from='u@other.example' to='@local.example'/>", "invalid-from", "stanza.from-invalid"},
      {"<message from='u@remote.example' to='@other-local.example'/>", "improper-addressing",
       "stanza.to-invalid"},
      {"<message from='u@remote.example' to='@nobody.example'/>", "improper-addressing", "stanza.to-invalid"},
      {"<message from='u@remote.example' to='v@'/>", "improper-addressing", "stanza.to-invalid"},
      {"<message from='u@' to='v@local.example'/>", "improper-addressing", "stanza.from-malformed"},
  };
  for (const StrayCase& c : cases) {
    converse(c.bytes, {}, authenticated(),
             {says(c.bytes).writes(stream_error(c.condition)).yields({std::string("Closed ") + c.code})});
  }
  converse("before proof", {}, until_external(),
           {says("<message from='@remote.example' to='v@local.example'/>")
                .writes(stream_error("not-authorized"))
                .yields({"Closed stream.not-authorized"})});
}

TEST(Inbound, a_proved_peer_has_more_room) {
  const auto message = [](std::size_t size) {
    return "<message from='u@remote.example' to='v@local.example'><body>" + std::string(size, 'x') +
           "</body></message>";
  };
  Lone lone;
  lone.go(authenticated());
  EXPECT_EQ(lone.trial->bytes(message(limits::kElementBytesUnauthenticatedMax)).outputs,
            std::vector<std::string>{kDeliver});
  Lone stranger;
  stranger.go(until_external());
  EXPECT_EQ(stranger.trial->bytes(message(limits::kElementBytesUnauthenticatedMax)).outputs,
            std::vector<std::string>{"Closed xml.too-large"});
}

TEST(Inbound, stanzas_under_way_when_we_close_are_delivered) {
  const S closes =
      event<Inbound>([](Inbound& in, Time now) { in.close(std::nullopt, now); }).writes({kFooter});
  converse("closing", {}, authenticated(),
           {closes, says(kMessage).yields({kDeliver}), says(kFooter).yields({"Closed"})});
  converse(
      "no footer comes", {}, authenticated(),
      {closes, time_is_up().after(limits::kCloseTimeout - 1us), time_is_up().after(1us).yields({"Closed"})});
}

// --- policy changes

TEST(Inbound, a_pair_that_policy_ends_leaves_the_others_alone) {
  Lone lone(dns_is_enough);
  lone.go(authenticated() +
          Steps{says(result("remote.example", "other-local.example", "k")),
                says(result("rooms.remote.example", "local.example", "k")),
                verified(pair("local.example", "rooms.remote.example"), 3, VerifyAnswer{true, false})});
  ASSERT_EQ(lone.trial->machine().proofs().size(), 3u);
  lone.world.judge.refused.emplace(domain("rooms.remote.example"), Code::kPolicyDenied);
  EXPECT_EQ(lone.trial->perform(judge_again(), 1).outputs,
            std::vector<std::string>{"PairRefused local.example<rooms.remote.example policy.denied"});
  const auto answer = lone.trial->bytes(
      kMessage +
      "<message id='7' from='a@rooms.remote.example/u' to='v@local.example'><body>x</body></message>" +
      kMessage);
  EXPECT_EQ(answer.outputs,
            (std::vector<std::string>{
                kDeliver, "StanzaRejected local.example<rooms.remote.example policy.denied", kDeliver}));
  // Allowed again, it proves itself again.
  lone.world.judge.refused.clear();
  lone.trial->bytes(result("rooms.remote.example", "local.example", "k"));
  lone.trial->perform(verified(pair("local.example", "rooms.remote.example"), 3, VerifyAnswer{true, false}),
                      1);
  EXPECT_EQ(lone.trial->bytes("<presence from='a@rooms.remote.example/u' to='v@local.example'/>").outputs,
            std::vector<std::string>{"StanzaReceived presence a@rooms.remote.example/u>v@local.example"});
}

TEST(Inbound, a_stream_without_an_admitted_pair_ends) {
  struct {
    const char* why;
    Policy change;
    const char* code;
  } cases[] = {
      {"denied", [](TestJudge& j) { j.refused.emplace(domain("remote.example"), Code::kPolicyDenied); },
       "policy.denied"},
      {"no longer served", [](TestJudge& j) { j.served.clear(); }, "stream.host-unknown"},
      {"certificate required", [](TestJudge& j) { j.usual.authenticate = Authenticate::kCertificate; },
       "tls.no-certificate"},
  };
  for (const auto& c : cases) {
    Lone lone(dns_is_enough);
    lone.go(until_dialback() + Steps{asked(), verified(kPair, 2, VerifyAnswer{true, false})});
    EXPECT_TRUE(lone.trial->perform(judge_again(), 1).outputs.empty()) << c.why;
    c.change(lone.world.judge);
    const auto answer = lone.trial->perform(judge_again(), 1);
    EXPECT_EQ(answer.outputs,
              (std::vector<std::string>{std::string("PairRefused local.example<remote.example ") + c.code,
                                        std::string("Closed ") + c.code}))
        << c.why;
    EXPECT_NE(answer.written.find("</stream:error></stream:stream>"), std::string::npos) << c.why;
  }
}

TEST(Inbound, tls_that_becomes_required_ends_a_pair_without_it) {
  Lone lone([](TestJudge& j) {
    j.usual.authenticate = Authenticate::kDialback;
    j.usual.tls = TlsRule::kOptional;
  });
  lone.go({says(kHeader), says(kAsk), verified(kPair, 1, VerifyAnswer{true, false})});
  ASSERT_EQ(lone.trial->machine().proofs().size(), 1u);
  lone.world.judge.usual.tls = TlsRule::kRequired;
  EXPECT_EQ(lone.trial->perform(judge_again(), 1).outputs,
            (std::vector<std::string>{"PairRefused local.example<remote.example tls.required",
                                      "Closed tls.required"}));
}

// --- time

TEST(Inbound, deadlines_are_absolute) {
  const std::vector<std::string> late{"Closed stream.negotiation-timeout"};
  const Duration tls(limits::kTlsTimeout), negotiation(limits::kNegotiationTimeout);
  converse("silence", {}, {},
           {time_is_up().after(tls - 1us),
            time_is_up().after(1us).writes(stream_error("connection-timeout")).yields(late)});
  converse("a byte now and then", {}, {},
           {says("<stream:st").after(tls - 2s), says("ream").after(1s),
            time_is_up().after(1s).writes(stream_error("connection-timeout")).yields(late)});
  converse("no handshake", {},
           {says(kHeader).writes({our_header(1)}),
            says(kStartTls).writes({kProceed}).yields({"StartTls local.example -"})},
           {time_is_up().after(tls).yields(late)});
  converse("no authentication", {}, until_external(),
           {time_is_up().after(negotiation - 1us), says(" "),
            time_is_up().after(1us).writes(stream_error("connection-timeout")).yields(late)});
  Steps until_sasl = authenticated();
  until_sasl.pop_back();
  converse("no header after SASL", {}, until_sasl,
           {time_is_up().after(negotiation).writes(stream_error("connection-timeout")).yields(late)});
}

TEST(Inbound, a_stream_that_only_asked_about_keys_ends_in_peace) {
  converse(
      "verify only", {}, until_dialback(),
      {says(verify("remote.example", "local.example", "77", "k"))
           .yields({"CheckKey local.example<remote.example 77 k"}),
       checked(kPair, "77", true).writes({verify_answer("valid")}),
       time_is_up().after(limits::kNegotiationTimeout).writes({kFooter}), says(kFooter).yields({"Closed"})});
}

TEST(Inbound, an_idle_stream_is_closed_and_keepalives_count) {
  const Duration idle(limits::kStreamIdleTimeout);
  converse("idle", {}, authenticated(),
           {time_is_up().after(idle - 1us), time_is_up().after(1us).writes({kFooter}),
            says(kMessage).yields({kDeliver}), says(kFooter).yields({"Closed stream.idle"})});
  converse("keepalive", {}, authenticated(),
           {says(" ").after(idle - 1us), time_is_up().after(idle - 1us),
            time_is_up().after(1us).writes({kFooter})});
}

TEST(Inbound, poll_timeout_names_the_next_deadline) {
  Lone lone(dns_is_enough);
  Inbound& in = lone.trial->machine();
  // The first one after bytes is when the parser is given up.
  const auto behind_the_parsers = [&in] {
    EXPECT_EQ(in.poll_timeout(), Time(1h) + limits::kParserKept);
    in.handle_timeout(Time(1h) + limits::kParserKept);
    return in.poll_timeout();
  };
  EXPECT_EQ(in.poll_timeout(), Time(1h) + limits::kTlsTimeout);
  lone.go(until_dialback());
  EXPECT_EQ(behind_the_parsers(), Time(1h) + limits::kNegotiationTimeout);
  lone.go({asked()});
  EXPECT_EQ(behind_the_parsers(), Time(1h) + limits::kDialbackTimeout);
  lone.go({verified(kPair, 2, VerifyAnswer{true, false})});
  EXPECT_EQ(in.poll_timeout(), Time(1h) + limits::kStreamIdleTimeout);
  in.close(std::nullopt, lone.trial->now());
  EXPECT_EQ(in.poll_timeout(), Time(1h) + limits::kCloseTimeout);
}

// --- the end

TEST(Inbound, the_peers_stream_error_is_kept_and_cut) {
  Lone lone;
  lone.go(authenticated());
  lone.trial->machine().handle_bytes(
      "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>127.0.0.1:7400"
      "</see-other-host><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>" +
          std::string(1000, 'x') + "</text></stream:error>",
      lone.trial->now());
  const auto output = lone.trial->machine().poll();
  ASSERT_TRUE(output && std::holds_alternative<Closed>(*output));
  const std::optional<Error> error = std::get<Closed>(*output).error;
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, Code::kStreamErrorByPeer);
  EXPECT_EQ(error->text.substr(0, 17), "see-other-host: x");
  EXPECT_EQ(error->text.size(), limits::kShownBytesMax);
}

TEST(Inbound, a_lost_connection_has_its_owners_reason) {
  Lone lone;
  lone.trial->machine().handle_disconnected(Error{Code::kTlsHandshake, "no shared cipher"});
  EXPECT_EQ(lone.trial->take().outputs, std::vector<std::string>{"Closed tls.handshake"});
  Lone other;
  other.go(authenticated());
  other.trial->machine().handle_disconnected();
  EXPECT_EQ(other.trial->take().outputs, std::vector<std::string>{"Closed stream.lost"});
}

}  // namespace
}  // namespace sallyport::s2s::dialogue::accepting
