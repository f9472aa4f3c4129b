// Two ends of a socket pair that do a handshake in one thread, for the tests of TLS.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "base/limits.h"
#include "net/certificate_fixture.h"
#include "net/certificate_source.h"
#include "net/tls.h"

namespace sallyport::net {

inline UnixTime civil_now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

inline xmpp::Domain domain(const std::string& text) { return *xmpp::Domain::parse(text); }

inline config::CertificatePem pushed(const Made& made) {
  config::CertificatePem pem;
  pem.chain = made.certificate;
  pem.key = made.key;
  return pem;
}

struct SocketPair {
  // SOCK_SEQPACKET keeps data of different send calls separate.
  explicit SocketPair(int kind = SOCK_STREAM) {
    EXPECT_EQ(::socketpair(AF_UNIX, kind | SOCK_NONBLOCK, 0, ends), 0);
  }
  ~SocketPair() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  int ends[2];
};

// True when both ends are done. Both are called until neither makes progress: there is no network to wait
// for.
inline bool shake(Tls& a, Tls& b) {
  TlsStep step_a = TlsStep::kWantRead;
  TlsStep step_b = TlsStep::kWantRead;
  auto is_over = [](TlsStep step) {
    return step == TlsStep::kDone || step == TlsStep::kFailed || step == TlsStep::kEnded;
  };
  for (int round = 0; round < 20; ++round) {
    if (!is_over(step_a)) step_a = a.handshake();
    if (!is_over(step_b)) step_b = b.handshake();
  }
  return step_a == TlsStep::kDone && step_b == TlsStep::kDone;
}

// The result, for us, of a handshake with OpenSSL's own client.
inline TlsStep shake_with(SSL* client, Tls& accepting) {
  TlsStep step = TlsStep::kWantRead;
  for (int round = 0; round < 10 && step == TlsStep::kWantRead; ++round) {
    SSL_connect(client);
    step = accepting.handshake();
  }
  return step;
}

// One end of an s2s handshake: its certificates and its trust store.
struct Party {
  PushedCertificates certificates;
  S2sTls tls{certificates};
};

// A peer that shows one certificate of any kind.
struct Shameless : CertificateSource {
  Result<std::shared_ptr<const Credential>> credential_for(const xmpp::Domain&, UnixTime,
                                                           const dns::Ip&) override {
    if (!made) return Error{Code::kTlsNoLocalCertificate, {}};
    return Credential::parse(made->certificate, made->key);
  }
  std::optional<Made> made;
};
struct Peer {
  Shameless certificates;
  S2sTls tls{certificates};
};

class TlsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.certificates.use({pushed(root_.issue({.dns = {"server.example"}}))});
    ASSERT_TRUE(server_.tls.trust(root_.pem()));
    ASSERT_TRUE(client_.tls.trust(root_.pem()));
  }
  // The server's facts about a client that shows `made`.
  s2s::TlsFacts facts_about(const Made& made, const std::string& own) {
    client_.certificates.made = made;
    SocketPair pair;
    auto accepting = server_.tls.accept(pair.ends[0], domain("server.example"), civil_now());
    auto dialling = client_.tls.connect(pair.ends[1], domain(own), "server.example", false, civil_now());
    EXPECT_TRUE(accepting && dialling);
    EXPECT_TRUE(shake(**accepting, **dialling))
        << (*accepting)->error().text << " / " << (*dialling)->error().text;
    client_facts_ = (*dialling)->facts();
    return (*accepting)->facts();
  }

  TestAuthority root_;
  TestAuthority stranger_{"Stranger"};
  Party server_;
  Peer client_;
  s2s::TlsFacts client_facts_;
};

}  // namespace sallyport::net
