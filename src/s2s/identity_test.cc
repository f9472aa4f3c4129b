#include "s2s/identity.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "s2s/stream_policy.h"

namespace sallyport::s2s {
namespace {

using namespace std::string_literals;

xmpp::Domain domain(std::string_view text) { return *xmpp::Domain::parse(text); }

TlsFacts with(CertificateNames names) {
  TlsFacts facts;
  facts.peer_certificate = true;
  facts.chain = {};
  facts.names = std::move(names);
  return facts;
}

struct NameCase {
  const char* why;
  const char* domain;
  CertificateNames names;
  bool accepted;
};

const NameCase kNames[] = {
    {"DNS-ID", "a.example", {{"a.example"}, {}, {}}, true},
    {"DNS-ID in another case", "a.example", {{"A.Example"}, {}, {}}, true},
    {"one of several", "a.example", {{"b.example", "a.example"}, {}, {}}, true},
    {"another DNS-ID", "a.example", {{"b.example"}, {}, {}}, false},
    {"a name above", "a.b.example", {{"b.example"}, {}, {}}, false},
    {"a name below", "b.example", {{"a.b.example"}, {}, {}}, false},
    {"no name at all, CN-only", "a.example", {{}, {}, {}}, false},
    {"wildcard, one label", "a.x.example", {{"*.x.example"}, {}, {}}, true},
    {"wildcard and an A-label", "xn--bcher-kva.x.example", {{"*.x.example"}, {}, {}}, true},
    {"wildcard, no label", "x.example", {{"*.x.example"}, {}, {}}, false},
    {"wildcard, two labels", "a.b.x.example", {{"*.x.example"}, {}, {}}, false},
    {"two wildcards", "a.b.x.example", {{"*.*.x.example"}, {}, {}}, false},
    {"wildcard as part of a label, behind", "fa.x.example", {{"f*.x.example"}, {}, {}}, false},
    {"wildcard as part of a label, before", "af.x.example", {{"*f.x.example"}, {}, {}}, false},
    {"wildcard not left-most", "a.b.example", {{"a.*.example"}, {}, {}}, false},
    {"wildcard alone", "example", {{"*"}, {}, {}}, false},
    {"wildcard and nothing", "a.example", {{"*."}, {}, {}}, false},
    {"SRV-ID", "a.example", {{}, {"_xmpp-server.a.example"}, {}}, true},
    {"SRV-ID in another case", "a.example", {{}, {"_XMPP-Server.A.example"}, {}}, true},
    {"SRV-ID of the client service", "a.example", {{}, {"_xmpp-client.a.example"}, {}}, false},
    {"SRV-ID with a wildcard", "a.x.example", {{}, {"_xmpp-server.*.x.example"}, {}}, false},
    {"SRV-ID without a name", "a.example", {{}, {"_xmpp-server."}, {}}, false},
    {"SRV-ID without a service", "a.example", {{}, {"a.example"}, {}}, false},
    {"SRV-ID as DNS-ID", "a.example", {{"_xmpp-server.a.example"}, {}, {}}, false},
    {"XmppAddr", "a.example", {{}, {}, {"a.example"}}, true},
    {"XmppAddr in U-labels", "xn--bcher-kva.example", {{}, {}, {"bücher.example"}}, true},
    {"XmppAddr in A-labels", "bücher.example", {{}, {}, {"xn--bcher-kva.example"}}, true},
    {"XmppAddr of a user", "a.example", {{}, {}, {"u@a.example"}}, false},
    {"XmppAddr with a resource", "a.example", {{}, {}, {"a.example/r"}}, false},
    {"XmppAddr with a wildcard", "a.x.example", {{}, {}, {"*.x.example"}}, false},
    {"DNS-ID in A-labels", "bücher.example", {{"xn--bcher-kva.example"}, {}, {}}, true},
    {"DNS-ID that is no IA5String", "bücher.example", {{"bücher.example"}, {}, {}}, false},
    {"NUL in the DNS-ID", "a.example", {{"a.example\0.evil.example"s}, {}, {}}, false},
    {"NUL behind the DNS-ID", "a.example", {{"a.example\0"s}, {}, {}}, false},
    {"NUL in the XmppAddr", "a.example", {{}, {}, {"a.example\0x"s}}, false},
    {"empty names", "a.example", {{""}, {""}, {""}}, false},
};

TEST(Identity, a_certificate_names_exactly_these_domains) {
  for (const NameCase& c : kNames) {
    const Result<void> named = certificate_names_domain(with(c.names), domain(c.domain));
    EXPECT_EQ(named.has_value(), c.accepted) << c.why;
    if (!named) {
      EXPECT_EQ(named.error().code, Code::kTlsNameMismatch) << c.why;
    }
  }
}

TEST(Identity, a_chain_that_is_not_trusted_names_nobody) {
  TlsFacts facts = with({{"a.example"}, {}, {}});
  facts.chain = Error{Code::kTlsUntrusted, "self-signed"};
  EXPECT_EQ(certificate_names_domain(facts, domain("a.example")).error().code, Code::kTlsUntrusted);
  facts.peer_certificate = false;
  EXPECT_EQ(certificate_names_domain(facts, domain("a.example")).error().code, Code::kTlsNoCertificate);
}

TEST(Identity, names_are_looked_at_up_to_the_limit) {
  CertificateNames names;
  names.dns.assign(limits::kCertificateNamesMax - 1, "b.example");
  names.dns.push_back("a.example");
  EXPECT_TRUE(certificate_names_domain(with(names), domain("a.example")));
  names.srv.push_back("_xmpp-server.c.example");
  EXPECT_EQ(certificate_names_domain(with(names), domain("a.example")).error().code, Code::kTlsUntrusted);
}

TEST(Identity, the_names_found_are_told_within_bounds) {
  CertificateNames names;
  names.dns.assign(100, std::string(60, 'b') + ".example");
  const Result<void> named = certificate_names_domain(with(names), domain("a.example"));
  ASSERT_FALSE(named);
  EXPECT_LE(named.error().text.size(), limits::kShownBytesMax);
  EXPECT_NE(named.error().text.find("bbb"), std::string::npos);
}

TEST(Identity, an_address_proves_only_where_the_rules_say_so) {
  const Pair pair{domain("us.example"), domain("a.example")};
  PeerRules rules;
  EXPECT_FALSE(CertificateIdentity::trust_address(pair, rules));
  rules.address_proves = true;
  const auto proof = CertificateIdentity::trust_address(pair, rules);
  ASSERT_TRUE(proof);
  EXPECT_EQ(proof->method(), Method::kAddress);
  EXPECT_EQ(proof->pair(), pair);
}

TEST(Identity, a_proof_is_for_the_named_pair_only) {
  const Pair pair{domain("us.example"), domain("a.example")};
  EXPECT_TRUE(CertificateIdentity::prove(pair, with({{"a.example"}, {}, {}}), Method::kExternal));
  EXPECT_FALSE(CertificateIdentity::prove(pair, with({{"us.example"}, {}, {}}), Method::kExternal));
}

}  // namespace
}  // namespace sallyport::s2s
