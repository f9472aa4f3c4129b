#include "net/tls.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <openssl/pem.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "net/chain_usage.h"
#include "net/handshake_library.h"
#include "net/openssl.h"
#include "net/x509_parts.h"

namespace sallyport::net {

namespace {

// XEP-0368 2, in the form of RFC 7301 3.1: a length, then the name.
constexpr unsigned char kAlpn[] = "\x0bxmpp-server";
constexpr unsigned kAlpnSize = sizeof kAlpn - 1;

bool is_retry(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

// Ciphertext of this thread on its way between a socket and OpenSSL. Empty, or of no meaning, between two
// calls.
struct Passing {
  std::array<char, limits::kReadBytes> in;
  std::string out;
};
Passing& passing() {
  thread_local Passing ciphertext;
  return ciphertext;
}

// --- contexts

SSL_CTX* new_context(int version_min) {
  SSL_CTX* context = SSL_CTX_new_ex(handshake_library(), nullptr, TLS_method());
  SSL_CTX_set_min_proto_version(context, version_min);
  // Keys and signatures below 112 bits of security are not accepted in any certificate of a chain (RFC
  // 9325 4.5): no RSA below 2048 bits, no SHA-1. This is Debian's default; it is set here for others.
  SSL_CTX_set_security_level(context, 2);
  // Without the buffers an idle connection needs a third of the memory (DESIGN "Facts learned").
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
  // BCP 195 (RFC 9325 4.2): forward secrecy and AEAD; TLS 1.3 has nothing else. AES-128 first, which every
  // peer has (RFC 8446 9.1): it costs less, mostly since SHA-256 does.
  SSL_CTX_set_cipher_list(context,
                          "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
                          "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set_ciphersuites(context,
                           "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
  return context;
}

StorePtr new_store() {
  StorePtr store(X509_STORE_new());
  X509_VERIFY_PARAM* param = X509_STORE_get0_param(store.get());
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_TRUSTED_FIRST);
  return store;
}

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

// --- one connection

Tls::Tls(SSL_CTX* context, int descriptor, bool accepting)
    : ssl_(SSL_new(context)), descriptor_(descriptor), accepting_(accepting) {
  BIO* bio = BIO_new(wire());
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_, bio, bio);
  SSL_set_app_data(ssl_, this);
  if (accepting) {
    SSL_set_accept_state(ssl_);
  } else {
    SSL_set_connect_state(ssl_);
  }
}

Tls::~Tls() { SSL_free(ssl_); }

Tls& Tls::of(SSL* ssl) { return *static_cast<Tls*>(SSL_get_app_data(ssl)); }

// OpenSSL's own BIO on a socket would receive once for each record, send once for each record, and raise
// SIGPIPE on a broken connection.
const BIO_METHOD* Tls::wire() {
  static BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    BIO_meth_set_read(method, wire_read);
    BIO_meth_set_write(method, wire_write);
    BIO_meth_set_ctrl(method,
                      [](BIO*, int command, long, void*) -> long { return command == BIO_CTRL_FLUSH; });
    BIO_meth_set_create(method, [](BIO* bio) {
      BIO_set_init(bio, 1);
      return 1;
    });
    return method;
  }();
  return kMethod;
}

int Tls::wire_read(BIO* bio, char* to, int size) {
  Tls& tls = *static_cast<Tls*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (tls.done_) {
    std::size_t given = tls.incoming_.copy(to, static_cast<std::size_t>(size));
    tls.incoming_.remove_prefix(given);
    if (given > 0) return static_cast<int>(given);
    BIO_set_retry_read(bio);
    return -1;
  }
  ssize_t received = ::recv(tls.descriptor_, to, static_cast<std::size_t>(size), 0);
  if (received < 0 && is_retry(errno)) BIO_set_retry_read(bio);
  return static_cast<int>(received);
}

// Takes all; send_sealed follows each call that may have come here.
int Tls::wire_write(BIO* bio, const char* bytes, int size) {
  Tls& tls = *static_cast<Tls*>(BIO_get_data(bio));
  std::string& to = tls.sealed_.empty() ? passing().out : tls.sealed_;
  if (to.size() + static_cast<std::size_t>(size) > limits::kSealedBytesMax) {
    errno = ENOBUFS;
    return -1;
  }
  to.append(bytes, static_cast<std::size_t>(size));
  return size;
}

TlsStep Tls::send_sealed() {
  std::string& fresh = passing().out;
  std::string_view left = sealed_.empty() ? fresh : std::string_view(sealed_).substr(sealed_at_);
  while (!left.empty()) {
    ssize_t sent = ::send(descriptor_, left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0) break;
    left.remove_prefix(static_cast<std::size_t>(sent));
  }
  int saved_errno = errno;
  if (left.empty()) {
    sealed_at_ = 0;
    if (!sealed_.empty()) std::string().swap(sealed_);
  } else if (sealed_.empty()) {
    sealed_.assign(left);
    sealed_at_ = 0;
  } else {
    sealed_at_ = sealed_.size() - left.size();
  }
  fresh.clear();
  if (left.empty()) return TlsStep::kDone;
  return is_retry(saved_errno) ? TlsStep::kWantWrite : lost("writing", std::strerror(saved_errno));
}

TlsStep Tls::lost(std::string_view doing, std::string_view why) {
  error_ = Error{done_ ? Code::kStreamLost : Code::kTlsHandshake, std::string(doing) + ": "};
  error_.text += why;
  return TlsStep::kEnded;
}

TlsStep Tls::step_of(int result, std::string_view doing) {
  int saved_errno = errno;
  // The one answer that is no news comes often, and needs no look at OpenSSL's queue of errors.
  if (SSL_want_read(ssl_) != 0 && BIO_should_read(SSL_get_rbio(ssl_)) != 0) return TlsStep::kWantRead;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_ZERO_RETURN:
      error_ = Error{done_ ? Code::kStreamLost : Code::kTlsHandshake, "the peer closed TLS"};
      return TlsStep::kEnded;
    case SSL_ERROR_SYSCALL:
      return lost(doing, result < 0 && saved_errno != 0 ? std::strerror(saved_errno)
                                                        : "the peer closed the connection");
    default: {
      // RFC 7301 3.2: an edge's answer to a shard that it does not have.
      bool is_unwanted = link_shard_.count > 1 &&
                         ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL;
      Code code = is_unwanted        ? Code::kLinkShard
                  : is_key_refused() ? Code::kTlsPinRefused
                  : done_            ? Code::kStreamLost
                                     : Code::kTlsHandshake;
      error_ = Error{code, std::string(doing) + ": " + openssl_reasons()};
    }
  }
  if (refusal_) error_ = *refusal_;
  return TlsStep::kFailed;
}

