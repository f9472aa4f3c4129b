// How strict a node is with one peer: what policy.toml's [federation] and [[peer]] say, as values.
#pragma once

#include <cstdint>

namespace sallyport::policy {

// What proves a remote domain: a certificate that is valid for it, or DNS alone (XEP-0220).
enum class Authenticate : std::uint8_t { kCertificate, kDialback };
enum class TlsRule : std::uint8_t { kRequired, kOptional, kNone };

struct PeerRules {
  Authenticate authenticate = Authenticate::kCertificate;
  TlsRule tls = TlsRule::kRequired;
  // The address alone proves the peer: an internal server that the core dialled at its configured address.
  bool address_proves = false;
  // Prove ourselves by EXTERNAL when the peer offers it; else, and always when false, by dialback.
  bool use_external = true;
};

}  // namespace sallyport::policy
