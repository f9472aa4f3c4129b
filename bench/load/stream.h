// One end of one stream, from the connection to stanzas: we connected (as a server, or as a component), or a
// server connected to us. It negotiates (RFC 6120) by searching for the expected texts, accepts every peer,
// and passes on the following bytes.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "loop.h"
#include "options.h"
#include "wire.h"

namespace bench {

enum class Side : std::uint8_t { kInternal, kPublic };

class Stream;

// The shared parts of streams, and their listener.
struct StreamHost {
  Loop& loop;
  Pki& pki;
  SSL_CTX* client;
  SSL_CTX* server;
  std::string secret;
  bool acks;  // stream management is offered
  // Stanzas may be sent.
  std::function<void(Stream&)> on_ready;
  std::function<void(Stream&, std::string_view)> on_bytes;
  // It is over, for the peer's or the system's reason `why`. The stream may be discarded.
  std::function<void(Stream&, const std::string& why)> on_end;
};

class Stream : public Handler {
 public:
  // Connects as `own` to `other`; as a component only `own` matters. `source`: our address, or 0.
  Stream(StreamHost& host, Side side, Transport transport, std::string own, std::string other,
         const sockaddr_in& to, std::uint32_t source);
  // A server connected to us.
  Stream(StreamHost& host, Side side, int descriptor);
  ~Stream() override;

  void handle_ready(std::uint32_t events) override;

  // Sent in one TLS record by `flush`.
  void write(std::string_view bytes) { wire_.write(bytes); }
  void flush();

  Side side() const { return side_; }
  bool is_ready() const { return state_ == State::kReady; }
  bool is_over() const { return state_ == State::kOver; }
  const std::string& own() const { return own_; }
  // For messages to people.
  std::string shown() const;

  // The owner's.
  void* user = nullptr;

 private:
  enum class State : std::uint8_t {
    kConnecting,
    kFirstByte,  // accepted: TLS or XML?
    kHandshake,
    kHeader,    // the peer's stream header
    kFeatures,  // we connected
    kProceed,
    kSuccess,
    kComponent,  // the answer to our handshake
    kNegotiate,  // accepted: STARTTLS, EXTERNAL or stanzas
    kReady,
    kOver,
  };

  void connected();
  void shake_hands();
  void read();
  // Handles the received text; true when it made progress and there may be more.
  bool step_allowed() const;
  bool step();
  bool step_features();
  bool step_header();
  bool step_negotiate();
  void say(const std::string& text);
  void say_header();
  void start_tls(bool accepting);
  void ready();
  void end(const std::string& why);
  // Drops everything up to and including `word`; false where it has not arrived yet.
  bool passed(std::string_view word);

  StreamHost& host_;
  Side side_;
  Transport transport_;
  bool accepting_;
  State state_;
  bool authenticated_ = false;
  bool waits_to_write_ = false;
  std::string own_;
  std::string other_;
  std::string text_;  // while negotiating
  Wire wire_;
};

// The contexts of both kinds.
Owned<SSL_CTX> client_context();
Owned<SSL_CTX> server_context(Pki& pki);

class StreamListener : public Handler {
 public:
  // `take` gets each stream that a server opened.
  StreamListener(StreamHost& host, Side side, const std::string& address,
                 std::function<void(std::unique_ptr<Stream>)> take);
  ~StreamListener() override;
  void handle_ready(std::uint32_t events) override;

 private:
  StreamHost& host_;
  Side side_;
  int descriptor_;
  std::function<void(std::unique_ptr<Stream>)> take_;
};

}  // namespace bench