// On a link, where a certificate is refused for its key alone. In TLS 1.3 the initiator hears of it only with
// its first read, behind a handshake that looked complete (RFC 8446 4.4.2.4).
bool Tls::is_key_refused() const {
  if (!is_link_) return false;
  const int reason = ERR_GET_REASON(ERR_peek_last_error());
  return reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE ||
         // The alert that version 0.1 sends.
         (done_ && reason == SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE);
}

TlsStep Tls::handshake() {
  ERR_clear_error();
  errno = 0;
  int result = SSL_do_handshake(ssl_);
  TlsStep step = result == 1 ? TlsStep::kDone : step_of(result, "handshake");
  // Also what says that it failed.
  TlsStep sent = send_sealed();
  if (step == TlsStep::kFailed || step == TlsStep::kEnded) return step;
  if (sent != TlsStep::kDone) return sent;
  if (step != TlsStep::kDone) return step;
  if (auto agreed = check_link_shard(); !agreed) {
    error_ = agreed.error();
    return TlsStep::kFailed;
  }
  done_ = true;
  // The certificate and its key are not needed after the handshake; a wiped key must not live on here.
  SSL_certs_clear(ssl_);
  return TlsStep::kDone;
}

// Until `to` is full (kDone) or nothing whole is left (kWantRead).
TlsStep Tls::decrypt(char* to, std::size_t size, std::size_t& moved) {
  while (moved < size) {
    if (incoming_.empty() && SSL_has_pending(ssl_) == 0) return TlsStep::kWantRead;
    std::size_t bytes = 0;
    errno = 0;
    int result = SSL_read_ex(ssl_, to + moved, size - moved, &bytes);
    if (result != 1) return step_of(-1, "reading");
    moved += bytes;
  }
  return TlsStep::kDone;
}

