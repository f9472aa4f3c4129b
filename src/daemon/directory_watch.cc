#include "daemon/directory_watch.h"

#include <fmt/format.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <system_error>

#include "base/limits.h"
#include "daemon/file.h"

namespace sallyport::daemon {

namespace asio = boost::asio;
using boost::system::error_code;

// Its handlers keep it alive, so it outlives the watch until they have run.
class DirectoryWatch::Impl : public std::enable_shared_from_this<DirectoryWatch::Impl> {
 public:
  Impl(asio::any_io_executor executor, int inotify, std::string directory, std::function<void()> changed)
      : events_(executor, inotify),
        quiet_(executor),
        again_(executor),
        directory_(std::move(directory)),
        changed_(std::move(changed)) {}

  // Adding a directory that is watched already changes nothing (inotify_add_watch(2)).
  bool watch() {
    static constexpr std::uint32_t kMask =
        IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ONLYDIR;
    const int inotify = events_.native_handle();
    if (::inotify_add_watch(inotify, directory_.c_str(), kMask) < 0) return false;
    const Result<std::vector<std::string>> names = list_directory(directory_);
    if (!names) return true;
    for (const std::string& name : *names) {
      const std::string path = directory_ + "/" + name;
      if (is_directory(path)) ::inotify_add_watch(inotify, path.c_str(), kMask);
    }
    return true;
  }

  void read() {
    events_.async_read_some(asio::buffer(buffer_),
                            [self = shared_from_this()](error_code failed, std::size_t) {
                              if (failed) return;
                              self->restart();
                              self->read();
                            });
  }

  void close() {
    changed_ = nullptr;
    error_code ignored;
    events_.close(ignored);
    quiet_.cancel();
    again_.cancel();
  }

  void look_again() {
    again_.expires_after(limits::kCertificatesLookAgain);
    again_.async_wait([self = shared_from_this()](error_code cancelled) {
      if (cancelled || !self->changed_) return;
      self->changed_();
      self->look_again();
    });
  }

 private:
  // Waits until there are no more changes; which files changed does not matter.
  void restart() {
    quiet_.expires_after(limits::kDirectoryQuiet);
    quiet_.async_wait([self = shared_from_this()](error_code cancelled) {
      if (cancelled || !self->changed_) return;
      self->watch();
      self->changed_();
    });
  }

  asio::posix::stream_descriptor events_;
  asio::steady_timer quiet_;
  asio::steady_timer again_;
  std::string directory_;
  std::function<void()> changed_;
  std::array<char, 4096> buffer_{};
};

Result<std::unique_ptr<DirectoryWatch>> DirectoryWatch::open(asio::any_io_executor executor,
                                                             const std::string& directory,
                                                             std::function<void()> changed) {
  const int inotify = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (inotify < 0)
    return Error{Code::kFileWatch, fmt::format("inotify: {}", std::generic_category().message(errno))};
  auto impl = std::make_shared<Impl>(executor, inotify, directory, std::move(changed));
  if (!impl->watch()) {
    const int error = errno;
    impl->close();
    if (error == ENOENT || error == EACCES || error == ENOTDIR) return file_error(directory, error);
    return Error{Code::kFileWatch, fmt::format("{}: {}", directory, std::generic_category().message(error))};
  }
  impl->read();
  impl->look_again();
  return std::unique_ptr<DirectoryWatch>(new DirectoryWatch(std::move(impl)));
}

DirectoryWatch::DirectoryWatch(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

DirectoryWatch::~DirectoryWatch() { impl_->close(); }

}  // namespace sallyport::daemon
