// A client whose key update (RFC 8446 4.6.3) arrives in two parts, for the tests of TLS and of connections.
#pragma once

#include <sys/socket.h>

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "net/openssl.h"

namespace sallyport::net {

// OpenSSL makes the handshake and reads. It sends a message in one record; the records of the two parts are
// therefore sealed here, with the keys that OpenSSL writes to its key log. OpenSSL does not count them: it
// must not write after the handshake.
class KeyUpdateInTwo {
 public:
  // For a descriptor that does not block.
  explicit KeyUpdateInTwo(int descriptor) : descriptor_(descriptor) {
    SSL_CTX_set_ciphersuites(context_.get(), "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set_keylog_callback(context_.get(), keep_secret);
    ssl_.reset(SSL_new(context_.get()));
    SSL_set_app_data(ssl_.get(), this);
    SSL_set_tlsext_host_name(ssl_.get(), "server.example");
    SSL_set_fd(ssl_.get(), descriptor);
  }
  KeyUpdateInTwo(const KeyUpdateInTwo&) = delete;
  KeyUpdateInTwo& operator=(const KeyUpdateInTwo&) = delete;

  SSL* ssl() { return ssl_.get(); }
  // The message's type and length.
  void send_header() { send_record(std::string_view("\x18\0\0\1", 4)); }
  // update_not_requested: no answer follows.
  void send_rest() { send_record(std::string_view("\0", 1)); }
  // Everything that has arrived.
  const std::string& received() {
    char buffer[1024];
    for (int size = 0; (size = SSL_read(ssl_.get(), buffer, sizeof buffer)) > 0;)
      received_.append(buffer, static_cast<std::size_t>(size));
    return received_;
  }

 private:
  static constexpr int kKeyBytes = 16, kNonceBytes = 12, kTagBytes = 16;
  using CipherPtr = OpensslPtr<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

  static unsigned char* octets(std::string& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

  // A line is "LABEL random secret", the numbers in hex.
  static void keep_secret(const SSL* ssl, const char* line) {
    const std::string_view text(line);
    if (!text.starts_with("CLIENT_TRAFFIC_SECRET_0 ")) return;
    std::string& secret = static_cast<KeyUpdateInTwo*>(SSL_get_app_data(ssl))->secret_;
    for (std::string_view hex = text.substr(text.rfind(' ') + 1); hex.size() >= 2; hex.remove_prefix(2))
      secret += static_cast<char>(std::stoi(std::string(hex.substr(0, 2)), nullptr, 16));
  }

  // HKDF-Expand-Label without a context (RFC 8446 7.1), of at most one digest.
  std::string derive(std::string_view purpose, std::uint8_t size) const {
    const std::string label = "tls13 " + std::string(purpose);
    std::string info;
    Appender to(info);
    to.u16(size);
    to.u8(static_cast<std::uint8_t>(label.size()));
    to.raw(label);
    to.u8(0);
    to.u8(1);  // RFC 5869 2.3: the first block
    const Digest256 digest = hmac_sha256(secret_, info);
    return {digest.begin(), digest.begin() + size};
  }

  // RFC 8446 5.2 and 5.3.
  void send_record(std::string_view part_of_a_message) {
    constexpr char kHandshakeType = 22;
    std::string text(part_of_a_message);
    text += kHandshakeType;
    std::string header("\x17\x03\x03\0", 4);
    header += static_cast<char>(text.size() + kTagBytes);
    std::string key = derive("key", kKeyBytes);
    std::string nonce = derive("iv", kNonceBytes);
    nonce.back() = static_cast<char>(nonce.back() ^ records_++);
    std::string tag(kTagBytes, '\0');
    const int size = static_cast<int>(text.size());
    int done = 0;
    CipherPtr cipher(EVP_CIPHER_CTX_new());
    EVP_EncryptInit_ex(cipher.get(), EVP_aes_128_gcm(), nullptr, octets(key), octets(nonce));
    EVP_EncryptUpdate(cipher.get(), nullptr, &done, octets(header), static_cast<int>(header.size()));
    EVP_EncryptUpdate(cipher.get(), octets(text), &done, octets(text), size);
    EVP_EncryptFinal_ex(cipher.get(), octets(text) + done, &done);
    ASSERT_EQ(EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag.data()), 1);
    const std::string record = header + text + tag;
    ASSERT_EQ(::send(descriptor_, record.data(), record.size(), 0), static_cast<ssize_t>(record.size()));
  }

  int descriptor_;
  OpensslPtr<SSL_CTX, SSL_CTX_free> context_{SSL_CTX_new(TLS_client_method())};
  OpensslPtr<SSL, SSL_free> ssl_;
  std::string secret_, received_;
  int records_ = 0;
};

}  // namespace sallyport::net
