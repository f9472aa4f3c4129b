// TLS on a connected, non-blocking socket: contexts for s2s and for the link, and one connection's TLS.
//
// Identity is not judged here. For s2s the handshake completes whatever certificate the peer shows, or none;
// what was found are facts (s2s::TlsFacts) for the machines. On the link the peer's key must be a pinned one,
// and the handshake fails otherwise.
//
// TLS 1.2 and 1.3 with AEAD suites for s2s, 1.3 alone on the link. Never compression, renegotiation (THREATS
// B8), tickets, session caches or early data, so nothing is resumed across names.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "link/shard.h"
#include "net/certificate_source.h"
#include "s2s/tls_facts.h"
#include "xmpp/jid.h"

struct bio_st;
struct bio_method_st;
struct ssl_ctx_st;
struct x509_st;
struct x509_store_st;
struct x509_store_ctx_st;

namespace sallyport::net {

// A record's text (RFC 8446 5.1).
inline constexpr std::size_t kTlsRecordBytesMax = 16 * 1024;

// What stopped a call: nothing, the socket, the peer's end of the TLS or TCP connection, or an error.
enum class TlsStep : std::uint8_t { kDone, kWantRead, kWantWrite, kEnded, kFailed };

// One connection's TLS. Reads and writes the descriptor, never closes it; the descriptor outlives it.
class Tls {
 public:
  ~Tls();
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  // To be called again after a wait, as the step says.
  TlsStep handshake();

  struct Moved {
    TlsStep step;
    std::size_t bytes;
  };
  // Receives once, at most limits::kReadBytes, and decrypts all of it: small records that came together are
  // joined in `to`. Bytes may come with every step: kWantRead says that the socket has no more for now,
  // kDone that it may have.
  Moved read(char* to, std::size_t size);
  // kDone: that many of the bytes, at least one, are with the socket; at most limits::kWriteBytes go at a
  // time, in full records and one call to the system. After kWantWrite the next call must offer the same
  // bytes.
  Moved write(std::string_view bytes);
  // Ciphertext that waits for the socket.
  std::size_t unsent_bytes() const { return sealed_.size() - sealed_at_; }
  // Says close_notify. kDone also when it cannot be said any more.
  TlsStep close();

  // Why a step was kFailed or a handshake kEnded: kTlsHandshake, kTlsAlpn, kTlsUnknownName,
  // kTlsNoLocalCertificate, kTlsPin, kTlsPinRefused, kLinkShard, or what the certificate source said; outside
  // the handshake kStreamLost, on a link also kTlsPinRefused.
  const Error& error() const { return error_; }
  // After a complete handshake.
  s2s::TlsFacts facts() const;
  // After a link's handshake: which row of pins has the peer's key.
  std::size_t pinned_row() const { return pinned_row_; }
  // After a link's handshake: which shard of its core it belongs to.
  const link::Shard& link_shard() const { return link_shard_; }

 private:
  friend class S2sTls;
  friend class LinkTls;
  Tls(ssl_ctx_st* context, int descriptor, bool accepting);
  TlsStep step_of(int result, std::string_view doing);
  TlsStep lost(std::string_view doing, std::string_view why);
  TlsStep decrypt(char* to, std::size_t size, std::size_t& moved);
  TlsStep send_sealed();
  void refuse(Error error) { refusal_ = std::move(error); }
  Result<void> show_for(const xmpp::Domain& own);

  // What OpenSSL reads from and writes to.
  static const bio_method_st* wire();
  static int wire_read(bio_st* bio, char* to, int size);
  static int wire_write(bio_st* bio, const char* bytes, int size);

  static Tls& of(ssl_st* ssl);
  static int handle_server_name(ssl_st* ssl, int* alert, void* unused);
  static int handle_alpn(ssl_st* ssl, const unsigned char** out, unsigned char* out_size,
                         const unsigned char* in, unsigned in_size, void* unused);
  static int handle_link_alpn(ssl_st* ssl, const unsigned char** out, unsigned char* out_size,
                              const unsigned char* in, unsigned in_size, void* own);
  Result<void> check_link_shard() const;
  bool is_key_refused() const;
  static int handle_certificate_wanted(ssl_st* ssl, void* unused);
  static int handle_chain(x509_store_ctx_st* chain, void* unused);
  static int handle_pin(x509_store_ctx_st* chain, void* unused);

