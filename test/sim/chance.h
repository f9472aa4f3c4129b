// All the chance there is in a run: one seed.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/time.h"

namespace sallyport::sim {

// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough to choose faults by.
class Chance : public Random {
 public:
  explicit Chance(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ull + 1) {}
  // A fault with a stream of its own does not change what else a seed brings.
  enum class Stream : std::uint64_t { kDeath = 1, kDrain, kLies, kClock, kBlackHole };
  Chance(std::uint64_t seed, Stream stream)
      : state_(seed * 0xD1B54A32D192ED03ull ^ static_cast<std::uint64_t>(stream) * 0x8CB92BA72F3D8DD7ull) {}
  void fill(std::uint8_t* out, std::size_t size) override {
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::uint8_t>(next());
  }
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  std::uint64_t up_to(std::uint64_t most) { return next() % (most + 1); }
  bool one_in(std::uint64_t n) { return n != 0 && next() % n == 0; }
  Duration between(Duration least, Duration most) {
    return least + Duration(up_to(static_cast<std::uint64_t>((most - least).count())));
  }

 private:
  std::uint64_t state_;
};

}  // namespace sallyport::sim
