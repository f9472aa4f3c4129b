// A file descriptor that closes itself.
#pragma once

#include <unistd.h>

namespace sallyport::net {

class Descriptor {
 public:
  // Takes ownership; a negative number, as open(2) returns on failure, is not closed.
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (is_open()) ::close(number_);
  }
  int get() const { return number_; }
  bool is_open() const { return number_ >= 0; }

 private:
  int number_;
};

}  // namespace sallyport::net
