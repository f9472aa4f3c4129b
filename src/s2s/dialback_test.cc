#include "s2s/dialback.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "s2s/stream_policy.h"
#include "xmpp/stanza.h"

namespace sallyport::s2s {
namespace {

using Kind = DialbackElement::Kind;
using Type = DialbackElement::Type;

Pair pair(std::string_view local, std::string_view remote) {
  return {*xmpp::Domain::parse(local), *xmpp::Domain::parse(remote)};
}

xmpp::Element element(std::string_view local, std::vector<std::pair<std::string, std::string>> attributes,
                      std::string text = {}) {
  xmpp::Element out;
  out.name = {std::string(xmpp::ns::kDialback), std::string(local)};
  for (auto& [name, value] : attributes) out.attributes.push_back({{"", name}, value});
  out.text = std::move(text);
  return out;
}

struct KeyCase {
  const char* secret;
  const char* receiving;
  const char* originating;
  const char* id;
  const char* key;
};
const KeyCase kKeys[] = {
    // XEP-0185 3; XEP-0220 2.1.1 and 2.2.2.
    {"s3cr3tf0rd14lb4ck", "xmpp.example.com", "example.org", "D60000229F",
     "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643"},
    {"s3cr3tf0rd14lb4ck", "montague.example", "capulet.example", "D60000229F",
     "b4835385f37fe2895af6c196b59097b16862406db80559900d96bf6fa7d23df3"},
    {"d14lb4ck43v3r", "capulet.example", "montague.example", "417GAF25",
     "225cc5aa6a071133249d25fef42ae516fc7a86c523aa1c6980a7f73e784c972d"},
};

TEST(Dialback, keys_are_those_of_the_vectors) {
  for (const KeyCase& c : kKeys)
    EXPECT_EQ(dialback_key(c.secret, pair(c.originating, c.receiving), c.id), c.key);
}

TEST(Dialback, keys_differ_where_only_the_fields_boundaries_do) {
  // CVE-2016-0756: the same bytes when joined.
  EXPECT_NE(dialback_key("s", pair("b.example", "a.example"), "1"),
            dialback_key("s", pair("example", "a.example"), "b.1"));
  EXPECT_NE(dialback_key("s", pair("ab.c", "d.e"), "f"), dialback_key("s", pair("b.c", "d.ea"), "f"));
  EXPECT_NE(dialback_key("s", pair("a.example", "b.example"), "1"),
            dialback_key("s", pair("b.example", "a.example"), "1"));
}

struct ParseCase {
  const char* why;
  xmpp::Element element;
  std::optional<Code> error;
};

TEST(Dialback, elements_are_read_or_refused) {
  const std::string id_max(limits::kStreamIdBytesMax, 'i');
  const std::string key_max(limits::kDialbackKeyBytesMax, 'k');
  const ParseCase cases[] = {
      {"result", element("result", {{"from", "a.example"}, {"to", "b.example"}}, "k"), {}},
      {"white space around the key",
       element("result", {{"from", "a.example"}, {"to", "b.example"}}, "\n k \n"),
       {}},
      {"no from", element("result", {{"to", "b.example"}}, "k"), Code::kStreamHeaderInvalid},
      {"no to", element("result", {{"from", "a.example"}}, "k"), Code::kStreamHeaderInvalid},
      {"from a user", element("result", {{"from", "u@a.example"}, {"to", "b.example"}}, "k"),
       Code::kStreamHeaderInvalid},
      {"empty to", element("result", {{"from", "a.example"}, {"to", ""}}, "k"), Code::kStreamHeaderInvalid},
      {"no key", element("result", {{"from", "a.example"}, {"to", "b.example"}}), Code::kDialbackMalformed},
      {"blank key", element("result", {{"from", "a.example"}, {"to", "b.example"}}, " \n"),
       Code::kDialbackMalformed},
      {"longest key", element("result", {{"from", "a.example"}, {"to", "b.example"}}, key_max), {}},
      {"key too long", element("result", {{"from", "a.example"}, {"to", "b.example"}}, key_max + "k"),
       Code::kDialbackMalformed},
      {"unknown type", element("result", {{"from", "a.example"}, {"to", "b.example"}, {"type", "maybe"}}),
       Code::kDialbackMalformed},
      {"answer without key",
       element("result", {{"from", "a.example"}, {"to", "b.example"}, {"type", "valid"}}),
       {}},
      {"verify", element("verify", {{"from", "a.example"}, {"to", "b.example"}, {"id", "1"}}, "k"), {}},
      {"verify without id", element("verify", {{"from", "a.example"}, {"to", "b.example"}}, "k"),
       Code::kDialbackMalformed},
      {"verify with an empty id",
       element("verify", {{"from", "a.example"}, {"to", "b.example"}, {"id", ""}}, "k"),
       Code::kDialbackMalformed},
      {"longest id",
       element("verify", {{"from", "a.example"}, {"to", "b.example"}, {"id", id_max}}, "k"),
       {}},
      {"id too long",
       element("verify", {{"from", "a.example"}, {"to", "b.example"}, {"id", id_max + "i"}}, "k"),
       Code::kDialbackMalformed},
      {"another element", element("resolt", {{"from", "a.example"}, {"to", "b.example"}}, "k"),
       Code::kStreamOrder},
  };
  for (const ParseCase& c : cases) {
    const auto parsed = DialbackElement::parse(c.element);
    EXPECT_EQ(parsed.has_value(), !c.error) << c.why;
    if (!parsed && c.error) {
      EXPECT_EQ(parsed.error().code, *c.error) << c.why;
    }
    if (parsed && parsed->type == Type::kRequest && c.element.text.size() < 10) {
      EXPECT_EQ(parsed->key, "k") << c.why;
    }
  }
}

TEST(Dialback, an_error_is_read_with_its_condition_and_text) {
  xmpp::Element condition, text, error;
  condition.name = {std::string(xmpp::ns::kStanzaErrors), "item-not-found"};
  text.name = {std::string(xmpp::ns::kStanzaErrors), "text"};
  text.text = "nobody here";
  error.name = {std::string(xmpp::ns::kServer), "error"};
  error.children = {condition, text};
  xmpp::Element result = element("result", {{"from", "a.example"}, {"to", "b.example"}, {"type", "error"}});
  result.children = {error};
  const auto parsed = DialbackElement::parse(result);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->condition, "item-not-found");
  EXPECT_EQ(parsed->text, "nobody here");
}

TEST(Dialback, elements_are_written) {
  const xmpp::Domain a = *xmpp::Domain::parse("a.example"), b = *xmpp::Domain::parse("b.example");
  const DialbackElement ask{Kind::kVerify, Type::kRequest, a, b, "i'<", "k", {}, {}};
  EXPECT_EQ(ask.xml(), "<db:verify from='a.example' to='b.example' id='i&apos;&lt;'>k</db:verify>");
  EXPECT_EQ(dialback_answer(ask, Type::kValid).xml(),
            "<db:verify from='b.example' to='a.example' id='i&apos;&lt;' type='valid'/>");
  const DialbackElement result{Kind::kResult, Type::kRequest, a, b, {}, "k", {}, {}};
  EXPECT_EQ(result.xml(), "<db:result from='a.example' to='b.example'>k</db:result>");
  EXPECT_EQ(dialback_answer(result, Type::kInvalid).xml(),
            "<db:result from='b.example' to='a.example' type='invalid'/>");
  EXPECT_EQ(dialback_error(result, {Code::kStreamHostUnknown, "private"}).xml(),
            "<db:result from='b.example' to='a.example' type='error'><error type='cancel'>"
            "<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>The stream is for a domain that "
            "this node does not serve.</text></error></db:result>");
}

TEST(Dialback, refusals_have_the_conditions_of_the_table) {
  const std::pair<Code, std::string_view> cases[] = {
      {Code::kStreamHostUnknown, "item-not-found"},
      {Code::kPolicyNotLocal, "item-not-found"},
      {Code::kTlsRequired, "policy-violation"},
      {Code::kPolicyNotListed, "policy-violation"},
      {Code::kPolicyDenied, "policy-violation"},
      {Code::kPolicyInsideName, "policy-violation"},
      {Code::kTlsNoCertificate, "not-authorized"},
      {Code::kTlsUntrusted, "not-authorized"},
      {Code::kTlsNameMismatch, "not-authorized"},
      {Code::kDialbackInvalid, "forbidden"},
      {Code::kDialbackTimeout, "remote-server-timeout"},
      {Code::kDialbackUnreachable, "remote-connection-failed"},
      {Code::kDialbackError, "remote-server-not-found"},
      {Code::kDnsNoName, "remote-server-not-found"},
      {Code::kDialbackTooMany, "resource-constraint"},
      {Code::kInternal, "internal-server-error"},
  };
  for (const auto& [code, condition] : cases)
    EXPECT_EQ(dialback_condition(code), condition) << code_row(code).name;
  for (const CodeRow& row : code_table()) EXPECT_FALSE(dialback_condition(row.code).empty()) << row.name;
}

TEST(Dialback, a_verified_key_proves_what_the_rules_ask) {
  const Pair p = pair("us.example", "a.example");
  struct {
    VerifyAnswer answer;
    bool certificate_required;
    std::optional<Method> method;
  } cases[] = {
      {{true, false}, false, Method::kDialback},
      {{true, true}, false, Method::kDialbackCertificate},
      {{true, true}, true, Method::kDialbackCertificate},
      {{true, false}, true, {}},
      {{false, true}, false, {}},
      {{false, false}, true, {}},
  };
  for (const auto& c : cases) {
    const auto proof = DialbackIdentity::prove(p, c.answer, c.certificate_required);
    EXPECT_EQ(proof.has_value(), c.method.has_value());
    if (proof) {
      EXPECT_EQ(proof->method(), *c.method);
    }
    if (!proof) {
      EXPECT_EQ(proof.error().code, c.answer.valid ? Code::kTlsNoCertificate : Code::kDialbackInvalid);
    }
  }
}

TEST(Dialback, dns_alone_proves_a_server_only_where_no_certificate_is_asked) {
  const Pair p = pair("us.example", "a.example");
  EXPECT_FALSE(DialbackIdentity::trust_dns(p, {}));
  PeerRules rules;
  rules.authenticate = Authenticate::kDialback;
  ASSERT_TRUE(DialbackIdentity::trust_dns(p, rules));
  EXPECT_EQ(DialbackIdentity::trust_dns(p, rules)->method(), Method::kDialback);
}

}  // namespace
}  // namespace sallyport::s2s
