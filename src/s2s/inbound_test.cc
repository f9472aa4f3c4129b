#include "s2s/inbound.h"

#include "base/limits.h"
#include "s2s/inbound_dialogue.h"

namespace sallyport::s2s::dialogue::accepting {
namespace {

// --- the ways to a proof

TEST(Inbound, external_proves_the_pair_of_the_header) {
  converse("EXTERNAL", {}, {},
           authenticated() + Steps{says(kMessage + kMessage).yields({kDeliver, kDeliver}), says(" \n"),
                                   says(kMessage).yields({kDeliver}),
                                   says(kFooter).writes({kFooter}).yields({"Closed"})});
}

TEST(Inbound, dialback_proves_a_pair_where_dns_is_enough) {
  converse("dialback", dns_is_enough, {},
           until_dialback() + Steps{says(result("remote.example", "local.example", "k"))
                                        .yields({"VerifyKey local.example<remote.example " + id(2) + " k"}),
                                    verified(kPair, 2, VerifyAnswer{true, false})
                                        .writes({valid("remote.example")})
                                        .yields({kAdmittedDialback}),
                                    says(kMessage).yields({kDeliver})});
}

TEST(Inbound, direct_tls_starts_after_starttls) {
  TlsFacts found = facts({"remote.example"});
  found.server_name = "local.example";
  found.alpn = "xmpp-server";
  run_every_way<Inbound>(
      {"Direct TLS",
       accepted({}, true),
       {secured(found), says(kHeader).writes({our_header(1), kFeaturesExternal}),
        says(auth("")).writes({kSuccess}).yields({"Admitted local.example<remote.example external"}),
        says(kHeader).writes({our_header(2), kFeaturesProved}), says(kMessage).yields({kDeliver})}});
}

TEST(Inbound, direct_tls_must_name_in_the_header_what_it_named_in_the_handshake) {
  struct {
    const char* sni;
    const char* alpn;
    const char* closed;
  } cases[] = {{"other-local.example", "xmpp-server", "Closed stream.header-changed"},
               {"", "", "Closed stream.header-changed"},
               {"local.example", "h2", "Closed tls.alpn"}};
  for (const auto& c : cases) {
    TlsFacts found = facts({"remote.example"});
    found.server_name = c.sni;
    found.alpn = c.alpn;
    Trial<Inbound> run(accepted({}, true)());
    auto answer = run.perform(secured(found), 1);
    if (!run.closed()) answer = run.bytes(kHeader);
    EXPECT_EQ(answer.outputs, std::vector<std::string>{c.closed}) << c.sni;
    EXPECT_NE(answer.written.find("</stream:error></stream:stream>"), std::string::npos);
  }
}

TEST(Inbound, a_certificate_proves_the_sender_of_a_key_without_verification) {
  converse("XEP-0344", {}, until_external(),
           {says(result("remote.example", "local.example", "k"))
                .writes({valid("remote.example")})
                .yields({"Admitted local.example<remote.example dialback+certificate"}),
            says(kMessage).yields({kDeliver})});
}

TEST(Inbound, the_verifiers_certificate_counts_where_one_is_required) {
  const Steps asked =
      until_dialback() + Steps{says(result("remote.example", "local.example", "k"))
                                   .yields({"VerifyKey local.example<remote.example " + id(2) + " k"})};
  converse("with", {}, asked,
           {verified(kPair, 2, VerifyAnswer{true, true})
                .writes({valid("remote.example")})
                .yields({"Admitted local.example<remote.example dialback+certificate"})});
  converse("without", {}, asked,
           {verified(kPair, 2, VerifyAnswer{true, false})
                .writes({dialback_error("remote.example", "local.example", "not-authorized",
                                        "tls.no-certificate")})
                .yields({"PairRefused local.example<remote.example tls.no-certificate"}),
            time_is_up().after(5s).writes({kFooter}), says(kFooter).yields({"Closed tls.no-certificate"})});
}

TEST(Inbound, each_pair_on_a_stream_has_a_proof_of_its_own) {
  converse("second pair", dns_is_enough, authenticated(),
           {says(result("remote.example", "other-local.example", "k"))
                .writes({valid("remote.example", "other-local.example")})
                .yields({"Admitted other-local.example<remote.example dialback+certificate"}),
            says("<iq type='get' id='1' from='u@remote.example' to='other-local.example'><x xmlns='y'/></iq>")
                .yields({"StanzaReceived iq u@remote.example>other-local.example"}),
            says(result("rooms.remote.example", "local.example", "k2"))
                .yields({"VerifyKey local.example<rooms.remote.example " + id(3) + " k2"}),
            says(kMessage).yields({kDeliver}),
            verified(pair("local.example", "rooms.remote.example"), 3, VerifyAnswer{true, false})
                .writes({valid("rooms.remote.example")})
                .yields({"Admitted local.example<rooms.remote.example dialback"})});
}

TEST(Inbound, a_pair_that_is_proved_is_valid_when_asked_again) {
  converse("again", {}, authenticated(),
           {says(result("remote.example", "local.example", "k")).writes({valid("remote.example")})});
}

// --- headers

struct HeaderCase {
  const char* why;
  std::string bytes;
  const char* condition;
  const char* code;
};

TEST(Inbound, a_bad_header_is_refused_inside_an_opened_stream_at_every_stage) {
  const HeaderCase cases[] = {
      {"no to", header("from='remote.example' version='1.0'"), "improper-addressing",
       "stream.header-invalid"},
      {"to no domain", names("remote.example", "u@local.example"), "improper-addressing",
       "stream.header-invalid"},
      {"from no domain", names("a b", "local.example"), "improper-addressing", "stream.header-invalid"},
      {"no version", header("from='remote.example' to='local.example'"), "unsupported-version",
       "stream.version"},
      {"version 0.9", header("from='remote.example' to='local.example' version='0.9'"), "unsupported-version",
       "stream.version"},
      {"version no number", header("from='remote.example' to='local.example' version='1.x'"),
       "unsupported-version", "stream.version"},
      {"client namespace",
       "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' "
       "to='local.example'>",
       "invalid-namespace", "xml.namespace"},
      {"no stream", "<x/>", "invalid-namespace", "xml.namespace"},
      {"no XML", "GET / HTTP/1.1\r\n", "not-well-formed", "xml.not-well-formed"},
      {"DTD", "<!DOCTYPE s [<!ENTITY a 'b'>]>", "restricted-xml", "xml.restricted"},
  };
  for (const HeaderCase& c : cases) {
    for (const int steps : {0, 3, 5}) {  // before TLS, after it, after SASL
      Steps before = authenticated();
      before.resize(static_cast<std::size_t>(steps));
      Trial<Inbound> run(accepted()());
      for (const S& step : before) run.perform(step, std::string::npos);
      const auto answer = run.perform(says(c.bytes), 1);
      const std::string where = fmt::format("{} after {} steps", c.why, steps);
      EXPECT_EQ(answer.outputs, std::vector<std::string>{std::string("Closed ") + c.code}) << where;
      const std::string ours = steps == 0 ? anonymous_header(1) : our_header(steps == 3 ? 2 : 3);
      expect_written(answer.written, {ours, stream_error(c.condition, c.code)}, where);
    }
  }
}

TEST(Inbound, an_unknown_host_is_told_so_in_a_stream_from_nobody) {
  converse("host-unknown", {}, {},
           {says(names("remote.example", "nobody.example"))
                .writes({anonymous_header(1), stream_error("host-unknown", "stream.host-unknown")})
                .yields({"Closed stream.host-unknown"})});
}

TEST(Inbound, a_header_may_not_change_its_domains) {
  const char* kChanged = "Closed stream.header-changed";
  Steps until_tls = until_external();
  until_tls.pop_back();
  for (const auto& bytes :
       {names("remote.example", "other-local.example"), names("evil.example", "local.example")}) {
    converse("after TLS", {}, until_tls,
             {says(bytes)
                  .writes({our_header(2), stream_error("improper-addressing", "stream.header-changed")})
                  .yields({kChanged})});
  }
  Steps until_sasl = authenticated();
  until_sasl.pop_back();
  converse("after SASL", {}, until_sasl,
           {says(names("evil.example", "local.example"))
                .writes({our_header(3), stream_error("improper-addressing", "stream.header-changed")})
                .yields({kChanged})});
}

TEST(Inbound, a_header_may_keep_its_from_until_tls_protects_it) {
  converse("late from", {}, {},
           {says(header("to='local.example' version='1.0'")).writes({our_header(1, ""), kTlsOffer}),
            says(kStartTls).writes({kProceed}).yields({"StartTls local.example -"}),
            secured(facts({"remote.example"})), says(kHeader).writes({our_header(2), kFeaturesExternal})});
}

TEST(Inbound, external_is_offered_only_to_whom_it_can_succeed) {
  const auto after_tls = [](TlsFacts found, const std::string& bytes, const Change& change) {
    Trial<Inbound> run(accepted(change)());
    run.bytes(header("to='local.example' version='1.0'"));
    run.bytes(kStartTls);
    run.perform(secured(std::move(found)), 1);
    return run.bytes(bytes).written.find("EXTERNAL") != std::string::npos;
  };
  TlsFacts untrusted = facts({"remote.example"});
  untrusted.chain = Error{Code::kTlsUntrusted, {}};
  EXPECT_TRUE(after_tls(facts({"remote.example"}), kHeader, {}));
  EXPECT_TRUE(after_tls(facts({"remote.example"}), kHeader, dns_is_enough));
  EXPECT_FALSE(after_tls(facts({}), kHeader, {})) << "no certificate";
  EXPECT_FALSE(after_tls(facts({"else.example"}), kHeader, {})) << "another name";
  EXPECT_FALSE(after_tls(untrusted, kHeader, {})) << "self-signed";
  EXPECT_FALSE(after_tls(facts({"remote.example"}), header("to='local.example' version='1.0'"), {}))
      << "no from";
  EXPECT_FALSE(after_tls(facts({"remote.example"}), kHeader, [](TestPolicy& j) {
    j.refused.emplace(domain("remote.example"), Code::kPolicyDenied);
  })) << "refused by policy";
}

// --- TLS

TEST(Inbound, before_tls_nothing_but_starttls_is_allowed_where_it_is_required) {
  for (const std::string& bytes :
       {result("remote.example", "local.example", "k"), verify("remote.example", "local.example", "1", "k"),
        auth("="), kMessage,
        std::string(
            "<compress xmlns='http://jabber.org/protocol/compress'><method>zlib</method></compress>")}) {
    converse("before TLS: " + bytes, {}, {says(kHeader).writes({our_header(1), kTlsOffer})},
             {says(bytes)
                  .writes({stream_error("policy-violation", "tls.required")})
                  .yields({"Closed tls.required"})});
  }
}

TEST(Inbound, bytes_behind_starttls_are_never_read_as_protected) {
  for (const std::string& injected :
       {kMessage, kHeader, std::string(" "), std::string("<"), std::string("x")}) {
    Trial<Inbound> run(accepted()());
    run.bytes(kHeader);
    const auto answer = run.bytes(kStartTls + injected);
    EXPECT_EQ(answer.outputs, std::vector<std::string>{"Closed stream.early-bytes"}) << injected;
    EXPECT_EQ(answer.written.find("proceed"), std::string::npos);
    expect_written(answer.written, {stream_error("policy-violation", "stream.early-bytes")}, injected);
  }
  for (const std::string& injected : {kMessage, std::string(" ")}) {
    Trial<Inbound> run(accepted()());
    run.bytes(kHeader);
    run.bytes(kStartTls);
    const auto answer = run.bytes(injected);
    EXPECT_EQ(answer.outputs, std::vector<std::string>{"Closed stream.early-bytes"}) << injected;
    EXPECT_EQ(answer.written, "") << "into the handshake";
  }
}

TEST(Inbound, starttls_is_refused_where_it_has_no_place) {
  const std::string kFailed = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
  converse("inside TLS", {}, until_external(),
           {says(kStartTls)
                .writes({kFailed, stream_error("policy-violation", "stream.order")})
                .yields({"Closed stream.order"})});
  converse("without TLS by policy", [](TestPolicy& j) { j.usual.tls = TlsRule::kNone; },
           {says(kHeader).writes({our_header(1), kFeaturesDialback})},
           {says(kStartTls)
                .writes({kFailed, stream_error("policy-violation", "stream.order")})
                .yields({"Closed stream.order"})});
}

void old_peer_needs_no_tls(TestPolicy& policy) {
  PeerRules lax;
  lax.tls = TlsRule::kOptional;
  lax.authenticate = Authenticate::kDialback;
  policy.special.emplace(domain("old.example"), lax);
}

TEST(Inbound, a_lax_rule_is_not_lent_to_another_pair) {
  const std::string offer = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" +
                            kDialback + kLimits + "</stream:features>";
  converse("THREATS B6", old_peer_needs_no_tls,
           {says(names("old.example", "local.example")).writes({our_header(1, " to='old.example'"), offer})},
           {says(result("bank.example", "local.example", "k"))
                .writes({dialback_error("bank.example", "local.example", "policy-violation", "tls.required")})
                .yields({"PairRefused local.example<bank.example tls.required"}),
            says(result("old.example", "local.example", "k"))
                .yields({"VerifyKey local.example<old.example " + id(1) + " k"}),
            verified(pair("local.example", "old.example"), 1, VerifyAnswer{true, false})
                .writes({valid("old.example")})
                .yields({"Admitted local.example<old.example dialback"}),
            says("<message from='u@old.example' to='v@local.example'/>")
                .yields({"StanzaReceived message u@old.example>v@local.example"}),
            says("<message from='u@bank.example' to='v@local.example'/>")
                .writes({stream_error("invalid-from", "stanza.from-invalid")})
                .yields({"Closed stanza.from-invalid"})});
}

// --- SASL

TEST(Inbound, an_authorization_identity_is_the_streams_from_or_absent) {
  // base64 of remote.example, Remote.Example, other.example, u@remote.example
  const std::pair<std::string, std::string> cases[] = {
      {"=", kSuccess},
      {"", kSuccess},
      {"cmVtb3RlLmV4YW1wbGU=", kSuccess},
      {"UmVtb3RlLkV4YW1wbGU=", kSuccess},
      {"b3RoZXIuZXhhbXBsZQ==", failure("invalid-authzid")},
      {"dUByZW1vdGUuZXhhbXBsZQ==", failure("invalid-authzid")},
      {"cmVtb3RlLmV4YW1wbGU", failure("incorrect-encoding")},
      {"!", failure("incorrect-encoding")},
  };
  for (const auto& [authzid, written] : cases) {
    const bool good = written == kSuccess;
    converse("authzid " + authzid, {}, until_external(),
             {says(auth(authzid))
                  .writes({written})
                  .yields(good ? std::vector<std::string>{"Admitted local.example<remote.example external"}
                               : std::vector<std::string>{})});
  }
}

TEST(Inbound, only_external_is_a_mechanism_and_only_when_offered) {
  converse("PLAIN", {}, until_external(), {says(auth("=", "PLAIN")).writes({failure("invalid-mechanism")})});
  converse("abort", {}, until_external(),
           {says("<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>").writes({failure("aborted")})});
  converse("not offered", {}, until_dialback(), {says(auth("=")).writes({failure("invalid-mechanism")})});
  converse("response", {}, until_external(),
           {says("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
                .writes({stream_error("policy-violation", "stream.order")})
                .yields({"Closed stream.order"})});
  converse("twice", {}, authenticated(),
           {says(auth("="))
                .writes({stream_error("policy-violation", "stream.order")})
                .yields({"Closed stream.order"})});
}

TEST(Inbound, sasl_attempts_are_counted) {
  Steps tries = until_external();
  for (std::size_t i = 1; i < limits::kSaslAttemptsMax; ++i) {
    tries.push_back(says(auth("!")).writes({failure("incorrect-encoding")}));
  }
  converse("one before the bound", {}, tries,
           {says(auth("=")).writes({kSuccess}).yields({"Admitted local.example<remote.example external"})});
  converse("at the bound", {}, tries,
           {says(auth("!"))
                .writes({failure("incorrect-encoding"), stream_error("policy-violation", "sasl.authzid")})
                .yields({"Closed sasl.authzid"})});
}

TEST(Inbound, nothing_may_follow_auth_before_the_new_header) {
  Trial<Inbound> run(accepted()());
  for (const S& step : until_external()) run.perform(step, std::string::npos);
  const auto answer = run.bytes(auth("=") + kMessage);
  EXPECT_EQ(answer.outputs, std::vector<std::string>{"Closed stream.order"});
  EXPECT_EQ(answer.written.find("success"), std::string::npos);
}

TEST(Inbound, policy_is_asked_again_when_external_is_used) {
  worlds().push_back(std::make_unique<World>());
  World& world = *worlds().back();
  Trial<Inbound> run(Inbound(world.policy, world.random, false, Time(1h)));
  for (const S& step : until_external()) run.perform(step, std::string::npos);
  world.policy.refused.emplace(domain("remote.example"), Code::kPolicyDenied);
  const auto answer = run.bytes(auth("="));
  EXPECT_EQ(answer.written, failure("not-authorized"));
  EXPECT_EQ(answer.outputs,
            std::vector<std::string>{"PairRefused local.example<remote.example policy.denied"});
}

}  // namespace
}  // namespace sallyport::s2s::dialogue::accepting
