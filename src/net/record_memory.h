// Reuses memory for TLS records instead of returning it to the heap.
//
// A connection holds its two record buffers only while it reads or writes (SSL_MODE_RELEASE_BUFFERS):
// thousands of idle ones would keep 34 kB each. So every stanza allocates and frees two blocks of 17 kB,
// which malloc splits from its largest chunk and merges with it again, visiting all small chunks each time.
#pragma once

#include <cstddef>

namespace sallyport::net {

// Makes OpenSSL allocate and free its memory here, for the whole process. To be called before any other use
// of OpenSSL; false where it is too late, and nothing changes.
bool reuse_record_memory();

// --- the functions given to OpenSSL: malloc, realloc and free, except for blocks as large as a record's

void* take_memory(std::size_t size, const char* file, int line);
void* resize_memory(void* block, std::size_t size, const char* file, int line);
void give_memory(void* block, const char* file, int line);
// Blocks of this thread that wait to be reused.
std::size_t waiting_record_blocks();

}  // namespace sallyport::net
