// TLS on a connected, non-blocking socket: contexts for s2s and for the link, and one connection's TLS.
//
// An s2s handshake does not validate identity: it completes with any certificate of the peer, or none, and
// reports facts (s2s::TlsFacts) to the machines. On the link the peer's key must be a pinned one; otherwise
// the handshake fails.
//
// TLS 1.2 and 1.3 with AEAD suites for s2s, 1.3 alone on the link. Compression, renegotiation (THREATS B8),
// tickets, session caches and early data are off, so no session is resumed under another name.
//
// tls.cc moves the records, tls_handshake.cc has OpenSSL's callbacks and the facts, tls_context.cc makes the
// contexts and the connections.
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
#include "net/trust_store.h"
#include "s2s/tls_facts.h"
#include "xmpp/jid.h"

struct bio_st;
struct bio_method_st;
struct ssl_ctx_st;
struct x509_store_ctx_st;

namespace sallyport::net {

// A record's text (RFC 8446 5.1).
inline constexpr std::size_t kTlsRecordBytesMax = 16 * 1024;

// The reason why a call returned: done, the socket is not ready, the peer ended TLS or TCP, or an error.
enum class TlsStep : std::uint8_t { kDone, kWantRead, kWantWrite, kEnded, kFailed };

// One connection's TLS. Reads and writes the descriptor, does not close it; the descriptor outlives it.
class Tls {
 public:
  ~Tls();
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;

  // To be called again after a wait for what the step names.
  TlsStep handshake();

  struct Moved {
    TlsStep step;
    std::size_t bytes;
  };
  // Receives once, at most limits::kReadBytes, and decrypts all of it: small records that arrived together
  // are joined in `to`. Every step may bring bytes: kWantRead means that the socket has no more for now,
  // kDone that it may have.
  Moved read(char* to, std::size_t size);
  // kDone: the socket has accepted the records of that many of the bytes, at least one, and of no other byte
  // a whole record, so that nobody can have read more. At most limits::kWriteBytes are written at a time, in
  // full records and one system call. Where not all of that was accepted, the next call must offer the rest.
  Moved write(std::string_view bytes);
  // Ciphertext that waits for the socket.
  std::size_t unsent_bytes() const { return sealed_.size() - sealed_at_; }
  // The peer has sent a part of a message of a later handshake, such as the header of a key update: OpenSSL
  // seals nothing until a read brings the rest. Only the peer knows whether it comes; the socket may accept
  // bytes meanwhile.
  bool writes_wait_for_input() const;
  // Sends close_notify. kDone also when it can no longer be sent.
  TlsStep close();

  // Why a step was kFailed or a handshake kEnded: kTlsHandshake, kTlsAlpn, kTlsUnknownName,
  // kTlsNoLocalCertificate, kTlsPin, kTlsPinRefused, kLinkShard, or the certificate source's error; outside
  // the handshake kStreamLost, on a link also kTlsPinRefused.
  const Error& error() const { return error_; }
  // After a complete handshake.
  s2s::TlsFacts facts() const;
  // After a link's handshake: the row of pins that has the peer's key.
  std::size_t pinned_row() const { return pinned_row_; }
  // After a link's handshake: the shard of its core that it belongs to.
  const link::Shard& link_shard() const { return link_shard_; }

 private:
  friend class S2sTls;
  friend class LinkTls;
  Tls(ssl_ctx_st* context, int descriptor, bool accepting);
  TlsStep step_of(int result, std::string_view doing);
  TlsStep lost(std::string_view doing, std::string_view why);
  TlsStep decrypt(char* to, std::size_t size, std::size_t& moved);
  TlsStep take_in(std::string_view received, char* to, std::size_t size, std::size_t& moved);
  TlsStep send_sealed();
  void send_aside();
  TlsStep seal(std::string_view bytes);
  // The bytes of records that the socket has accepted since the last call.
  std::size_t take_sent();
  void refuse(Error error) { refusal_ = std::move(error); }
  Result<void> show_for(const xmpp::Domain& own);

