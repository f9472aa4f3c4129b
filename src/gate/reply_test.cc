#include "gate/reply.h"

#include <gtest/gtest.h>

#include "base/codes.h"
#include "gate/slots.h"

namespace sallyport::gate {
namespace {

using xmpp::StanzaKind;

xmpp::BadStanza bad(StanzaKind kind, std::string type, Code code = Code::kStanzaToInvalid) {
  return {{code, "localpart: it is too long"},
          kind,
          *xmpp::Domain::parse("partner.example"),
          *xmpp::Jid::parse("b@partner.example/x"),
          *xmpp::Domain::parse("example.com"),
          "a b@example.com",
          "7",
          std::move(type)};
}

TEST(Reply, a_stanza_to_no_address_is_answered_by_the_domain) {
  for (const SenderSide sender : {SenderSide::kInternal, SenderSide::kPublic}) {
    const auto answer = answer_bad(bad(StanzaKind::kMessage, "chat"), sender);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->type(), "error");
    EXPECT_EQ(answer->id(), "7");
    EXPECT_EQ(answer->from().text(), "example.com");
    EXPECT_EQ(answer->to().text(), "b@partner.example/x");
    EXPECT_NE(answer->xml().find("<error type='modify'><jid-malformed "), std::string::npos) << answer->xml();
    EXPECT_NE(answer->xml().find("localpart: it is too long"), std::string::npos) << answer->xml();
  }
}

TEST(Reply, an_error_to_no_address_is_not_answered) {
  EXPECT_FALSE(answer_bad(bad(StanzaKind::kMessage, "error"), SenderSide::kPublic));
  EXPECT_FALSE(answer_bad(bad(StanzaKind::kIq, "result"), SenderSide::kPublic));
  EXPECT_FALSE(answer_bad(bad(StanzaKind::kIq, "error"), SenderSide::kInternal));
}

TEST(Reply, a_request_of_an_unknown_type_is_answered) {
  const auto answer = answer_bad(bad(StanzaKind::kIq, "frob", Code::kStanzaTypeInvalid), SenderSide::kPublic);
  ASSERT_TRUE(answer);
  EXPECT_NE(answer->xml().find("<bad-request "), std::string::npos) << answer->xml();
}

TEST(Reply, a_stanza_from_no_address_is_not_answered) {
  auto stanza = bad(StanzaKind::kIq, "get", Code::kStanzaFromInvalid);
  stanza.from.reset();
  EXPECT_FALSE(answer_bad(stanza, SenderSide::kPublic));
  EXPECT_FALSE(answer_bad(stanza, SenderSide::kInternal));
}

TEST(Reply, every_code_that_may_settle_a_stanza_has_a_condition) {
  for (const CodeRow& row : code_table()) {
    for (const SenderSide sender : {SenderSide::kInternal, SenderSide::kPublic})
      EXPECT_TRUE(xmpp::is_stanza_condition(stanza_condition(row.code, sender))) << row.name;
  }
}

// RFC 6120 8.3.3. Outward a node or the other server failed; inward our own servers or nodes did, or the
// world's stanza is wrong.
TEST(Reply, the_condition_says_what_the_sender_can_know) {
  constexpr std::string_view kNotFound = "remote-server-not-found";
  constexpr std::string_view kTimeout = "remote-server-timeout";
  constexpr std::string_view kInternal = "internal-server-error";
  constexpr std::string_view kUnavailable = "service-unavailable";
  constexpr std::string_view kBusy = "resource-constraint";
  constexpr std::string_view kNotAllowed = "not-allowed";
  struct Case {
    Code code;
    std::string_view to_internal;
    std::string_view to_public;
  };
  const Case cases[] = {
      // The other server's stream is not what it should be.
      {Code::kXmlNotWellFormed, kTimeout, kInternal},
      {Code::kXmlRestricted, kTimeout, kInternal},
      {Code::kXmlEncoding, kTimeout, kInternal},
      {Code::kXmlVersion, kTimeout, kInternal},
      {Code::kXmlTooLarge, kTimeout, "policy-violation"},
      {Code::kXmlTooDeep, kTimeout, kInternal},
      {Code::kXmlTooManyAttributes, kTimeout, kInternal},
      {Code::kXmlTooManyChildren, kTimeout, kInternal},
      {Code::kXmlNamespace, kTimeout, kInternal},
      {Code::kXmlStreamInside, kTimeout, kInternal},
      {Code::kXmlTextBetween, kTimeout, kInternal},
      {Code::kStanzaAddressMissing, kTimeout, kInternal},
      {Code::kStanzaFromInvalid, kTimeout, kInternal},
      {Code::kStanzaFromMalformed, kTimeout, kInternal},
      {Code::kStanzaToInvalid, "jid-malformed", "jid-malformed"},
      {Code::kStanzaTooLargeForPeer, "policy-violation", "policy-violation"},
      {Code::kStanzaTypeInvalid, "bad-request", "bad-request"},
      {Code::kStanzaIdInvalid, "bad-request", "bad-request"},
      {Code::kStanzaUnknown, kTimeout, kInternal},
      {Code::kStreamVersion, kTimeout, kInternal},
      {Code::kStreamHostUnknown, kTimeout, kInternal},
      {Code::kStreamHeaderChanged, kTimeout, kInternal},
      {Code::kStreamHeaderInvalid, kTimeout, kInternal},
      {Code::kStreamEarlyBytes, kTimeout, kInternal},
      {Code::kStreamOrder, kTimeout, kInternal},
      {Code::kStreamNotAuthorized, kTimeout, kInternal},
      {Code::kStreamNegotiationTimeout, kTimeout, kTimeout},
      {Code::kStreamIdle, kTimeout, kTimeout},
      {Code::kStreamClosedByPeer, kTimeout, kTimeout},
      {Code::kStreamErrorByPeer, kTimeout, kTimeout},
      {Code::kStreamLost, kTimeout, kTimeout},
      {Code::kStreamShutdown, kTimeout, kTimeout},
      {Code::kStreamTooMany, kBusy, kBusy},
      {Code::kStreamNoOffer, kTimeout, kTimeout},
      {Code::kStreamReset, kTimeout, kTimeout},
      {Code::kTlsRequired, kTimeout, kTimeout},
      {Code::kTlsHandshake, kTimeout, kTimeout},
      {Code::kTlsNoCertificate, kTimeout, kTimeout},
      {Code::kTlsUntrusted, kTimeout, kTimeout},
      {Code::kTlsNameMismatch, kTimeout, kTimeout},
      {Code::kTlsAlpn, kTimeout, kInternal},
      {Code::kTlsNoLocalCertificate, kInternal, kInternal},
      {Code::kTlsMintRate, kBusy, kBusy},
      {Code::kSaslMechanism, kTimeout, kInternal},
      {Code::kSaslRefused, kTimeout, kTimeout},
      {Code::kDialbackInvalid, kTimeout, kTimeout},
      {Code::kDialbackError, kTimeout, kTimeout},
      {Code::kDialbackUnreachable, kTimeout, kTimeout},
      {Code::kDialbackTimeout, kTimeout, kTimeout},
      {Code::kDialbackUnsolicited, kTimeout, kInternal},
      {Code::kDialbackTooMany, kBusy, kBusy},
      {Code::kDialbackMalformed, kTimeout, kInternal},
      {Code::kPolicyDisabled, kNotAllowed, kNotAllowed},
      {Code::kPolicyNotListed, kNotAllowed, kNotAllowed},
      {Code::kPolicyDenied, kNotAllowed, kNotAllowed},
      {Code::kPolicyDirection, kNotAllowed, kNotAllowed},
      {Code::kPolicyExpired, kNotAllowed, kNotAllowed},
      {Code::kPolicyInsideName, kNotAllowed, kNotAllowed},
      {Code::kPolicyBelowLocal, kNotAllowed, kNotAllowed},
      {Code::kPolicyNotLocal, kNotAllowed, "item-not-found"},
      {Code::kPolicyNodeName, "item-not-found", "item-not-found"},
      {Code::kDnsNoName, kNotFound, kUnavailable},
      {Code::kDnsDecline, kNotFound, kUnavailable},
      {Code::kDnsFailure, kTimeout, kTimeout},
      {Code::kDnsBogus, kNotFound, kUnavailable},
      {Code::kDnsMalformed, kTimeout, kTimeout},
      {Code::kDnsTooMany, kTimeout, kInternal},
      {Code::kDialPort, kNotFound, kUnavailable},
      {Code::kDialAddress, kNotFound, kUnavailable},
      {Code::kDialOwn, kNotFound, kUnavailable},
      {Code::kDialRefused, kNotFound, kUnavailable},
      {Code::kDialTimeout, kTimeout, kTimeout},
      {Code::kDialInside, kUnavailable, kUnavailable},
      {Code::kDialNoRoute, kNotFound, kUnavailable},
      {Code::kLinkDead, kTimeout, kTimeout},
      {Code::kLinkDown, kTimeout, kTimeout},
      {Code::kLinkRefused, kTimeout, kTimeout},
      {Code::kLinkShard, kTimeout, kInternal},
      {Code::kLinkBusy, kBusy, kBusy},
      // An edge that refuses a push gives back what came before it.
      {Code::kLinkDomain, kTimeout, kInternal},
      {Code::kDeliveryTimeout, kTimeout, kTimeout},
      {Code::kDeliveryQueueFull, kBusy, kBusy},
      {Code::kDeliveryUncertain, kTimeout, kTimeout},
      // Only a node that is broken or taken over settles with these.
      {Code::kConfigValue, kInternal, kInternal},
      {Code::kControlRefused, kInternal, kInternal},
      {Code::kInternal, kInternal, kInternal},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(stanza_condition(c.code, SenderSide::kInternal), c.to_internal) << code_row(c.code).name;
    EXPECT_EQ(stanza_condition(c.code, SenderSide::kPublic), c.to_public) << code_row(c.code).name;
  }
}

TEST(Slots, numbers_are_used_again_and_stale_ones_are_nobody) {
  Slots<int> slots;
  const auto a = slots.put(10);
  const auto b = slots.put(20);
  EXPECT_NE(a, 0u);
  EXPECT_EQ(slots.take(a), 10);
  EXPECT_EQ(slots.take(a), std::nullopt);
  EXPECT_EQ(slots.put(30), a);
  EXPECT_EQ(slots.take(b), 20);
  EXPECT_EQ(slots.take(0), std::nullopt);
  EXPECT_EQ(slots.take(99), std::nullopt);
  EXPECT_EQ(slots.size(), 1u);
}

}  // namespace
}  // namespace sallyport::gate
