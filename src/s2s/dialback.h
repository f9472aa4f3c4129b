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
// HMAC-SHA256(hex(SHA256(secret)), "remote local id") in lower-case hex. Core only: the secret never leaves it.
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

  // Errors: kStreamHeaderInvalid where from or to is absent or no domain; kStreamOrder where it is no such element.
  static Result<DialbackElement> parse(const xmpp::Element& element);
  std::string xml() const;
};

// What the authoritative server said of a key that a peer showed us.
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
  // the pair. Errors: kDialbackInvalid; kTlsUntrusted/kTlsNameMismatch where rules.authenticate is
  // certificate and neither the peer nor the authoritative server showed one.
  static Result<PeerProof> prove(const Pair& pair, const VerifyAnswer& answer, bool certificate_required);
};

}  // namespace sallyport::s2s
