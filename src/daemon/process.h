// What a role does to its own process before it touches a secret or a socket, and what it tells systemd.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace sallyport::daemon {

// No core dumps, no debugger of the same user, no swap for what is locked, new files for the owner only,
// SIGPIPE ignored, as many open files as the system allows. Nothing here can fail in a way that matters
// enough not to start.
void harden_process();

// Keeps the whole process out of swap, where the system allows it without a limit that would make later
// allocations fail. The edge does it: its memory is where the public keys are (DESIGN invariant 2).
// False when it is not allowed.
bool lock_memory();

// For a thread beside the one that waits for signals.
void block_signals();

// getrandom(2), some bytes ahead for small wishes: what is given out stays nowhere. Several threads may use
// one: what is ahead is each thread's own.
class SystemRandom : public Random {
 public:
  void fill(std::uint8_t* out, std::size_t size) override;
};

// Draws the key of the process's tables (base/keyed_hash.h). To be called before anything else: aborts where
// something has been hashed already, because the fixed key of tests would then be in use.
void draw_hash_key(Random& random);

// The service manager's socket (sd_notify(3)); says nothing when there is none. Datagrams; never blocks.
class Notify {
 public:
  // Reads NOTIFY_SOCKET and takes it out of the environment.
  Notify();
  ~Notify();
  Notify(const Notify&) = delete;
  Notify& operator=(const Notify&) = delete;

  void ready(std::string_view status);
  void reloading();
  void stopping();

 private:
  void send(const std::string& text);
  int socket_ = -1;
  std::string path_;
};

}  // namespace sallyport::daemon