Tls::Moved Tls::read(char* to, std::size_t size) {
  std::size_t moved = 0;
  TlsStep step = TlsStep::kWantRead;
  if (has_more_) {
    std::string carried = std::exchange(carried_, {});
    incoming_ = carried;
    step = decrypt(to, size, moved);
    carried_.assign(incoming_);
    incoming_ = {};
  }
  if (step == TlsStep::kWantRead) {
    std::array<char, limits::kReadBytes>& in = passing().in;
    ssize_t received = ::recv(descriptor_, in.data(), in.size(), 0);
    if (received == 0) return {lost("reading", "the peer closed the connection"), moved};
    if (received < 0 && !is_retry(errno)) return {lost("reading", std::strerror(errno)), moved};
    if (received > 0) {
      incoming_ = {in.data(), static_cast<std::size_t>(received)};
      step = decrypt(to, size, moved);
      carried_.assign(incoming_);
      incoming_ = {};
    }
    has_more_ = step == TlsStep::kDone;
    if (step == TlsStep::kWantRead && received == static_cast<ssize_t>(in.size())) step = TlsStep::kDone;
  }
  // OpenSSL answers a request for new keys while it reads.
  if (!passing().out.empty()) send_sealed();
  return {step, moved};
}

Tls::Moved Tls::write(std::string_view bytes) {
  if (!sealed_.empty()) {
    TlsStep step = send_sealed();
    if (step != TlsStep::kDone) return {step, 0};
  }
  // Of an earlier call, which was offered the same bytes.
  if (sealed_bytes_ > 0) return {TlsStep::kDone, std::exchange(sealed_bytes_, 0)};
  errno = 0;
  std::size_t moved = 0;
  int result = SSL_write_ex(ssl_, bytes.data(), std::min(bytes.size(), limits::kWriteBytes), &moved);
  if (result != 1) return {step_of(-1, "writing"), 0};
  TlsStep step = send_sealed();
  if (step == TlsStep::kDone) return {step, moved};
  sealed_bytes_ = moved;
  return {step, 0};
}

TlsStep Tls::close() {
  if (!done_) return TlsStep::kDone;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  return send_sealed() == TlsStep::kWantWrite ? TlsStep::kWantWrite : TlsStep::kDone;
}

s2s::TlsFacts Tls::facts() const {
  s2s::TlsFacts facts;
  facts.version = SSL_get_version(ssl_);
  facts.cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl_));
  const unsigned char* alpn = nullptr;
  unsigned alpn_size = 0;
  SSL_get0_alpn_selected(ssl_, &alpn, &alpn_size);
  if (alpn_size > 0) facts.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_size);
  // An accepting side always shows its certificate; an initiating one when it was asked to.
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
  // Cut, not refused: after STARTTLS it is not used for anything.
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

// Called only when the peer offers protocols: then xmpp-server must be among them (THREATS B8).
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

// Which shard of its core a link belongs to, before any byte of the link (docs/link-protocol.md "Shards").
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

