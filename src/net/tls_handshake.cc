// The decisions and reports of a TLS handshake: OpenSSL's callbacks for server name, ALPN and certificates,
// and the facts about the peer.
#include <cstring>

#include <fmt/format.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "net/chain_usage.h"
#include "net/openssl.h"
#include "net/tls.h"
#include "net/tls_alpn.h"
#include "net/x509_parts.h"

namespace sallyport::net {

namespace {

std::string offered_protocols(const unsigned char* in, unsigned size) {
  std::string text;
  for (unsigned at = 0; at < size && text.size() < limits::kShownBytesMax;) {
    unsigned length = in[at];
    if (at + 1 + length > size) break;
    if (!text.empty()) text += ", ";
    text.append(reinterpret_cast<const char*>(in) + at + 1, length);
    at += 1 + length;
  }
  return text;
}

}  // namespace

Result<void> Tls::show_for(const xmpp::Domain& own) {
  auto credential = by_server_name_->credential_for(own, now_, peer_);
  if (!credential) return std::move(credential).error();
  if (auto shown = (*credential)->show(ssl_); !shown) return shown;
  has_credential_ = true;
  own_ = own.ascii();
  return {};
}

// Called for every accepting handshake, with or without SNI.
int Tls::handle_server_name(SSL* ssl, int* alert, void*) {
  Tls& tls = of(ssl);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  // Cut, not rejected: after STARTTLS it has no effect.
  if (name != nullptr) tls.server_name_.assign(name, strnlen(name, limits::kDomainBytesMax));
  if (tls.by_server_name_ == nullptr) return SSL_TLSEXT_ERR_OK;
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  auto domain = xmpp::Domain::parse(tls.server_name_);
  if (!domain) {
    tls.refuse({Code::kTlsUnknownName, name == nullptr ? "no server name" : tls.server_name_});
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  if (auto shown = tls.show_for(*domain); !shown) {
    bool is_unknown = shown.error().code == Code::kTlsNoLocalCertificate;
    tls.refuse(is_unknown ? Error{Code::kTlsUnknownName, domain->ascii()} : shown.error());
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  tls.server_name_ = domain->ascii();
  return SSL_TLSEXT_ERR_OK;
}

// Called only when the peer offers protocols; xmpp-server must be one of them (THREATS B8).
int Tls::handle_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                     unsigned in_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kAlpn, kAlpnSize, in, in_size) == OPENSSL_NPN_NEGOTIATED) {
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
  }
  of(ssl).refuse({Code::kTlsAlpn, offered_protocols(in, in_size)});
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Finds the shard of its core that a link belongs to, before any byte of the link (docs/link-protocol.md
// "Shards").
int Tls::handle_link_alpn(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                          const unsigned char* in, unsigned in_size, void* own) {
  Tls& tls = of(ssl);
  for (unsigned at = 0; at < in_size && at + 1 + in[at] <= in_size; at += 1 + in[at]) {
    auto shard = link::parse_alpn({reinterpret_cast<const char*>(in) + at + 1, in[at]});
    if (!shard || shard->number >= static_cast<const link::Shard*>(own)->count) continue;
    tls.link_shard_ = *shard;
    *out = in + at + 1;
    *out_size = in[at];
    return SSL_TLSEXT_ERR_OK;
  }
  tls.refuse({Code::kLinkShard, offered_protocols(in, in_size)});
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// An edge without shards treats each connection as the core's only one: only the first shard may connect.
Result<void> Tls::check_link_shard() const {
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &chosen, &size);
  if (accepting_ || link_shard_.number == 0 || size > 0) return {};
  return Error{Code::kLinkShard, "the edge does not support shards"};
}

int Tls::handle_certificate_wanted(SSL* ssl, void*) {
  of(ssl).certificate_wanted_ = true;
  return 1;
}

// Always 1: the result of the chain's verification is a fact, not a condition of the handshake.
int Tls::handle_chain(X509_STORE_CTX* chain, void*) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Tls& tls = of(ssl);
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(chain);
  // Either purpose is enough; check_chain_usage checks both below.
  X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_ANY);
  X509_VERIFY_PARAM_set_trust(param, X509_TRUST_SSL_SERVER);
  int verified = X509_verify_cert(chain);
  if (verified != 1) {
    tls.chain_ = Error{Code::kTlsUntrusted, X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain))};
  } else {
    tls.chain_ = check_chain_usage(X509_STORE_CTX_get0_chain(chain));
  }
  X509_STORE_CTX_set_error(chain, X509_V_OK);
  ERR_clear_error();
  return 1;
}

int Tls::handle_pin(X509_STORE_CTX* chain, void*) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Tls& tls = of(ssl);
  std::string pin = key_pin(X509_STORE_CTX_get0_cert(chain));
  for (std::size_t row = 0; row < tls.pins_.size(); ++row) {
    for (const std::string& pinned : tls.pins_[row]) {
      if (!equal_constant_time(pinned, pin)) continue;
      tls.pinned_row_ = row;
      X509_STORE_CTX_set_error(chain, X509_V_OK);
      return 1;
    }
  }
  tls.refuse({Code::kTlsPin, fmt::format("the key of the {} has the pin {}", tls.link_peer(), pin)});
  // Sends the alert bad_certificate, which tells the peer that its key is the reason (is_key_refused).
  X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REJECTED);
  return 0;
}

// --- what the handshake has shown

s2s::TlsFacts Tls::facts() const {
  s2s::TlsFacts facts;
  facts.version = SSL_get_version(ssl_);
  facts.cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl_));
  const unsigned char* alpn = nullptr;
  unsigned alpn_size = 0;
  SSL_get0_alpn_selected(ssl_, &alpn, &alpn_size);
  if (alpn_size > 0) facts.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
  // The receiving entity always shows its certificate; the initiating one when it was asked to.
  if (has_credential_ && (accepting_ || certificate_wanted_)) facts.own_certificate = own_;
  facts.server_name = server_name_;
  facts.chain = chain_;
  X509Ptr leaf(SSL_get1_peer_certificate(ssl_));
  if (!leaf) return facts;
  facts.peer_certificate = true;
  facts.key_pin = key_pin(leaf.get());
  facts.usage = extended_usage(leaf.get());
  facts.not_before = civil_time(X509_get0_notBefore(leaf.get()));
  facts.not_after = civil_time(X509_get0_notAfter(leaf.get()));
  auto names = certificate_names(leaf.get());
  if (names) {
    facts.names = std::move(*names);
  } else {
    facts.chain = names.error();
  }
  return facts;
}

}  // namespace sallyport::net
