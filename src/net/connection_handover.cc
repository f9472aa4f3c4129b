// How a connection moves from the shard that accepted it to the shard that it belongs to (net/shards.h).
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "link/frame.h"
#include "net/connection.h"
#include "net/deadline.h"
#include "s2s/header_hint.h"

namespace sallyport::net {

// The bytes stay in the socket. SO_RCVLOWAT makes the wait end only when there are more than were seen;
// otherwise it would end at once, again and again.
asio::awaitable<std::string> Connection::header_hint() {
  if (direct_tls_) co_return std::string();
  auto wake_at = [this](std::size_t bytes) {
    int value = static_cast<int>(bytes);
    ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value);
  };
  Deadline deadline(socket_, limits::kHeaderHintTimeout);
  std::optional<std::string> hint;
  std::size_t seen = 0;
  while (!deadline.has_passed() && !disconnect_wanted_) {
    std::span<char> buffer = shared().read_buffer;
    ssize_t size = ::recv(socket_.native_handle(), buffer.data(), limits::kStreamHeaderBytesMax, MSG_PEEK);
    // Woken without more bytes: the peer has ended, and no more will come.
    if (size <= static_cast<ssize_t>(seen)) break;
    seen = static_cast<std::size_t>(size);
    hint = s2s::header_hint({buffer.data(), seen}, host_.hint_attribute());
    if (hint) break;
    wake_at(seen + 1);
    co_await wait(tcp::socket::wait_read);
  }
  wake_at(1);
  co_return hint.value_or("");
}

tcp::socket Connection::release_socket(asio::io_context& io) {
  phase_ = Phase::kClosing;
  boost::system::error_code ignored;
  tcp::endpoint own = socket_.local_endpoint(ignored);
  boost::system::error_code failed;
  tcp::socket released(io);
  int descriptor = socket_.release(ignored);
  released.assign(own.protocol(), descriptor, failed);
  if (failed) ::close(descriptor);
  return released;
}

asio::awaitable<void> Connection::run_handed_over(std::shared_ptr<Connection> self) {
  self->announce_accepted();
  // Not `a && !co_await b`: as the first await of a coroutine GCC 12 miscompiles that.
  if (self->direct_tls_) {
    bool is_secure = co_await self->start_tls();
    if (!is_secure) co_return;
  }
  self->open();
}

asio::awaitable<void> Connection::run_link_handed_over(std::shared_ptr<Connection> self) {
  self->announce_link(self->tls_->pinned_row());
  self->open();
  co_return;
}

// Sends a REFUSE frame on a link that is not announced to the role.
asio::awaitable<void> Connection::refuse_link(Error error) {
  phase_ = Phase::kSecure;
  link::frame::append(unsent_, link::frame::Refuse{{code_row(error.code).name, error.text}});
  disconnect_wanted_ = true;
  co_await close();
}

}  // namespace sallyport::net
