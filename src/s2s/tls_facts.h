// The facts of a TLS handshake, without a verdict about identity. Made by the I/O layer (or by the
// simulation), read by `identity`. The machines never see a TLS stack.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace sallyport::s2s {

// The names in a certificate's subjectAltName, as they stand there. The common name is not
// among them and never counts (RFC 9525 6.3; THREATS B4).
struct CertificateNames {
  std::vector<std::string> dns;        // dNSName
  std::vector<std::string> srv;        // SRVName (RFC 4985), "_xmpp-server.example.com"
  std::vector<std::string> xmpp_addr;  // id-on-xmppAddr (RFC 6120 13.7.1.4)
};

// The extendedKeyUsage of a certificate (RFC 5280 4.2.1.12), as far as it concerns TLS.
struct ExtendedUsage {
  bool present = false;  // without the extension every use is allowed, and the flags below mean nothing
  bool server = false;   // serverAuth
  bool client = false;   // clientAuth
  bool any = false;      // anyExtendedKeyUsage
};

struct TlsFacts {
  std::string version;  // "TLSv1.3"
  std::string cipher;   // "TLS_AES_128_GCM_SHA256"
  std::string alpn;     // selected protocol, empty when none
  // The domain whose certificate we showed; empty when we showed none.
  std::string own_certificate;
  // The server name that was asked for: SNI received, or sent. Empty when none.
  std::string server_name;
  bool peer_certificate = false;
  // Whether the peer's chain leads to a trusted authority and is within its dates, for either
  // purpose (serverAuth-only certificates count in both directions). Errors: kTlsNoCertificate,
  // kTlsUntrusted.
  Result<void> chain = Error{Code::kTlsNoCertificate, {}};
  CertificateNames names;
  std::string key_pin;  // "sha256:<base64>" of the peer's SubjectPublicKeyInfo, empty without certificate
  // Of the peer's own certificate, not of its chain. They are for people: `chain` was checked with them.
  ExtendedUsage usage;
  UnixTime not_before{};
  UnixTime not_after{};
};

}  // namespace sallyport::s2s
