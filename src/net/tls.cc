// One TLS connection: its handshake, its records, and why a step failed.
#include "net/tls.h"

#include <array>
#include <cerrno>
#include <cstring>

#include <sys/socket.h>

#include "base/limits.h"
#include "net/openssl.h"
#include "net/stream_socket.h"

namespace sallyport::net {

namespace {

// This thread's buffers for ciphertext between a socket and OpenSSL. Their content has no meaning between two
// calls, and `out` is empty then: what a call left in it would go out on the thread's next connection.
struct Passing {
  std::array<char, limits::kReadBytes> in;
  std::string out;
};
Passing& passing() {
  thread_local Passing ciphertext;
  return ciphertext;
}

}  // namespace

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

// Accepts everything; send_sealed follows each OpenSSL call that may write.
int Tls::wire_write(BIO* bio, const char* bytes, int size) {
  Tls& tls = *static_cast<Tls*>(BIO_get_data(bio));
  std::string& to = tls.sealed_.empty() ? passing().out : tls.sealed_;
  if (to.size() + static_cast<std::size_t>(size) > limits::kSealedBytesMax) {
    errno = ENOBUFS;
    return -1;
  }
  to.append(bytes, static_cast<std::size_t>(size));
  tls.sealed_total_ += static_cast<std::size_t>(size);
  return size;
}

TlsStep Tls::send_sealed() {
  std::string& fresh = passing().out;
  std::string_view left = sealed_.empty() ? fresh : std::string_view(sealed_).substr(sealed_at_);
  while (!left.empty()) {
    ssize_t sent = ::send(descriptor_, left.data(), left.size(), MSG_NOSIGNAL);
    if (sent < 0) break;
    left.remove_prefix(static_cast<std::size_t>(sent));
    sent_total_ += static_cast<std::size_t>(sent);
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

// For what OpenSSL seals beside the work of a call: an alert, the answer to a key update. A call that has
// failed has an error that says more than this one.
void Tls::send_aside() {
  if (passing().out.empty() && sealed_.empty()) return;
  Error own = std::move(error_);
  send_sealed();
  error_ = std::move(own);
}

TlsStep Tls::lost(std::string_view doing, std::string_view why) {
  error_ = Error{done_ ? Code::kStreamLost : Code::kTlsHandshake, std::string(doing) + ": "};
  error_.text += why;
  return TlsStep::kEnded;
}

TlsStep Tls::step_of(int result, std::string_view doing) {
  int saved_errno = errno;
  // The common case, in which OpenSSL's error queue need not be read.
  if (SSL_want_read(ssl_) != 0 && BIO_should_read(SSL_get_rbio(ssl_)) != 0) return TlsStep::kWantRead;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_ZERO_RETURN:
      error_ = Error{done_ ? Code::kStreamLost : Code::kTlsHandshake, "the peer closed TLS"};
      return TlsStep::kEnded;
    case SSL_ERROR_SYSCALL:
      return lost(doing, result < 0 && saved_errno != 0 ? std::strerror(saved_errno)
                                                        : "the peer closed the connection");
    default: {
      // RFC 7301 3.2: the alert of an edge that does not have the shard.
      bool is_unwanted = link_shard_.count > 1 &&
                         ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL;
      Code code = is_unwanted        ? Code::kLinkShard
                  : is_key_refused() ? Code::kTlsPinRefused
                  : done_            ? Code::kStreamLost
                                     : Code::kTlsHandshake;
      error_ = Error{code, std::string(doing) + ": " + openssl_reasons()};
      if (code == Code::kTlsPinRefused)
        error_.text = std::string("the ") + std::string(link_peer()) +
                      " rejected the key of this node, pin " + own_pin_ + " (" + error_.text + ")";
    }
  }
  if (refusal_) error_ = *refusal_;
  return TlsStep::kFailed;
}

// Whether the peer rejected our key: on a link a certificate is rejected for its key alone. In TLS 1.3 the
// initiator learns of it with its first read, after a handshake that looked complete (RFC 8446 4.4.2.4).
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
  if (step == TlsStep::kFailed || step == TlsStep::kEnded) {
    send_aside();
    return step;
  }
  if (TlsStep sent = send_sealed(); sent != TlsStep::kDone) return sent;
  if (step != TlsStep::kDone) return step;
  if (auto agreed = check_link_shard(); !agreed) {
    error_ = agreed.error();
    return TlsStep::kFailed;
  }
  done_ = true;
  // The handshake is over: a wiped key must not live on here.
  SSL_certs_clear(ssl_);
  return TlsStep::kDone;
}

// Decrypts until `to` is full (kDone) or no whole record is left (kWantRead).
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

// Decrypts what was received. What OpenSSL answers goes out before anything else can end the read.
TlsStep Tls::take_in(std::string_view received, char* to, std::size_t size, std::size_t& moved) {
  incoming_ = received;
  TlsStep step = decrypt(to, size, moved);
  carried_.assign(incoming_);
  incoming_ = {};
  if (!passing().out.empty()) send_aside();
  return step;
}

Tls::Moved Tls::read(char* to, std::size_t size) {
  std::size_t moved = 0;
  TlsStep step = TlsStep::kWantRead;
  if (has_more_) {
    const std::string carried = std::exchange(carried_, {});
    step = take_in(carried, to, size, moved);
  }
  if (step == TlsStep::kWantRead) {
    std::array<char, limits::kReadBytes>& in = passing().in;
    ssize_t received = ::recv(descriptor_, in.data(), in.size(), 0);
    if (received == 0) return {lost("reading", "the peer closed the connection"), moved};
    if (received < 0 && !is_retry(errno)) return {lost("reading", std::strerror(errno)), moved};
    if (received > 0) step = take_in({in.data(), static_cast<std::size_t>(received)}, to, size, moved);
    has_more_ = step == TlsStep::kDone;
    if (step == TlsStep::kWantRead && received == static_cast<ssize_t>(in.size())) step = TlsStep::kDone;
  }
  return {step, moved};
}

// What an earlier call has sealed goes first, and nothing is sealed beside it.
Tls::Moved Tls::write(std::string_view bytes) {
  const bool is_waiting = !sealed_.empty();
  if (!is_waiting) {
    if (TlsStep step = seal(bytes); step != TlsStep::kDone) {
      send_aside();
      return {step, 0};
    }
  }
  TlsStep step = send_sealed();
  const std::size_t sent = take_sent();
  // What a failure kept from the socket fails again with the next call.
  if (sent > 0) return {TlsStep::kDone, sent};
  if (step != TlsStep::kDone || !is_waiting) return {step, 0};
  return write(bytes);
}

// One record for each call of OpenSSL, to know where it ends.
TlsStep Tls::seal(std::string_view bytes) {
  for (bytes = bytes.substr(0, limits::kWriteBytes); !bytes.empty();) {
    errno = 0;
    std::size_t moved = 0;
    if (SSL_write_ex(ssl_, bytes.data(), std::min(bytes.size(), kTlsRecordBytesMax), &moved) != 1)
      // The next call fails again; what is sealed goes first.
      return records_.empty() ? step_of(-1, "writing") : TlsStep::kDone;
    records_.push_back({sealed_total_, moved});
    bytes.remove_prefix(moved);
  }
  return TlsStep::kDone;
}

bool Tls::writes_wait_for_input() const { return done_ && sealed_.empty() && SSL_in_init(ssl_) != 0; }

std::size_t Tls::take_sent() {
  std::size_t bytes = 0;
  auto it = records_.begin();
  for (; it != records_.end() && it->end <= sent_total_; ++it) bytes += it->bytes;
  records_.erase(records_.begin(), it);
  return bytes;
}

TlsStep Tls::close() {
  if (!done_) return TlsStep::kDone;
  SSL_shutdown(ssl_);
  // It fails while a part of a handshake's message is missing. The queue of errors is the thread's.
  ERR_clear_error();
  return send_sealed() == TlsStep::kWantWrite ? TlsStep::kWantWrite : TlsStep::kDone;
}

}  // namespace sallyport::net
