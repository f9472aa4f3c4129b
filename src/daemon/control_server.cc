#include "daemon/control_server.h"

#include <fmt/format.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/json.hpp>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "base/limits.h"
#include "daemon/file.h"
#include "gate/control.h"

namespace sallyport::daemon {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using boost::system::error_code;

std::string error_answer(const Error& error) { return gate::refusal(error); }

std::string Asker::text() const { return fmt::format("uid {}, pid {}", uid, pid); }

// The listener and its clients. Its handlers keep it alive, so it outlives the server until they have run.
class ControlServer::Impl : public std::enable_shared_from_this<ControlServer::Impl> {
 public:
  Impl(asio::any_io_executor executor, std::string path, std::size_t question_bytes_max, Answerer answer)
      : acceptor_(executor),
        rest_(executor),
        path_(std::move(path)),
        question_bytes_max_(question_bytes_max),
        answer_(std::move(answer)) {}

  Result<void> bind(const std::string& group) {
    const mode_t before = ::umask(0177);
    error_code failed;
    acceptor_.open(stream_protocol(), failed);
    if (!failed) acceptor_.bind(stream_protocol::endpoint(path_), failed);
    ::umask(before);
    if (!failed) bound_ = true;
    if (!failed) acceptor_.listen(16, failed);
    if (failed) return file_error(path_, failed.value());
    return group.empty() ? Result<void>{} : give_to(group);
  }

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](error_code failed, stream_protocol::socket socket) {
      if (failed == asio::error::operation_aborted || self->closed_) return;
      if (failed) return self->rest();
      if (self->clients_.size() < limits::kControlClientsMax) self->serve(std::move(socket));
      self->accept();
    });
  }

  // Without descriptors the next attempt would fail at once, too.
  void rest() {
    rest_.expires_after(limits::kAcceptRest);
    rest_.async_wait([self = shared_from_this()](error_code) {
      if (!self->closed_) self->accept();
    });
  }

  void close() {
    closed_ = true;
    error_code ignored;
    rest_.cancel();
    acceptor_.close(ignored);
    for (auto& [id, client] : clients_) client->end();
    clients_.clear();
    if (bound_) ::unlink(path_.c_str());
    answer_ = nullptr;
  }

 private:
  struct Client : std::enable_shared_from_this<Client> {
    Client(stream_protocol::socket s, Impl& server, std::uint64_t number)
        : socket(std::move(s)),
          deadline(socket.get_executor()),
          owner(server.weak_from_this()),
          id(number),
          bytes_max(server.question_bytes_max_) {
      ucred peer{};
      socklen_t size = sizeof peer;
      if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        asker = {static_cast<long>(peer.uid), static_cast<long>(peer.pid)};
    }

    void end() {
      error_code ignored;
      socket.close(ignored);
      deadline.cancel();
    }
    // One deadline for the whole question, and one for the whole answer.
    void arm() {
      deadline.expires_after(limits::kControlIdleTimeout);
      deadline.async_wait([self = shared_from_this()](error_code cancelled) {
        if (!cancelled) self->leave();
      });
    }
    void leave() {
      end();
      if (const auto server = owner.lock()) server->clients_.erase(id);
    }
    void read() {
      arm();
      asio::async_read_until(socket, asio::dynamic_buffer(in, bytes_max), '\n',
                             [self = shared_from_this()](error_code failed, std::size_t size) {
                               if (failed == asio::error::not_found) return self->refuse();
                               if (failed) return self->leave();
                               self->answer(size);
                             });
    }
    void refuse() {
      closing = true;
      write(error_answer({Code::kControlRefused, "The question is longer than the limit."}));
    }
    void answer(std::size_t size) {
      const auto server = owner.lock();
      if (!server || server->closed_) return;
      std::string question = take_line(size);
      // The time to make an answer does not count for the client.
      deadline.cancel();
      server->answer_(std::move(question), asker, [self = shared_from_this()](std::string answer) {
        const auto still = self->owner.lock();
        if (still && !still->closed_ && self->socket.is_open()) self->write(std::move(answer));
      });
    }
    // The line without its line feed. A long policy is moved, not copied.
    std::string take_line(std::size_t size) {
      std::string rest = in.substr(size);
      in.resize(size - 1);
      return std::exchange(in, std::move(rest));
    }
    void write(std::string text) {
      arm();
      out = std::move(text);
      out.push_back('\n');
      asio::async_write(socket, asio::buffer(out),
                        [self = shared_from_this()](error_code failed, std::size_t) {
                          if (failed || self->closing) return self->leave();
                          self->read();
                        });
    }

    stream_protocol::socket socket;
    asio::steady_timer deadline;
    std::weak_ptr<Impl> owner;
    std::uint64_t id;
    std::size_t bytes_max;
    Asker asker;
    std::string in;
    std::string out;
    bool closing = false;
  };

  Result<void> give_to(const std::string& group) {
    const struct group* row = ::getgrnam(group.c_str());
    if (row == nullptr)
      return Error{Code::kConfigValue, fmt::format("the group `{}` (control_group) does not exist", group)};
    if (::chown(path_.c_str(), static_cast<uid_t>(-1), row->gr_gid) != 0 ||
        ::chmod(path_.c_str(), 0660) != 0) {
      return file_error(path_, errno);
    }
    return {};
  }

  void serve(stream_protocol::socket socket) {
    const std::uint64_t id = ++last_id_;
    const auto client = std::make_shared<Client>(std::move(socket), *this, id);
    clients_.emplace(id, client);
    client->read();
  }

  stream_protocol::acceptor acceptor_;
  asio::steady_timer rest_;
  std::string path_;
  std::size_t question_bytes_max_;
  Answerer answer_;
  std::unordered_map<std::uint64_t, std::shared_ptr<Client>> clients_;
  std::uint64_t last_id_ = 0;
  bool bound_ = false;
  bool closed_ = false;
};

namespace {

// Removes the socket file of a daemon that has ended; one on which a daemon answers is an error.
Result<void> make_way(const asio::any_io_executor& executor, const std::string& path) {
  const std::string directory = std::filesystem::path(path).parent_path().string();
  if (!directory.empty()) {
    if (Result<void> made = make_directory(directory, 0755); !made) return made;
  }
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) return {};
  if (!S_ISSOCK(about.st_mode))
    return Error{Code::kFileUnreadable, fmt::format("{}: exists and is not a socket", path)};
  stream_protocol::socket probe(executor);
  error_code failed;
  probe.connect(stream_protocol::endpoint(path), failed);
  if (!failed)
    return Error{Code::kConfigConflict, fmt::format("{}: another node answers on this socket", path)};
  ::unlink(path.c_str());
  return {};
}

}  // namespace

Result<std::unique_ptr<ControlServer>> ControlServer::open(asio::any_io_executor executor,
                                                           const std::string& path, const std::string& group,
                                                           std::size_t question_bytes_max, Answerer answer) {
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return Error{Code::kConfigValue, fmt::format("{}: the path is too long for a socket", path)};
  }
  if (Result<void> way = make_way(executor, path); !way) return std::move(way).error();
  auto impl = std::make_shared<Impl>(executor, path, question_bytes_max, std::move(answer));
  if (Result<void> bound = impl->bind(group); !bound) {
    impl->close();
    return std::move(bound).error();
  }
  impl->accept();
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

ControlServer::ControlServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlServer::~ControlServer() { impl_->close(); }

}  // namespace sallyport::daemon
