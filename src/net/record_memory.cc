#include "net/record_memory.h"

#include <array>
#include <cstdlib>

#include <malloc.h>
#include <openssl/crypto.h>

namespace sallyport::net {

namespace {

// A record with OpenSSL's overhead has 16,709 bytes or a little less; OpenSSL has no other blocks as large.
constexpr std::size_t kBlockBytesMin = 16 * 1024;
constexpr std::size_t kBlockBytes = 17 * 1024;
// One connection at a time reads or writes in a thread: one buffer for each, and one more of each that waits
// for the rest of a record.
constexpr std::size_t kWaitingMax = 4;

bool is_for_record(std::size_t size) { return size > kBlockBytesMin && size <= kBlockBytes; }

struct WaitingLookups {
  ~WaitingLookups() {
    while (count > 0) std::free(blocks[--count]);
    is_over = true;
  }
  std::array<void*, kWaitingMax> blocks{};
  std::size_t count = 0;
  // While the thread ends, OpenSSL may free memory after this is destroyed.
  bool is_over = false;
};
thread_local WaitingLookups waiting;

}  // namespace

void* take_memory(std::size_t size, const char*, int) {
  if (!is_for_record(size)) return std::malloc(size);
  if (waiting.count > 0) return waiting.blocks[--waiting.count];
  return std::malloc(kBlockBytes);
}

void* resize_memory(void* block, std::size_t size, const char*, int) { return std::realloc(block, size); }

void give_memory(void* block, const char*, int) {
  // Any block that is large enough can be reused, wherever it is from.
  std::size_t size = block == nullptr ? 0 : ::malloc_usable_size(block);
  bool is_kept = size >= kBlockBytes && size < kBlockBytes + 1024 && waiting.count < kWaitingMax;
  if (!is_kept || waiting.is_over) return std::free(block);
  waiting.blocks[waiting.count++] = block;
}

std::size_t waiting_record_blocks() { return waiting.count; }

bool reuse_record_memory() { return CRYPTO_set_mem_functions(take_memory, resize_memory, give_memory) == 1; }

}  // namespace sallyport::net
