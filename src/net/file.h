// Whole files, read up to a limit and replaced atomically.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "base/result.h"

namespace sallyport::net {

// Errors: kFileUnreadable, with the path and the reason; also when it is larger than `bytes_max`.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);

// The file has the old bytes or the new ones, even after a crash: written beside it with
// `mode`, synced, renamed, and the folder synced. Errors: kFileUnreadable; then nothing is left beside it.
Result<void> write_file(const std::string& path, std::string_view bytes, mode_t mode);

bool file_exists(const std::string& path);

}  // namespace sallyport::net
