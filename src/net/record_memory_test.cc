#include "net/record_memory.h"

#include <cstring>
#include <vector>

#include <gtest/gtest.h>

namespace sallyport::net {
namespace {

void* take(std::size_t size) {
  void* block = take_memory(size, __FILE__, __LINE__);
  std::memset(block, 'x', size);
  return block;
}
void give(void* block) { give_memory(block, __FILE__, __LINE__); }

TEST(RecordMemoryTest, a_block_for_a_record_goes_round_and_no_other_does) {
  std::size_t before = waiting_record_blocks();
  struct Row {
    std::size_t size;
    bool goes_round;
  } rows[] = {{0, false},     {16, false},    {16'384, false}, {16'385, true},
              {16'709, true}, {17'408, true}, {20'000, false}, {100'000, false}};
  for (const Row& row : rows) {
    SCOPED_TRACE(row.size);
    void* block = take(row.size);
    give(block);
    EXPECT_EQ(waiting_record_blocks(), before + (row.goes_round ? 1 : 0));
    if (!row.goes_round) continue;
    EXPECT_EQ(take(17'000), block);
    EXPECT_EQ(waiting_record_blocks(), before);
    std::free(block);
  }
}

TEST(RecordMemoryTest, no_more_than_four_blocks_wait) {
  std::vector<void*> blocks;
  for (int i = 0; i < 6; ++i) blocks.push_back(take(16'709));
  for (void* block : blocks) give(block);
  EXPECT_EQ(waiting_record_blocks(), 4U);
}

TEST(RecordMemoryTest, nothing_and_what_was_resized_can_be_given_back) {
  give(nullptr);
  void* block = resize_memory(take(100), 16'709, __FILE__, __LINE__);
  std::memset(block, 'y', 16'709);
  give(block);
}

}  // namespace
}  // namespace sallyport::net
