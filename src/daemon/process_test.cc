#include "daemon/process.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/keyed_hash.h"

namespace sallyport::daemon {
namespace {

// Each case runs in a process of its own, in which nothing has been hashed yet.
TEST(ProcessDeathTest, the_hash_key_is_drawn_before_anything_is_hashed_or_the_process_ends) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto two_keys_differ = [] {
    SystemRandom random;
    draw_hash_key(random);
    const HashKey fixed{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
    const HashKey derived{siphash<2, 4>(fixed, "text 0"), siphash<2, 4>(fixed, "text 1")};
    std::_Exit(keyed_hash("example.com") != siphash<1, 3>(derived, "example.com") ? 17 : 1);
  };
  const auto too_late = [] {
    SystemRandom random;
    (void)keyed_hash("example.com");
    draw_hash_key(random);
  };
  EXPECT_EXIT(two_keys_differ(), testing::ExitedWithCode(17), "");
  EXPECT_DEATH(too_late(), "a name was hashed before");
}

}  // namespace
}  // namespace sallyport::daemon
