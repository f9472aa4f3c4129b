// SipHash (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012): a hash of bytes under a secret
// key of 128 bits. Without the key and without results nobody can choose inputs whose hashes collide.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sallyport {

struct HashKey {
  std::uint64_t k0 = 0;  // its first eight bytes, little-endian
  std::uint64_t k1 = 0;
};

// SipHash-c-d: c rounds for each eight bytes, d rounds at the end.
template <int kRounds, int kFinalRounds>
constexpr std::uint64_t siphash(const HashKey& key, std::string_view bytes) {
  std::uint64_t v0 = key.k0 ^ 0x736f6d6570736575ULL;
  std::uint64_t v1 = key.k1 ^ 0x646f72616e646f6dULL;
  std::uint64_t v2 = key.k0 ^ 0x6c7967656e657261ULL;
  std::uint64_t v3 = key.k1 ^ 0x7465646279746573ULL;
  const auto rounds = [&](int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  };
  const auto take = [&](std::uint64_t word) {
    v3 ^= word;
    rounds(kRounds);
    v0 ^= word;
  };
  const auto byte = [&](std::size_t at) {
    return static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at]));
  };
  const std::size_t whole = bytes.size() & ~std::size_t{7};
  for (std::size_t at = 0; at < whole; at += 8) {
    take(byte(at) | byte(at + 1) << 8 | byte(at + 2) << 16 | byte(at + 3) << 24 | byte(at + 4) << 32 |
         byte(at + 5) << 40 | byte(at + 6) << 48 | byte(at + 7) << 56);
  }
  std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56;
  for (std::size_t at = whole; at < bytes.size(); ++at) last |= byte(at) << (8 * (at - whole));
  take(last);
  v2 ^= 0xff;
  rounds(kFinalRounds);
  return v0 ^ v1 ^ v2 ^ v3;
}

}  // namespace sallyport
