#include "daemon/control_client.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <vector>

#include "base/codes.h"
#include "base/limits.h"
#include "config/listeners.h"
#include "daemon/file.h"
#include "daemon/load.h"
#include "daemon/report.h"

namespace sallyport::daemon {
namespace {

std::vector<std::string> sockets_in(const std::string& directory, const std::vector<std::string>& names) {
  std::vector<std::string> found;
  for (const std::string& name : names) {
    const std::string path = directory + "/" + name;
    struct stat about {};
    if (::lstat(path.c_str(), &about) == 0 && S_ISSOCK(about.st_mode)) found.push_back(path);
  }
  return found;
}

// Why the socket does not answer: this user may lack the permission to ask a running daemon.
Error absent(const std::string& path, int error) {
  const bool denied = error == EACCES || error == EPERM;
  return {denied ? Code::kControlDenied : Code::kControlAbsent,
          fmt::format("{}: {}", path, std::generic_category().message(error))};
}

class ControlConnection {
 public:
  ControlConnection() : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ControlConnection(const ControlConnection&) = delete;
  ControlConnection& operator=(const ControlConnection&) = delete;
  ~ControlConnection() {
    if (socket_ >= 0) ::close(socket_);
  }

  Result<void> open(const std::string& path) {
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    static_assert(sizeof to.sun_path == config::kSocketPathBytesMax + 1);
    if (path.size() > config::kSocketPathBytesMax) return absent(path, ENAMETOOLONG);
    std::memcpy(to.sun_path, path.data(), path.size());
    const timeval wait{static_cast<time_t>(limits::kControlIdleTimeout / std::chrono::seconds(1)), 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    ::setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0)
      return absent(path, errno);
    return {};
  }

  Result<void> write(const std::string& path, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t wrote = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote <= 0) return absent(path, errno);
      bytes.remove_prefix(static_cast<std::size_t>(wrote));
    }
    return {};
  }

  Result<std::string> read_line(const std::string& path) {
    std::string line;
    char buffer[64 * 1024];
    while (line.size() <= limits::kControlAnswerBytesMax) {
      const ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return absent(path, errno == EAGAIN ? ETIMEDOUT : errno);
      if (got == 0) return Error{Code::kControlAbsent, fmt::format("{}: closed without an answer", path)};
      line.append(buffer, static_cast<std::size_t>(got));
      if (line.back() == '\n') {
        line.pop_back();
        return line;
      }
    }
    return Error{Code::kControlRefused, fmt::format("{}: the answer is longer than the limit", path)};
  }

 private:
  int socket_;
};

}  // namespace

std::optional<AskFailed> find_control(const Invocation& invocation, const std::string& run_directory,
                                      std::string& path) {
  if (invocation.has("--control")) {
    path = invocation.value("--control");
    return std::nullopt;
  }
  if (invocation.has("--config")) {
    const config::Loaded<std::string> named = control_path_of(invocation.value("--config"));
    if (!named.value)
      return AskFailed{Exit::kConfiguration, named.errors.front().code, shown_findings(named.errors)};
    path = *named.value;
    return std::nullopt;
  }
  const Result<std::vector<std::string>> names = list_directory(run_directory);
  if (!names && names.error().code == Code::kFileDenied) {
    return AskFailed{Exit::kFailed, Code::kControlDenied, names.error().text};
  }
  const std::vector<std::string> sockets =
      names ? sockets_in(run_directory, *names) : std::vector<std::string>();
  if (sockets.size() == 1) {
    path = sockets.front();
    return std::nullopt;
  }
  if (sockets.empty()) {
    return AskFailed{
        Exit::kNoDaemon, Code::kControlAbsent,
        fmt::format("There is no control socket in {}; name one with --control or -c.", run_directory)};
  }
  std::string all;
  for (const std::string& socket : sockets) all += fmt::format("\n  --control {}", socket);
  return AskFailed{Exit::kUsage, std::nullopt,
                   fmt::format("Several nodes run here; name one of them:{}", all)};
}

Result<boost::json::object> ask(const std::string& path, const boost::json::object& question) {
  ControlConnection connection;
  if (Result<void> opened = connection.open(path); !opened) return std::move(opened).error();
  const std::string line = boost::json::serialize(question) + "\n";
  if (Result<void> written = connection.write(path, line); !written) return std::move(written).error();
  Result<std::string> answer = connection.read_line(path);
  if (!answer) return std::move(answer).error();
  boost::system::error_code failed;
  boost::json::value value = boost::json::parse(*answer, failed);
  if (failed || !value.is_object()) {
    return Error{Code::kControlRefused, fmt::format("{}: the answer is not a JSON object", path)};
  }
  return std::move(value.as_object());
}

std::optional<boost::json::object> ask_for(const Invocation& invocation, const boost::json::object& question,
                                           Exit& exit) {
  std::string path;
  if (const auto lost = find_control(invocation, kRunDirectory, path)) {
    if (lost->code == Code::kControlDenied) {
      failed({Code::kControlDenied, lost->text});
    } else {
      complain(lost->text, lost->code);
    }
    exit = lost->exit;
    return std::nullopt;
  }
  Result<boost::json::object> answer = ask(path, question);
  if (answer) return std::move(*answer);
  exit = failed(answer.error());
  if (answer.error().code == Code::kControlAbsent) exit = Exit::kNoDaemon;
  return std::nullopt;
}

}  // namespace sallyport::daemon
