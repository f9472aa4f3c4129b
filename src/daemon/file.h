// Files, as the daemon and the commands need them: whole, bounded, and written so that a crash leaves either
// the old one or the new one. Wherever an error is kFileUnreadable, it is kFileDenied where only permissions
// are in the way.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace sallyport::daemon {

// What the system says (errno) about a path.
Error file_error(const std::string& path, int error);

// The whole file. Errors: kFileUnreadable (the text names the path), also past `bytes_max`.
Result<std::string> read_file(const std::string& path, std::size_t bytes_max = limits::kConfigFileBytesMax);

// Writes a file that must not exist yet, with these permissions (not widened by the umask), and makes it
// durable. Errors: kFileUnreadable.
Result<void> write_new_file(const std::string& path, std::string_view bytes, unsigned mode);

// Replaces a file, or makes it: a new file beside it is made durable and renamed over it. Errors:
// kFileUnreadable.
Result<void> replace_file(const std::string& path, std::string_view bytes, unsigned mode);

// Replaces a file that exists in the same way, keeping its permissions, owner and group; of a symbolic link,
// the file that it leads to. Errors: kFileUnreadable, also where the owner cannot be kept: nothing is
// replaced then.
Result<void> rewrite_file(const std::string& path, std::string_view bytes);

// The names in a directory, sorted, without those that begin with a dot. Errors: kFileUnreadable.
Result<std::vector<std::string>> list_directory(const std::string& path);

// Makes the directory if it is absent; its parent must exist. Errors: kFileUnreadable.
Result<void> make_directory(const std::string& path, unsigned mode);

bool file_exists(const std::string& path);
bool is_directory(const std::string& path);

}  // namespace sallyport::daemon
