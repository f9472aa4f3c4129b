#include "daemon/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "net/descriptor.h"

namespace sallyport::daemon {
namespace {

using net::Descriptor;

Result<void> write_all(const Descriptor& file, const std::string& path, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t wrote = ::write(file.get(), bytes.data(), bytes.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) return file_error(path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(wrote));
  }
  if (::fsync(file.get()) != 0) return file_error(path, errno);
  return {};
}

std::string parent_of(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// Makes a new name durable.
Result<void> sync_directory(const std::string& path) {
  const Descriptor directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.is_open() || ::fsync(directory.get()) != 0) return file_error(path, errno);
  return {};
}

Result<void> create(const std::string& path, std::string_view bytes, unsigned mode) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!file.is_open()) return file_error(path, errno);
  if (::fchmod(file.get(), mode) != 0) return file_error(path, errno);
  return write_all(file, path, bytes);
}

// Sets the owner of the new file before it is renamed.
Result<void> replace(const std::string& path, std::string_view bytes, unsigned mode,
                     const struct stat* like) {
  const std::string beside = fmt::format("{}.new.{}", path, ::getpid());
  ::unlink(beside.c_str());
  Result<void> done = create(beside, bytes, mode);
  struct stat made {};
  if (done && like != nullptr && ::stat(beside.c_str(), &made) != 0) done = file_error(beside, errno);
  const bool foreign = like != nullptr && (made.st_uid != like->st_uid || made.st_gid != like->st_gid);
  if (done && foreign && ::chown(beside.c_str(), like->st_uid, like->st_gid) != 0) {
    done = file_error(path + ": keeping its owner", errno);
  }
  // chown(2) may clear mode bits.
  if (done && foreign && ::chmod(beside.c_str(), mode) != 0) done = file_error(beside, errno);
  if (done && ::rename(beside.c_str(), path.c_str()) != 0) done = file_error(path, errno);
  if (!done) {
    ::unlink(beside.c_str());
    return done;
  }
  return sync_directory(parent_of(path));
}

}  // namespace

Error file_error(const std::string& path, int error) {
  const bool denied = error == EACCES || error == EPERM;
  return {denied ? Code::kFileDenied : Code::kFileUnreadable,
          fmt::format("{}: {}", path, std::generic_category().message(error))};
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return file_error(path, errno);
  struct stat about {};
  if (::fstat(file.get(), &about) != 0) return file_error(path, errno);
  if (S_ISDIR(about.st_mode)) return file_error(path, EISDIR);
  std::string bytes;
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_error(path, errno);
    if (got == 0) return bytes;
    if (bytes.size() + static_cast<std::size_t>(got) > bytes_max) {
      return Error{Code::kFileUnreadable, fmt::format("{}: larger than {} bytes", path, bytes_max)};
    }
    bytes.append(buffer, static_cast<std::size_t>(got));
  }
}

Result<void> write_new_file(const std::string& path, std::string_view bytes, unsigned mode) {
  if (Result<void> written = create(path, bytes, mode); !written) {
    return written;
  }
  return sync_directory(parent_of(path));
}

Result<void> replace_file(const std::string& path, std::string_view bytes, unsigned mode) {
  return replace(path, bytes, mode, nullptr);
}

Result<void> rewrite_file(const std::string& path, std::string_view bytes) {
  std::error_code failed;
  const std::string real = std::filesystem::canonical(path, failed).string();
  if (failed) return file_error(path, failed.value());
  struct stat about {};
  if (::stat(real.c_str(), &about) != 0) return file_error(real, errno);
  return replace(real, bytes, about.st_mode & 07777, &about);
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  std::error_code failed;
  std::vector<std::string> names;
  for (std::filesystem::directory_iterator entry(path, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::string name = entry->path().filename().string();
    if (!name.starts_with('.')) names.push_back(std::move(name));
  }
  if (failed) return file_error(path, failed.value());
  std::ranges::sort(names);
  return names;
}

Result<void> make_directory(const std::string& path, unsigned mode) {
  if (::mkdir(path.c_str(), mode) == 0) return {};
  const int error = errno;
  if (error == EEXIST && is_directory(path)) return {};
  return file_error(path, error);
}

bool file_exists(const std::string& path) {
  std::error_code failed;
  return std::filesystem::exists(path, failed);
}

bool is_directory(const std::string& path) {
  std::error_code failed;
  return std::filesystem::is_directory(path, failed);
}

}  // namespace sallyport::daemon
