// Memory for TLS records that goes round instead of back to the heap.
//
// A connection holds its two record buffers only while it reads or writes (SSL_MODE_RELEASE_BUFFERS):
// thousands of idle ones would keep 34 kB each. So with every stanza two blocks of 17 kB come and go, which
// malloc cuts from its largest piece and joins with it again, going through all small pieces each time.
#pragma once

#include <cstddef>

namespace sallyport::net {

// Has OpenSSL take and give back its memory here, for the whole process. Before anything else is done with
// OpenSSL; false where that is too late, and nothing changes.
bool reuse_record_memory();

// --- what OpenSSL is given: malloc, realloc and free, but for blocks as large as a record's

void* take_memory(std::size_t size, const char* file, int line);
void* resize_memory(void* block, std::size_t size, const char* file, int line);
void give_memory(void* block, const char* file, int line);
// Blocks that wait in this thread to be taken again.
std::size_t waiting_record_blocks();

}  // namespace sallyport::net
