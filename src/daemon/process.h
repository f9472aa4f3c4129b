// Hardens a role's process before it touches a secret or a socket, and notifies systemd.
#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"

namespace sallyport::daemon {

// Disables core dumps and debuggers of the same user, makes new files private to the owner, ignores SIGPIPE,
// and raises the limit of open files to the system's maximum. No failure here prevents the start.
void harden_process();

// Keeps the whole process out of swap, where the system allows it without a limit that would make later
// allocations fail. An edge calls it, because its memory holds the private keys of the public certificates
// (docs/security.md). False when it is not allowed.
bool lock_memory();

// getrandom(2), with a small buffer for small requests; returned bytes are wiped from it. Several threads may
// use one object: each thread has its own buffer.
class SystemRandom : public Random {
 public:
  void fill(std::uint8_t* out, std::size_t size) override;
};

// Draws the key of the process's hash tables (base/keyed_hash.h). To be called first: aborts if a value has
// been hashed already, because the fixed key of tests would then be in use.
void draw_hash_key(Random& random);

// The service manager's socket (sd_notify(3)); does nothing when there is none. Datagrams; never blocks.
class Notify {
 public:
  // Reads NOTIFY_SOCKET and removes it from the environment.
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
