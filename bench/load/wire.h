// A TCP connection with or without TLS. Nothing is sent before `flush`: the writes of one turn go to the
// socket in one call, each in a TLS record of its own.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <netinet/in.h>

#include "pki.h"

namespace bench {

sockaddr_in address_of(const std::string& text);  // "127.0.0.1:5269"

class Wire {
 public:
  enum class Step : std::uint8_t { kDone, kAgain, kEnded };

  explicit Wire(int descriptor) : descriptor_(descriptor) {}
  ~Wire();
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;

  // Starts a non-blocking connection. `source`: our address, or 0.
  static int connect(const sockaddr_in& to, std::uint32_t source);

  void begin_tls(SSL_CTX* context, bool accepting);
  SSL* ssl() const { return ssl_.get(); }
  Step handshake();
  bool is_secure() const { return secure_; }

  // kDone: `to` has `size` bytes, at least one.
  Step read(char* to, std::size_t room, std::size_t& size);
  void write(std::string_view bytes);
  Step flush();
  int descriptor() const { return descriptor_; }
  // Why it ended.
  std::string error() const;

 private:
  static BIO_METHOD* method();
  static int bio_read(BIO* bio, char* to, int size);
  static int bio_write(BIO* bio, const char* bytes, int size);

  int descriptor_;
  Owned<SSL> ssl_;
  bool secure_ = false;
  int errno_ = 0;
  std::string out_;
  std::size_t out_at_ = 0;
};

}  // namespace bench
