#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/object.hpp>

#include "base/limits.h"
#include "daemon/metrics.h"
#include "net/endpoint.h"
#include "net/listener.h"

namespace sallyport::daemon {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// The listener. The handlers hold it, so it outlives the server by as long as they take.
class MetricsServer::Impl : public std::enable_shared_from_this<MetricsServer::Impl> {
 public:
  Impl(asio::any_io_executor executor, StatusSource status)
      : acceptor_(executor), status_(std::move(status)) {}

  Result<void> bind(const dns::Endpoint& endpoint) {
    const tcp::endpoint at = net::to_asio(endpoint);
    error_code failed;
    acceptor_.open(at.protocol(), failed);
    if (!failed) acceptor_.set_option(tcp::acceptor::reuse_address(true), failed);
    if (!failed) acceptor_.bind(at, failed);
    if (!failed) acceptor_.listen(16, failed);
    if (failed) return net::listen_error("metrics on", endpoint, failed);
    return {};
  }

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](error_code failed, tcp::socket socket) {
      if (failed == asio::error::operation_aborted || !self->status_) return;
      if (!failed && self->clients_ < limits::kMetricsClientsMax) {
        std::make_shared<Client>(std::move(socket), self)->read();
      }
      self->accept();
    });
  }

  void close() {
    status_ = nullptr;
    error_code ignored;
    acceptor_.close(ignored);
  }

 private:
  // One request, one response, within one deadline.
  struct Client : std::enable_shared_from_this<Client> {
    Client(tcp::socket s, std::shared_ptr<Impl> server)
        : socket(std::move(s)), deadline(socket.get_executor()), owner(std::move(server)) {
      ++owner->clients_;
    }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    ~Client() { --owner->clients_; }

    void read() {
      deadline.expires_after(limits::kMetricsTimeout);
      deadline.async_wait([weak = weak_from_this()](error_code cancelled) {
        error_code ignored;
        if (const auto self = weak.lock(); self && !cancelled) self->socket.close(ignored);
      });
      asio::async_read_until(socket, asio::dynamic_buffer(in, limits::kMetricsRequestBytesMax), "\r\n\r\n",
                             [self = shared_from_this()](error_code failed, std::size_t) {
                               if (!failed && self->owner->status_) self->answer();
                             });
    }
    void answer() {
      if (!wants_status(in)) return write({});
      owner->status_([self = shared_from_this()](const boost::json::object& status) { self->write(status); });
    }
    void write(const boost::json::object& status) {
      out = http_response(in, status);
      asio::async_write(socket, asio::buffer(out), [self = shared_from_this()](error_code, std::size_t) {
        error_code ignored;
        self->socket.shutdown(tcp::socket::shutdown_send, ignored);
        self->deadline.cancel();
      });
    }

    tcp::socket socket;
    asio::steady_timer deadline;
    std::shared_ptr<Impl> owner;
    std::string in;
    std::string out;
  };

  tcp::acceptor acceptor_;
  StatusSource status_;
  std::size_t clients_ = 0;
};

Result<std::unique_ptr<MetricsServer>> MetricsServer::open(asio::any_io_executor executor,
                                                           const dns::Endpoint& endpoint,
                                                           StatusSource status) {
  auto impl = std::make_shared<Impl>(executor, std::move(status));
  if (Result<void> bound = impl->bind(endpoint); !bound) return std::move(bound).error();
  impl->accept();
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(impl)));
}

MetricsServer::MetricsServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

MetricsServer::~MetricsServer() { impl_->close(); }

}  // namespace sallyport::daemon
