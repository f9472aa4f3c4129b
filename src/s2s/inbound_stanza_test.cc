// Accepted streams: stanzas, and what a change of policy does to their pairs.
#include "base/limits.h"
#include "s2s/inbound_dialogue.h"

namespace sallyport::s2s::dialogue::accepting {
namespace {

// --- stanzas

struct StrayCase {
  std::string bytes;
  const char* condition;
  const char* code;
};

TEST(Inbound, a_stanza_needs_a_proof_for_both_its_domains) {
  converse("before proof", {}, until_external(),
           {says(kMessage)
                .writes({stream_error("not-authorized", "stream.not-authorized")})
                .yields({"Closed stream.not-authorized"})});
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
    expect_written(answer.written, {stream_error(c.condition, c.code)}, c.bytes);
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
             {says(c.bytes)
                  .writes({stream_error(c.condition, c.code)})
                  .yields({std::string("Closed ") + c.code})});
  }
  converse("before proof", {}, until_external(),
           {says("<message from='@remote.example' to='v@local.example'/>")
                .writes({stream_error("not-authorized", "stream.not-authorized")})
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
  lone.world.policy.refused.emplace(domain("rooms.remote.example"), Code::kPolicyDenied);
  EXPECT_EQ(lone.trial->perform(check_again(), 1).outputs,
            std::vector<std::string>{"PairRefused local.example<rooms.remote.example policy.denied"});
  const auto answer = lone.trial->bytes(
      kMessage +
      "<message id='7' from='a@rooms.remote.example/u' to='v@local.example'><body>x</body></message>" +
      kMessage);
  EXPECT_EQ(answer.outputs,
            (std::vector<std::string>{
                kDeliver, "StanzaRejected local.example<rooms.remote.example policy.denied", kDeliver}));
  // Allowed again, it proves itself again.
  lone.world.policy.refused.clear();
  lone.trial->bytes(result("rooms.remote.example", "local.example", "k"));
  lone.trial->perform(verified(pair("local.example", "rooms.remote.example"), 3, VerifyAnswer{true, false}),
                      1);
  EXPECT_EQ(lone.trial->bytes("<presence from='a@rooms.remote.example/u' to='v@local.example'/>").outputs,
            std::vector<std::string>{"StanzaReceived presence a@rooms.remote.example/u>v@local.example"});
}

TEST(Inbound, a_stream_without_an_admitted_pair_ends) {
  struct {
    const char* why;
    Change change;
    const char* code;
  } cases[] = {
      {"denied", [](TestPolicy& j) { j.refused.emplace(domain("remote.example"), Code::kPolicyDenied); },
       "policy.denied"},
      {"no longer served", [](TestPolicy& j) { j.served.clear(); }, "stream.host-unknown"},
      {"certificate required", [](TestPolicy& j) { j.usual.authenticate = Authenticate::kCertificate; },
       "tls.no-certificate"},
  };
  for (const auto& c : cases) {
    Lone lone(dns_is_enough);
    lone.go(until_dialback() + Steps{asked(), verified(kPair, 2, VerifyAnswer{true, false})});
    EXPECT_TRUE(lone.trial->perform(check_again(), 1).outputs.empty()) << c.why;
    c.change(lone.world.policy);
    const auto answer = lone.trial->perform(check_again(), 1);
    EXPECT_EQ(answer.outputs,
              (std::vector<std::string>{std::string("PairRefused local.example<remote.example ") + c.code,
                                        std::string("Closed ") + c.code}))
        << c.why;
    EXPECT_NE(answer.written.find("</stream:error></stream:stream>"), std::string::npos) << c.why;
  }
}

TEST(Inbound, tls_that_becomes_required_ends_a_pair_without_it) {
  Lone lone([](TestPolicy& j) {
    j.usual.authenticate = Authenticate::kDialback;
    j.usual.tls = TlsRule::kOptional;
  });
  lone.go({says(kHeader), says(kResult), verified(kPair, 1, VerifyAnswer{true, false})});
  ASSERT_EQ(lone.trial->machine().proofs().size(), 1u);
  lone.world.policy.usual.tls = TlsRule::kRequired;
  EXPECT_EQ(lone.trial->perform(check_again(), 1).outputs,
            (std::vector<std::string>{"PairRefused local.example<remote.example tls.required",
                                      "Closed tls.required"}));
}

}  // namespace
}  // namespace sallyport::s2s::dialogue::accepting
