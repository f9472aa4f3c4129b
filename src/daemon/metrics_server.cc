#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/object.hpp>

#include "base/limits.h"
#include "base/shares.h"
#include "daemon/metrics.h"
#include "net/listener.h"
#include "net/socket_address.h"

namespace sallyport::daemon {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// The listener. Its handlers keep it alive, so it outlives the server until they have run.
class MetricsServer::Impl : public std::enable_shared_from_this<MetricsServer::Impl> {
 public:
  Impl(asio::any_io_executor executor, StatusSource status)
      : acceptor_(executor), rest_(executor), status_(std::move(status)) {}

  Result<void> bind(const dns::SocketAddress& endpoint) {
    const tcp::endpoint at = net::to_asio(endpoint);
    error_code failed;
    acceptor_.open(at.protocol(), failed);
    if (!failed) acceptor_.set_option(tcp::acceptor::reuse_address(true), failed);
    // As the s2s listeners: "[::]" and "0.0.0.0" are two.
    if (!failed && at.protocol() == tcp::v6()) acceptor_.set_option(asio::ip::v6_only(true), failed);
    if (!failed) acceptor_.bind(at, failed);
    if (!failed) acceptor_.listen(16, failed);
    if (failed) return net::listen_error("metrics on", endpoint, failed);
    return {};
  }

  void accept() {
    acceptor_.async_accept([self = shared_from_this()](error_code failed, tcp::socket socket) {
      if (failed == asio::error::operation_aborted || !self->status_) return;
      if (failed) return self->rest();
      self->admit(std::move(socket));
      self->accept();
    });
  }

  // Without descriptors the next attempt would fail at once, too.
  void rest() {
    rest_.expires_after(limits::kAcceptRest);
    rest_.async_wait([self = shared_from_this()](error_code) {
      if (self->status_) self->accept();
    });
  }

  void close() {
    status_ = nullptr;
    error_code ignored;
    rest_.cancel();
    acceptor_.close(ignored);
  }

 private:
  struct Client;
  // Each address has a share of the places. When all are taken, the address that holds most loses its oldest
  // client.
  using Places = Shares<Client*>;

  void admit(tcp::socket socket) {
    error_code failed;
    const tcp::endpoint peer = socket.remote_endpoint(failed);
    if (failed) return;
    const Places::Keys keys{source_of_address(net::from_asio(peer).ip.bytes)};
    Places::Place found = places_.place(keys);
    if (found.room == Places::Room::kYields) {
      Client& loser = **found.loser;
      loser.place.reset();
      loser.socket.close(failed);
      found = places_.place(keys);
    }
    if (found.room != Places::Room::kFree) return;
    const auto client = std::make_shared<Client>(std::move(socket), shared_from_this());
    client->place = places_.hold(keys, client.get());
    client->read();
  }

  // One request, one response, within one deadline.
  struct Client : std::enable_shared_from_this<Client> {
    Client(tcp::socket s, std::shared_ptr<Impl> server)
        : socket(std::move(s)), deadline(socket.get_executor()), owner(std::move(server)) {}

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
    Places::Part place;  // one of the owner's places: destroyed before it
    std::string in;
    std::string out;
  };

  tcp::acceptor acceptor_;
  asio::steady_timer rest_;
  StatusSource status_;
  Places places_{{limits::kMetricsClientsMax, {limits::kMetricsClientsPerAddressMax}}};
};

Result<std::unique_ptr<MetricsServer>> MetricsServer::open(asio::any_io_executor executor,
                                                           const dns::SocketAddress& endpoint,
                                                           StatusSource status) {
  auto impl = std::make_shared<Impl>(executor, std::move(status));
  if (Result<void> bound = impl->bind(endpoint); !bound) return std::move(bound).error();
  impl->accept();
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(impl)));
}

MetricsServer::MetricsServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

MetricsServer::~MetricsServer() { impl_->close(); }

}  // namespace sallyport::daemon
