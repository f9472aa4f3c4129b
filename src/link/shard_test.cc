#include "link/shard.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace sallyport::link {
namespace {

TEST(LinkShard, is_read_as_it_was_written) {
  for (std::size_t count = 1; count <= limits::kShardsMax; ++count) {
    for (std::size_t number = 0; number < count; ++number) {
      EXPECT_EQ(parse_alpn(alpn_of({number, count})), (Shard{number, count}));
    }
  }
  EXPECT_EQ(alpn_of({1, 2}), "sallyport-link/1/1/2");
}

TEST(LinkShard, has_one_spelling) {
  for (const char* name :
       {"", "xmpp-server", "sallyport-link/1", "sallyport-link/1/", "sallyport-link/1/0",
        "sallyport-link/1/0/", "sallyport-link/1//2", "sallyport-link/1/2/2", "sallyport-link/1/0/0",
        "sallyport-link/1/0/17", "sallyport-link/1/00/2", "sallyport-link/1/0/2 ", "sallyport-link/1/+0/2",
        "sallyport-link/1/-1/2", "sallyport-link/2/0/2", "sallyport-link/1/0/99999999999999999999999"}) {
    EXPECT_FALSE(parse_alpn(name)) << name;
  }
}

}  // namespace
}  // namespace sallyport::link
