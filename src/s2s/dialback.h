// Server dialback (XEP-0220): elements, keys (XEP-0185) and what a verified key proves.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "s2s/identity.h"
#include "xmpp/xml.h"

namespace sallyport::s2s {

// The key that proves `pair.local` towards `pair.remote` on the stream `stream_id`: XEP-0185,
// HMAC-SHA256(hex(SHA256(secret)), "remote local id") in lower-case hex. Core only: the secret never leaves
// it.
std::string dialback_key(std::string_view secret, const Pair& pair, std::string_view stream_id);

// `<db:result/>` and `<db:verify/>`, as requests and as answers (XEP-0220 2.1-2.4).
struct DialbackElement {
  enum class Kind : std::uint8_t { kResult, kVerify };
  enum class Type : std::uint8_t { kRequest, kValid, kInvalid, kError };
  Kind kind;
  Type type;
  xmpp::Domain from;
  xmpp::Domain to;
  std::string id;         // kVerify only
  std::string key;        // requests only; bounded
  std::string condition;  // kError only: RFC 6120 8.3.3 condition, empty if the peer gave none
  std::string text;       // kError only: for people, may be empty

  // Errors: kStreamHeaderInvalid where from or to is absent or not a domain; kStreamOrder for any
  // other element; kDialbackMalformed for an unknown type, and an id or key that is absent or over its limit.
  static Result<DialbackElement> parse(const xmpp::Element& element);
  std::string xml() const;
};

// The condition that a dialback error carries for this refusal (XEP-0220 2.4, table).
std::string_view dialback_condition(Code code);
// The answer to `request` of type valid or invalid, or the error that says `error` (its row's sentence; never
// its text). From and to are swapped, the id kept (XEP-0220 2.2).
DialbackElement dialback_answer(const DialbackElement& request, DialbackElement::Type type);
DialbackElement dialback_error(const DialbackElement& request, const Error& error);
// `<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>` (XEP-0220 2.3.2).
std::string dialback_feature_xml();

// The answer of the authoritative server about a key that a peer showed us.
struct VerifyAnswer {
  bool valid = false;
  // The authoritative server's certificate was trusted and valid for the domain.
  bool certificate = false;
};

// One request that is out, correlated by (stream, from, to, id): an answer that matches none is
// dropped and ends the stream (XEP-0220 2.1.1; CVE-2012-3525). Owned by the stream that asked.
class DialbackIdentity {
 public:
  // Proof for a pair whose key the authoritative server called valid, under the rules in force for
  // the pair. Errors: kDialbackInvalid; kTlsNoCertificate where rules.authenticate is
  // certificate and neither the peer nor the authoritative server showed one.
  static Result<PeerProof> prove(const Pair& pair, const VerifyAnswer& answer, bool certificate_required);

  // Proof for the server at the other end of a stream that we initiated: DNS led there, and nothing else
  // proves it. Errors: kTlsNoCertificate where the rules ask for a certificate.
  static Result<PeerProof> trust_dns(const Pair& pair, const PeerRules& rules);
};

}  // namespace sallyport::s2s
