// The strictness of a node with one peer: the settings of policy.toml's [federation] and [[peer]] as values.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/limits.h"

namespace sallyport::policy {

// The required proof of a remote domain: a certificate that is valid for it, or DNS alone (XEP-0220).
enum class Authenticate : std::uint8_t { kCertificate, kDialback };
// What shows that the peer has read a stanza: stream management or else pings; the same and never less; only
// what the socket took.
enum class Confirm : std::uint8_t { kAuto, kAck, kNone };
// What becomes of messages of which nobody knows whether the peer has read them.
enum class OnDoubt : std::uint8_t { kResend, kAnswer };
// Where messages wait: in memory only, or on disk before their sender's server is told that they were
// accepted.
enum class Delivery : std::uint8_t { kMemory, kDurable };
enum class TlsRule : std::uint8_t { kRequired, kOptional, kNone };

struct PeerRules {
  Authenticate authenticate = Authenticate::kCertificate;
  TlsRule tls = TlsRule::kRequired;
  // The address alone proves the peer: an internal server that the core dialled at its configured address.
  bool address_proves = false;
  // Authenticate by EXTERNAL when the peer offers it, otherwise by dialback; if false, always by dialback.
  bool use_external = true;
  Confirm confirm = Confirm::kAuto;
  OnDoubt on_doubt = OnDoubt::kResend;
  Delivery delivery = Delivery::kMemory;  // on a core; an edge keeps nothing
  // How long an acknowledgement may take; a node's own setting ([limits] dead_peer_seconds).
  std::chrono::milliseconds ack_timeout = limits::kAckTimeout;
};

}  // namespace sallyport::policy
