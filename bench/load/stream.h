// One end of one stream, from the connection to stanzas: we connected (as a server, or as a component), or a
// server connected to us. It plays the ladder of RFC 6120 by the words that must come, believes every
// peer, and hands on what follows as bytes.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "loop.h"
#include "options.h"
#include "wire.h"

namespace bench {

enum class Side : std::uint8_t { kInside, kWorld };

class Stream;

// What streams have in common, and who hears of them.
struct StreamHost {
  Loop& loop;
  Pki& pki;
  SSL_CTX* client;
  SSL_CTX* server;
  std::string secret;
  // Stanzas may be sent.
  std::function<void(Stream&)> on_ready;
  std::function<void(Stream&, std::string_view)> on_bytes;
  // It is over; `why` says the peer's words, or the system's. The stream may be buried.
  std::function<void(Stream&, const std::string& why)> on_end;
};

class Stream : public Handler {
 public:
  // We connect. `own` to `other`; as a component `own` alone counts. `source`: the address we come from, or
  // 0.
  Stream(StreamHost& host, Side side, Transport transport, std::string own, std::string other,
         const sockaddr_in& to, std::uint32_t source);
  // Somebody connected to us.
  Stream(StreamHost& host, Side side, int descriptor);
  ~Stream() override;

  void handle_ready(std::uint32_t events) override;

  // In one TLS record; goes out with `flush`.
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
  // Looks at what has come; true when it moved on and there may be more to look at.
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
  // Drops everything up to and with `word`; false where it has not come yet.
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
  // `take` gets each stream that somebody opened.
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
