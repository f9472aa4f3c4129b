#include "base/siphash.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <memory>
#include <random>
#include <string>

namespace sallyport {
namespace {

// The key of all published vectors: the bytes 00 to 0f. The input of length n: the bytes 00 to n - 1.
constexpr HashKey kKey{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};

std::string input_of(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i);
  return bytes;
}

TEST(SipHash, has_the_published_values) {
  struct Row {
    std::size_t size;
    std::uint64_t two_four;   // vectors.h of the reference implementation; 15 bytes: appendix A of the paper
    std::uint64_t one_three;  // those of the Rust library, which has the same key and inputs
  };
  for (const Row& row :
       {Row{0, 0x726fdb47dd0e0e31, 0xabac0158050fc4dc}, Row{1, 0x74f839c593dc67fd, 0xc9f49bf37d57ca93},
        Row{2, 0x0d6c8009d9a94f5a, 0x82cb9b024dc7d44d}, Row{7, 0xab0200f58b01d137, 0xd3927d989bb11140},
        Row{8, 0x93f5f5799a932462, 0x369095118d299a8e}, Row{15, 0xa129ca6149be45e5, 0xd320d86d2a519956},
        Row{16, 0x3f2acc7f57c29bdb, 0xcc4fdd1a7d908b66}, Row{63, 0x958a324ceb064572, 0x9d199062b7bbb3a8}}) {
    EXPECT_EQ((siphash<2, 4>(kKey, input_of(row.size))), row.two_four) << row.size;
    EXPECT_EQ((siphash<1, 3>(kKey, input_of(row.size))), row.one_three) << row.size;
  }
}

TEST(SipHash, is_the_same_when_compiling) {
  static_assert(siphash<2, 4>(kKey, {}) == 0x726fdb47dd0e0e31);
  static_assert(siphash<1, 3>(kKey, {}) == 0xabac0158050fc4dc);
}

// Little-endian, as SipHash writes its result.
std::uint64_t number_of(const unsigned char* bytes) {
  std::uint64_t number = 0;
  for (int i = 7; i >= 0; --i) number = number << 8 | bytes[i];
  return number;
}

std::uint64_t by_openssl(const HashKey& key, const std::string& input, unsigned rounds,
                         unsigned final_rounds) {
  struct Free {
    void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
    void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
  };
  const std::unique_ptr<EVP_MAC, Free> mac(EVP_MAC_fetch(nullptr, "SIPHASH", nullptr));
  const std::unique_ptr<EVP_MAC_CTX, Free> context(EVP_MAC_CTX_new(mac.get()));
  unsigned size = 8;
  const auto number = [](const char* name, unsigned& value) {
    return OSSL_PARAM{name, OSSL_PARAM_UNSIGNED_INTEGER, &value, sizeof value, 0};
  };
  const OSSL_PARAM parameters[] = {
      number("size", size), number("c-rounds", rounds), number("d-rounds", final_rounds), {}};
  unsigned char key_bytes[16];
  for (int i = 0; i < 16; ++i)
    key_bytes[i] = static_cast<unsigned char>((i < 8 ? key.k0 : key.k1) >> (8 * (i % 8)));
  unsigned char out[8];
  std::size_t written = 0;
  EXPECT_EQ(EVP_MAC_init(context.get(), key_bytes, sizeof key_bytes, parameters), 1);
  EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(input.data()), input.size());
  EXPECT_EQ(EVP_MAC_final(context.get(), out, &written, sizeof out), 1);
  EXPECT_EQ(written, sizeof out);
  return number_of(out);
}

TEST(SipHash, agrees_with_another_implementation_for_each_length_and_any_key) {
  std::mt19937_64 random(1);
  for (std::size_t size = 0; size < 100; ++size) {
    const HashKey key{random(), random()};
    std::string input(size, '\0');
    for (char& c : input) c = static_cast<char>(random());
    EXPECT_EQ((siphash<2, 4>(key, input)), by_openssl(key, input, 2, 4)) << size;
    EXPECT_EQ((siphash<1, 3>(key, input)), by_openssl(key, input, 1, 3)) << size;
  }
}

}  // namespace
}  // namespace sallyport
