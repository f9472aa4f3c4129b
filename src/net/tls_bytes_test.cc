// Two ends of a socket pair after their handshake: bytes, records and system calls.
#include <algorithm>

#include "net/key_update_fixture.h"
#include "net/tls_fixture.h"

namespace sallyport::net {
namespace {

// RFC 8446 5.2: a header of five bytes, the text, its type, the tag.
constexpr std::size_t sealed_bytes(std::size_t text) { return 5 + text + 1 + 16; }
// RFC 8446 4.6.3: a header of four bytes, and whether an answer is requested.
constexpr std::size_t kKeyUpdateBytes = sealed_bytes(5);
// RFC 8446 6: a level and a description.
constexpr std::size_t kAlertBytes = sealed_bytes(2);

// Both ends after a handshake.
class TlsBytesTest : public TlsTest {
 protected:
  void open(int kind = SOCK_STREAM) {
    pair_.emplace(kind);
    near_ = *server_.tls.accept(pair_->ends[0], domain("server.example"), civil_now());
    far_ =
        *client_.tls.connect(pair_->ends[1], domain("client.example"), "server.example", false, civil_now());
    ASSERT_TRUE(shake(*near_, *far_));
  }
  // The far end is OpenSSL alone.
  OpensslPtr<SSL, SSL_free> begin_with_openssl(SocketPair& pair) {
    near_ = *server_.tls.accept(pair.ends[0], domain("server.example"), civil_now());
    OpensslPtr<SSL_CTX, SSL_CTX_free> context(SSL_CTX_new(TLS_client_method()));
    OpensslPtr<SSL, SSL_free> other(SSL_new(context.get()));
    SSL_set_fd(other.get(), pair.ends[1]);
    return other;
  }
  OpensslPtr<SSL, SSL_free> open_to_openssl(SocketPair& pair) {
    auto other = begin_with_openssl(pair);
    EXPECT_EQ(shake_with(other.get(), *near_), TlsStep::kDone);
    return other;
  }
  static void request_keys_twice(SSL* ssl) {
    for (int i = 0; i < 2; ++i) {
      ASSERT_EQ(SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED), 1);
      ASSERT_EQ(SSL_do_handshake(ssl), 1);
    }
  }
  // The ciphertext that waits at an end.
  static std::size_t received(int descriptor) {
    char buffer[1024];
    return static_cast<std::size_t>(std::max<ssize_t>(0, ::recv(descriptor, buffer, sizeof buffer, 0)));
  }
  void expect_the_next_connection_unharmed() {
    ASSERT_NO_FATAL_FAILURE(open());
    EXPECT_EQ(far_->write("hello").bytes, 5U);
    EXPECT_EQ(read_once(), "hello");
  }
  // Everything that has arrived at the near end, in one read.
  std::string read_once() {
    std::string buffer(limits::kReadBytes + kTlsRecordBytesMax, '\0');
    Tls::Moved moved = near_->read(buffer.data(), buffer.size());
    last_step_ = moved.step;
    buffer.resize(moved.bytes);
    return buffer;
  }

