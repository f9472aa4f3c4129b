// The OpenSSL contexts of s2s and of the link, and how a connection is made from each.
#include <string>

#include "base/limits.h"
#include "net/handshake_library.h"
#include "net/openssl.h"
#include "net/tls.h"
#include "net/tls_alpn.h"
#include "net/x509_parts.h"

namespace sallyport::net {

namespace {

SSL_CTX* new_context(int version_min) {
  SSL_CTX* context = SSL_CTX_new_ex(handshake_library(), nullptr, TLS_method());
  SSL_CTX_set_min_proto_version(context, version_min);
  // Rejects keys and signatures below 112 bits of security in every certificate of a chain (RFC 9325 4.5):
  // RSA below 2048 bits, SHA-1. Debian's default; set here for other systems.
  SSL_CTX_set_security_level(context, 2);
  // Without these buffers an idle connection needs a third of the memory.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_max_cert_list(context, limits::kCertificateChainBytesMax);
  SSL_CTX_set_verify_depth(context, limits::kCertificateDepthMax);
  SSL_CTX_set1_groups_list(context, "X25519:P-256:P-384");
  // BCP 195 (RFC 9325 4.2): forward secrecy and AEAD; TLS 1.3 has nothing else. AES-128, which every peer has
  // (RFC 8446 9.1), comes first: it costs less, mainly because SHA-256 costs less than SHA-384.
  SSL_CTX_set_cipher_list(context,
                          "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                          "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_ciphersuites(context,
                           "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  return context;
}

}  // namespace

// --- s2s

S2sTls::S2sTls(CertificateSource& source) : source_(source), context_(new_context(TLS1_2_VERSION)) {
  // A client certificate is requested but not required: dialback works without one.
  SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_cert_verify_callback(context_, &Tls::handle_chain, nullptr);
  SSL_CTX_set_tlsext_servername_callback(context_, &Tls::handle_server_name);
  SSL_CTX_set_alpn_select_cb(context_, &Tls::handle_alpn, nullptr);
  SSL_CTX_set_cert_cb(context_, &Tls::handle_certificate_wanted, nullptr);
  trust_nothing();
}

S2sTls::~S2sTls() { SSL_CTX_free(context_); }

void S2sTls::trust(const TrustStore& store) { SSL_CTX_set1_cert_store(context_, store.store_); }

Result<void> S2sTls::trust(std::string_view pem) {
  auto store = TrustStore::parse(pem);
  if (!store) return std::move(store).error();
  trust(**store);
  return {};
}

Result<std::unique_ptr<Tls>> S2sTls::accept(int descriptor, const xmpp::Domain& own, UnixTime now,
                                            const dns::Ip& peer) {
  std::unique_ptr<Tls> tls(new Tls(context_, descriptor, true));
  tls->by_server_name_ = &source_;
  tls->now_ = now;
  tls->peer_ = peer;
  auto shown = tls->show_for(own);
  if (!shown) return std::move(shown).error();
  tls->by_server_name_ = nullptr;
  return tls;
}

std::unique_ptr<Tls> S2sTls::accept_direct(int descriptor, UnixTime now, const dns::Ip& peer) {
  std::unique_ptr<Tls> tls(new Tls(context_, descriptor, true));
  tls->by_server_name_ = &source_;
  tls->now_ = now;
  tls->peer_ = peer;
  return tls;
}

Result<std::unique_ptr<Tls>> S2sTls::connect(int descriptor, const xmpp::Domain& own,
                                             const std::string& server_name, bool direct, UnixTime now,
                                             const dns::Ip& peer) {
  std::unique_ptr<Tls> tls(new Tls(context_, descriptor, false));
  tls->by_server_name_ = &source_;
  tls->now_ = now;
  tls->peer_ = peer;
  // Without a certificate for the domain dialback may still work.
  auto shown = tls->show_for(own);
  if (!shown && shown.error().code != Code::kTlsNoLocalCertificate) return std::move(shown).error();
  tls->by_server_name_ = nullptr;
  tls->server_name_ = server_name;
  if (!server_name.empty() && SSL_set_tlsext_host_name(tls->ssl_, server_name.c_str()) != 1) {
    return Error{Code::kTlsHandshake, openssl_reasons()};
  }
  if (direct) SSL_set_alpn_protos(tls->ssl_, kAlpn, kAlpnSize);
  return tls;
}

// --- the link

Result<std::unique_ptr<LinkTls>> LinkTls::make(std::string_view certificate, std::string_view key,
                                               const link::Shard& shard) {
  auto identity = Credential::parse(certificate, key);
  if (!identity) return std::move(identity).error();
  std::unique_ptr<LinkTls> link(new LinkTls(shard));
  link->context_ = new_context(TLS1_3_VERSION);
  link->pin_ = key_pin((*identity)->leaf());
  SSL_CTX_set_verify(link->context_, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(link->context_, &Tls::handle_pin, nullptr);
  SSL_CTX_set_alpn_select_cb(link->context_, &Tls::handle_link_alpn, const_cast<link::Shard*>(&link->shard_));
  if (SSL_CTX_use_cert_and_key(link->context_, (*identity)->leaf(), (*identity)->key(), nullptr, 1) != 1) {
    return Error{Code::kFileFormat, "identity: " + openssl_reasons()};
  }
  return link;
}

LinkTls::~LinkTls() { SSL_CTX_free(context_); }

std::unique_ptr<Tls> LinkTls::accept(int descriptor, std::span<const std::vector<std::string>> rows) {
  std::unique_ptr<Tls> tls(new Tls(context_, descriptor, true));
  tls->is_link_ = true;
  tls->pins_ = rows;
  tls->own_pin_ = pin_;
  return tls;
}

std::unique_ptr<Tls> LinkTls::connect(int descriptor, const std::vector<std::string>& pins) {
  std::unique_ptr<Tls> tls(new Tls(context_, descriptor, false));
  tls->is_link_ = true;
  tls->pins_ = std::span(&pins, 1);
  tls->own_pin_ = pin_;
  // A core with one shard offers no ALPN, as cores without shards do.
  if (shard_.count == 1) return tls;
  tls->link_shard_ = shard_;
  std::string name = link::alpn_of(shard_);
  name.insert(name.begin(), static_cast<char>(name.size()));
  SSL_set_alpn_protos(tls->ssl_, reinterpret_cast<const unsigned char*>(name.data()),
                      static_cast<unsigned>(name.size()));
  return tls;
}

}  // namespace sallyport::net
