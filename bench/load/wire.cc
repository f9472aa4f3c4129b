#include "wire.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

namespace bench {
namespace {

bool is_retry(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

int bio_create(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

}  // namespace

sockaddr_in address_of(const std::string& text) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::size_t colon = text.rfind(':');
  bool good =
      colon != std::string::npos && inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) == 1;
  if (good) address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(text.c_str() + colon + 1)));
  errno = EINVAL;
  must(good && address.sin_port != 0, ("`" + text + "` is not ADDRESS:PORT").c_str());
  return address;
}

Wire::~Wire() { ::close(descriptor_); }

int Wire::connect(const sockaddr_in& to, std::uint32_t source) {
  int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  must(descriptor >= 0, "socket");
  int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (source != 0) {
    // The port is chosen at connect, so that one address serves many destinations.
    ::setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    sockaddr_in from{};
    from.sin_family = AF_INET;
    from.sin_addr.s_addr = htonl(source);
    must(::bind(descriptor, reinterpret_cast<sockaddr*>(&from), sizeof from) == 0, "bind");
  }
  int result = ::connect(descriptor, reinterpret_cast<const sockaddr*>(&to), sizeof to);
  must(result == 0 || errno == EINPROGRESS, "connect");
  return descriptor;
}

BIO_METHOD* Wire::method() {
  static BIO_METHOD* const kMethod = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    BIO_meth_set_read(made, bio_read);
    BIO_meth_set_write(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    BIO_meth_set_create(made, bio_create);
    return made;
  }();
  return kMethod;
}

int Wire::bio_read(BIO* bio, char* to, int size) {
  BIO_clear_retry_flags(bio);
  auto& wire = *static_cast<Wire*>(BIO_get_data(bio));
  ssize_t received = ::recv(wire.descriptor_, to, static_cast<std::size_t>(size), 0);
  if (received < 0 && is_retry(errno)) BIO_set_retry_read(bio);
  if (received < 0) wire.errno_ = errno;
  return static_cast<int>(received);
}

int Wire::bio_write(BIO* bio, const char* bytes, int size) {
  static_cast<Wire*>(BIO_get_data(bio))->out_.append(bytes, static_cast<std::size_t>(size));
  return size;
}

void Wire::begin_tls(SSL_CTX* context, bool accepting) {
  ssl_.reset(SSL_new(context));
  BIO* bio = BIO_new(method());
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_.get(), bio, bio);
  accepting ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
}

Wire::Step Wire::handshake() {
  ERR_clear_error();
  int result = SSL_do_handshake(ssl_.get());
  if (flush() == Step::kEnded) return Step::kEnded;
  if (result == 1) {
    secure_ = true;
    return Step::kDone;
  }
  return SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ ? Step::kAgain : Step::kEnded;
}

Wire::Step Wire::read(char* to, std::size_t room, std::size_t& size) {
  if (secure_) {
    ERR_clear_error();
    int result = SSL_read_ex(ssl_.get(), to, room, &size);
    if (result == 1) return Step::kDone;
    return SSL_get_error(ssl_.get(), result) == SSL_ERROR_WANT_READ ? Step::kAgain : Step::kEnded;
  }
  ssize_t received = ::recv(descriptor_, to, room, 0);
  if (received < 0 && is_retry(errno)) return Step::kAgain;
  if (received <= 0) {
    errno_ = received < 0 ? errno : 0;
    return Step::kEnded;
  }
  size = static_cast<std::size_t>(received);
  return Step::kDone;
}

void Wire::write(std::string_view bytes) {
  if (!secure_) {
    out_.append(bytes);
    return;
  }
  std::size_t written = 0;
  must(SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &written) == 1, "SSL_write");
}

Wire::Step Wire::flush() {
  while (out_at_ < out_.size()) {
    ssize_t sent = ::send(descriptor_, out_.data() + out_at_, out_.size() - out_at_, MSG_NOSIGNAL);
    if (sent < 0 && is_retry(errno)) return Step::kAgain;
    if (sent < 0) {
      errno_ = errno;
      return Step::kEnded;
    }
    out_at_ += static_cast<std::size_t>(sent);
  }
  out_.clear();
  out_at_ = 0;
  return Step::kDone;
}

std::string Wire::error() const {
  unsigned long code = ERR_peek_last_error();
  if (code != 0) return ERR_reason_error_string(code);
  return errno_ != 0 && !is_retry(errno_) ? std::strerror(errno_) : "the peer closed the connection";
}

}  // namespace bench
