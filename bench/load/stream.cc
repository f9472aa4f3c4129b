#include "stream.h"

#include <algorithm>
#include <array>
#include <cstring>

#include <netinet/tcp.h>
#include <openssl/sha.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "acks.h"

namespace bench {
namespace {

constexpr std::string_view kTlsFeature =
    "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
constexpr std::string_view kSaslFeature =
    "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>";
constexpr std::size_t kNegotiationBytesMax = 64 * 1024;

// The value of an attribute in a tag, in either kind of quotes.
std::string attribute(std::string_view tag, const std::string& name) {
  std::size_t at = tag.find(" " + name + "=");
  if (at == std::string_view::npos) return {};
  at += name.size() + 2;
  if (at >= tag.size()) return {};
  std::size_t end = tag.find(tag[at], at + 1);
  return std::string(tag.substr(at + 1, end - at - 1));
}

std::string hex_sha1(const std::string& text) {
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  std::string hex;
  for (unsigned char byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

int accept_any(X509_STORE_CTX*, void*) { return 1; }

Owned<SSL_CTX> new_context() {
  Owned<SSL_CTX> context(SSL_CTX_new(TLS_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  // Reads everything that has arrived in one call, however small the records are.
  SSL_CTX_set_read_ahead(context.get(), 1);
  SSL_CTX_set_default_read_buffer_len(context.get(), 64 * 1024);
  SSL_CTX_set1_groups_list(context.get(), "X25519:P-256");
  SSL_CTX_set_cert_verify_callback(context.get(), accept_any, nullptr);
  return context;
}

// Direct TLS: selects the certificate by SNI.
int choose_certificate(SSL* ssl, int*, void* pki) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  auto& source = *static_cast<Pki*>(pki);
  SSL_use_certificate(ssl, source.certificate(name != nullptr ? name : "bench.example"));
  SSL_use_PrivateKey(ssl, source.key());
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Owned<SSL_CTX> client_context() { return new_context(); }

Owned<SSL_CTX> server_context(Pki& pki) {
  Owned<SSL_CTX> context = new_context();
  SSL_CTX_set_num_tickets(context.get(), 0);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_tlsext_servername_callback(context.get(), choose_certificate);
  SSL_CTX_set_tlsext_servername_arg(context.get(), &pki);
  return context;
}

Stream::Stream(StreamHost& host, Side side, Transport transport, std::string own, std::string other,
               const sockaddr_in& to, std::uint32_t source)
    : host_(host),
      side_(side),
      transport_(transport),
      accepting_(false),
      state_(State::kConnecting),
      own_(std::move(own)),
      other_(std::move(other)),
      wire_(Wire::connect(to, source)) {
  host_.loop.watch(wire_.descriptor(), EPOLLIN | EPOLLOUT, this);
}

Stream::Stream(StreamHost& host, Side side, int descriptor)
    : host_(host),
      side_(side),
      transport_(Transport::kStartTls),
      accepting_(true),
      state_(State::kFirstByte),
      wire_(descriptor) {
  int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  host_.loop.watch(descriptor, EPOLLIN, this);
}

Stream::~Stream() {
  if (!is_over()) host_.loop.forget(wire_.descriptor());
}

std::string Stream::shown() const {
  return (own_.empty() ? std::string("?") : own_) + (accepting_ ? " <- " : " -> ") +
         (other_.empty() ? std::string("?") : other_) + " in state " +
         std::to_string(static_cast<int>(state_));
}

void Stream::handle_ready(std::uint32_t events) {
  if (is_over()) return;
  if (state_ == State::kConnecting) return connected();
  if ((events & EPOLLOUT) != 0) flush();
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0 || is_over()) return;
  if (state_ == State::kFirstByte) {
    char byte = 0;
    if (::recv(wire_.descriptor(), &byte, 1, MSG_PEEK) != 1) return end("nothing came");
    state_ = State::kHeader;
    if (byte == 0x16) start_tls(true);
  }
  if (state_ == State::kHandshake) return shake_hands();
  read();
}

void Stream::connected() {
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(wire_.descriptor(), SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return end(std::string("connecting: ") + std::strerror(error));
  host_.loop.change(wire_.descriptor(), EPOLLIN, this);
  if (transport_ == Transport::kDirectTls || transport_ == Transport::kBareTls) {
    start_tls(false);
    return shake_hands();
  }
  say_header();
}

// --- TLS

void Stream::start_tls(bool accepting) {
  wire_.begin_tls(accepting ? host_.server : host_.client, accepting);
  SSL* ssl = wire_.ssl();
  if (!accepting) SSL_set_tlsext_host_name(ssl, other_.c_str());
  if (!own_.empty()) {
    SSL_use_certificate(ssl, host_.pki.certificate(own_));
    SSL_use_PrivateKey(ssl, host_.pki.key());
  }
  if (!accepting && transport_ == Transport::kDirectTls) {
    static constexpr unsigned char kAlpn[] = "\x0bxmpp-server";
    SSL_set_alpn_protos(ssl, kAlpn, sizeof kAlpn - 1);
  }
  text_.clear();
  state_ = State::kHandshake;
}

void Stream::shake_hands() {
  Wire::Step step = wire_.handshake();
  if (step == Wire::Step::kAgain) return;
  if (step == Wire::Step::kEnded) return end("TLS: " + wire_.error());
  if (transport_ == Transport::kBareTls) return ready();
  if (accepting_) {
    state_ = State::kHeader;
  } else {
    say_header();
  }
  read();  // bytes that arrived with the handshake are already in OpenSSL's buffer
}

// --- bytes

void Stream::read() {
  static std::array<char, 64 * 1024> buffer;
  while (!is_over()) {
    std::size_t size = 0;
    Wire::Step step = wire_.read(buffer.data(), buffer.size(), size);
    if (step == Wire::Step::kAgain) return;
    if (step == Wire::Step::kEnded) return end(wire_.error());
    if (state_ == State::kReady) {
      host_.on_bytes(*this, {buffer.data(), size});
      continue;
    }
    text_.append(buffer.data(), size);
    while (step_allowed() && this->step()) {
    }
    if (state_ == State::kHandshake) return shake_hands();
    if (text_.size() > kNegotiationBytesMax) return end("it negotiates without an end");
  }
}

void Stream::flush() {
  if (is_over()) return;
  Wire::Step step = wire_.flush();
  if (step == Wire::Step::kEnded) return end(wire_.error());
  bool waits = step == Wire::Step::kAgain;
  if (waits == waits_to_write_) return;
  waits_to_write_ = waits;
  host_.loop.change(wire_.descriptor(), waits ? EPOLLIN | EPOLLOUT : EPOLLIN, this);
}

void Stream::say(const std::string& text) {
  wire_.write(text);
  flush();
}

void Stream::say_header() {
  std::string header = "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'";
  if (transport_ == Transport::kComponent) {
    header += " xmlns='jabber:component:accept' to='" + own_ + "'>";
  } else {
    header += " xmlns='jabber:server' xmlns:db='jabber:server:dialback' from='" + own_ + "' to='" + other_ +
              "' version='1.0'" + (accepting_ ? " id='b3nchb3nch'>" : ">");
  }
  if (!accepting_) state_ = transport_ == Transport::kComponent ? State::kHeader : State::kFeatures;
  say(header);
}

bool Stream::passed(std::string_view word) {
  std::size_t at = text_.find(word);
  if (at == std::string::npos) return false;
  at = text_.find('>', at + word.size() - 1);
  if (at == std::string::npos) return false;
  text_.erase(0, at + 1);
  return true;
}

// --- negotiation

bool Stream::step_allowed() const {
  return state_ != State::kReady && state_ != State::kHandshake && state_ != State::kOver;
}

bool Stream::step() {
  if (text_.find("<stream:error") != std::string::npos || text_.find("<failure") != std::string::npos ||
      text_.find("</stream:stream>") != std::string::npos) {
    end("it said: " + text_);
    return false;
  }
  switch (state_) {
    case State::kHeader:
      return step_header();
    case State::kFeatures:
      return step_features();
    case State::kNegotiate:
      return step_negotiate();
    case State::kProceed:
      if (passed("<proceed")) start_tls(false);
      return false;
    case State::kSuccess:
      if (!passed("<success")) return false;
      authenticated_ = true;
      say_header();
      return true;
    case State::kComponent:
      if (passed("<handshake")) ready();
      return false;
    default:
      return false;
  }
}

// We connected: the server's features.
bool Stream::step_features() {
  std::size_t begin = text_.find("<stream:features");
  if (begin == std::string::npos) return false;
  bool is_empty = text_.find("/>", begin) == text_.find('>', begin) - 1;
  std::size_t end_at = is_empty ? text_.find('>', begin) : text_.find("</stream:features>", begin);
  if (end_at == std::string::npos) return false;
  std::string features = text_.substr(begin, end_at - begin);
  text_.clear();
  if (authenticated_) {
    ready();
    return false;
  }
  if (!wire_.is_secure() && features.find("<starttls") != std::string::npos) {
    state_ = State::kProceed;
    say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
  } else if (wire_.is_secure() && features.find("EXTERNAL") != std::string::npos) {
    state_ = State::kSuccess;
    say("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>");
  } else {
    end("it offers neither STARTTLS nor EXTERNAL: " + features);
  }
  return false;
}

// A server's header where we accepted, or the answer to ours as a component.
bool Stream::step_header() {
  std::size_t begin = text_.find("<stream:stream");
  std::size_t close = begin == std::string::npos ? begin : text_.find('>', begin);
  if (close == std::string::npos) return false;
  std::string tag = text_.substr(begin, close - begin);
  text_.erase(0, close + 1);
  if (transport_ == Transport::kComponent) {
    state_ = State::kComponent;
    say("<handshake>" + hex_sha1(attribute(tag, "id") + host_.secret) + "</handshake>");
    return true;
  }
  own_ = attribute(tag, "to");
  other_ = attribute(tag, "from");
  say_header();
  say("<stream:features>" +
      std::string(!wire_.is_secure() ? kTlsFeature
                  : !authenticated_  ? kSaslFeature
                  : host_.acks       ? kAcksFeature
                                     : std::string_view()) +
      "</stream:features>");
  state_ = State::kNegotiate;
  if (authenticated_) ready();
  return !text_.empty();
}

bool Stream::step_negotiate() {
  if (!wire_.is_secure()) {
    if (!passed("<starttls")) return false;
    say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    start_tls(true);
    return false;
  }
  if (text_.find("<db:result") != std::string::npos) {
    end("it wants dialback: " + text_);
    return false;
  }
  if (!passed("</auth")) return false;
  say("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
  authenticated_ = true;
  state_ = State::kHeader;
  return !text_.empty();
}

void Stream::ready() {
  state_ = State::kReady;
  std::string rest = std::move(text_);
  std::string().swap(text_);
  host_.on_ready(*this);
  if (!rest.empty() && state_ == State::kReady) host_.on_bytes(*this, rest);
}

void Stream::end(const std::string& why) {
  if (is_over()) return;
  host_.loop.forget(wire_.descriptor());
  std::string told = shown() + ": " + why;
  state_ = State::kOver;
  host_.on_end(*this, told);
}

// --- accepting

StreamListener::StreamListener(StreamHost& host, Side side, const std::string& address,
                               std::function<void(std::unique_ptr<Stream>)> take)
    : host_(host),
      side_(side),
      descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
      take_(std::move(take)) {
  sockaddr_in at = address_of(address);
  int on = 1;
  ::setsockopt(descriptor_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  must(::bind(descriptor_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0, address.c_str());
  must(::listen(descriptor_, 4096) == 0, "listen");
  host_.loop.watch(descriptor_, EPOLLIN, this);
}

StreamListener::~StreamListener() { ::close(descriptor_); }

void StreamListener::handle_ready(std::uint32_t) {
  for (;;) {
    int descriptor = ::accept4(descriptor_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) return;
    take_(std::make_unique<Stream>(host_, side_, descriptor));
  }
}

}  // namespace bench