// An edge that knows of no shards takes each connection for the core's only one: no shard but the first may
// be that.
Result<void> Tls::check_link_shard() const {
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &chosen, &size);
  if (accepting_ || link_shard_.number == 0 || size > 0) return {};
  return Error{Code::kLinkShard, "the edge knows of no shards"};
}

int Tls::handle_certificate_wanted(SSL* ssl, void*) {
  of(ssl).certificate_wanted_ = true;
  return 1;
}

// The chain's verification is a fact, not a condition: always 1.
int Tls::handle_chain(X509_STORE_CTX* chain, void*) {
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
  Tls& tls = of(ssl);
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(chain);
  // Either purpose is enough; check_chain_usage looks at both behind this.
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
  tls.refuse({Code::kTlsPin, pin});
  // The alert bad_certificate: the peer can tell that its key is the reason (is_key_refused).
  X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REJECTED);
  return 0;
}

// --- s2s

std::shared_ptr<const TrustStore> TrustStore::nothing() {
  return std::shared_ptr<const TrustStore>(new TrustStore(new_store().release()));
}

std::shared_ptr<const TrustStore> TrustStore::system() {
  StorePtr store = new_store();
  X509_STORE_set_default_paths(store.get());
  ERR_clear_error();
  return std::shared_ptr<const TrustStore>(new TrustStore(store.release()));
}

Result<std::shared_ptr<const TrustStore>> TrustStore::parse(std::string_view pem) {
  if (pem.size() > limits::kTrustBytesMax) return Error{Code::kFileFormat, "trusted_ca is too large"};
  StorePtr store = new_store();
  X509_VERIFY_PARAM_set_flags(X509_STORE_get0_param(store.get()), X509_V_FLAG_PARTIAL_CHAIN);
  BioPtr in = read_bio(pem);
  ERR_clear_error();
  std::size_t count = 0;
  while (X509Ptr anchor{PEM_read_bio_X509_AUX(in.get(), nullptr, no_passphrase, nullptr)}) {
    X509_STORE_add_cert(store.get(), anchor.get());
    ++count;
  }
  bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (count == 0 || !at_end) return Error{Code::kFileFormat, "trusted certificates: " + openssl_reasons()};
  ERR_clear_error();
  return std::shared_ptr<const TrustStore>(new TrustStore(store.release()));
}

bool TrustStore::has_root_of(X509* certificate) const {
  OpensslPtr<X509_STORE_CTX, X509_STORE_CTX_free> context(X509_STORE_CTX_new());
  X509* found = nullptr;
  const bool is_found = X509_STORE_CTX_init(context.get(), store_, certificate, nullptr) == 1 &&
                        X509_STORE_CTX_get1_issuer(&found, context.get(), certificate) == 1;
  const X509Ptr issuer(found);
  ERR_clear_error();
  return is_found && X509_check_issued(issuer.get(), issuer.get()) == X509_V_OK;
}

TrustStore::~TrustStore() { X509_STORE_free(store_); }

S2sTls::S2sTls(CertificateSource& source) : source_(source), context_(new_context(TLS1_2_VERSION)) {
  // A client certificate is asked for, never insisted on: dialback may do without.
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
  // Without a certificate for the domain dialback may still do.
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
  return tls;
}

std::unique_ptr<Tls> LinkTls::connect(int descriptor, const std::vector<std::string>& pins) {
  std::unique_ptr<Tls> tls(new Tls(context_, descriptor, false));
  tls->is_link_ = true;
  tls->pins_ = std::span(&pins, 1);
  // One that is alone says nothing, as ever.
  if (shard_.count == 1) return tls;
  tls->link_shard_ = shard_;
  std::string name = link::alpn_of(shard_);
  name.insert(name.begin(), static_cast<char>(name.size()));
  SSL_set_alpn_protos(tls->ssl_, reinterpret_cast<const unsigned char*>(name.data()),
                      static_cast<unsigned>(name.size()));
  return tls;
}

}  // namespace sallyport::net
