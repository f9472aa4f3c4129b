#include "net/file.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/descriptor.h"

namespace sallyport::net {

namespace {

Error failed(const std::string& path) {
  const bool denied = errno == EACCES || errno == EPERM;
  return Error{denied ? Code::kFileDenied : Code::kFileUnreadable, path + ": " + std::strerror(errno)};
}

std::string folder_of(const std::string& path) {
  std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return failed(path);
  std::string bytes;
  char part[16 * 1024];
  for (;;) {
    ssize_t size = ::read(file.get(), part, sizeof part);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed(path);
    if (size == 0) return bytes;
    if (bytes.size() + static_cast<std::size_t>(size) > bytes_max) {
      return Error{Code::kFileUnreadable, path + ": larger than " + std::to_string(bytes_max) + " bytes"};
    }
    bytes.append(part, static_cast<std::size_t>(size));
  }
}

Result<void> write_file(const std::string& path, std::string_view bytes, mode_t mode) {
  std::string beside = path + ".XXXXXX";
  // 0600 from the first byte on, whatever the umask is.
  Descriptor file(::mkostemp(beside.data(), O_CLOEXEC));
  if (!file.is_open()) return failed(path);
  bool done = ::fchmod(file.get(), mode) == 0 && write_all(file.get(), bytes) && ::fsync(file.get()) == 0 &&
              ::rename(beside.c_str(), path.c_str()) == 0;
  if (!done) {
    Error error = failed(path);
    ::unlink(beside.c_str());
    return error;
  }
  Descriptor folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.is_open() || ::fsync(folder.get()) != 0) return failed(path);
  return {};
}

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace sallyport::net