  // The BIO that OpenSSL reads from and writes to.
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
  std::string_view link_peer() const { return accepting_ ? "core" : "edge"; }
  static int handle_certificate_wanted(ssl_st* ssl, void* unused);
  static int handle_chain(x509_store_ctx_st* chain, void* unused);
  static int handle_pin(x509_store_ctx_st* chain, void* unused);

  ssl_st* ssl_;
  int descriptor_;
  bool accepting_;
  bool is_link_ = false;
  bool done_ = false;
  // Decrypted bytes, or whole records, may be left that no read had room for.
  bool has_more_ = true;
  // Ciphertext that was received and that OpenSSL has not read yet; `carried_` keeps it between two reads.
  std::string_view incoming_;
  std::string carried_;
  // Ciphertext that the socket did not accept.
  std::string sealed_;
  std::size_t sealed_at_ = 0;
  // The records of the last write that take_sent has not counted: where each ends in all ciphertext, and how
  // many bytes it has.
  struct Record {
    std::uint64_t end;
    std::size_t bytes;
  };
  std::vector<Record> records_;
  std::uint64_t sealed_total_ = 0;
  std::uint64_t sent_total_ = 0;
  // Accepting Direct TLS: the source of the certificate, which SNI chooses.
  CertificateSource* by_server_name_ = nullptr;
  UnixTime now_{};
  dns::Ip peer_{};  // the address that the certificate is shown to
  bool has_credential_ = false;
  bool certificate_wanted_ = false;
  std::string own_;
  std::string server_name_;
  Result<void> chain_ = Error{Code::kTlsNoCertificate, {}};
  std::span<const std::vector<std::string>> pins_;
  std::size_t pinned_row_ = 0;
  link::Shard link_shard_;  // dialling: the one that was offered
  std::string own_pin_;     // of a link
  // The objection of one of our callbacks, more precise than OpenSSL's error for it.
  std::optional<Error> refusal_;
  Error error_{Code::kTlsHandshake, {}};
};

class S2sTls {
 public:
  // `source` outlives it.
  explicit S2sTls(CertificateSource& source);
  ~S2sTls();
  S2sTls(const S2sTls&) = delete;
  S2sTls& operator=(const S2sTls&) = delete;

  // The authorities that peers' chains must lead to, from the next handshake on. None until a call.
  void trust(const TrustStore& store);
  void trust_system() { trust(*TrustStore::system()); }
  void trust_nothing() { trust(*TrustStore::nothing()); }
  // See TrustStore::parse; on an error the earlier authorities stay.
  Result<void> trust(std::string_view pem);

  // STARTTLS: shows the certificate of `own` (RFC 6120 5.4.3.1). Errors: the source's.
  // `peer`, here and below: the address of the other end, for the source.
  Result<std::unique_ptr<Tls>> accept(int descriptor, const xmpp::Domain& own, UnixTime now,
                                      const dns::Ip& peer = {});
  // Direct TLS: shows the certificate of the SNI; without SNI, or a certificate for it, the handshake fails
  // with kTlsUnknownName (XEP-0368, THREATS B8).
  std::unique_ptr<Tls> accept_direct(int descriptor, UnixTime now, const dns::Ip& peer = {});
  // Shows the certificate of `own` if the peer asks and there is one. `direct`: offers ALPN xmpp-server
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
  // Our identity, PEM, and the shard of our node that this is for. A connection that it dials names the shard
  // (ALPN) and fails with kLinkShard where the other node has no shard of that number. A connection that it
  // accepts must name a shard that our node has; one that names none belongs to the first and only shard.
  // Errors: kFileFormat.
  static Result<std::unique_ptr<LinkTls>> make(std::string_view certificate, std::string_view key,
                                               const link::Shard& shard = {});
  ~LinkTls();
  LinkTls(const LinkTls&) = delete;
  LinkTls& operator=(const LinkTls&) = delete;

  // The peer's key must be one of the pins, in one of the rows. The rows outlive the handshake.
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
