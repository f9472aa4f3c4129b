#include "s2s/outbound.h"

#include "base/limits.h"
#include "s2s/outbound_dialogue.h"

namespace sallyport::s2s::dialogue::initiating {
namespace {

// --- ways to a ready pair

TEST(Outbound, external_makes_the_headers_pair_ready) {
  converse("EXTERNAL", {}, {},
           authenticated() + Steps{says(" "), says(kFooter).writes({kFooter}).yields({"Closed"})});
}

TEST(Outbound, dialback_makes_a_pair_ready_where_external_is_not_offered) {
  converse("dialback", {}, {}, asked() + Steps{says(result("valid")).yields({kReady})});
}

TEST(Outbound, dialback_is_used_where_the_rules_forbid_external_or_we_showed_no_certificate) {
  converse("rules", [](TestPolicy& j) { j.usual.use_external = false; }, until_secure(),
           {says(header(2) + kOffersBoth).yields({"NeedKey local.example<remote.example s2"})});
  for (const char* own : {"", "other-local.example"}) {
    converse("own certificate", {}, until_tls() + Steps{secured(facts({"remote.example"}, own))},
             {says(header(2) + kOffersBoth).yields({"NeedKey local.example<remote.example s2"})});
  }
}

TEST(Outbound, old_servers_that_only_declare_the_namespace_take_dialback) {
  converse("XEP-0220 2.3.1", {}, until_secure(),
           {says(header(2) + features("")).yields({"NeedKey local.example<remote.example s2"})});
  converse("not even that", {}, until_secure(),
           {says(header(2, " version='1.0'") + features(""))
                .writes({kFooter})
                .yields({"PairFailed local.example<remote.example stream.no-offer"}),
            says(kFooter).yields({"Closed stream.no-offer"})});
}

TEST(Outbound, direct_tls_starts_with_the_handshake) {
  TlsFacts found = facts({"remote.example"});
  found.alpn = "xmpp-server";
  const S begins = event<Outbound>([](Outbound& out, Time now) {
                     out.handle_connected(now);
                   }).yields({"StartTls local.example remote.example direct"});
  run_every_way<Outbound>(
      {"Direct TLS",
       dialled({}, true, true),
       {begins, secured(found), says(header(1) + kOffersBoth).writes({kAuth}),
        says(kSuccess).writes({kOurHeader}), says(header(2) + features("")).yields({kReady})}});
  found.alpn = "h2";
  run_every_way<Outbound>(
      {"ALPN",
       dialled({}, true, true),
       {begins, tls<Outbound>(found)
                    .writes({kOurHeader, stream_error("undefined-condition", "tls.alpn")})
                    .yields({"PairFailed local.example<remote.example tls.alpn", "Closed tls.alpn"})}});
}

TEST(Outbound, no_language_is_lent_to_stanzas_that_have_none) {
  EXPECT_EQ(kOurHeader.find("xml:lang"), std::string::npos);
  Lone lone;
  EXPECT_EQ(lone.go({connected()}).written, kOurHeader);
}

// --- what the peer must prove

TEST(Outbound, a_server_without_a_certificate_for_the_domain_gets_nothing) {
  struct {
    const char* why;
    std::vector<std::string> names;
    const char* code;
  } cases[] = {{"another name", {"evil.example"}, "tls.name-mismatch"}, {"none", {}, "tls.no-certificate"}};
  for (const auto& c : cases) {
    converse(c.why, {}, until_secure(c.names),
             {says(header(2) + kOffersBoth)
                  .writes({stream_error("not-authorized", c.code)})
                  .yields({std::string("PairFailed local.example<remote.example ") + c.code,
                           std::string("Closed ") + c.code})});
  }
}

TEST(Outbound, dns_proves_the_server_where_the_rules_say_so) {
  converse("DNS", dns_is_enough, asked({}),
           {says(result("valid")).yields({"PairReady local.example<remote.example dialback"})});
  converse("EXTERNAL towards a server without certificate", dns_is_enough, until_secure({}),
           {says(header(2) + kOffersBoth).writes({kAuth}), says(kSuccess).writes({kOurHeader}),
            says(header(3) + features("")).yields({"PairReady local.example<remote.example dialback"})});
}

TEST(Outbound, a_configured_address_proves_an_internal_server) {
  converse("address", [](TestPolicy& j) { j.usual.address_proves = true; }, asked({}),
           {says(result("valid")).yields({"PairReady local.example<remote.example address"})});
}

TEST(Outbound, policy_is_asked_again_when_the_answer_comes) {
  Lone lone(dns_is_enough);
  lone.go(asked({}));
  lone.policy.usual.authenticate = Authenticate::kCertificate;
  EXPECT_EQ(
      lone.trial->bytes(result("valid")).outputs,
      (Outputs{"PairFailed local.example<remote.example tls.no-certificate", "Closed tls.no-certificate"}));
}

// --- TLS

TEST(Outbound, without_starttls_nothing_is_said_where_tls_is_required) {
  converse("not offered", {}, {connected()},
           {says(header(1) + features(kOffersDialback))
                .writes({stream_error("policy-violation", "tls.required")})
                .yields({"PairFailed local.example<remote.example tls.required", "Closed tls.required"})});
  converse("refused", {}, {connected(), says(header(1) + features(kOffersTls)).writes({kAsksTls})},
           {says("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
                .writes({stream_error("undefined-condition", "tls.handshake")})
                .yields({"PairFailed local.example<remote.example tls.handshake", "Closed tls.handshake"})});
}

TEST(Outbound, tls_is_used_as_the_rules_and_the_offer_say) {
  const auto with = [](TlsRule rule) {
    return [rule](TestPolicy& j) {
      j.usual.authenticate = Authenticate::kDialback;
      j.usual.tls = rule;
    };
  };
  const std::string kNeed = "NeedKey local.example<remote.example s1";
  const std::string optional_offer =
      features("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + kOffersDialback);
  converse("optional, offered", with(TlsRule::kOptional), {connected()},
           {says(header(1) + optional_offer).writes({kAsksTls})});
  converse("optional, not offered", with(TlsRule::kOptional), {connected()},
           {says(header(1) + features(kOffersDialback)).yields({kNeed}),
            keyed(kPair, "s1", std::string("k")).writes({ask("local.example", "k")}),
            says(result("valid")).yields({"PairReady local.example<remote.example dialback"})});
  converse("none, offered", with(TlsRule::kNone), {connected()},
           {says(header(1) + optional_offer).yields({kNeed})});
  converse("none, required by the peer", with(TlsRule::kNone), {connected()},
           {says(header(1) + features(kOffersTls)).writes({kAsksTls})});
}

TEST(Outbound, bytes_behind_proceed_are_never_read_as_protected) {
  for (const std::string& injected :
       {features(kOffersDialback), header(2), std::string(" "), std::string("<")}) {
    Lone lone;
    lone.go({connected(), says(header(1) + features(kOffersTls))});
    const auto answer = lone.trial->bytes(kProceed + injected);
    EXPECT_EQ(answer.outputs, (Outputs{"PairFailed local.example<remote.example stream.early-bytes",
                                       "Closed stream.early-bytes"}))
        << injected;
    Lone late;
    late.go(until_tls());
    const auto in_handshake = late.trial->bytes(injected);
    EXPECT_EQ(in_handshake.outputs.back(), "Closed stream.early-bytes") << injected;
    EXPECT_EQ(in_handshake.written, "");
  }
}

TEST(Outbound, dialback_is_not_begun_by_the_peer) {
  for (const std::string& bytes : {result("valid"), verdict("valid")}) {
    converse("before TLS", {}, {connected(), says(header(1))},
             {says(bytes)
                  .writes({stream_error("policy-violation", "dialback.unsolicited")})
                  .yields({"PairFailed local.example<remote.example dialback.unsolicited",
                           "Closed dialback.unsolicited"})});
  }
}

// --- headers

TEST(Outbound, a_header_needs_a_version_and_an_id) {
  const std::string open =
      "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' ";
  struct {
    std::string bytes;
    const char* code;
  } cases[] = {
      {open + "id='1'>", "stream.version"},
      {open + "id='1' version='0.9'>", "stream.version"},
      {open + "version='1.0'>", "stream.header-invalid"},
      {open + "version='1.0' id='" + std::string(limits::kStreamIdBytesMax + 1, 'i') + "'>",
       "stream.header-invalid"},
      {"<html>", "xml.namespace"},
  };
  for (const auto& c : cases) {
    Lone lone;
    lone.go({connected()});
    EXPECT_EQ(lone.trial->bytes(c.bytes).outputs.back(), std::string("Closed ") + c.code) << c.bytes;
  }
  Lone lone;
  lone.go({connected()});
  EXPECT_TRUE(
      lone.trial->bytes(open + "version='1.0' id='" + std::string(limits::kStreamIdBytesMax, 'i') + "'>")
          .outputs.empty());
}

// --- SASL

TEST(Outbound, dialback_follows_a_refused_external_on_the_same_stream) {
  converse("fallback", {}, until_secure() + Steps{says(header(2) + kOffersBoth).writes({kAuth})},
           {says(kFailure).yields({"NeedKey local.example<remote.example s2"}),
            keyed(kPair, "s2", std::string("k")).writes({ask("local.example", "k")}),
            says(result("valid")).yields({kReady})});
}

TEST(Outbound, a_peer_that_ends_the_stream_after_refusing_external_shows_as_that) {
  const Steps before = until_secure() + Steps{says(header(2) + kOffersBoth).writes({kAuth})};
  const std::string kFailed = "PairFailed local.example<remote.example sasl.refused";
  converse("footer", {}, before,
           {says(kFailure + kFooter)
                .writes({kFooter})
                .yields({"NeedKey local.example<remote.example s2", kFailed, "Closed sasl.refused"})});
  converse("lost", {}, before,
           {says(kFailure).yields({"NeedKey local.example<remote.example s2"}),
            event<Outbound>([](Outbound& out, Time) {
              out.handle_disconnected();
            }).yields({kFailed, "Closed sasl.refused"})});
  converse(
      "no dialback", {},
      until_secure() + Steps{says(header(2, " version='1.0'") + features(kOffersExternal)).writes({kAuth})},
      {says(kFailure).writes({kFooter}).yields({kFailed}), says(kFooter).yields({"Closed sasl.refused"})});
}

TEST(Outbound, sasl_out_of_turn_ends_the_stream) {
  const Steps before = until_secure() + Steps{says(header(2) + kOffersBoth).writes({kAuth})};
  for (const std::string& bytes : {std::string("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
                                   kSuccess + "<x/>", kOffersBoth}) {
    Lone lone;
    lone.go(before);
    EXPECT_EQ(lone.trial->bytes(bytes).outputs.back(), "Closed stream.order") << bytes;
  }
  for (const Steps& steps : {asked(), authenticated()}) {
    Lone lone;
    lone.go(steps);
    EXPECT_EQ(lone.trial->bytes(kSuccess).outputs.back(), "Closed stream.order");
  }
}

// --- the peer's offences, and the end

TEST(Outbound, the_peer_may_send_nothing_of_its_own) {
  for (const std::string& bytes :
       {std::string("<message from='u@remote.example' to='v@local.example'/>"),
        std::string("<message from='u@remote.example' to='@local.example'/>"),
        std::string("<db:result from='remote.example' to='local.example'>k</db:result>"),
        std::string("<db:verify from='remote.example' to='local.example' id='1'>k</db:verify>"),
        std::string("<enabled xmlns='urn:xmpp:sm:3'/>")}) {
    converse("ready: " + bytes, {}, authenticated(),
             {says(bytes)
                  .writes({stream_error("policy-violation", "stream.order")})
                  .yields({"Closed stream.order"})});
    Lone lone;
    lone.go(asked());
    EXPECT_EQ(lone.trial->bytes(bytes).outputs.back(), "Closed stream.order") << bytes;
  }
}

TEST(Outbound, see_other_host_is_not_followed) {
  const std::string bytes =
      "<stream:error><see-other-host "
      "xmlns='urn:ietf:params:xml:ns:xmpp-streams'>127.0.0.1:7400</see-other-host></stream:error>";
  converse("THREATS B9", {}, {connected()},
           {says(header(1) + bytes)
                .writes({kFooter})
                .yields({"PairFailed local.example<remote.example stream.error-by-peer",
                         "Closed stream.error-by-peer"})});
}

TEST(Outbound, features_said_again_change_nothing) {
  converse("features", {}, authenticated(), {says(kOffersBoth)});
}

TEST(Outbound, stanzas_are_sent_as_they_stand_on_ready_pairs_only) {
  xmpp::StanzaReader reader;
  const auto stanza =
      reader.read("<message from='u@local.example' to='v@remote.example'><body>hi</body></message>");
  ASSERT_TRUE(stanza);
  Lone lone;
  lone.go(authenticated());
  Outbound& out = lone.trial->machine();
  const PeerProof proof = out.proofs().front();
  EXPECT_TRUE(out.is_quiet());
  EXPECT_TRUE(out.send(proof, *stanza, lone.trial->now()));
  EXPECT_FALSE(out.is_quiet());
  EXPECT_EQ(lone.trial->take().written, stanza->xml());
  EXPECT_TRUE(out.is_quiet());
  // No longer: the rules changed.
  lone.policy.usual.tls = TlsRule::kRequired;
  lone.policy.usual.authenticate = Authenticate::kCertificate;
  out.check_again(lone.trial->now());
  EXPECT_TRUE(out.send(proof, *stanza, lone.trial->now())) << "the certificate satisfies them";
  out.close(std::nullopt, lone.trial->now());
  EXPECT_FALSE(out.send(proof, *stanza, lone.trial->now()));
}

TEST(Outbound, a_pair_that_no_longer_satisfies_the_rules_fails) {
  xmpp::StanzaReader reader;
  const auto stanza = reader.read("<message from='u@local.example' to='v@remote.example'/>");
  Lone lone(dns_is_enough);
  lone.go(asked({}) + Steps{says(result("valid"))});
  const PeerProof proof = lone.trial->machine().proofs().front();
  lone.policy.usual.authenticate = Authenticate::kCertificate;
  lone.trial->machine().check_again(lone.trial->now());
  EXPECT_EQ(lone.trial->take().outputs, (Outputs{"PairFailed local.example<remote.example tls.no-certificate",
                                                 "Closed tls.no-certificate"}));
  EXPECT_FALSE(lone.trial->machine().send(proof, *stanza, lone.trial->now()));
}

TEST(Outbound, deadlines_are_absolute) {
  const Outputs late{"PairFailed local.example<remote.example stream.negotiation-timeout",
                     "Closed stream.negotiation-timeout"};
  const Duration tls(limits::kTlsTimeout), negotiation(limits::kNegotiationTimeout);
  converse("silence", {}, {connected()},
           {time_is_up().after(tls - 1us),
            time_is_up()
                .after(1us)
                .writes({stream_error("connection-timeout", "stream.negotiation-timeout")})
                .yields(late)});
  converse("handshake", {}, until_tls(), {time_is_up().after(tls).yields(late)});
  converse("features", {}, until_secure(),
           {says(header(2)), says(" ").after(negotiation - 1us),
            time_is_up()
                .after(1us)
                .writes({stream_error("connection-timeout", "stream.negotiation-timeout")})
                .yields(late)});
  converse("dialback", {}, asked(),
           {time_is_up()
                .after(limits::kDialbackTimeout)
                .writes({kFooter})
                .yields({"PairFailed local.example<remote.example dialback.timeout"}),
            time_is_up().after(limits::kCloseTimeout).yields({"Closed dialback.timeout"})});
}

TEST(Outbound, an_idle_stream_is_closed) {
  const Duration idle(limits::kStreamIdleTimeout);
  converse("idle", {}, authenticated(),
           {time_is_up().after(idle - 1us), time_is_up().after(1us).writes({kFooter}),
            says(kFooter).yields({"Closed stream.idle"})});
}

TEST(Outbound, a_stream_that_we_close_while_it_opens_negotiates_no_more) {
  ask_only(
      "closing", {}, {connected()},
      {closes().writes({kFooter}), says(header(1) + features(kOffersTls)), says(kFooter).yields({"Closed"})});
}

TEST(Outbound, nothing_is_written_before_there_is_a_connection) {
  Lone lone;
  EXPECT_FALSE(lone.trial->machine().poll_timeout()) << "dialling has its own deadline";
  const auto answer = lone.go({closes()});
  EXPECT_EQ(answer.written, "");
  EXPECT_EQ(answer.outputs.back(), "Closed stream.closed-by-peer");
}

}  // namespace
}  // namespace sallyport::s2s::dialogue::initiating
