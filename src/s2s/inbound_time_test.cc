// Accepted streams: deadlines and the end.
#include "base/limits.h"
#include "s2s/inbound_dialogue.h"

namespace sallyport::s2s::dialogue::accepting {
namespace {

// --- time

TEST(Inbound, deadlines_are_absolute) {
  const std::vector<std::string> late{"Closed stream.negotiation-timeout"};
  const Duration tls(limits::kTlsTimeout), negotiation(limits::kNegotiationTimeout);
  converse(
      "silence", {}, {},
      {time_is_up().after(tls - 1us),
       time_is_up()
           .after(1us)
           .writes({anonymous_header(1), stream_error("connection-timeout", "stream.negotiation-timeout")})
           .yields(late)});
  converse(
      "a byte now and then", {}, {},
      {says("<stream:st").after(tls - 2s), says("ream").after(1s),
       time_is_up()
           .after(1s)
           .writes({anonymous_header(1), stream_error("connection-timeout", "stream.negotiation-timeout")})
           .yields(late)});
  converse("no handshake", {},
           {says(kHeader).writes({our_header(1), kTlsOffer}),
            says(kStartTls).writes({kProceed}).yields({"StartTls local.example -"})},
           {time_is_up().after(tls).yields(late)});
  converse("no authentication", {}, until_external(),
           {time_is_up().after(negotiation - 1us), says(" "),
            time_is_up()
                .after(1us)
                .writes({stream_error("connection-timeout", "stream.negotiation-timeout")})
                .yields(late)});
  Steps until_sasl = authenticated();
  until_sasl.pop_back();
  converse("no header after SASL", {}, until_sasl,
           {time_is_up()
                .after(negotiation)
                .writes({our_header(3), stream_error("connection-timeout", "stream.negotiation-timeout")})
                .yields(late)});
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