  ssl_st* ssl_;
  int descriptor_;
  bool accepting_;
  bool is_link_ = false;
  bool done_ = false;
  // There may be decrypted bytes, or whole records, that no read has had room for.
  bool has_more_ = true;
  // Ciphertext that was received and that OpenSSL has not taken yet; what is left between two reads is kept
  // in `carried_`.
  std::string_view incoming_;
  std::string carried_;
  // Ciphertext that the socket did not take, and how many bytes of the last write are in it.
  std::string sealed_;
  std::size_t sealed_at_ = 0;
  std::size_t sealed_bytes_ = 0;
  // Accepting Direct TLS: the certificate is chosen by SNI, from here.
  CertificateSource* by_server_name_ = nullptr;
  UnixTime now_{};
  dns::Ip peer_{};  // whom the certificate is shown to
  bool has_credential_ = false;
  bool certificate_wanted_ = false;
  std::string own_;
  std::string server_name_;
  Result<void> chain_ = Error{Code::kTlsNoCertificate, {}};
  std::span<const std::vector<std::string>> pins_;
  std::size_t pinned_row_ = 0;
  link::Shard link_shard_;  // dialling: that was offered
  // What one of our callbacks objected to, more telling than OpenSSL's words for it.
  std::optional<Error> refusal_;
  Error error_{Code::kTlsHandshake, {}};
};

// What peers' chains must lead to. Immutable, shared.
class TrustStore {
 public:
  static std::shared_ptr<const TrustStore> system();
  static std::shared_ptr<const TrustStore> nothing();
  // PEM certificates; each is an anchor, also an intermediate one: who lists it means it. Errors:
  // kFileFormat.
  static Result<std::shared_ptr<const TrustStore>> parse(std::string_view pem);
  // Whether a self-signed authority of this store has issued the certificate.
  bool has_root_of(x509_st* certificate) const;
  ~TrustStore();
  TrustStore(const TrustStore&) = delete;
  TrustStore& operator=(const TrustStore&) = delete;

 private:
  friend class S2sTls;
  explicit TrustStore(x509_store_st* store) : store_(store) {}
  x509_store_st* store_;
};

class S2sTls {
 public:
  // `source` outlives it.
  explicit S2sTls(CertificateSource& source);
  ~S2sTls();
  S2sTls(const S2sTls&) = delete;
  S2sTls& operator=(const S2sTls&) = delete;

  // What peers' chains must lead to, from the next handshake on. Nothing, until one of these is called.
  void trust(const TrustStore& store);
  void trust_system() { trust(*TrustStore::system()); }
  void trust_nothing() { trust(*TrustStore::nothing()); }
  // See TrustStore::parse; on an error the earlier trust stays.
  Result<void> trust(std::string_view pem);

  // STARTTLS: shows the certificate of `own` (RFC 6120 5.4.3.1). Errors: the source's.
  // `peer`, here and below: who the other end is, as the source wants to know it.
  Result<std::unique_ptr<Tls>> accept(int descriptor, const xmpp::Domain& own, UnixTime now,
                                      const dns::Ip& peer = {});
  // Direct TLS: shows that of the SNI; none, or one without a certificate, fails with kTlsUnknownName
  // (XEP-0368, THREATS B8).
  std::unique_ptr<Tls> accept_direct(int descriptor, UnixTime now, const dns::Ip& peer = {});
  // Shows the certificate of `own` if asked for one and if there is one. `direct`: offers ALPN xmpp-server
  // (XEP-0368 2).
  Result<std::unique_ptr<Tls>> connect(int descriptor, const xmpp::Domain& own,
                                       const std::string& server_name, bool direct, UnixTime now,
                                       const dns::Ip& peer = {});

 private:
  CertificateSource& source_;
  ssl_ctx_st* context_;
};

class LinkTls {
 public:
  // Our identity, PEM, and which shard of our door this is for. A connection that it dials says so (ALPN),
  // and fails with kLinkShard where the other door has no shard of that number; one that it accepts names a
  // shard that our door has, or fails; one that names none is of the first of one. Errors: kFileFormat.
  static Result<std::unique_ptr<LinkTls>> make(std::string_view certificate, std::string_view key,
                                               const link::Shard& shard = {});
  ~LinkTls();
  LinkTls(const LinkTls&) = delete;
  LinkTls& operator=(const LinkTls&) = delete;

  // The peer's key must be one of the pins, in one of the rows. They outlive the handshake.
  std::unique_ptr<Tls> accept(int descriptor, std::span<const std::vector<std::string>> rows);
  std::unique_ptr<Tls> connect(int descriptor, const std::vector<std::string>& pins);
  // Our own key's pin.
  const std::string& pin() const { return pin_; }

 private:
  explicit LinkTls(const link::Shard& shard) : shard_(shard) {}
  const link::Shard shard_;
  ssl_ctx_st* context_ = nullptr;
  std::string pin_;
};

}  // namespace sallyport::net