  std::optional<SocketPair> pair_;
  std::unique_ptr<Tls> near_, far_;
  TlsStep last_step_ = TlsStep::kDone;
};

TEST_F(TlsBytesTest, ten_records_that_came_together_are_one_read) {
  open();
  std::string all;
  for (int i = 0; i < 10; ++i) {
    std::string stanza = "<message id='" + std::to_string(i) + "'/>";
    EXPECT_EQ(far_->write(stanza).bytes, stanza.size());
    all += stanza;
  }
  EXPECT_EQ(read_once(), all);
  EXPECT_EQ(last_step_, TlsStep::kWantRead);
}

TEST_F(TlsBytesTest, what_is_written_at_once_leaves_in_one_call_in_full_records) {
  open(SOCK_SEQPACKET);
  std::string much(limits::kWriteBytes + 1, 'x');
  Tls::Moved moved = near_->write(much);
  EXPECT_EQ(moved.step, TlsStep::kDone);
  EXPECT_EQ(moved.bytes, limits::kWriteBytes);
  std::string sent(2 * limits::kWriteBytes, '\0');
  ssize_t size = ::recv(pair_->ends[1], sent.data(), sent.size(), 0);
  constexpr std::size_t kSealed = sealed_bytes(kTlsRecordBytesMax);
  EXPECT_EQ(size, static_cast<ssize_t>(limits::kWriteBytes / kTlsRecordBytesMax * kSealed));
  for (std::size_t at = 0; at < static_cast<std::size_t>(size); at += kSealed)
    EXPECT_EQ(sent.substr(at, 5), std::string("\x17\x03\x03\x40\x11", 5));
}

TEST_F(TlsBytesTest, a_handshake_s_flight_leaves_in_one_call) {
  pair_.emplace(SOCK_SEQPACKET);
  near_ = *server_.tls.accept(pair_->ends[0], domain("server.example"), civil_now());
  far_ = *client_.tls.connect(pair_->ends[1], domain("client.example"), "server.example", false, civil_now());
  EXPECT_EQ(far_->handshake(), TlsStep::kWantRead);
  EXPECT_EQ(near_->handshake(), TlsStep::kWantRead);
  EXPECT_EQ(far_->handshake(), TlsStep::kDone);
  EXPECT_EQ(near_->handshake(), TlsStep::kDone);
}

TEST_F(TlsBytesTest, what_the_socket_does_not_take_is_not_written_yet_and_arrives_once) {
  open();
  std::string much;
  while (much.size() < 4 * 1024 * 1024) much += "line " + std::to_string(much.size()) + "\n";
  std::string arrived;
  std::size_t written = 0;
  bool was_full = false;
  while (written < much.size() || arrived.size() < much.size()) {
    // Writes as much as possible, then reads once.
    for (Tls::Moved moved{TlsStep::kDone, 0}; moved.step == TlsStep::kDone && written < much.size();) {
      moved = far_->write(std::string_view(much).substr(written));
      written += moved.bytes;
      was_full |= moved.step == TlsStep::kWantWrite;
      EXPECT_TRUE(moved.step == TlsStep::kDone || moved.bytes == 0);
    }
    arrived += read_once();
    ASSERT_TRUE(last_step_ == TlsStep::kDone || last_step_ == TlsStep::kWantRead);
  }
  EXPECT_TRUE(was_full);
  EXPECT_EQ(arrived, much);
}

// Of what counts as not written nobody may have read a byte: it is written again on another connection.
TEST_F(TlsBytesTest, what_the_peer_can_read_counts_as_written_and_no_more_than_the_socket_took) {
  open();
  const std::string much(limits::kWriteBytes + 100, 'x');
  std::size_t written = 0;
  for (bool goes_on = true; goes_on;) {
    const Tls::Moved moved = far_->write(std::string_view(much).substr(written % limits::kWriteBytes));
    goes_on = moved.step == TlsStep::kDone;
    written += moved.bytes;
  }
  EXPECT_GT(far_->unsent_bytes(), 0u);
  std::size_t arrived = 0;
  for (Tls::Moved moved{TlsStep::kDone, 0}; moved.step == TlsStep::kDone; arrived += moved.bytes) {
    char buffer[4096];
    moved = near_->read(buffer, sizeof buffer);
  }
  EXPECT_EQ(arrived, written);
}

TEST_F(TlsBytesTest, a_small_buffer_loses_nothing_of_large_records) {
  open();
  std::string much;
  while (much.size() < 3 * kTlsRecordBytesMax) much += std::to_string(much.size());
  EXPECT_EQ(far_->write(much).bytes, much.size());
  std::string arrived;
  for (Tls::Moved moved{TlsStep::kDone, 0}; moved.step == TlsStep::kDone;) {
    char buffer[1000];
    moved = near_->read(buffer, sizeof buffer);
    arrived.append(buffer, moved.bytes);
  }
  EXPECT_EQ(arrived, much);
}

TEST_F(TlsBytesTest, bytes_behind_the_handshake_in_the_same_packet_are_not_lost) {
  SocketPair pair;
  near_ = *server_.tls.accept(pair.ends[0], domain("server.example"), civil_now());
  far_ = *client_.tls.connect(pair.ends[1], domain("client.example"), "server.example", false, civil_now());
  far_->handshake();
  near_->handshake();
  ASSERT_EQ(far_->handshake(), TlsStep::kDone);
  EXPECT_EQ(far_->write("<stream>").bytes, 8U);
  ASSERT_EQ(near_->handshake(), TlsStep::kDone);
  EXPECT_EQ(read_once(), "<stream>");
}

// Whoever can make a handshake could otherwise break another connection of the same thread. OpenSSL 3 answers
// a request with the next write, or when it reads the next message of a handshake: here the second request.
TEST_F(TlsBytesTest,
       an_answer_to_requests_behind_the_handshake_in_the_same_packet_stays_with_its_connection) {
  SocketPair pair;
  const auto other = begin_with_openssl(pair);
  SSL_connect(other.get());
  near_->handshake();
  ASSERT_EQ(SSL_connect(other.get()), 1);
  request_keys_twice(other.get());
  ::shutdown(pair.ends[1], SHUT_WR);
  ASSERT_EQ(near_->handshake(), TlsStep::kDone);
  EXPECT_EQ(read_once(), "");
  EXPECT_EQ(last_step_, TlsStep::kEnded);
  EXPECT_EQ(received(pair.ends[1]), kKeyUpdateBytes);
  expect_the_next_connection_unharmed();
}

TEST_F(TlsBytesTest, an_answer_to_requests_behind_a_full_buffer_stays_with_its_connection) {
  // Of more than a record OpenSSL does not take everything at once: the requests wait in our buffer.
  for (const std::size_t before : {std::size_t{5}, kTlsRecordBytesMax + 1000}) {
    SCOPED_TRACE(before);
    SocketPair pair;
    const auto other = open_to_openssl(pair);
    const std::string bytes(before, 'x');
    ASSERT_EQ(SSL_write(other.get(), bytes.data(), static_cast<int>(before)), static_cast<int>(before));
    request_keys_twice(other.get());
    ::shutdown(pair.ends[1], SHUT_WR);
    std::string buffer(std::min(before, kTlsRecordBytesMax), '\0');
    std::size_t arrived = 0;
    Tls::Moved moved{TlsStep::kDone, 0};
    for (; moved.step == TlsStep::kDone; arrived += moved.bytes)
      moved = near_->read(buffer.data(), buffer.size());
    EXPECT_EQ(arrived, before);
    EXPECT_EQ(moved.step, TlsStep::kEnded);
    EXPECT_EQ(received(pair.ends[1]), kKeyUpdateBytes);
    expect_the_next_connection_unharmed();
  }
}

TEST_F(TlsBytesTest, an_alert_stays_with_its_connection_and_its_reason_is_told_where_it_cannot_be_sent) {
  for (const bool hears : {true, false}) {
    SCOPED_TRACE(hears);
    SocketPair pair;
    const auto other = open_to_openssl(pair);
    ASSERT_EQ(SSL_write(other.get(), "hello", 5), 5);
    const std::string forged = std::string("\x17\x03\x03\0\x20", 5) + std::string(32, 'x');
    ASSERT_EQ(::send(pair.ends[1], forged.data(), forged.size(), 0), static_cast<ssize_t>(forged.size()));
    if (!hears) ::shutdown(pair.ends[1], SHUT_RD);
    char buffer[5];
    EXPECT_EQ(near_->read(buffer, sizeof buffer).bytes, sizeof buffer);
    EXPECT_EQ(near_->read(buffer, sizeof buffer).step, TlsStep::kFailed);
    EXPECT_NE(near_->error().text.find("bad record mac"), std::string::npos) << near_->error().text;
    EXPECT_EQ(received(pair.ends[1]), hears ? kAlertBytes : 0);
    expect_the_next_connection_unharmed();
  }
}

// A peer may request key updates without limit and never read the answers (RFC 8446 4.6.3).
TEST_F(TlsBytesTest, requests_for_new_keys_whose_answers_are_not_read_end_at_a_bound) {
  SocketPair pair;
  const auto other = open_to_openssl(pair);
  std::string much(limits::kWriteBytes, 'x');
  while (near_->write(much).step == TlsStep::kDone) continue;
  do {
    ASSERT_EQ(SSL_key_update(other.get(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_EQ(SSL_do_handshake(other.get()), 1);
    read_once();
    ASSERT_LE(near_->unsent_bytes(), limits::kSealedBytesMax);
  } while (last_step_ == TlsStep::kWantRead);
  EXPECT_EQ(last_step_, TlsStep::kEnded);
  EXPECT_EQ(near_->error().code, Code::kStreamLost);
  // One more answer would have exceeded the limit.
  EXPECT_GT(near_->unsent_bytes(), limits::kSealedBytesMax - 64);
}

TEST_F(TlsBytesTest, between_the_parts_of_a_key_update_a_write_takes_nothing_and_waits_for_input) {
  SocketPair pair;
  near_ = *server_.tls.accept(pair.ends[0], domain("server.example"), civil_now());
  KeyUpdateInTwo peer(pair.ends[1]);
  ASSERT_EQ(shake_with(peer.ssl(), *near_), TlsStep::kDone);
  EXPECT_EQ(near_->write("before").bytes, 6U);
  EXPECT_FALSE(near_->writes_wait_for_input());
  peer.send_header();
  EXPECT_EQ(read_once(), "");
  EXPECT_EQ(last_step_, TlsStep::kWantRead);
  const Tls::Moved moved = near_->write("behind");
  EXPECT_EQ(moved.step, TlsStep::kWantRead);
  EXPECT_EQ(moved.bytes, 0U);
  EXPECT_EQ(near_->unsent_bytes(), 0U);
  EXPECT_TRUE(near_->writes_wait_for_input());
  peer.send_rest();
  EXPECT_EQ(read_once(), "");
  EXPECT_EQ(last_step_, TlsStep::kWantRead);
  EXPECT_FALSE(near_->writes_wait_for_input());
  EXPECT_EQ(near_->write("behind").bytes, 6U);
  EXPECT_EQ(peer.received(), "beforebehind");
}

TEST_F(TlsBytesTest, a_write_that_waits_for_the_socket_does_not_wait_for_input) {
  open();
  const std::string much(limits::kWriteBytes, 'x');
  while (near_->write(much).step == TlsStep::kDone) continue;
  EXPECT_GT(near_->unsent_bytes(), 0U);
  EXPECT_FALSE(near_->writes_wait_for_input());
}

// OpenSSL has one queue of errors for all connections of a thread.
TEST_F(TlsBytesTest, the_end_of_a_connection_between_the_parts_of_a_key_update_is_not_another_one_s_error) {
  open();
  SocketPair pair;
  const auto ending = *server_.tls.accept(pair.ends[0], domain("server.example"), civil_now());
  KeyUpdateInTwo peer(pair.ends[1]);
  ASSERT_EQ(shake_with(peer.ssl(), *ending), TlsStep::kDone);
  peer.send_header();
  char byte = 0;
  EXPECT_EQ(ending->read(&byte, 1).step, TlsStep::kWantRead);
  EXPECT_EQ(far_->close(), TlsStep::kDone);
  EXPECT_EQ(ending->close(), TlsStep::kDone);
  EXPECT_EQ(read_once(), "");
  EXPECT_EQ(last_step_, TlsStep::kEnded);
  EXPECT_EQ(near_->error().text, "the peer closed TLS");
}

}  // namespace
}  // namespace sallyport::net
