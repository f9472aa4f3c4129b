// Whole files of bounded size, written so that a crash leaves either the old one or the new one. An error is
// kFileDenied instead of kFileUnreadable where only permissions prevent the access.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace sallyport::daemon {

// The system's error (errno) about a path.
Error file_error(const std::string& path, int error);

// Reads the whole file. Errors: kFileUnreadable (the text names the path), also if it is larger than
// `bytes_max`.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max = limits::kConfigFileBytesMax);

// Writes a file that must not exist yet, with exactly these permissions, and makes it durable. Errors:
// kFileUnreadable.
Result<void> write_new_file(const std::string& path, std::string_view bytes, unsigned mode);

// Replaces or makes a file: makes a new file beside it durable and renames it. Errors:
// kFileUnreadable.
Result<void> replace_file(const std::string& path, std::string_view bytes, unsigned mode);

// Replaces an existing file in the same way, keeping its permissions, owner and group; a symbolic link is
// followed. Errors: kFileUnreadable, also where the owner cannot be kept; then nothing is replaced.
Result<void> rewrite_file(const std::string& path, std::string_view bytes);

// The names in a directory, sorted, without hidden ones. Errors: kFileUnreadable.
Result<std::vector<std::string>> list_directory(const std::string& path);

// Makes the directory if it is absent; its parent must exist. Errors: kFileUnreadable.
Result<void> make_directory(const std::string& path, unsigned mode);

bool file_exists(const std::string& path);
bool is_directory(const std::string& path);

}  // namespace sallyport::daemon
